"""The words of a diagram: ``event [guard and not other] / Command, Command ^Raised``, as every format spells them."""

from collections.abc import Iterable

from holdfast.engine import After, Command, Doing, Done, Effect, Event, Statechart, Timer, Transition, name_of


def label(chart: Statechart, row: Transition) -> str:
    """A whole row in one line."""
    return " ".join(part for part in (trigger(chart, row), guard(row), doings(row.effects)) if part)


def trigger(chart: Statechart, row: Transition) -> str:
    """The event, ``after 20 s: timer``, ``after timer`` where the delay varies, or nothing for an eventless row."""
    if isinstance(row.trigger, After):
        fixed = seconds(chart, _timer(chart, row.trigger.timer))
        return f"after {fixed}: {row.trigger.timer}" if fixed else f"after {row.trigger.timer}"
    if isinstance(row.trigger, Done):
        return f"done {row.trigger.state}"
    return "" if row.trigger is None else name_of(row.trigger)


def guard(row: Transition) -> str:
    """What a row asks, in brackets, or nothing."""
    tests = [name_of(test) for test in row.conditions] + [f"not {name_of(test)}" for test in row.unless]
    return f"[{' and '.join(tests)}]" if tests else ""


def doings(things: Iterable[Doing]) -> str:
    """After a slash the commands that may be given, after carets the events that may be raised; each once, in order."""
    emitted = dict.fromkeys(
        kind for thing in things for kind in (thing.emits if isinstance(thing, Effect) else (type(thing),))
    )
    commands = ", ".join(kind.__name__ for kind in emitted if issubclass(kind, Command))
    raised = ", ".join(f"^{kind.__name__}" for kind in emitted if issubclass(kind, Event))
    return " ".join(part for part in ("/" if emitted else "", commands, raised) if part)


def seconds(chart: Statechart, timer: Timer) -> str | None:
    """A fixed delay such as ``20 s``, or None where it depends on the context or on chance.

    Fixed is a delay that is named after a number in the policy of a fresh context: it is that number.
    """
    try:
        context = chart.context()
    except TypeError:  # A context with required fields says nothing about itself.
        return None
    policy = getattr(context, "policy", None)
    return f"{getattr(policy, name):g} s" if hasattr(policy, name := name_of(timer.delay)) else None


def _timer(chart: Statechart, name: str) -> Timer:
    waiting = list(chart.states)
    for state in waiting:
        waiting += state.children
    return next(timer for state in waiting for timer in state.timers if timer.name == name)
