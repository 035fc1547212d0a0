"""The heartbeat: a silent peer is noticed, and a busy one is not called silent."""

import pytest

from holdfast.statecharts import (
    COMPAT,
    CloseSocket,
    FrameReceived,
    FrameRejected,
    MessageAcked,
    MessageRefused,
    Ponged,
    ReadingPaused,
    ReadingResumed,
    ReplayFinished,
    SendPing,
)

from .harness import HOUR, Bench
from .worlds import answering_pings


@pytest.mark.rule("V40", "P42", "P45")
def test_a_silent_peer_is_given_up_after_ping_pong_and_probe() -> None:
    bench = Bench().live()
    begin = bench.now
    for timer, seconds in (("ping_due", 20.0), ("pong_deadline", 20.0), ("verify_deadline", 5.0)):
        assert bench.left(timer) == seconds
        bench.fire(timer)
    assert bench.now - begin == 45
    assert bench.count(SendPing) == 2
    assert [one.reason for one in bench.sent(CloseSocket)] == ["ping timeout"]
    assert bench.is_in("connection/backing_off", "heartbeat/idle")
    assert bench.account.last_error == "the gateway fell silent"
    left = bench.left("retry")
    assert left is not None
    assert 5 <= left <= 10


@pytest.mark.rule("V40", "P42")
def test_a_peer_that_answers_is_asked_every_twenty_seconds() -> None:
    bench = Bench(world=answering_pings()).live()
    bench.advance(HOUR)
    assert bench.is_in("connection/online/live")
    assert bench.count(SendPing) == 180


@pytest.mark.rule("P43")
def test_what_was_waiting_in_the_buffer_proves_that_the_peer_lives() -> None:
    answers = (MessageAcked(1, "t"), MessageRefused(1, "t", "code"), ReplayFinished(1), FrameRejected(1, "odd"))
    for sign in (FrameReceived(1), Ponged(1), *answers):
        bench = Bench().live()
        bench.fire("ping_due")
        bench.pass_time(600)  # the loop stalled, and the deadline is looked at first
        bench.fire("pong_deadline")
        bench.send(sign)
        assert bench.is_in("connection/online/live", "heartbeat/resting")


@pytest.mark.rule("P43")
def test_while_we_do_not_read_silence_proves_nothing() -> None:
    bench = Bench().live()
    bench.send(ReadingPaused())
    bench.advance(HOUR)
    assert bench.is_in("connection/online/live")
    bench.send(ReadingResumed())
    assert bench.left("ping_due") == 20.0


@pytest.mark.rule("P46")
@pytest.mark.parametrize("state", ["resting", "pinging", "verifying", "blind"])
def test_a_peer_of_which_nothing_is_known_is_not_called_disconnected(state: str) -> None:
    """Only a probe without an answer ends a session, whatever the heartbeat is at."""
    bench = Bench().live()
    for timer in {"pinging": ["ping_due"], "verifying": ["ping_due", "pong_deadline"]}.get(state, []):
        bench.fire(timer)
    if state == "blind":
        bench.send(ReadingPaused())
    assert bench.is_in(f"heartbeat/{state}", "connection/online/live")
    assert bench.status.connected
    assert bench.count(CloseSocket) == 0


@pytest.mark.rule("V40")
def test_compat_pings_every_thirty_seconds_and_waits_for_no_pong() -> None:
    bench = Bench(COMPAT).live()
    bench.advance(HOUR)
    assert bench.is_in("connection/online/live")
    assert bench.count(SendPing) == 120
    bench.send(Ponged(1))
    assert bench.is_in("heartbeat/resting")
