"""What can be wrong with a chart's data: names, targets, guards, effects, timers. See also :mod:`.soundness`."""

import inspect
from collections import Counter
from collections.abc import Hashable, Iterator
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


class Inspector:
    """Collects the faults of one chart.

    ``sound_states`` and ``broken`` say what :mod:`.soundness` may rely on: that the states form a tree, and
    which rows have no place in it.
    """

    def __init__(self, chart: Statechart) -> None:
        self.chart = chart
        self.faults: list[Fault] = []
        self.states: dict[str, State] = dict(_walk(chart.top, ""))
        self.sound_states = False
        self.broken: list[Transition] = []

    def fault(self, problem: str, mend: str, state: str = "", row: Transition | None = None) -> None:
        found = Fault(self.chart.name, state, describe(row) if row is not None else "", problem, mend)
        if found not in self.faults:
            self.faults.append(found)

    # -- states --------------------------------------------------------------------------------------

    def check_states(self) -> None:
        for path, state in self.states.items():
            self._check_names(path, state)
            self._check_shape(path, state)
        self._check_timer_names()
        self.sound_states = not self.faults
        self._check_context()
        for path, state in self.states.items():
            for doing in (*state.on_enter, *state.on_exit):
                self._check_doing(doing, path, None)
            for timer in state.timers:
                self._check_delay(timer.name, timer.delay, path)

    def _check_context(self) -> None:
        config = getattr(self.chart.context, "__struct_config__", None)
        if config is None or not isinstance(self.chart.context, type):
            self.fault("its context is not a msgspec.Struct", "make it a frozen msgspec.Struct")
        elif not config.frozen:
            self.fault("its context can be changed in place", "declare the struct with frozen=True")

    def _check_names(self, path: str, state: State) -> None:
        for name, count in Counter(child.name for child in state.children).items():
            if count > 1:
                self.fault(f"has {count} children named {name!r}", "give each its own name", path)
            if not name or SEPARATOR in name:
                self.fault(f"has a child with the bad name {name!r}", f"name it without {SEPARATOR!r}", path)

    def _check_shape(self, path: str, state: State) -> None:
        real = [child for child in state.children if child.history is None]
        if state.history is not None:
            self._check_history(path, state)
        elif state.final:
            self._check_final(path, state)
        elif state.parallel:
            self._check_parallel(path, state, real)
        elif state.children and state.initial not in {child.name for child in real}:
            self.fault(
                f"starts in {state.initial!r}, which is no child of it",
                "name one of its children as initial (no history state)",
                path,
            )
        elif not state.children and (state.initial is not None or path == ""):
            self.fault("has no children to start in", "drop initial, or add children", path)

    def _check_final(self, path: str, state: State) -> None:
        if state.children or state.timers:
            self.fault("is final but has children or timers", "nothing happens in a final state; drop them", path)
        if state.on_exit and SEPARATOR not in path and not self.chart.parallel:
            self.fault("is final but has exit effects", "a final state of the chart is never left; drop them", path)

    def _check_parallel(self, path: str, state: State, regions: list[State]) -> None:
        if not regions or state.initial is not None:
            self.fault("is parallel but has no regions, or an initial one", "give it regions and no initial", path)
        for region in regions:
            if region.final:
                self.fault(
                    f"has the final region {region.name!r}", "put the final state inside the region, or drop it", path
                )

    def _check_history(self, path: str, state: State) -> None:
        parent = self.states[path.rpartition(SEPARATOR)[0]]
        siblings = {child.name for child in parent.children if child.history is None}
        if SEPARATOR not in path:
            self.fault("is a history state of the whole chart, which is never left", "put it inside a state", path)
        if state.history not in ("shallow", "deep"):
            self.fault(f"has the unknown history {state.history!r}", "use 'shallow' or 'deep'", path)
        if state.children or state.on_enter or state.on_exit or state.timers or state.final or state.parallel:
            self.fault("is a history state with a content of its own", "leave it empty", path)
        if state.initial not in siblings and not (state.initial is None and parent.parallel):
            self.fault(f"defaults to {state.initial!r}, which is no sibling of it", "name a sibling as initial", path)

    def _check_timer_names(self) -> None:
        owners = [(timer.name, path) for path, state in self.states.items() for timer in state.timers]
        for name, count in Counter(name for name, _ in owners).items():
            if count > 1:
                where = ", ".join(path for owned, path in owners if owned == name)
                self.fault(f"timer {name!r} belongs to several states ({where})", "give each timer its own name")

    def _check_delay(self, name: str, delay: object, path: str) -> None:
        if not callable(delay) or _arity(delay) != 2:
            self.fault(f"timer {name!r} has no usable delay", "use a function of (context, stamp)", path)

    # -- rows ----------------------------------------------------------------------------------------

    def check_rows(self) -> None:
        for row in self.chart.transitions:
            before = len(self.faults)
            self._check_places(row)
            self._check_trigger(row)
            self._check_questions(row)
            if len(self.faults) > before:
                self.broken.append(row)
            self._check_guards(row)
            for doing in row.effects:
                self._check_doing(doing, row.sources[0], row)
        self._check_labels()

    def _check_places(self, row: Transition) -> None:
        for path in (*row.sources, *(() if row.dest is None else (row.dest,))):
            if path not in self.states or path == "":
                self.fault(f"names the unknown state {path!r}", "use the full path of a state", path, row)
        for path in row.sources:
            self._check_source(path, row)
        if row.trigger is None and row.dest is None:
            self.fault("is eventless and has no target: it would run for ever", "give it a target", row.sources[0], row)

    def _check_source(self, path: str, row: Transition) -> None:
        state = self.states.get(path)
        if state is None:
            return
        if state.final or state.history:
            self.fault("leaves a final or history state", "drop the row", path, row)
        inside = state.children and not state.parallel and row.dest is not None and _inside(row.dest, path)
        if row.internal and row.dest is not None and not inside:
            self.fault(
                "is internal, but does not go from a compound state to a state inside it", "drop internal", path, row
            )

    def _check_trigger(self, row: Transition) -> None:
        trigger, place = row.trigger, row.sources[0]
        if isinstance(trigger, After):
            self._check_after(trigger.timer, row)
        elif isinstance(trigger, Done):
            self._check_done(trigger.state, row)
        elif trigger is TimerFired:
            self.fault("is triggered by TimerFired", "use After(name)", place, row)
        elif isinstance(trigger, type) and issubclass(trigger, Event):
            self._check_correlation(trigger, row)
        elif trigger is not None:
            self.fault(f"has the unknown trigger {trigger!r}", "use an Event class, After, Done or None", place, row)

    def _check_after(self, timer: str, row: Transition) -> None:
        owner = next((p for p, state in self.states.items() for t in state.timers if t.name == timer), None)
        for path in row.sources:
            if owner is None:
                self.fault(f"waits for the unknown timer {timer!r}", "give a state that timer", path, row)
            elif not (owner == path or _inside(owner, path) or _inside(path, owner)):
                self.fault(f"waits for timer {timer!r}, which runs in {owner!r} only", "move the row there", path, row)

    def _check_done(self, path: str, row: Transition) -> None:
        state, place = self.states.get(path), row.sources[0]
        if state is None or not state.children or path == "":
            self.fault(f"waits for the end of {path!r}, which has no children", "name a compound state", place, row)
        elif not (state.parallel or any(child.final for child in state.children)):
            self.fault(f"waits for the end of {path!r}, which has no final state", "give it one", place, row)

    def _check_correlation(self, trigger: type[Event], row: Transition) -> None:
        field = trigger.correlates
        if field is None:
            return
        for kind in (trigger, self.chart.context):
            if field not in getattr(kind, "__struct_fields__", ()):
                self.fault(
                    f"{name_of(trigger)} correlates by {field!r}, which {name_of(kind)} lacks",
                    "add the field",
                    row.sources[0],
                    row,
                )

    def _check_questions(self, row: Transition) -> None:
        for condition in (*row.conditions, *row.unless):
            if isinstance(condition, In) and (condition.state not in self.states or condition.state == ""):
                self.fault(f"asks for the unknown state {condition.state!r}", "use the full path", row.sources[0], row)
            elif not isinstance(condition, Hashable):
                self.fault(f"has the unknown guard {name_of(condition)!r}", "use a function", row.sources[0], row)

    def _check_guards(self, row: Transition) -> None:
        for guard in (*row.conditions, *row.unless):
            if not isinstance(guard, In) and (not callable(guard) or _arity(guard) != 3):
                self.fault(
                    f"has the unknown guard {name_of(guard)!r}",
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

    def _check_labels(self) -> None:
        """Events and guards go by their names in reports, diagrams and exports: one name, one thing."""
        events = {row.trigger for row in self.chart.transitions if isinstance(row.trigger, type)}
        conditions = (test for row in self.chart.transitions for test in (*row.conditions, *row.unless))
        guards = {test for test in conditions if callable(test) and isinstance(test, Hashable)}
        for kind, things in (("events", events), ("guards", guards)):
            for name, count in Counter(name_of(thing) for thing in things).items():
                if count > 1:
                    self.fault(f"has {count} {kind} named {name!r}", "give each its own name")


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


def _inside(path: str, other: str) -> bool:
    return path.startswith(other + SEPARATOR)


def _arity(function: Any) -> int | None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters)
