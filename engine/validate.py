"""Everything that can be wrong with a chart's data, found in one pass before it is compiled."""

import inspect
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from .errors import Fault
from .model import (
    SEPARATOR,
    After,
    Command,
    Doing,
    Done,
    Effect,
    Event,
    In,
    State,
    Statechart,
    TimerFired,
    Transition,
    name_of,
)
from .tables import Chart, Node, Row


class Inspector:
    """Collects the faults of one chart."""

    def __init__(self, chart: Statechart) -> None:
        self.chart = chart
        self.faults: list[Fault] = []
        top = State(name="", children=chart.states, initial=chart.initial, parallel=chart.parallel)
        self.states: dict[str, State] = dict(_walk(top, ""))

    def fault(self, problem: str, mend: str, state: str = "", row: Transition | None = None) -> None:
        found = Fault(self.chart.name, state, describe(row) if row is not None else "", problem, mend)
        if found not in self.faults:
            self.faults.append(found)

    # -- states --------------------------------------------------------------------------------------

    def check_states(self) -> None:
        if not (isinstance(self.chart.context, type) and getattr(self.chart.context, "__struct_config__", None)):
            self.fault("its context is not a msgspec.Struct", "make it a frozen msgspec.Struct")
        elif not self.chart.context.__struct_config__.frozen:
            self.fault("its context can be changed in place", "declare the struct with frozen=True")
        for path, state in self.states.items():
            self._check_children(path, state)
            for doing in (*state.on_enter, *state.on_exit):
                self._check_doing(doing, path, None)
        self._check_timer_names()

    def _check_children(self, path: str, state: State) -> None:
        names = Counter(child.name for child in state.children)
        for name, count in names.items():
            if count > 1:
                self.fault(f"has {count} children named {name!r}", "give each its own name", path)
            if not name or SEPARATOR in name:
                self.fault(f"has a child with the bad name {name!r}", f"name it without {SEPARATOR!r}", path)
        real = [child for child in state.children if child.history is None]
        if state.final and (state.children or state.timers or state.on_exit):
            self.fault(
                "is final but has children, timers or exit effects", "a final state is never left; drop them", path
            )
        if state.history is not None:
            self._check_history(path, state)
        elif state.parallel and (len(real) < 1 or state.initial is not None):
            self.fault("is parallel but has no regions, or an initial one", "give it regions and no initial", path)
        elif state.children and not state.parallel and state.initial not in {child.name for child in real}:
            self.fault(
                f"starts in {state.initial!r}, which is no child of it", "name one of its children as initial", path
            )
        elif not state.children and (state.initial is not None or state.parallel):
            self.fault("has no children to start in", "drop initial and parallel, or add children", path)

    def _check_history(self, path: str, state: State) -> None:
        parent = path.rpartition(SEPARATOR)[0]
        siblings = {child.name for child in self.states[parent].children if child.history is None}
        if state.history not in ("shallow", "deep"):
            self.fault(f"has the unknown history {state.history!r}", "use 'shallow' or 'deep'", path)
        if state.children or state.on_enter or state.on_exit or state.timers:
            self.fault("is a history state with a content of its own", "leave it empty", path)
        if state.initial not in siblings and not (state.initial is None and self.states[parent].parallel):
            self.fault(f"defaults to {state.initial!r}, which is no sibling of it", "name a sibling as initial", path)

    def _check_timer_names(self) -> None:
        owners = [(timer.name, path) for path, state in self.states.items() for timer in state.timers]
        for name, count in Counter(name for name, _ in owners).items():
            if count > 1:
                where = ", ".join(path for owned, path in owners if owned == name)
                self.fault(f"timer {name!r} belongs to several states ({where})", "give each timer its own name")

    # -- rows ----------------------------------------------------------------------------------------

    def check_rows(self) -> None:
        for row in self.chart.transitions:
            for path in (*row.sources, *(() if row.dest is None else (row.dest,))):
                if path not in self.states or path == "":
                    self.fault(f"names the unknown state {path!r}", "use the full path of a state", path, row)
            for path in row.sources:
                state = self.states.get(path)
                if state is not None and (state.final or state.history):
                    self.fault("leaves a final or history state", "drop the row", path, row)
            if row.trigger is None and row.dest is None:
                self.fault(
                    "is eventless and has no target: it would run for ever", "give it a target", row.sources[0], row
                )
            self._check_trigger(row)
            for condition in (*row.conditions, *row.unless):
                self._check_guard(condition, row)
            for doing in row.effects:
                self._check_doing(doing, row.sources[0], row)

    def _check_trigger(self, row: Transition) -> None:
        trigger = row.trigger
        if isinstance(trigger, After):
            owner = next(
                (path for path, state in self.states.items() for t in state.timers if t.name == trigger.timer), None
            )
            if owner is None:
                self.fault(
                    f"waits for the unknown timer {trigger.timer!r}", "give a state that timer", row.sources[0], row
                )
            elif not any(_related(owner, source) for source in row.sources):
                self.fault(
                    f"waits for timer {trigger.timer!r}, which runs in {owner!r} only",
                    "move the row there",
                    row.sources[0],
                    row,
                )
        elif isinstance(trigger, Done):
            state = self.states.get(trigger.state)
            if state is None or not state.children:
                self.fault(
                    f"waits for the end of {trigger.state!r}, which has no children",
                    "name a compound state",
                    row.sources[0],
                    row,
                )
        elif trigger is not None and not (isinstance(trigger, type) and issubclass(trigger, Event)):
            self.fault(
                f"has the unknown trigger {trigger!r}", "use an Event class, After, Done or None", row.sources[0], row
            )
        elif trigger is TimerFired:
            self.fault("is triggered by TimerFired", "use After(name)", row.sources[0], row)
        elif trigger is not None:
            self._check_correlation(trigger, row)

    def _check_correlation(self, trigger: type[Event], row: Transition) -> None:
        field = trigger.correlates
        if field is None:
            return
        for kind in (trigger, self.chart.context):
            if field not in getattr(kind, "__struct_fields__", ()):
                self.fault(
                    f"{name_of(trigger)} correlates by {field!r}, which {kind.__name__} lacks",
                    "add the field",
                    row.sources[0],
                    row,
                )

    def _check_guard(self, condition: Any, row: Transition) -> None:
        if isinstance(condition, In):
            if condition.state not in self.states or condition.state == "":
                self.fault(f"asks for the unknown state {condition.state!r}", "use the full path", row.sources[0], row)
        elif not callable(condition) or _arity(condition) != 3:
            self.fault(
                f"has the unknown guard {name_of(condition)!r}",
                "use a function of (context, event, stamp)",
                row.sources[0],
                row,
            )

    def _check_doing(self, doing: Doing, state: str, row: Transition | None) -> None:
        if isinstance(doing, (Command, Event)):
            return
        if not isinstance(doing, Effect):
            self.fault(f"has the unknown effect {name_of(doing)!r}", "declare it with @effect(...)", state, row)
        elif _arity(doing.action) != 3:
            self.fault(f"effect {name_of(doing)!r} takes other arguments", "use (context, event, stamp)", state, row)
        elif not all(isinstance(kind, type) and issubclass(kind, (Command, Event)) for kind in doing.emits):
            self.fault(
                f"effect {name_of(doing)!r} emits what is no command or event", "mend its declaration", state, row
            )


# -- what needs the compiled tree ---------------------------------------------------------------------


def check_tables(inspector: Inspector, chart: Chart) -> None:
    """Reachability, ways out, shadowing, timers and raised events of a chart whose data are sound."""
    reachable = _reachable(chart)
    for node in chart.nodes:
        if node is chart.root or node.state.history:
            continue
        if node.index not in reachable:
            inspector.fault("cannot be reached from the initial state", "add a row into it, or drop it", node.path)
        elif node.atomic and not node.state.final and not _way_out(chart, node):
            inspector.fault("has no way out and is not final", "add a row that leaves it, or make it final", node.path)
    _check_shadows(inspector, chart)
    _check_timers(inspector, chart)
    _check_raised(inspector, chart)


def _reachable(chart: Chart) -> set[int]:
    """States that some path of rows enters, guards taken as open: an over-approximation."""
    history = {node.index: frozenset[int]() for node in chart.nodes if node.state.history}
    found: set[int] = set()
    chart._enter(chart.root, found, dict(history))
    grown = True
    while grown:
        before = len(found)
        for row in chart.rows:
            if row.source.index in found and row.dest is not None:
                found |= chart.entries((row,), dict(history))
                found |= {node.index for node in row.dest.ancestors()}
        grown = len(found) > before
    return found


def _way_out(chart: Chart, node: Node) -> bool:
    """True when a row of the state or of an ancestor can leave it."""
    path = (node, *node.ancestors())
    return any(
        row.dest is not None
        and row.dest is not node
        and node.index in chart.exits(row, frozenset(n.index for n in path))
        for source in path
        for rows in source.rows.values()
        for row in rows
    )


def _check_shadows(inspector: Inspector, chart: Chart) -> None:
    for node in chart.nodes:
        for rows in node.rows.values():
            for place, row in enumerate(rows):
                for earlier in rows[:place]:
                    if not earlier.guards and not earlier.asks:
                        inspector.fault(
                            "can never fire: an earlier row always does",
                            "reorder or drop it",
                            node.path,
                            row.transition,
                        )
                    elif _conditions(earlier) == _conditions(row):
                        inspector.fault(
                            "repeats the conditions of an earlier row",
                            "tell them apart or drop one",
                            node.path,
                            row.transition,
                        )
        for key in node.rows:
            if node.children and key is not None and all(_blocked(atom, node, key) for atom in _atoms(node)):
                inspector.fault(
                    "can never fire: every state inside handles it first",
                    "drop it",
                    node.path,
                    node.rows[key][0].transition,
                )


def _conditions(row: Row) -> tuple[frozenset[Any], frozenset[Any]]:
    return frozenset(row.transition.conditions), frozenset(row.transition.unless)


def _atoms(node: Node) -> Iterator[Node]:
    for child in node.real_children:
        yield from (child,) if child.atomic else _atoms(child)


def _blocked(atom: Node, above: Node, key: Any) -> bool:
    if atom.state.final:
        return False
    for node in (atom, *atom.ancestors()):
        if node is above:
            return False
        if any(not row.guards and not row.asks for row in node.rows.get(key, ())):
            return True
    return False


def _check_timers(inspector: Inspector, chart: Chart) -> None:
    for node in chart.nodes:
        for timer in node.state.timers:
            near = [node, *node.ancestors(), *(n for n in chart.nodes if n.within(node))]
            if not any(timer.name in other.rows for other in near):
                inspector.fault(
                    f"arms timer {timer.name!r}, which no row handles", f"add a row After({timer.name!r})", node.path
                )


def _check_raised(inspector: Inspector, chart: Chart) -> None:
    handled = set(chart.events)
    for place, doing in _doings(chart):
        kinds: Iterable[type] = doing.emits if isinstance(doing, Effect) else (type(doing),)
        for kind in kinds:
            if issubclass(kind, Event) and kind not in handled:
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


# -- small helpers -----------------------------------------------------------------------------------


def describe(row: Transition) -> str:
    """A row in one line, as faults and tables show it."""
    guards = [name_of(guard) for guard in row.conditions] + [f"not {name_of(guard)}" for guard in row.unless]
    label = f" [{' and '.join(guards)}]" if guards else ""
    trigger = "(eventless)" if row.trigger is None else name_of(row.trigger)
    return f"row {', '.join(row.sources)} --{trigger}{label}--> {row.dest or '(stays)'}"


def _walk(state: State, path: str) -> Iterator[tuple[str, State]]:
    yield path, state
    for child in state.children:
        yield from _walk(child, f"{path}{SEPARATOR}{child.name}" if path else child.name)


def _related(one: str, other: str) -> bool:
    return one == other or one.startswith(other + SEPARATOR) or other.startswith(one + SEPARATOR)


def _arity(function: Any) -> int | None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters)
