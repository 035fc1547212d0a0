"""Random charts, events and stamps for Hypothesis, to test whatever works on any chart.

Every chart of :func:`statecharts` compiles, and comes to rest at every event. Its effects only count upwards, and what
could loop (eventless rows, raised events) is bounded by a counter.
"""

import functools
import typing
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import msgspec
from hypothesis import strategies as st

from holdfast.engine import (
    SEPARATOR,
    After,
    Armed,
    Chart,
    ChartError,
    Command,
    Done,
    Effect,
    Event,
    In,
    Snapshot,
    Stamp,
    State,
    Statechart,
    Timer,
    TimerFired,
    Transition,
    compile_chart,
    describe,
    effect,
)

# How often in its life a random chart takes an eventless row, and raises an event: so it comes to rest at every event,
# however many regions do so at once.
SPINS_MAX = 20
RAISES_MAX = 60


class Counters(msgspec.Struct, frozen=True):
    """The context of a random chart."""

    a: int = 0
    b: int = 0
    asked: int = 0
    raised: int = 0
    spun: int = 0


class Noted(Command, frozen=True):
    """What a constant of a random chart emits: the place that it stands in."""

    place: str


class Counted(Command, frozen=True):
    """What an effect of a random chart emits."""

    a: int
    b: int


class Nudged(Event, frozen=True):
    n: int = 0


class Pushed(Event, frozen=True):
    n: int = 0


class Pulled(Event, frozen=True):
    n: int = 0


class Answered(Event, frozen=True):
    """Stale unless ``asked`` is the context's."""

    correlates: ClassVar[str | None] = "asked"
    asked: int


KINDS: tuple[type[Event], ...] = (Nudged, Pushed, Pulled, Answered)


@functools.cache
def toured(depth: int) -> type[Event]:
    """The event that leads through the states at one depth. Each has its own: inner rows would forestall outer ones."""
    made = msgspec.defstruct(f"Toured{depth}", [("n", int, 0)], bases=(Event,), frozen=True)
    return typing.cast(type[Event], made)


def a_is_even(context: Counters, event: Event, stamp: Stamp) -> bool:
    return context.a % 2 == 0


def b_is_small(context: Counters, event: Event, stamp: Stamp) -> bool:
    return context.b < 3


def n_is_odd(context: Counters, event: Event, stamp: Stamp) -> bool:
    return getattr(event, "n", 0) % 2 == 1


def chance_is_low(context: Counters, event: Event, stamp: Stamp) -> bool:
    return stamp.chance < 0.5


def may_spin(context: Counters, event: Event, stamp: Stamp) -> bool:
    return context.spun < SPINS_MAX


GUARDS = (a_is_even, b_is_small, n_is_odd, chance_is_low)


@effect()
def count_a(context: Counters, event: Event, stamp: Stamp) -> tuple[Counters, tuple[Command, ...]]:
    return msgspec.structs.replace(context, a=context.a + 1), ()


@effect(Counted)
def count_b(context: Counters, event: Event, stamp: Stamp) -> tuple[Counters, tuple[Command, ...]]:
    counted = msgspec.structs.replace(context, b=context.b + 1)
    return counted, (Counted(counted.a, counted.b),)


@effect()
def ask(context: Counters, event: Event, stamp: Stamp) -> tuple[Counters, tuple[Command, ...]]:
    return msgspec.structs.replace(context, asked=context.asked + 1), ()


@effect()
def spin(context: Counters, event: Event, stamp: Stamp) -> tuple[Counters, tuple[Command, ...]]:
    return msgspec.structs.replace(context, spun=context.spun + 1), ()


def _raising(kind: type[Event]) -> Effect:
    def raise_it(context: Counters, event: Event, stamp: Stamp) -> tuple[Counters, tuple[Event, ...]]:
        raised = msgspec.structs.replace(context, raised=context.raised + 1)
        return raised, (kind(),) if context.raised % 3 == 0 and context.raised < RAISES_MAX else ()

    raise_it.__name__ = f"raise_{kind.__name__}"
    return Effect(raise_it, (kind,))


RAISING = {kind: _raising(kind) for kind in KINDS[:3]}


def _delay(seconds: float | None) -> Callable[[Any, Stamp], float | None]:
    return lambda context, stamp: seconds


# -- charts ----------------------------------------------------------------------------------------------


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """What a random chart may use."""

    depth: int = 3
    parallel: bool = True
    history: bool = True
    internal: bool = True
    rows: int = 10


@st.composite
def statecharts(draw: st.DrawFn, features: Features = Features()) -> Statechart:  # noqa: B008 (immutable)
    """A random chart that compiles."""
    parallel = features.parallel and draw(st.booleans())
    states = _children(draw, features, "", features.depth, regions=parallel)
    paths = dict(_paths(states, ""))
    rows = [*_tours(states, "", parallel), *_timer_rows(paths)]
    rows += [*_endings(draw, paths), *_contests(draw, paths, parallel)]
    rows += [row for _ in range(draw(st.integers(0, features.rows))) if (row := _row(draw, features, paths))]
    initial = None if parallel else states[0].name
    chart = Statechart(
        name="random",
        context=Counters,
        initial=initial,
        parallel=parallel,
        states=states,
        transitions=tuple(rows),
    )
    return mended(chart)


def mended(chart: Statechart) -> Statechart:
    """The chart without the rows that cannot stay, such as those that an earlier row always forestalls."""
    chart = msgspec.structs.replace(chart, transitions=_handled(chart.transitions))
    while True:
        try:
            compile_chart(chart)
        except ChartError as error:
            faulty = {fault.row for fault in error.faults}
            kept = tuple(row for row in chart.transitions if describe(row) not in faulty)
            if len(kept) == len(chart.transitions):
                raise
            chart = msgspec.structs.replace(chart, transitions=_handled(kept))
        else:
            return chart


def _handled(rows: tuple[Transition, ...]) -> tuple[Transition, ...]:
    """Rows raise only what some row handles."""
    triggers = {row.trigger for row in rows}
    return tuple(
        msgspec.structs.replace(
            row,
            effects=tuple(
                doing
                for doing in row.effects
                if not isinstance(doing, Effect) or all(kind in triggers for kind in doing.emits if kind in KINDS)
            ),
        )
        for row in rows
    )


def _children(draw: st.DrawFn, features: Features, path: str, depth: int, regions: bool) -> tuple[State, ...]:
    states = [_state(draw, features, path, f"s{place}", depth, regions) for place in range(draw(st.integers(2, 3)))]
    if not regions and draw(st.booleans()):
        states.append(State(name="end", final=True, on_enter=(Noted(f"{path}/end enter"),)))
    if not regions and path and features.history and draw(st.booleans()):
        kind = draw(st.sampled_from(("shallow", "deep")))
        states.append(State(name="past", history=kind, initial=states[0].name))
    return tuple(states)


def _state(draw: st.DrawFn, features: Features, above: str, name: str, depth: int, is_region: bool) -> State:
    path = f"{above}{SEPARATOR}{name}" if above else name
    shape = draw(st.sampled_from(("atomic", "compound", "parallel"))) if depth > 1 else "atomic"
    if is_region and depth > 1:
        shape = "compound"
    parallel = shape == "parallel" and features.parallel
    children = () if shape == "atomic" else _children(draw, features, path, depth - 1, parallel)
    delay = draw(st.sampled_from((None, 0.0, 1.5, 60.0)))
    return State(
        name=name,
        children=children,
        parallel=parallel,
        initial=children[0].name if children and not parallel else None,
        on_enter=(Noted(f"{path} enter"), *draw(st.sampled_from(((), (count_a,))))),
        on_exit=(Noted(f"{path} exit"),) if draw(st.booleans()) else (),
        timers=(Timer(f"t {path}", _delay(delay)),) if draw(st.integers(0, 3)) == 0 else (),
    )


def _paths(states: tuple[State, ...], above: str) -> Iterator[tuple[str, State]]:
    for state in states:
        path = f"{above}{SEPARATOR}{state.name}" if above else state.name
        yield path, state
        yield from _paths(state.children, path)


def _tours(states: tuple[State, ...], above: str, among_regions: bool) -> Iterator[Transition]:
    """Rows that lead through all children of a compound state, so that each is reached and left."""
    prefix = above + SEPARATOR if above else ""
    real = [state.name for state in states if state.history is None]
    ring = [state.name for state in states if state.history is None and not state.final]
    if not among_regions:
        trigger = toured(prefix.count(SEPARATOR))
        if len(real) > len(ring):
            yield Transition(trigger=trigger, source=prefix + ring[-1], dest=prefix + "end", conditions=(n_is_odd,))
        for name, following in zip(ring, ring[1:] + ring[:1], strict=True):
            yield Transition(trigger=trigger, source=prefix + name, dest=prefix + following)
    for state in states:
        yield from _tours(state.children, prefix + state.name, state.parallel)


def _timer_rows(paths: dict[str, State]) -> Iterator[Transition]:
    for path, state in paths.items():
        above = paths.get(path.rpartition(SEPARATOR)[0])
        dest = path if above is not None and not above.parallel else None
        for timer in state.timers:
            yield Transition(trigger=After(timer.name), source=path, dest=dest, effects=(count_b,))


def _endings(draw: st.DrawFn, paths: dict[str, State]) -> Iterator[Transition]:
    for done in _ends(paths):
        if draw(st.booleans()):
            yield Transition(trigger=done, source=done.state, dest=None, effects=(Noted(f"{done.state} done"), count_b))


def _contests(draw: st.DrawFn, paths: dict[str, State], among_regions: bool) -> Iterator[Transition]:
    """Rows of a region and of the parallel state around it that want the same event."""
    for path, state in paths.items():
        above = paths.get(path.rpartition(SEPARATOR)[0])
        is_region = above.parallel if above is not None else among_regions
        regions = [region for region in state.children if len(region.children) > 1 and not region.parallel]
        if state.parallel and regions and not is_region and draw(st.booleans()):
            inside = f"{path}{SEPARATOR}{draw(st.sampled_from(regions)).name}{SEPARATOR}"
            guards = draw(st.sampled_from(((), (a_is_even,))))
            yield Transition(trigger=Pushed, source=inside + "s0", dest=inside + "s1", conditions=guards)
            yield Transition(trigger=Pushed, source=path, dest=path, effects=(Noted(f"{path} again"),))


def _row(draw: st.DrawFn, features: Features, paths: dict[str, State]) -> Transition | None:
    places = sorted(paths)
    source = draw(st.sampled_from([path for path in places if not paths[path].final and not paths[path].history]))
    dest = draw(st.none() | st.sampled_from([path for path in places if features.history or not paths[path].history]))
    conditions = draw(st.lists(st.sampled_from(GUARDS), max_size=2, unique=True))
    asked = [path for path in places if not paths[path].history]
    questions = draw(st.lists(st.sampled_from(asked).map(In), max_size=1))
    trigger = draw(st.sampled_from((*KINDS, *KINDS, None, *_ends(paths))))
    effects = draw(st.lists(st.sampled_from((count_a, count_b, ask, *RAISING.values())), max_size=2, unique=True))
    if trigger is None or isinstance(trigger, Done):  # a done event may lead to where it comes from
        conditions, effects = [may_spin, *conditions], [spin]
    inside = dest is not None and dest.startswith(source + SEPARATOR) and not paths[source].parallel
    return Transition(
        trigger=trigger,
        source=source,
        dest=source if trigger is None and dest is None else dest,
        conditions=(*conditions, *questions) if draw(st.booleans()) else tuple(conditions),
        unless=tuple(questions) if draw(st.booleans()) else (),
        effects=tuple(effects),
        internal=inside and features.internal and draw(st.booleans()),
    )


def _ends(paths: dict[str, State]) -> list[Done]:
    sequences = [path for path, state in paths.items() if any(child.final for child in state.children)]
    parallels = [
        path
        for path, state in paths.items()
        if state.parallel and all(any(child.final for child in region.children) for region in state.children)
    ]
    return [Done(path) for path in (*sequences, *parallels)]


# -- events and stamps -----------------------------------------------------------------------------------


def events(chart: Chart, snapshot: Snapshot) -> st.SearchStrategy[Event]:
    """Any event of the chart, and the firing of any armed timer. Late and stale ones are among them."""
    firing = [st.just(TimerFired(armed.timer, armed.serial)) for armed in snapshot.timers]
    stale = st.builds(TimerFired, st.sampled_from(sorted(chart.timers) or ["none"]), st.integers(0, snapshot.serial))
    return st.one_of(*firing, *(_instances(kind, snapshot.context) for kind in chart.events), stale)


def _instances(kind: type[Event], context: object) -> st.SearchStrategy[Event]:
    hints = typing.get_type_hints(kind)
    fields = {name: st.from_type(hints[name]) for name in kind.__struct_fields__}
    if kind.correlates is not None:
        fields[kind.correlates] |= st.just(getattr(context, kind.correlates))
    return st.builds(kind, **fields)


def stamps(after: float = 0.0, due: tuple[Armed, ...] = ()) -> st.SearchStrategy[Stamp]:
    """A stamp not before ``after``; often just when one of the timers in ``due`` comes due."""
    times = [st.just(armed.due) for armed in due if armed.due >= after]
    now = st.one_of(st.floats(after, after + 1e6), *times)
    return st.builds(Stamp, now, now, st.floats(0.0, 1.0, exclude_max=True))


# -- effects that keep their word ------------------------------------------------------------------------


def strict(chart: Statechart) -> Statechart:
    """The same chart, whose effects raise ``AssertionError`` when they emit what they did not declare."""
    return msgspec.structs.replace(
        chart,
        on_enter=_strict_doings(chart.on_enter),
        states=tuple(_strict_state(state) for state in chart.states),
        transitions=tuple(
            msgspec.structs.replace(row, effects=_strict_doings(row.effects)) for row in chart.transitions
        ),
    )


def _strict_state(state: State) -> State:
    return msgspec.structs.replace(
        state,
        on_enter=_strict_doings(state.on_enter),
        on_exit=_strict_doings(state.on_exit),
        children=tuple(_strict_state(child) for child in state.children),
    )


def _strict_doings(doings: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(_strict_effect(doing) if isinstance(doing, Effect) else doing for doing in doings)


def _strict_effect(loose: Effect) -> Effect:
    def checked(context: Any, event: Any, stamp: Stamp) -> tuple[Any, tuple[Any, ...]]:
        after, emitted = loose.action(context, event, stamp)
        undeclared = [thing for thing in emitted if type(thing) not in loose.emits]
        assert not undeclared, f"effect {loose.__name__!r} emitted {undeclared}, which it does not declare"
        return after, tuple(emitted)

    checked.__name__ = loose.__name__
    return Effect(checked, loose.emits)
