"""Charts to files: DOT, Mermaid, SVG and PNG, of the whole chart and of each region."""

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from holdfast.engine import Statechart
from holdfast.statecharts import CHARTS as CHARTS

from .dot import dot
from .drawing import regions
from .mermaid import mermaid

TEXTS: dict[str, Callable[[Statechart, str | None], str]] = {"dot": dot, "mmd": mermaid}
PICTURES = ("svg", "png")
FORMATS = (*TEXTS, *PICTURES)


class MissingGraphviz(RuntimeError):
    """Pictures need Graphviz, which comes with the ``diagrams`` extra."""

    def __init__(self) -> None:
        super().__init__("pictures need pygraphviz, which brings Graphviz along: pip install 'holdfast[diagrams]'")


def export(chart: Statechart, folder: Path, formats: Iterable[str] = FORMATS) -> list[Path]:
    """Write a chart's diagrams into ``folder/NAME/``: one of the whole and one of each region, in each format.

    Raises:
        MissingGraphviz: a picture is asked for, and pygraphviz is not installed.
        ValueError: an unknown format.
    """
    wanted = tuple(formats)
    if unknown := set(wanted) - set(FORMATS):
        raise ValueError(f"unknown formats {sorted(unknown)}: use some of {', '.join(FORMATS)}")
    if set(wanted) & set(PICTURES) and find_spec("pygraphviz") is None:
        raise MissingGraphviz
    written: list[Path] = []
    for region, stem in _diagrams(chart, folder):
        stem.parent.mkdir(parents=True, exist_ok=True)
        for form in wanted:
            path = stem.with_suffix(f".{form}")
            if form in TEXTS:
                path.write_text(TEXTS[form](chart, region), encoding="utf-8")
            else:
                _draw(dot(chart, region), path)
            written.append(path)
    return written


def stale(chart: Statechart, folder: Path) -> list[Path]:
    """The files in ``folder`` that no longer show the chart. Texts are compared; a picture only has to be there, since
    fonts differ between machines.
    """
    found: list[Path] = []
    for region, stem in _diagrams(chart, folder):
        for form, write in TEXTS.items():
            path = stem.with_suffix(f".{form}")
            if not path.is_file() or path.read_text(encoding="utf-8") != write(chart, region):
                found.append(path)
        found += [path for form in PICTURES if not (path := stem.with_suffix(f".{form}")).is_file()]
    return found


def _diagrams(chart: Statechart, folder: Path) -> list[tuple[str | None, Path]]:
    whole: list[tuple[str | None, Path]] = [(None, folder / chart.name / chart.name)]
    return whole + [(region, folder / chart.name / region) for region in regions(chart)]


def _draw(text: str, path: Path) -> None:
    import pygraphviz  # pyright: ignore[reportMissingTypeStubs]

    graph: Any = pygraphviz.AGraph(string=text)
    graph.draw(str(path), prog="dot")
