"""The driver on a small chart, with ports that only take notes and a clock that stands still."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from holdfast.adapters import Driver
from holdfast.engine import (
    After,
    Command,
    Event,
    Snapshot,
    Stamp,
    State,
    Statechart,
    Timer,
    Transition,
    compile_chart,
    effect,
)
from holdfast.testing import VirtualClock

Port = Callable[[Any], None]


class Context(msgspec.Struct, frozen=True):
    pings: int = 0


class Kicked(Event, frozen=True):
    pass


class Pinged(Event, frozen=True):
    pass


class Stopped(Event, frozen=True):
    pass


class Ignored(Event, frozen=True):
    pass


class Hail(Command, frozen=True):
    pass


class Say(Command, frozen=True):
    pings: int


class Sing(Command, frozen=True):
    pass


@effect(Say, Sing)
def say(c: Context, e: Event, at: Stamp) -> tuple[Context, tuple[Command, ...]]:
    said = msgspec.structs.replace(c, pings=c.pings + 1)
    return said, (Say(said.pings), Sing())


def _in(seconds: float) -> Callable[[Context, Stamp], float]:
    return lambda c, at: seconds


CHART = compile_chart(
    Statechart(
        name="small",
        context=Context,
        initial="idle",
        states=(
            State(name="idle", on_enter=(Hail(),)),
            State(
                name="busy",
                initial="young",
                timers=(Timer("late", _in(100.0)),),
                children=(State(name="young", timers=(Timer("soon", _in(10.0)),)), State(name="old")),
            ),
            State(name="over", final=True),
        ),
        transitions=(
            Transition(trigger=Kicked, source=("idle", "busy"), dest="busy"),
            Transition(trigger=Pinged, source=("idle", "busy"), dest=None, effects=(say,)),
            Transition(trigger=After("soon"), source="busy/young", dest="busy/old"),
            Transition(trigger=After("late"), source="busy", dest="idle"),
            Transition(trigger=Stopped, source=("idle", "busy"), dest="over", effects=(say,)),
        ),
    )
)


class Rig:
    """A driver, and what its ports and its watch were told."""

    def __init__(self, **ports: Port) -> None:
        self.clock = VirtualClock()
        self.told: list[object] = []
        self.changes: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        kinds: tuple[type[Command], ...] = (Hail, Say, Sing)
        self.ports: dict[type[Command], Port] = {kind: ports.get(kind.__name__, self.told.append) for kind in kinds}
        self.driver = Driver(CHART, Context(), self.clock, self.ports, self._watch)

    def _watch(self, before: Snapshot, after: Snapshot, stamp: Stamp) -> None:
        self.changes.append((before.states, after.states))

    def begin(self) -> "Rig":
        self.driver.begin()
        return self


def test_the_first_commands_are_carried_out_when_it_begins() -> None:
    rig = Rig()
    assert rig.told == []
    assert rig.begin().told == [Hail()]
    assert rig.changes == []


def test_commands_are_carried_out_in_their_order_and_after_the_watch() -> None:
    rig: Rig
    seen: list[object] = []
    rig = Rig(Say=lambda command: seen.append((command, len(rig.changes))))
    rig.begin().driver.dispatch(Pinged())
    assert seen == [(Say(1), 1)]
    assert rig.told == [Hail(), Sing()]


def test_what_a_port_reports_waits_for_the_end_of_its_step() -> None:
    rig: Rig
    depth: list[str] = []

    def answer(command: Say) -> None:
        depth.append(f"say {command.pings}")
        if command.pings < 3:
            rig.driver.dispatch(Pinged())
        depth.append(f"said {command.pings}")

    rig = Rig(Say=answer)
    rig.begin().driver.dispatch(Pinged())
    assert depth == ["say 1", "said 1", "say 2", "said 2", "say 3", "said 3"]
    assert rig.told == [Hail(), Sing(), Sing(), Sing()]


def test_what_a_port_reports_at_the_beginning_waits_for_the_first_commands() -> None:
    rig: Rig
    rig = Rig(Hail=lambda command: rig.driver.dispatch(Pinged()))
    assert rig.begin().told == [Say(1), Sing()]


def test_an_attachment_is_there_for_the_ports_of_its_step_and_for_no_other() -> None:
    rig: Rig
    seen: list[object] = []

    def look(command: Say) -> None:
        seen.append(rig.driver.attachment)
        if command.pings == 1:
            rig.driver.dispatch(Pinged())

    rig = Rig(Say=look)
    rig.begin().driver.dispatch(Pinged(), "body")
    assert seen == ["body", None]
    assert rig.driver.attachment is None


def test_there_is_one_alarm_for_the_earliest_timer() -> None:
    rig = Rig().begin()
    assert rig.clock.pending == 0
    rig.driver.dispatch(Kicked())
    assert len(rig.driver.snapshot.timers) == 2
    assert rig.clock.pending == 1
    rig.clock.advance(9.9)
    assert rig.driver.snapshot.states == ("busy/young",)
    rig.clock.advance(0.1)
    assert rig.driver.snapshot.states == ("busy/old",)
    assert rig.clock.pending == 1
    rig.clock.advance(90)
    assert rig.driver.snapshot.states == ("idle",)
    assert rig.clock.pending == 0


def test_a_timer_that_was_armed_anew_rings_at_its_new_time_only() -> None:
    rig = Rig().begin()
    rig.driver.dispatch(Kicked())
    rig.clock.advance(9)
    rig.driver.dispatch(Kicked())
    rig.clock.advance(9)
    assert rig.driver.snapshot.states == ("busy/young",)
    rig.clock.advance(1)
    assert rig.driver.snapshot.states == ("busy/old",)
    assert not rig.driver.unhandled


@pytest.mark.rule("P44")
def test_after_a_suspend_what_is_due_fires_once_and_what_was_cancelled_does_not() -> None:
    rig = Rig().begin()
    rig.driver.dispatch(Kicked())
    rig.clock.suspend(100_000)
    assert [after for _, after in rig.changes] == [("busy/young",), ("busy/old",), ("idle",)]
    assert not rig.driver.unhandled
    assert rig.clock.pending == 0


@pytest.mark.rule("V18", "P17")
def test_a_step_of_the_wall_clock_rings_nothing() -> None:
    rig = Rig().begin()
    rig.driver.dispatch(Kicked())
    rig.clock.wall += 86_400
    rig.clock.advance(9)
    rig.clock.wall -= 2 * 86_400
    rig.clock.advance(0.5)
    assert rig.driver.snapshot.states == ("busy/young",)


def test_the_unhandled_is_counted_by_name_and_a_stale_one_apart() -> None:
    rig = Rig().begin()
    rig.driver.dispatch(Ignored())
    rig.driver.dispatch(Ignored())
    assert dict(rig.driver.unhandled) == {"Ignored": 2}
    assert rig.told == [Hail()]


def test_after_the_end_nothing_is_dispatched_and_no_alarm_is_left() -> None:
    rig = Rig().begin()
    rig.driver.dispatch(Kicked())
    rig.driver.dispatch(Stopped())
    assert rig.driver.done
    told, snapshot = list(rig.told), rig.driver.snapshot
    rig.driver.dispatch(Pinged())
    rig.driver.close()
    rig.clock.advance(1_000)
    assert rig.told == told
    assert rig.driver.snapshot is snapshot
    assert not rig.driver.unhandled
    assert rig.clock.pending == 0


def test_closed_in_the_middle_no_timer_fires_any_more_and_nothing_is_dispatched() -> None:
    rig = Rig().begin()
    rig.driver.dispatch(Kicked())
    rig.driver.close()
    assert rig.driver.done
    rig.driver.dispatch(Kicked())
    rig.driver.dispatch(Pinged())
    assert rig.clock.pending == 0
    rig.clock.advance(1_000)
    assert rig.driver.snapshot.states == ("busy/young",)
    assert rig.told == [Hail()]


def test_closed_by_what_a_port_causes_no_alarm_is_left() -> None:
    rig: Rig

    def close(command: Say) -> None:
        rig.driver.dispatch(Stopped())
        rig.driver.close()

    rig = Rig(Say=close).begin()
    rig.driver.dispatch(Kicked())
    rig.driver.dispatch(Pinged())
    assert rig.clock.pending == 0
    assert rig.driver.snapshot.states == ("busy/young",)


@pytest.mark.parametrize("event", [Pinged(), Stopped()])
def test_a_failing_port_ends_the_driver_with_its_error(event: Event) -> None:
    error = OSError("the port is broken")

    def fail(command: Say) -> None:
        raise error

    rig = Rig(Say=fail).begin()
    rig.driver.dispatch(Kicked())
    rig.driver.dispatch(event)
    assert rig.driver.done
    assert rig.driver.failed is error
    assert Sing() not in rig.told  # whatever came after it in the same step is not carried out
    assert rig.changes[-1][0] == rig.changes[-1][1]  # the watch is woken once more, to see that it is over
    rig.driver.dispatch(Pinged())
    rig.clock.advance(1_000)
    assert rig.driver.snapshot.context.pings == 1


def test_a_port_that_fails_at_the_beginning_ends_the_driver() -> None:
    def fail(command: Hail) -> None:
        raise OSError

    assert isinstance(Rig(Hail=fail).begin().driver.failed, OSError)


def test_a_command_without_a_port_ends_the_driver() -> None:
    rig = Rig()
    del rig.driver._ports[Say]
    rig.begin().driver.dispatch(Pinged())
    assert isinstance(rig.driver.failed, KeyError)
