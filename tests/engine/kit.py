"""Short ways to write small charts and to walk them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from holdfast.engine import (
    Chart,
    Command,
    Doing,
    Event,
    Snapshot,
    Stamp,
    State,
    Statechart,
    Transition,
    compile_chart,
    effect,
    start,
    step,
)

AT_ZERO = Stamp(0.0, 0.0)


class Context(msgspec.Struct, frozen=True):
    count: int = 0
    asked: int = 0


class Go(Event, frozen=True):
    pass


class Back(Event, frozen=True):
    pass


class Other(Event, frozen=True):
    pass


class Say(Command, frozen=True):
    word: str


@effect()
def count(context: Context, event: Event, stamp: Stamp) -> tuple[Context, tuple[Command, ...]]:
    return msgspec.structs.replace(context, count=context.count + 1), ()


def counted(context: Context, event: Event, stamp: Stamp) -> bool:
    return context.count > 0


def never(context: Context, event: Event, stamp: Stamp) -> bool:
    return False


def s(name: str, *children: State, say: bool = True, **more: Any) -> State:
    """A state that says when it is entered and left; compound ones start in their first child."""
    on_enter: tuple[Doing, ...] = (Say(f"+{name}"),) if say else ()
    on_exit: tuple[Doing, ...] = (Say(f"-{name}"),) if say and not more.get("final") else ()
    if more.get("history") is not None:
        return State(name=name, **more)
    if children and not more.get("parallel"):
        more.setdefault("initial", children[0].name)
    return State(name=name, children=children, on_enter=on_enter, on_exit=on_exit, **more)


def row(
    trigger: Any, source: str | tuple[str, ...], dest: str | None = None, *effects: Doing, **more: Any
) -> Transition:
    return Transition(trigger=trigger, source=source, dest=dest, effects=effects, **more)


def source(states: Sequence[State], *rows: Transition, **more: Any) -> Statechart:
    if not more.get("parallel"):
        more.setdefault("initial", states[0].name)
    return Statechart(name="test", context=Context, states=tuple(states), transitions=rows, **more)


def chart(states: Sequence[State], *rows: Transition, **more: Any) -> Chart:
    return compile_chart(source(states, *rows, **more))


def words(commands: Sequence[Command]) -> str:
    """What was said, in order; other commands by their names."""
    return " ".join(command.word if isinstance(command, Say) else type(command).__name__ for command in commands)


class Walk:
    """A chart on its way: the snapshot, and the words of the last step."""

    def __init__(self, chart: Chart, stamp: Stamp = AT_ZERO) -> None:
        self.chart = chart
        self.snapshot: Snapshot
        self.commands: tuple[Command, ...]
        self.snapshot, self.commands = start(chart, Context(), stamp)

    def __call__(self, event: Event, stamp: Stamp = AT_ZERO) -> str:
        self.snapshot, self.commands = step(self.chart, self.snapshot, event, stamp)
        return words(self.commands)

    @property
    def at(self) -> str:
        return " ".join(self.snapshot.states)

    @property
    def said(self) -> str:
        return words(self.commands)
