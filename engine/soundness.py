"""What can be wrong with a chart whose data are right: dead states, dead rows, traps, timers nobody waits for."""

from collections.abc import Iterable, Iterator
from itertools import product

from . import scxml
from .model import Doing, Effect, Event, name_of
from .tables import Chart
from .tree import Node, Row
from .validate import Inspector

World = frozenset[Node]


def check_soundness(inspector: Inspector, chart: Chart) -> None:
    """Reachability, ways out, dead rows, timers and raised events."""
    _check_reachable(inspector, chart)
    _check_rows(inspector, chart)
    _check_timers(inspector, chart)
    _check_raised(inspector, chart)


# -- states ----------------------------------------------------------------------------------------------


def _check_reachable(inspector: Inspector, chart: Chart) -> None:
    reachable = _reachable(chart)
    for node in chart.nodes[1:]:
        if node.state.history:
            continue
        if node not in reachable:
            inspector.fault("cannot be reached from the initial state", "add a row into it, or drop it", node.path)
        elif not _may_rest(node):
            inspector.fault("has no way out and is not final", "add a row that leaves it, or make it final", node.path)


def _reachable(chart: Chart) -> set[Node]:
    """States that some path of rows enters, guards taken as open: an over-approximation."""
    found = scxml.initial_entries(chart.root)
    before = -1
    while len(found) > before:
        before = len(found)
        for row in chart.rows:
            if row.source in found:
                found |= scxml.entries((row,), {})
    return found


def _may_rest(node: Node) -> bool:
    """True unless a chart that gets into this atomic state stays there for good, without being at an end.

    A region without states inside has nowhere to go, and is no trap.
    """
    if not node.atomic or node.state.final or (node.parent is not None and node.parent.state.parallel):
        return True
    line = (node, *node.ancestors())
    rows = (row for source in line for rows in source.rows.values() for row in rows)
    return any(row.dest is not node and node in scxml.exits(row, frozenset(line), {}) for row in rows)


# -- rows ------------------------------------------------------------------------------------------------


def _check_rows(inspector: Inspector, chart: Chart) -> None:
    for row in chart.rows:
        key = next(key for key, rows in row.source.rows.items() if row in rows)
        worlds = [(atom, world) for atom in _atoms(row.source) for world in _worlds(chart, atom, key)]
        possible = [(atom, world) for atom, world in worlds if row.open_in(world)]
        if any((guard, not wanted) in row.guards for guard, wanted in row.guards) or not possible:
            problem, mend = "can never fire: its conditions contradict each other", "mend them, or drop it"
        elif all(_forestalled(row, key, atom, world) for atom, world in possible):
            problem, mend = _forestalling(row, key)
        else:
            continue
        inspector.fault(problem, mend, row.source.path, row.transition)


def _forestalled(row: Row, key: object, atom: Node, world: World) -> bool:
    """True when in this world a row that is tried earlier fires whenever this one could."""
    for node in (atom, *atom.ancestors()):
        for earlier in node.rows.get(key, ()):
            if earlier is row:
                return False
            if earlier.guards <= row.guards and earlier.open_in(world):
                return True
    return False


def _forestalling(row: Row, key: object) -> tuple[str, str]:
    rows = row.source.rows[key]
    earlier = rows[: rows.index(row)]
    if any((other.guards, other.asks) == (row.guards, row.asks) for other in earlier):
        return "repeats the conditions of an earlier row", "tell them apart or drop one"
    if any(other.guards <= row.guards for other in earlier):
        return "can never fire: an earlier row always does", "reorder or drop it"
    return "can never fire: every state inside handles it first", "drop it"


def _atoms(node: Node) -> Iterator[Node]:
    if node.atomic:
        yield node
    for child in node.regions:
        yield from _atoms(child)


def _worlds(chart: Chart, atom: Node, key: object) -> set[World]:
    """What the rows tried for ``atom`` can see of the other states: of those they ask about, which may be active."""
    line = {atom, *atom.ancestors()}
    asked = {node for source in line for row in source.rows.get(key, ()) for node, _ in row.asks}
    return _views(chart.root, asked, line)


def _views(node: Node, asked: set[Node], line: set[Node]) -> set[World]:
    own = asked & {node}
    if node.state.parallel:
        inner = {World().union(*views) for views in product(*(_views(child, asked, line) for child in node.regions))}
    else:
        # Of the states around the atom the child on its line is active; elsewhere any child may be.
        children = [child for child in node.regions if child in line] or node.regions
        inner = {view for child in children for view in _views(child, asked, line)} or {World()}
    return {view | own for view in inner}


# -- timers and raised events ----------------------------------------------------------------------------


def _check_timers(inspector: Inspector, chart: Chart) -> None:
    for name, owner in chart.timers.items():
        near = (node for node in chart.nodes if node is owner or node.within(owner) or owner.within(node))
        if not any(name in node.rows for node in near):
            inspector.fault(f"arms timer {name!r}, which no row handles", f"add a row After({name!r})", owner.path)


def _check_raised(inspector: Inspector, chart: Chart) -> None:
    for place, doing in _doings(chart):
        kinds: Iterable[type] = doing.emits if isinstance(doing, Effect) else (type(doing),)
        for kind in kinds:
            if issubclass(kind, Event) and kind not in chart.events:
                inspector.fault(
                    f"{name_of(doing)!r} raises {kind.__name__}, which no row handles", "add a row for it", place
                )


def _doings(chart: Chart) -> Iterator[tuple[str, Doing]]:
    for node in chart.nodes:
        for doing in (*node.state.on_enter, *node.state.on_exit):
            yield node.path, doing
    for row in chart.rows:
        for doing in row.transition.effects:
            yield row.source.path, doing
