"""Snapshots: what they are, and what restoring refuses."""

import datetime
from typing import Any

import msgspec
import pytest

from holdfast.engine import (
    After,
    ArmTimer,
    Snapshot,
    SnapshotError,
    Stamp,
    State,
    Statechart,
    Timer,
    TimerFired,
    Transition,
    Unhandled,
    compile_chart,
    dump,
    restore,
    start,
    step,
)

from .kit import AT_ZERO, Back, Context, Go, Other, Say, Walk, chart, count, counted, row, s


def after(seconds: float | None) -> Any:
    def delay(context: Any, stamp: Stamp) -> float | None:
        return seconds

    return delay


def timed(delay: float | None) -> Walk:
    waits = s("a", timers=(Timer("t", after(delay)),))
    return Walk(chart([waits, s("b")], row(After("t"), "a", "b", Say("due")), row(Go, "a", "b"), row(Back, "b", "a")))


def test_a_snapshot_shares_what_did_not_change() -> None:
    walk = Walk(
        chart([s("a", say=False), s("b", say=False)], row(Go, "a", "b"), row(Back, "b", "a"), row(Other, "a", None))
    )
    before = walk.snapshot
    assert walk(Other()) == ""
    assert walk.snapshot is before
    walk(Go())
    assert walk.snapshot.context is before.context
    walk(Back())
    assert walk.snapshot == before


def test_a_snapshot_knows_its_states() -> None:
    walk = Walk(chart([s("a", s("b"), s("c"))], row(Go, "a/b", "a/c"), row(Go, "a/c", "a/b")))
    assert walk.snapshot.states == ("a/b",)
    assert [walk.snapshot.matches(path) for path in ("a", "a/b", "a/c", "nowhere")] == [True, True, False, False]


class Rich(msgspec.Struct, frozen=True):
    by_number: dict[int, str]
    names: frozenset[str]
    raw: bytes
    at: datetime.datetime


def test_a_rich_context_survives_json() -> None:
    plain = compile_chart(
        Statechart(
            name="rich",
            context=Rich,
            initial="a",
            states=(State(name="a"), State(name="b")),
            transitions=(Transition(trigger=Go, source="a", dest="b"), Transition(trigger=Go, source="b", dest="a")),
        )
    )
    context = Rich({1: "one"}, frozenset({"x"}), b"\x00\xff", datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC))
    snapshot, _ = start(plain, context, AT_ZERO)
    assert restore(plain, dump(snapshot, AT_ZERO), AT_ZERO) == snapshot


def test_a_timer_fires_once() -> None:
    walk = timed(5.0)
    assert walk.commands == (Say("+a"), ArmTimer("t", 1, 5.0))
    assert walk(TimerFired("t", 1), Stamp(5.0, 5.0)) == "-a due +b"
    assert walk(TimerFired("t", 1), Stamp(6.0, 6.0)) == "Unhandled"
    assert list(walk.commands) == [Unhandled("TimerFired", stale=True)]


def test_a_timer_is_cancelled_when_its_state_is_left_and_gets_a_new_serial() -> None:
    walk = timed(5.0)
    assert walk(Go()) == "CancelTimer -a +b"
    walk(Back(), Stamp(2.0, 2.0))
    assert [(armed.serial, armed.due) for armed in walk.snapshot.timers] == [(2, 7.0)]
    assert walk(TimerFired("t", 1), Stamp(5.0, 5.0)) == "Unhandled"


def test_a_firing_that_every_guard_refuses_consumes_the_timer() -> None:
    waits = s("a", timers=(Timer("t", after(1.0)),))
    walk = Walk(
        chart([waits, s("b")], row(After("t"), "a", "b", conditions=(counted,)), row(Go, "a", "b"), row(Back, "b", "a"))
    )
    assert walk(TimerFired("t", 1)) == "Unhandled"
    assert walk.commands == (Unhandled("after_t"),)
    assert walk.snapshot.timers == ()


@pytest.mark.parametrize(("delay", "due"), [(None, []), (-3.0, [0.0]), (0.0, [0.0]), (30 * 86400.0, [2592000.0])])
def test_delays(delay: float | None, due: list[float]) -> None:
    assert [armed.due for armed in timed(delay).snapshot.timers] == due


@pytest.mark.parametrize("delay", [float("nan"), float("inf")])
def test_a_delay_without_end_is_a_bug_of_the_chart(delay: float) -> None:
    with pytest.raises(ValueError, match="the delay of timer 't'"):
        timed(delay)


def test_a_timer_that_came_due_during_sleep_fires_once_at_once() -> None:
    walk = timed(60.0)
    asleep = dump(walk.snapshot, Stamp(10.0, 1000.0))
    woken = restore(walk.chart, asleep, Stamp(3.0, 90_000.0))
    (armed,) = woken.timers
    assert armed.due < 3.0
    moved, commands = step(walk.chart, woken, TimerFired(armed.timer, armed.serial), Stamp(3.0, 90_000.0))
    assert moved.states == ("b",)
    assert Say("due") in commands
    again, reported = step(walk.chart, moved, TimerFired(armed.timer, armed.serial), Stamp(3.0, 90_000.0))
    assert (again, reported) == (moved, (Unhandled("TimerFired", stale=True),))


def altered(**changes: Any) -> bytes:
    stored = msgspec.json.decode(dump(timed(5.0).snapshot, AT_ZERO))
    return msgspec.json.encode({**stored, **changes})


REFUSED = {
    "no JSON": b"{",
    "another chart": altered(chart="other"),
    "an unknown state": altered(states=["z"]),
    "no state at all": altered(states=[], timers=[]),
    "two states of one parent": altered(states=["a", "b"]),
    "a context of another type": altered(context={"count": "many"}),
    "an unknown timer": altered(timers=[{"timer": "z", "serial": 1, "due": 1.0}]),
    "a timer of an inactive state": altered(states=["b"]),
    "a memory of what is no history state": altered(history={"a": ["b"]}),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_is_no_snapshot_of_the_chart_is_refused(data: bytes) -> None:
    with pytest.raises(SnapshotError, match="not a snapshot of chart 'test'"):
        restore(timed(5.0).chart, data, AT_ZERO)


def test_history_is_stored_too() -> None:
    inner = s("a", s("b"), s("c"), s("past", history="deep", initial="b"))
    walk = Walk(
        chart(
            [inner, s("out")],
            row(Go, "a/b", "a/c"),
            row(Back, "a", "out"),
            row(Back, "out", "a/past"),
            row(Go, "a/c", "a/b"),
            row(Other, "a", None, count),
        )
    )
    walk(Go())
    walk(Back())
    restored = restore(walk.chart, dump(walk.snapshot, AT_ZERO), AT_ZERO)
    assert isinstance(restored, Snapshot)
    assert restored == walk.snapshot
    assert step(walk.chart, restored, Back(), AT_ZERO)[0].states == ("a/c",)
    assert restored.context == Context()
