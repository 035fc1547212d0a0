"""A chart run by a live ``transitions.HierarchicalMachine``, as an independent opinion on what it does.

The machine decides which rows fire and which states are left and entered. What it does not know is done here from
the chart's data: raised, eventless and done events, timers, and what effects do. It runs no effect between exit and
entry, so effects are recorded and run when the machine has come to rest: exits, rows, entries.
"""

from collections import Counter, deque
from functools import partial
from typing import Any

from transitions.core import Condition

from holdfast.engine import (
    SEPARATOR,
    After,
    Command,
    Done,
    Effect,
    Event,
    In,
    Stamp,
    State,
    Statechart,
    TimerFired,
    Transition,
    machine,
    name_of,
)


class Model:
    """What the machine asks for its guards, by name. The machine writes its state here."""

    state: Any


class Reference:
    """One instance of a chart. ``context``, ``active``, ``armed`` and ``commands`` are what to compare."""

    def __init__(self, source: Statechart, context: Any, stamp: Stamp) -> None:
        self.source = source
        self.states = dict(_walk(source.states, ""))
        self.order = {path: place for place, path in enumerate(self.states)}
        self.context, self.seen = context, context
        self.event: Any = TimerFired("", 0)
        self.stamp = stamp
        self.armed: set[str] = set()
        self.commands: Counter[str] = Counter()
        self.raised: deque[Any] = deque()
        self.model = Model()
        self._answer_guards(source)
        self.machine = machine(source, self.model)
        # What it says of an event that nobody handles fails for regions inside regions (lists in lists).
        self.machine._check_event_result = _handled
        self._dress(source)
        self._begin_micro(self.event)
        self.entered.extend(self.active)
        self._run_doings(source.on_enter)
        self._finish_micro()
        self._settle()

    @property
    def atoms(self) -> set[str]:
        return set(_flat(self.model.state))

    @property
    def active(self) -> set[str]:
        """The atomic states and all around them."""
        parts = [path.split(SEPARATOR) for path in self.atoms]
        return {SEPARATOR.join(part[: end + 1]) for part in parts for end in range(len(part))}

    def send(self, event: Event, stamp: Stamp) -> bool:
        """Run one event to completion. False when nothing handled it."""
        self.stamp, self.commands = stamp, Counter()
        trigger: Any = type(event)
        if isinstance(event, TimerFired):
            self.armed.discard(event.timer)
            trigger = After(event.timer)
        if not self._micro(name_of(trigger), event):
            return False
        self._settle()
        return True

    # -- what the machine is told ---------------------------------------------------------------------

    def _answer_guards(self, source: Statechart) -> None:
        for row in source.transitions:
            for test in (*row.conditions, *row.unless):
                setattr(self.model, name_of(test), self._answer(test))

    def _answer(self, test: Any) -> Any:
        if isinstance(test, In):
            return lambda: test.state in self.before
        return lambda: test(self.seen, self.event, self.stamp)

    def _dress(self, source: Statechart) -> None:
        for path in self.states:
            self.machine.get_state(path).add_callback("enter", partial(self._enter, path))
            self.machine.get_state(path).add_callback("exit", partial(self._exit, path))
        places: Counter[tuple[str, str]] = Counter()
        for row in source.transitions:
            trigger = "always" if row.trigger is None else name_of(row.trigger)
            for path in row.sources:
                made = self.machine.events[trigger].transitions[path][places[trigger, path]]
                places[trigger, path] += 1
                made.conditions.insert(0, Condition(partial(self._fresh, path)))
                made.before.append(partial(self._take, path, row))

    def _enter(self, path: str) -> None:
        self.entered.append(path)

    def _exit(self, path: str) -> None:
        self.exited.append(path)

    def _fresh(self, path: str) -> bool:
        # `transitions` tries a trigger once for each region of a parallel chart, and so takes rows twice or follows
        # them up with those of the new state. Only states that were active before the event have a say, once.
        return path in self.before and path not in self.covered

    def _take(self, path: str, row: Transition) -> None:
        self.taken.append((self.order[path], row))
        parts = path.split(SEPARATOR)
        self.covered |= {SEPARATOR.join(parts[: end + 1]) for end in range(len(parts))}

    # -- microsteps -----------------------------------------------------------------------------------

    def _begin_micro(self, event: Any) -> None:
        self.event, self.seen, self.before = event, self.context, self.active
        self.exited: list[str] = []
        self.entered: list[str] = []
        self.taken: list[tuple[int, Transition]] = []
        self.covered: set[str] = set()

    def _micro(self, trigger: str, event: Any) -> bool:
        self._begin_micro(event)
        if trigger in self.machine.events:
            getattr(self.model, trigger)()
        if not self.taken:
            return False
        self._finish_micro()
        return True

    def _finish_micro(self) -> None:
        for path in sorted(self.exited, key=self.order.__getitem__, reverse=True):
            self.armed -= {timer.name for timer in self.states[path].timers}
            self._run_doings(self.states[path].on_exit)
        for _, row in sorted(self.taken, key=lambda taken: taken[0]):
            self._run_doings(row.effects)
        entered = sorted(self.entered, key=self.order.__getitem__)
        inside = self.before - set(self.exited)
        for path in entered:
            inside.add(path)
            self._run_doings(self.states[path].on_enter)
            if self.states[path].final:
                self._raise_done(path, inside)
        for path in entered:
            self.armed |= {
                timer.name for timer in self.states[path].timers if timer.delay(self.context, self.stamp) is not None
            }

    def _run_doings(self, doings: Any) -> None:
        for doing in doings:
            emitted: Any = (doing,)
            if isinstance(doing, Effect):
                self.context, emitted = doing.action(self.context, self.event, self.stamp)
            for thing in emitted:
                if isinstance(thing, Command):
                    self.commands[repr(thing)] += 1
                else:
                    self.raised.append(thing)

    def _raise_done(self, path: str, inside: set[str]) -> None:
        parent = path.rpartition(SEPARATOR)[0]
        around = parent.rpartition(SEPARATOR)[0]
        if parent:
            self.raised.append(Done(parent))
        if around and self.states[around].parallel and self._ended(around, inside):
            self.raised.append(Done(around))

    def _ended(self, path: str, inside: set[str]) -> bool:
        children = [(f"{path}{SEPARATOR}{child.name}", child) for child in self.states[path].children]
        if self.states[path].parallel:
            return all(self._ended(child, inside) for child, _ in children)
        return any(state.final and child in inside for child, state in children)

    def _done(self) -> bool:
        """A chart that reached its end handles nothing any more."""
        if self.source.parallel:
            return all(self._ended(region.name, self.active) for region in self.source.states)
        return any(state.final and state.name in self.active for state in self.source.states)

    def _settle(self) -> None:
        while True:
            if not self._done() and self._micro("always", self.event):
                continue
            if not self.raised or self._done():
                return
            event = self.raised.popleft()
            if self._is_current(event):
                self._micro(name_of(event if isinstance(event, Done) else type(event)), event)

    def _is_current(self, event: Any) -> bool:
        field = getattr(event, "correlates", None)
        return field is None or getattr(event, field) == getattr(self.context, field)


def _handled(result: bool | None, model: Model, trigger: str) -> bool:
    return bool(result)


def _flat(state: Any) -> Any:
    # Regions inside regions come as lists inside lists.
    if isinstance(state, str):
        yield state
    else:
        for inner in state:
            yield from _flat(inner)


def _walk(states: tuple[State, ...], above: str) -> Any:
    for state in states:
        path = f"{above}{SEPARATOR}{state.name}" if above else state.name
        if state.history is None:
            yield path, state
            yield from _walk(state.children, path)
