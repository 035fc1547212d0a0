"""The step: one event's whole consequence, as a pure function of snapshot, event and stamp."""

import math
from collections import deque
from collections.abc import Iterable
from typing import Any

from .errors import MicrostepLimit
from .model import ArmTimer, CancelTimer, Command, Event, Stamp, TimerFired, Unhandled
from .snapshot import Armed, Snapshot
from .tables import Chart, Configuration, History, Micro

# Far above what a sound chart needs (the shipped ones stay under 12) and far below what a person would wait for.
MICROSTEPS_MAX = 100

Step = tuple[Snapshot, tuple[Command, ...]]


def start(chart: Chart, context: Any, stamp: Stamp) -> Step:
    """Enter the chart: its first snapshot and the commands of its initial states.

    Raises:
        MicrostepLimit: the chart does not come to rest (a bug of the chart).
    """
    micro = chart.start()
    return _settle(chart, Snapshot(micro.target, context), micro, TimerFired("", 0), stamp)


def step(chart: Chart, snapshot: Snapshot, event: Event, stamp: Stamp) -> Step:  # noqa: C901 (the hot path, unrolled)
    """Run one event to completion: the next snapshot and the commands for the adapters, in order.

    Pure: the same arguments give the same result for ever. An event that no state handles, or that is stale,
    changes nothing and is reported by one :class:`~holdfast.engine.Unhandled` command. A due timer is
    consumed by its firing even if every guard refuses it.

    Raises:
        MicrostepLimit: the chart does not come to rest (a bug of the chart).
    """
    config = snapshot.config
    key: Any = event.__class__
    if key is TimerFired:
        return _step_timer(chart, snapshot, event, stamp)
    try:
        plan = config.plans[key]
    except KeyError:
        plan = config.plan(key)
    if plan is None:
        return snapshot, _unhandled(key.__name__)
    context = snapshot.context
    if plan.correlates is not None and getattr(event, plan.correlates) != getattr(context, plan.correlates):
        return snapshot, _unhandled(key.__name__, stale=True)
    if plan.single is not None:
        for guards, micro in plan.single:
            for guard in guards:
                if not guard(context, event, stamp):
                    break
            else:
                if not micro.rest:
                    return _settle(chart, snapshot, micro, event, stamp)
                if not micro.actions:
                    if micro.target is config:
                        return snapshot, micro.commands
                    return Snapshot(micro.target, context, snapshot.timers, snapshot.serial), micro.commands
                commands: tuple[Any, ...] = ()
                for action in micro.actions:
                    context, emitted = action(context, event, stamp)
                    if emitted:
                        commands += tuple(emitted)
                return Snapshot(micro.target, context, snapshot.timers, snapshot.serial), commands
        return snapshot, _unhandled(key.__name__)
    chosen = config.choose(plan, context, event, stamp)
    if not chosen:
        return snapshot, _unhandled(key.__name__)
    return _settle(chart, snapshot, config.micro(chosen, snapshot.history), event, stamp)


_UNHANDLED: dict[tuple[str, bool], tuple[Command, ...]] = {}


def _unhandled(name: str, stale: bool = False) -> tuple[Command, ...]:
    found = _UNHANDLED.get((name, stale))
    return found if found is not None else _UNHANDLED.setdefault((name, stale), (Unhandled(name, stale),))


def _step_timer(chart: Chart, snapshot: Snapshot, event: Any, stamp: Stamp) -> Step:
    kept = tuple(armed for armed in snapshot.timers if armed.timer != event.timer or armed.serial != event.serial)
    if len(kept) == len(snapshot.timers):
        return snapshot, _unhandled("TimerFired", stale=True)
    fired = Snapshot(snapshot.config, snapshot.context, kept, snapshot.serial, snapshot.history)
    plan = snapshot.config.plan(event.timer)
    chosen = snapshot.config.choose(plan, snapshot.context, event, stamp) if plan else ()
    if not chosen:
        return fired, _unhandled(f"after_{event.timer}")
    return _settle(chart, fired, snapshot.config.micro(chosen, snapshot.history), event, stamp)


def _settle(chart: Chart, snapshot: Snapshot, micro: Micro, event: Event, stamp: Stamp) -> Step:
    """Run microsteps until nothing is enabled and nothing is raised."""
    context, config = snapshot.context, snapshot.config
    timers, serial, history = snapshot.timers, snapshot.serial, snapshot.history
    commands: list[Any] = []
    raised: deque[Any] = deque()
    trail: list[str] = []
    pending: Micro | None = micro
    current: Any = event
    while pending is not None:
        trail.append(pending.label)
        if len(trail) > MICROSTEPS_MAX:
            raise MicrostepLimit(chart.name, tuple(trail))
        if pending.cancels:
            commands += [CancelTimer(armed.timer, armed.serial) for armed in timers if armed.timer in pending.cancels]
            timers = tuple(armed for armed in timers if armed.timer not in pending.cancels)
        commands += pending.commands
        for action in pending.actions:
            context, emitted = action(context, current, stamp)
            _sort_out(emitted, commands, raised, pending.raising)
        for name, delay in pending.arms:
            due = _due(name, delay(context, stamp), stamp.now)
            if due is not None:
                serial += 1
                timers += (Armed(name, serial, due),)
                commands.append(ArmTimer(name, serial, due))
        if pending.history:
            history = tuple(sorted((dict(history) | pending.history).items()))
        config = pending.target
        pending, current = _next(config, context, current, raised, history, stamp)
    return Snapshot(config, context, timers, serial, history), tuple(commands)


def _sort_out(emitted: Iterable[Any], commands: list[Any], raised: deque[Any], raising: bool) -> None:
    for thing in emitted:
        if raising and not isinstance(thing, Command):
            raised.append(thing)
        else:
            commands.append(thing)


def _due(name: str, delay: float | None, now: float) -> float | None:
    if delay is None:
        return None
    if math.isnan(delay) or math.isinf(delay):
        raise ValueError(f"the delay of timer {name!r} is {delay}; give seconds, or None to leave it unarmed")
    return now + max(0.0, delay)


def _next(
    config: Configuration, context: Any, event: Any, raised: deque[Any], history: History, stamp: Stamp
) -> tuple[Micro | None, Any]:
    """The next microstep: an eventless one first, else that of the next raised event somebody handles."""
    if config.eventless:
        plan = config.plan(None)
        chosen = config.choose(plan, context, event, stamp) if plan else ()
        if chosen:
            return config.micro(chosen, history), event
    while raised:
        event = raised.popleft()
        plan = config.plan(event if event.__class__.__name__ == "Done" else event.__class__)
        chosen = config.choose(plan, context, event, stamp) if plan else ()
        if chosen:
            return config.micro(chosen, history), event
    return None, event
