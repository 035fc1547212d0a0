"""The clock of the testing kit keeps the promises of the real one."""

import pytest

from holdfast.engine import Stamp
from holdfast.testing import VirtualClock


def test_it_stands_still_and_both_clocks_go_on_together() -> None:
    clock = VirtualClock(now=5.0, wall=100.0, chance=0.25)
    assert clock.stamp() == clock.stamp() == Stamp(5.0, 100.0, 0.25)
    clock.advance(2.5)
    assert clock.stamp() == Stamp(7.5, 102.5, 0.25)
    clock.wall -= 50
    clock.chance = 0.75
    clock.advance(1)
    assert clock.stamp() == Stamp(8.5, 53.5, 0.75)


def test_alarms_ring_in_order_each_at_its_own_time() -> None:
    clock = VirtualClock(now=0.0)
    rung: list[tuple[str, float]] = []
    clock.call_at(3, lambda: rung.append(("c", clock.now)))
    clock.call_at(1, lambda: rung.append(("a", clock.now)))
    clock.call_at(1, lambda: rung.append(("b", clock.now)))
    assert clock.pending == 3
    clock.advance(2)
    assert rung == [("a", 1), ("b", 1)]
    clock.advance(10)
    assert rung[2:] == [("c", 3)]


def test_what_is_due_already_rings_at_the_next_advance_and_not_before() -> None:
    clock = VirtualClock(now=10.0)
    rung: list[float] = []
    clock.call_at(5, lambda: rung.append(clock.now))
    assert rung == []
    clock.advance(0)
    assert rung == [10.0]


def test_a_cancelled_alarm_is_silent() -> None:
    clock = VirtualClock(now=0.0)
    alarm = clock.call_at(1, lambda: pytest.fail("it was called off"))
    alarm.cancel()
    alarm.cancel()
    assert clock.pending == 0
    clock.advance(5)


def test_an_alarm_may_set_another() -> None:
    clock = VirtualClock(now=0.0)
    rung: list[float] = []

    def ring() -> None:
        rung.append(clock.now)
        clock.call_at(clock.now + 1, ring)

    clock.call_at(1, ring)
    clock.advance(3.5)
    assert rung == [1, 2, 3]


def test_a_suspend_rings_only_afterwards() -> None:
    clock = VirtualClock(now=0.0, wall=0.0)
    rung: list[float] = []
    clock.call_at(1, lambda: rung.append(clock.now))
    clock.suspend(100)
    assert rung == [100]
    assert clock.wall == 100


def test_an_alarm_without_delay_that_never_ends_is_found_out() -> None:
    clock = VirtualClock()

    def ring() -> None:
        clock.call_at(clock.now, ring)

    ring()
    with pytest.raises(RuntimeError, match="no delay"):
        clock.advance(0)
