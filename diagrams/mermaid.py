"""A chart, or one region of it, as a Mermaid state diagram, which code hosts show in place.

``transitions`` writes Mermaid too, but without timers, commands and eventless rows.
"""

from collections.abc import Iterator

from holdfast.engine import Statechart

from .drawing import Box, initial, inside, root
from .labels import label


def mermaid(chart: Statechart, region: str | None = None) -> str:
    """The Mermaid text of one region, or of the whole chart.

    Raises:
        KeyError: the chart has no such region.
    """
    top = root(chart, region)
    lines = ["stateDiagram-v2", *_inside(top, "  "), *_rows(chart, top)]
    return "\n".join(lines) + "\n"


def _inside(box: Box, indent: str) -> Iterator[str]:
    if not box.state.parallel:
        yield f"{indent}[*] --> {_id(initial(box))}"
    for place, child in enumerate(box.children):
        if place and box.state.parallel:
            yield f"{indent}--"
        yield f'{indent}state "{child.state.name}" as {_id(child.path)}'
        if child.children:
            yield f"{indent}state {_id(child.path)} {{"
            yield from _inside(child, f"{indent}  ")
            yield f"{indent}}}"
        if child.state.final:
            yield f"{indent}{_id(child.path)} --> [*]"


def _rows(chart: Statechart, top: Box) -> Iterator[str]:
    for row in chart.transitions:
        for source in row.sources:
            if inside(source, top.path) and source != top.path:
                # A colon ends the label's beginning, a semicolon the line.
                text = label(chart, row).replace(":", "").replace(";", ",") or "otherwise"
                yield f"  {_id(source)} --> {_id(row.dest or source)} : {text}"


def _id(path: str) -> str:
    return path.replace("/", "__")
