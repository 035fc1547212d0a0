"""The vocabulary a chart is written in: events, commands, states, transitions, timers.

The field names are those of the ``transitions`` library (``children``, ``initial``, ``on_enter``,
``trigger``, ``source``, ``dest``, ``conditions``, ``unless``), so that a chart exports to it as it is.
Everything here is inert data; :func:`holdfast.engine.compile_chart` turns it into tables.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec

SEPARATOR = "/"


class Event(msgspec.Struct, frozen=True, tag=True, tag_field="type"):
    """Something that happened, named in the past tense. Matched by its exact class.

    ``correlates`` names a field that both the event and the chart's context have. An event whose value
    differs from the context's is *stale* (the outcome of a superseded connect, refresh, process) and
    changes nothing.
    """

    correlates: ClassVar[str | None] = None


class Command(msgspec.Struct, frozen=True, tag=True, tag_field="type"):
    """Something an adapter is to do, named in the imperative."""


class Stamp(msgspec.Struct, frozen=True):
    """Time and chance, which arrive with each event and are never fetched.

    ``now`` is monotonic seconds (going on through suspend where the system can), ``wall`` epoch seconds
    (for expiry only) and ``chance`` one uniform draw in [0, 1).
    """

    now: float
    wall: float
    chance: float = 0.0


class TimerFired(Event, frozen=True):
    """A timer came due. A firing whose serial is no longer armed is stale."""

    timer: str
    serial: int


class ArmTimer(Command, frozen=True):
    """Deliver :class:`TimerFired` at ``due`` (absolute monotonic seconds)."""

    timer: str
    serial: int
    due: float


class CancelTimer(Command, frozen=True):
    """Forget an armed timer."""

    timer: str
    serial: int


class Unhandled(Command, frozen=True):
    """Report an event that changed nothing: no state handles it, or it is ``stale``."""

    event: str
    stale: bool = False


class After(msgspec.Struct, frozen=True):
    """Trigger of a transition: the named timer came due."""

    timer: str

    @property
    def label(self) -> str:
        return f"after_{self.timer}"


class Done(msgspec.Struct, frozen=True):
    """Trigger of a transition: the compound or parallel state at ``state`` reached its final state."""

    state: str

    @property
    def label(self) -> str:
        return f"done_{self.state.replace(SEPARATOR, '_')}"


class In(msgspec.Struct, frozen=True):
    """Condition: the state at this path is active. Answered from the tables, at no cost in a step."""

    state: str

    @property
    def label(self) -> str:
        return f"in {self.state}"


Trigger = type[Event] | After | Done | None
Guard = Callable[[Any, Any, Stamp], bool]
Outcome = tuple[Any, Sequence[Command | Event]]
Action = Callable[[Any, Any, Stamp], Outcome]
Delay = Callable[[Any, Stamp], float | None]


class Effect:
    """A pure function ``(context, event, stamp) -> (context, emitted)`` and what it may emit."""

    def __init__(self, action: Action, emits: tuple[type[Command] | type[Event], ...]) -> None:
        self.action = action
        self.emits = emits
        self.__name__ = action.__name__
        self.__doc__ = action.__doc__

    def __call__(self, context: Any, event: Any, stamp: Stamp) -> Outcome:
        return self.action(context, event, stamp)

    def __repr__(self) -> str:
        return f"<effect {self.__name__}>"


def effect(*emits: type[Command] | type[Event]) -> Callable[[Action], Effect]:
    """Declare a chart's effect with the commands it may emit and the events it may raise."""
    return lambda action: Effect(action, emits)


class Timer(msgspec.Struct, frozen=True):
    """A timer that is armed when its state is entered and cancelled when it is left.

    ``delay(context, stamp)`` gives seconds: below zero counts as zero, ``None`` leaves the timer unarmed.
    """

    name: str
    delay: Delay


# A command (one shared constant) or an event (raised internally) may stand where an effect may.
Doing = Effect | Command | Event


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A state: atomic, compound (``children`` and ``initial``), parallel (its children are regions),
    final, or a history pseudo-state (``"shallow"`` or ``"deep"``) whose default is ``initial``.
    """

    name: str
    children: tuple["State", ...] = ()
    initial: str | None = None
    parallel: bool = False
    final: bool = False
    history: str | None = None
    on_enter: tuple[Doing, ...] = ()
    on_exit: tuple[Doing, ...] = ()
    timers: tuple[Timer, ...] = ()
    note: str = ""


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a chart. ``dest=None`` stays in the source and runs only the effects; ``internal``
    keeps a compound source entered while its descendants change. ``trigger=None`` is eventless.
    """

    trigger: Trigger
    source: str | tuple[str, ...]
    dest: str | None
    conditions: tuple[Guard | In, ...] = ()
    unless: tuple[Guard | In, ...] = ()
    effects: tuple[Doing, ...] = ()
    internal: bool = False
    rules: str = ""

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,) if isinstance(self.source, str) else self.source


class Statechart(msgspec.Struct, frozen=True, kw_only=True):
    """A whole chart as data. ``context`` is the frozen ``msgspec.Struct`` its guards and effects read."""

    name: str
    context: type[Any]
    states: tuple[State, ...]
    transitions: tuple[Transition, ...]
    initial: str | None = None
    parallel: bool = False
    on_enter: tuple[Doing, ...] = ()

    @property
    def top(self) -> State:
        """The chart itself as the state around all its states."""
        return State(
            name="", children=self.states, initial=self.initial, parallel=self.parallel, on_enter=self.on_enter
        )


def name_of(thing: Any) -> str:
    """The name a trigger, guard, effect or constant goes by in tables, faults and diagrams."""
    if isinstance(thing, (Command, Event)):
        return type(thing).__name__
    if isinstance(thing, (After, Done, In)):
        return thing.label
    if isinstance(thing, functools.partial):
        return name_of(thing.func)
    return str(getattr(thing, "__name__", repr(thing)))
