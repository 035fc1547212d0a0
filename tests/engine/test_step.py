"""The contract of a step beyond SCXML: what is unhandled, stale or enabled, and effects that keep their word."""

from typing import ClassVar

import msgspec
import pytest

from holdfast.engine import (
    After,
    Effect,
    Event,
    Stamp,
    Timer,
    TimerFired,
    Unhandled,
    compile_chart,
    name_of,
    start,
    step,
)
from holdfast.testing import strict

from .kit import AT_ZERO, Back, Context, Go, Other, Say, Walk, chart, count, counted, row, s, source


class Answered(Event, frozen=True):
    correlates: ClassVar[str | None] = "asked"
    asked: int


def test_an_event_without_a_row_and_one_refused_by_guards_are_reported_and_change_nothing() -> None:
    walk = Walk(
        chart([s("a"), s("b")], row(Go, "a", "b", conditions=(counted,)), row(Back, "a", "b"), row(Back, "b", "a"))
    )
    before = walk.snapshot
    for event in (Go(), Other()):
        walk(event)
        assert walk.snapshot is before
        assert walk.commands == (Unhandled(type(event).__name__),)


@pytest.mark.parametrize("parallel", [False, True])
def test_a_stale_outcome_changes_nothing(parallel: bool) -> None:
    rows = (row(Answered, "x/a", "x/b", count), row(Answered, "y", None, count)) if parallel else ()
    walk = Walk(
        chart([s("x", s("a"), s("b")), s("y")], *rows, row(Go, "x/a", "x/b"), row(Go, "x/b", "x/a"), parallel=True)
        if parallel
        else chart([s("a"), s("b")], row(Answered, "a", "b"), row(Back, "b", "a"))
    )
    before = walk.snapshot
    walk(Answered(1))
    assert (walk.snapshot, walk.commands) == (before, (Unhandled("Answered", stale=True),))
    walk(Answered(0))
    assert walk.snapshot != before


def test_a_stale_raised_event_is_dropped() -> None:
    walk = Walk(chart([s("a"), s("b")], row(Go, "a", None, Answered(7)), row(Answered, "a", "b"), row(Back, "b", "a")))
    assert (walk(Go()), walk.at) == ("", "a")


def test_events_match_by_their_exact_class() -> None:
    class Going(Go, frozen=True):
        pass

    walk = Walk(chart([s("a"), s("b")], row(Go, "a", "b"), row(Back, "b", "a")))
    assert walk(Going()) == "Unhandled"


def test_what_is_enabled_now() -> None:
    waits = s("a", timers=(Timer("t", lambda context, stamp: 1.0),))
    rows = (
        row(Go, "a", "b", conditions=(counted,)),
        row(Back, "a", "b"),
        row(Answered, "a", None, count),
        row(After("t"), "a", "b"),
        row(Other, "b", "a", count),
    )
    walk = Walk(chart([waits, s("b")], *rows))
    assert walk.chart.enabled(walk.snapshot, AT_ZERO) == {"Back", "Answered", "after_t"}
    walk(Answered(0))
    assert walk.chart.enabled(walk.snapshot, AT_ZERO) == {"Go", "Back", "Answered", "after_t"}
    walk(TimerFired("t", 1))
    assert walk.chart.enabled(walk.snapshot, AT_ZERO) == {"Other"}


def test_chance_and_time_come_with_the_stamp() -> None:
    def jittered(context: Context, stamp: Stamp) -> float:
        return 5.0 + stamp.chance * 5.0

    waits = s("a", timers=(Timer("t", jittered),))
    timed = chart([waits, s("b")], row(After("t"), "a", "b"), row(Back, "b", "a"))
    snapshot, _ = start(timed, Context(), Stamp(100.0, 0.0, 0.5))
    assert snapshot.timers[0].due == 107.5


def test_a_strict_chart_refuses_what_an_effect_did_not_declare() -> None:
    loose = Effect(lambda context, event, stamp: (context, (Say("surprise"),)), ())
    wrapped = compile_chart(strict(source([s("a"), s("b")], row(Go, "a", "b", loose), row(Go, "b", "a"))))
    snapshot, _ = start(wrapped, Context(), AT_ZERO)
    with pytest.raises(AssertionError, match="which it does not declare"):
        step(wrapped, snapshot, Go(), AT_ZERO)


def test_names() -> None:
    assert [name_of(thing) for thing in (Go, After("t"), count, Say("x"), counted)] == [
        *("Go", "after_t", "count", "Say", "counted")
    ]
    assert repr(count) == "<effect count>"
    assert count(Context(), Go(), AT_ZERO) == (msgspec.structs.replace(Context(), count=1), ())
