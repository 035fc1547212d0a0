"""What a diagram of a chart, or of one region of it, consists of: boxes, and bundles of rows between them."""

from collections.abc import Iterator

import msgspec

from holdfast.engine import SEPARATOR, State, Statechart, Transition


class Box(msgspec.Struct, frozen=True):
    """A state and where it is. ``path`` is empty for the chart itself."""

    path: str
    state: State

    @property
    def children(self) -> tuple["Box", ...]:
        return tuple(Box(join(self.path, child.name), child) for child in self.state.children)

    def walk(self) -> Iterator["Box"]:
        """This box and all inside it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()


class Bundle(msgspec.Struct, frozen=True):
    """Rows that lead from the same states to the same state, with their numbers in the chart, from 1."""

    sources: tuple[str, ...]
    dest: str
    rows: tuple[tuple[int, Transition], ...]


def join(path: str, name: str) -> str:
    """The path of a child."""
    return f"{path}{SEPARATOR}{name}" if path else name


def inside(path: str, outer: str) -> bool:
    """True for ``outer`` itself and everything within it."""
    return not outer or path == outer or path.startswith(outer + SEPARATOR)


def initial(box: Box) -> str:
    """The path of the child that a compound state starts in."""
    return join(box.path, box.state.initial or box.children[0].state.name)


def root(chart: Statechart, region: str | None) -> Box:
    """The box that a diagram shows: the whole chart, or one region.

    Raises:
        KeyError: the chart has no such region.
    """
    top = Box("", chart.top)
    if region is None:
        return top
    return {box.path: box for box in top.children if chart.parallel}[region]


def regions(chart: Statechart) -> tuple[str, ...]:
    """The regions that get a diagram of their own."""
    return tuple(state.name for state in chart.states) if chart.parallel else ()


def bundles(chart: Statechart, top: Box) -> list[Bundle]:
    """The rows that lead somewhere, in the chart's order."""
    found: dict[tuple[tuple[str, ...], str], list[tuple[int, Transition]]] = {}
    for number, row in enumerate(chart.transitions, 1):
        sources = tuple(path for path in row.sources if inside(path, top.path))
        if sources and row.dest is not None:
            found.setdefault((sources, row.dest), []).append((number, row))
    return [Bundle(sources, dest, tuple(rows)) for (sources, dest), rows in found.items()]


def staying(chart: Statechart, path: str) -> list[tuple[int, Transition]]:
    """The rows of a state that lead nowhere, which are listed in its box."""
    return [(n, row) for n, row in enumerate(chart.transitions, 1) if row.dest is None and path in row.sources]


def common(paths: tuple[str, ...], top: str) -> str:
    """The innermost state around all of ``paths``, none of them itself, but never further out than ``top``."""
    parents = [path.split(SEPARATOR)[:-1] for path in paths]
    shared: list[str] = []
    for names in zip(*parents, strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    found = SEPARATOR.join(shared)
    return found if inside(found, top) else top
