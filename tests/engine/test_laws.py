"""What holds for every step of every chart, over random charts and the shipped ones."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.engine import (
    ArmTimer,
    CancelTimer,
    Chart,
    Command,
    Event,
    Snapshot,
    Stamp,
    TimerFired,
    Unhandled,
    compile_chart,
    dump,
    restore,
    start,
    step,
)
from holdfast.testing import Counters, events, stamps, statecharts, strict

STEPS = 12


class Taken(msgspec.Struct, frozen=True):
    """One step of a walk."""

    before: Snapshot
    event: Event
    stamp: Stamp
    after: Snapshot
    commands: tuple[Command, ...]


def walk(chart: Chart, data: st.DataObject, first: Snapshot, steps: int = STEPS) -> Iterator[Taken]:
    snapshot, now = first, 0.0
    for _ in range(steps):
        stamp = data.draw(stamps(now, snapshot.timers), label="stamp")
        event = data.draw(events(chart, snapshot), label="event")
        after, commands = step(chart, snapshot, event, stamp)
        yield Taken(snapshot, event, stamp, after, commands)
        snapshot, now = after, stamp.now


def begin(data: st.DataObject) -> tuple[Chart, Snapshot, tuple[Command, ...]]:
    chart = compile_chart(strict(data.draw(statecharts(), label="chart")))
    return chart, *start(chart, Counters(), Stamp(0.0, 0.0))


@settings(max_examples=40)
@given(st.data())
def test_a_step_is_pure(data: st.DataObject) -> None:
    chart, first, _ = begin(data)
    for taken in walk(chart, data, first):
        stored, hashed = dump(taken.before, taken.stamp), hash(taken.before)
        again = step(chart, taken.before, taken.event, taken.stamp)
        assert again == (taken.after, taken.commands)
        assert (dump(taken.before, taken.stamp), hash(taken.before)) == (stored, hashed)
        # What another, freshly compiled chart says: the memo tables hold no history of their own.
        fresh = compile_chart(chart.source)
        told, commands = step(fresh, restore(fresh, stored, taken.stamp), taken.event, taken.stamp)
        assert (dump(told, taken.stamp), commands) == (dump(taken.after, taken.stamp), taken.commands)


@settings(max_examples=40)
@given(st.data())
def test_what_is_unhandled_or_stale_changes_nothing_and_is_reported_once(data: st.DataObject) -> None:
    chart, first, _ = begin(data)
    for taken in walk(chart, data, first):
        reports = [command for command in taken.commands if isinstance(command, Unhandled)]
        if is_stale(taken.before, taken.event):
            assert reports in ([Unhandled(type(taken.event).__name__, stale=True)], [Unhandled("Answered")])
        if reports:
            assert taken.commands == (reports[0],)
            fired = isinstance(taken.event, TimerFired) and not reports[0].stale
            expected = without_timer(taken.before, taken.event) if fired else taken.before
            assert taken.after == expected


def is_stale(snapshot: Snapshot, event: Any) -> bool:
    if isinstance(event, TimerFired):
        return (event.timer, event.serial) not in {(armed.timer, armed.serial) for armed in snapshot.timers}
    return event.correlates is not None and event.asked != snapshot.context.asked


def without_timer(snapshot: Snapshot, event: Any) -> Snapshot:
    kept = tuple(armed for armed in snapshot.timers if armed.timer != event.timer)
    return msgspec.structs.replace(snapshot, timers=kept)


@settings(max_examples=40)
@given(st.data())
def test_every_armed_timer_is_fired_or_cancelled_once_and_the_snapshot_knows_the_rest(data: st.DataObject) -> None:
    chart, first, commands = begin(data)
    ledger = settle_timers({}, None, commands)
    assert ledger == running(first)
    for taken in walk(chart, data, first):
        ledger = settle_timers(ledger, taken.event, taken.commands)
        assert ledger == running(taken.after)
        assert len({timer for timer, _ in ledger}) == len(ledger), "two armed timers of one name"
        assert all(chart.timers[timer] in taken.after.config.active for timer, _ in ledger)
        assert all(due >= taken.stamp.now for key, due in ledger.items() if key not in running(taken.before))


def running(snapshot: Snapshot) -> dict[tuple[str, int], float]:
    return {(armed.timer, armed.serial): armed.due for armed in snapshot.timers}


def settle_timers(
    ledger: dict[tuple[str, int], float], event: Event | None, commands: tuple[Command, ...]
) -> dict[tuple[str, int], float]:
    """The ledger of a driver that carries out the commands. Cancelling what does not run is an error."""
    ledger = dict(ledger)
    if isinstance(event, TimerFired):
        ledger.pop((event.timer, event.serial), None)
    for command in commands:
        if isinstance(command, CancelTimer):
            del ledger[command.timer, command.serial]
        elif isinstance(command, ArmTimer):
            assert (command.timer, command.serial) not in ledger
            ledger[command.timer, command.serial] = command.due
    return ledger


@settings(max_examples=40)
@given(st.data())
def test_a_snapshot_goes_to_json_and_back_and_goes_on_the_same(data: st.DataObject) -> None:
    chart, first, _ = begin(data)
    for taken in walk(chart, data, first):
        restored = restore(chart, dump(taken.before, taken.stamp), taken.stamp)
        assert (restored, hash(restored)) == (taken.before, hash(taken.before))
        assert step(chart, restored, taken.event, taken.stamp) == (taken.after, taken.commands)


@settings(max_examples=40)
@given(st.data(), st.floats(0, 1e6), st.floats(-1e6, 1e6))
def test_restored_timers_keep_what_is_left_of_them_and_never_go_backwards(
    data: st.DataObject, passed: float, clock: float
) -> None:
    chart, first, _ = begin(data)
    *_, last = walk(chart, data, first, 4)
    stored = dump(last.after, last.stamp)
    later = Stamp(clock, last.stamp.wall + passed)
    for before, after in zip(last.after.timers, restore(chart, stored, later).timers, strict=True):
        left = before.due - last.stamp.now
        assert after.due - later.now == pytest.approx(left - passed, abs=1e-3)
    set_back = Stamp(clock, last.stamp.wall - passed)
    for before, after in zip(last.after.timers, restore(chart, stored, set_back).timers, strict=True):
        assert after.due - set_back.now == pytest.approx(before.due - last.stamp.now, abs=1e-3)


@settings(max_examples=40)
@given(st.data())
def test_enabled_events_without_fields_and_timers_are_those_that_do_something(data: st.DataObject) -> None:
    chart, first, _ = begin(data)
    for taken in walk(chart, data, first):
        enabled = chart.enabled(taken.before, taken.stamp)
        handled = not any(isinstance(command, Unhandled) for command in taken.commands)
        if isinstance(taken.event, TimerFired):
            stale = is_stale(taken.before, taken.event)
            assert stale or handled == (f"after_{taken.event.timer}" in enabled)
        elif handled:
            assert type(taken.event).__name__ in enabled
