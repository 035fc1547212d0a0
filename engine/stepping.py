"""The step: one event's whole consequence, as a pure function of snapshot, event and stamp."""

import math
from collections import deque
from collections.abc import Iterable
from typing import Any

from .errors import MicrostepLimit
from .model import ArmTimer, CancelTimer, Command, Done, Event, Stamp, TimerFired, Unhandled
from .snapshot import Armed, Snapshot
from .tables import Chart, Configuration, Micro
from .tree import in_order

# Far above what a sound chart needs (the shipped ones stay under 12) and far below what a person would wait for.
MICROSTEPS_MAX = 100

Step = tuple[Snapshot, tuple[Command, ...]]


def start(chart: Chart, context: Any, stamp: Stamp) -> Step:
    """Enter the chart: its first snapshot and the commands of its initial states.

    What the initial states do sees a :class:`~holdfast.engine.TimerFired` without a name in place of an event.

    Raises:
        MicrostepLimit: the chart does not come to rest (a bug of the chart).
    """
    micro = chart.start()
    return _settle(chart, Snapshot(micro.target, context), micro, TimerFired("", 0), stamp)


def step(chart: Chart, snapshot: Snapshot, event: Event, stamp: Stamp) -> Step:
    """Run one event to completion: the next snapshot and the commands for the adapters, in order.

    Pure: the same arguments give the same result for ever. An event that no state handles, or that is stale,
    changes nothing and is reported by one :class:`~holdfast.engine.Unhandled` command. A due timer is
    consumed by its firing even if every guard refuses it.

    Raises:
        MicrostepLimit: the chart does not come to rest (a bug of the chart).
    """
    # The hot path. It is `_take` unrolled, since a call costs as much as everything else here together.
    config = snapshot.config
    try:
        candidates = config.short[event.__class__]
    except KeyError:
        candidates = config.shortest(event.__class__)
    if candidates is None:
        return _step_long(chart, snapshot, event, stamp)
    context = snapshot.context
    for guard, micro, target, commands, actions in candidates:
        if guard is None or guard(context, event, stamp):
            if micro is not None:
                return _settle(chart, snapshot, micro, event, stamp)
            for action, constants in actions:
                context, emitted = action(context, event, stamp)
                if emitted:
                    commands += tuple(emitted)
                if constants:
                    commands += constants
            if target is config and context is snapshot.context:
                return snapshot, commands
            return Snapshot(target, context, snapshot.timers, snapshot.serial), commands
    return snapshot, _unhandled(event.__class__.__name__)


def _step_long(chart: Chart, snapshot: Snapshot, event: Event, stamp: Stamp) -> Step:
    """The step of a timer, of an event that may be stale, of several regions, or of a chart with history."""
    if event.__class__ is TimerFired:
        return _step_timer(chart, snapshot, event, stamp)
    kind = event.__class__
    plan = snapshot.config.plan(kind)
    if plan is None:
        return snapshot, _unhandled(kind.__name__)
    if plan.stale(snapshot.context, event):
        return snapshot, _unhandled(kind.__name__, stale=True)
    chosen = plan.choose(snapshot.context, event, stamp)
    if not chosen:
        return snapshot, _unhandled(kind.__name__)
    return _take(chart, snapshot, snapshot.config.micro(chosen, snapshot.history), event, stamp)


def _step_timer(chart: Chart, snapshot: Snapshot, event: Any, stamp: Stamp) -> Step:
    kept = tuple(armed for armed in snapshot.timers if armed.timer != event.timer or armed.serial != event.serial)
    if len(kept) == len(snapshot.timers):
        return snapshot, _unhandled("TimerFired", stale=True)
    config, context = snapshot.config, snapshot.context
    fired = Snapshot(config, context, kept, snapshot.serial, snapshot.history)
    plan = config.plan(event.timer)
    chosen = plan.choose(context, event, stamp) if plan is not None else ()
    if not chosen:
        return fired, _unhandled(f"after_{event.timer}")
    return _take(chart, fired, config.micro(chosen, snapshot.history), event, stamp)


def _take(chart: Chart, snapshot: Snapshot, micro: Micro, event: Event, stamp: Stamp) -> Step:
    if not micro.rest:
        return _settle(chart, snapshot, micro, event, stamp)
    context = snapshot.context
    commands: tuple[Any, ...] = micro.commands
    for action, constants in micro.actions:
        context, emitted = action(context, event, stamp)
        commands = (*commands, *emitted, *constants)
    return Snapshot(micro.target, context, snapshot.timers, snapshot.serial, snapshot.history), commands


_UNHANDLED: dict[tuple[str, bool], tuple[Command, ...]] = {}


def _unhandled(name: str, stale: bool = False) -> tuple[Command, ...]:
    try:
        return _UNHANDLED[name, stale]
    except KeyError:
        return _UNHANDLED.setdefault((name, stale), (Unhandled(name, stale),))


def _settle(chart: Chart, snapshot: Snapshot, micro: Micro, event: Event, stamp: Stamp) -> Step:
    """Run microsteps until nothing is enabled and nothing is raised."""
    run = _Run(snapshot, event, stamp)
    trail: list[str] = []
    pending: Micro | None = micro
    while pending is not None:
        trail.append(pending.label)
        if len(trail) > MICROSTEPS_MAX:
            raise MicrostepLimit(chart.name, tuple(trail))
        run.take(pending)
        pending = run.next()
    return Snapshot(run.config, run.context, run.timers, run.serial, run.history), tuple(run.commands)


class _Run:
    """What changes while one step comes to rest."""

    __slots__ = ("commands", "config", "context", "event", "history", "raised", "serial", "stamp", "timers")

    def __init__(self, snapshot: Snapshot, event: Any, stamp: Stamp) -> None:
        self.config: Configuration = snapshot.config
        self.context = snapshot.context
        self.timers = snapshot.timers
        self.serial = snapshot.serial
        self.history = snapshot.history
        self.event = event
        self.stamp = stamp
        self.commands: list[Any] = []
        self.raised: deque[Any] = deque()

    def take(self, micro: Micro) -> None:
        """One microstep: cancel timers, run the effects, arm timers, move."""
        if micro.cancels and self.timers:
            self._cancel(micro.cancels)
        emit = self._sort_out if micro.raising else self.commands.extend
        emit(micro.commands)
        for action, constants in micro.actions:
            self.context, emitted = action(self.context, self.event, self.stamp)
            emit(emitted)
            emit(constants)
        for name, delay in micro.arms:
            self._arm(name, delay(self.context, self.stamp))
        if micro.history:
            memory = {**dict(self.history), **micro.history}
            self.history = tuple((node, memory[node]) for node in in_order(memory))
        self.config = micro.target

    def next(self) -> Micro | None:
        """The next microstep: an eventless one first, else that of the next raised event somebody handles."""
        config = self.config
        if config.eventless and (plan := config.plan(None)) is not None:
            chosen = plan.choose(self.context, self.event, self.stamp)
            if chosen:
                return config.micro(chosen, self.history)
        while self.raised:
            self.event = self.raised.popleft()
            plan = config.plan(self.event if isinstance(self.event, Done) else self.event.__class__)
            if plan is None or plan.stale(self.context, self.event):
                continue
            chosen = plan.choose(self.context, self.event, self.stamp)
            if chosen:
                return config.micro(chosen, self.history)
        return None

    def _sort_out(self, emitted: Iterable[Any]) -> None:
        for thing in emitted:
            (self.commands if isinstance(thing, Command) else self.raised).append(thing)

    def _cancel(self, names: frozenset[str]) -> None:
        self.commands += [CancelTimer(armed.timer, armed.serial) for armed in self.timers if armed.timer in names]
        self.timers = tuple(armed for armed in self.timers if armed.timer not in names)

    def _arm(self, name: str, delay: float | None) -> None:
        if delay is None:
            return
        if not math.isfinite(delay):
            raise ValueError(f"the delay of timer {name!r} is {delay}; give seconds, or None to leave it unarmed")
        self.serial += 1
        due = self.stamp.now + max(0.0, delay)
        self.timers += (Armed(name, self.serial, due),)
        self.commands.append(ArmTimer(name, self.serial, due))
