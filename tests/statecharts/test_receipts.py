"""Receipts: what was handled is stored and then told, and a gap in what came ends the connection."""

from typing import Literal

import msgspec
import pytest

from holdfast.engine import Command, Unhandled
from holdfast.statecharts import (
    STRICT,
    CloseSocket,
    Deliver,
    ExpectHandling,
    FrameNumbered,
    FrameReceived,
    FrameRejected,
    FramesHandled,
    HandledNotStored,
    HelloAccepted,
    LogoutRequested,
    Policy,
    Record,
    ReplayFinished,
    ReportFrame,
    SendReceipt,
    StopRequested,
)

from .harness import Bench
from .worlds import answering_pings

pytestmark = pytest.mark.rule("P59")


def hello(bench: Bench, mode: Literal["", "dseq"] = "dseq", epoch: str | int = 7) -> None:
    """The dial under way succeeds, and its replay begins."""
    bench.shake()
    bench.send(HelloAccepted(bench.account.socket, "dev-1", mode, epoch))


def live(mode: Literal["", "dseq"] = "dseq", policy: Policy = STRICT) -> Bench:
    bench = Bench(policy, world=answering_pings()).dialing()
    hello(bench, mode)
    bench.send(ReplayFinished(1))
    return bench


def frame(bench: Bench, number: int) -> tuple[Command, ...]:
    """A frame with a dense number arrives."""
    socket = bench.account.socket
    return bench.send(FrameNumbered(socket, dseq=number), FrameReceived(socket, "cnv_a"))


def frames(bench: Bench, *numbers: int) -> None:
    for number in numbers:
        frame(bench, number)


def receipts(bench: Bench) -> list[int]:
    return [one.number for one in bench.sent(SendReceipt)]


def again(bench: Bench) -> None:
    """Reconnect after a lost connection."""
    bench.fire("retry")
    hello(bench)


# -- numbers ---------------------------------------------------------------------------------------------------


def test_each_number_is_expected_before_its_frame_is_delivered() -> None:
    bench = live()
    assert frame(bench, 1) == (ExpectHandling(1, 1), Deliver())
    assert frame(bench, 2) == (ExpectHandling(1, 2), Deliver())


@pytest.mark.parametrize("number", [0, 2, 4, 5])
def test_a_number_that_is_not_the_next_ends_the_connection(number: int) -> None:
    bench = live()
    frames(bench, 1, 2)
    bench.send(FramesHandled(2))
    told = bench.send(FrameNumbered(1, dseq=number))
    assert told == (
        SendReceipt(1, "dseq", 2, 7),
        CloseSocket(1, 1000, "delivery gap", STRICT.close_s),
        Record("connection", "disconnected", 1000, "delivery gap"),
    )
    assert bench.is_in("connection/backing_off", "outbox/shut")
    assert bench.account.last_error == "frames were missing"


def test_the_frame_after_the_gap_is_neither_delivered_nor_counted() -> None:
    bench = live()
    assert Deliver() not in frame(bench, 2)
    assert bench.send(FramesHandled(2)) == ()
    bench.advance(STRICT.receipt_s)
    assert receipts(bench) == [0]


def test_a_frame_that_cannot_be_read_explains_one_missing_number() -> None:
    bench = live()
    assert bench.send(FrameRejected(1, "not JSON")) == (ReportFrame("not JSON"),)
    assert frame(bench, 2) == (ExpectHandling(1, 2), Deliver())
    frame(bench, 4)
    assert bench.is_in("connection/backing_off")


def test_a_frame_that_cannot_be_read_need_not_have_had_a_number() -> None:
    bench = live()
    bench.send(FrameRejected(1, "not JSON"))
    frames(bench, 1, 2)
    assert bench.is_in("connection/online/live")
    frame(bench, 4)
    assert bench.is_in("connection/backing_off")


def test_one_whose_number_was_read_explains_nothing() -> None:
    bench = live()
    bench.send(FrameNumbered(1, dseq=1), FrameRejected(1, "no chat", numbered=True))
    frame(bench, 3)
    assert bench.is_in("connection/backing_off")


def test_sparse_numbers_leave_no_gaps() -> None:
    bench = live("")
    for number in (17, 900, 901, 5_000_000_000):
        assert bench.send(FrameNumbered(1, seq=number)) == (ExpectHandling(1, number),)
    bench.send(FramesHandled(901))
    bench.fire("receipt_due")
    assert bench.sent(SendReceipt) == [SendReceipt(1, "seq", 901, 7)]


def test_numbers_of_the_other_kind_say_nothing() -> None:
    assert live("").ignores(FrameNumbered(1, dseq=3))
    assert live("dseq").ignores(FrameNumbered(1, seq=3))


@pytest.mark.parametrize("mode", ["", "dseq"])
def test_what_comes_after_the_session_has_ended_is_not_expected(mode: Literal["", "dseq"]) -> None:
    """It is not delivered either, so that acknowledging it would lose it."""
    bench = live(mode)
    bench.log_out()
    assert bench.is_in("connection/closing")
    assert bench.ignores(FrameNumbered(1, seq=9, dseq=1))
    assert bench.ignores(FrameReceived(1, "cnv_a"))


# -- when they are told ------------------------------------------------------------------------------------------


def test_what_was_handled_is_told_a_moment_later_in_one_receipt() -> None:
    bench = live()
    frames(bench, 1, 2, 3)
    bench.send(FramesHandled(1))
    bench.advance(0.15)
    bench.send(FramesHandled(3))
    assert receipts(bench) == []
    bench.advance(0.051)
    assert bench.sent(SendReceipt) == [SendReceipt(1, "dseq", 3, 7)]


def test_the_number_never_falls() -> None:
    bench = live()
    frames(bench, 1, 2)
    bench.send(FramesHandled(2), FramesHandled(0), FramesHandled(1))
    bench.advance(1)
    assert receipts(bench) == [2]


def test_at_the_end_of_the_replay_they_are_told_at_once() -> None:
    bench = Bench().dialing()
    hello(bench)
    frames(bench, 1, 2)
    bench.send(FramesHandled(2))
    assert bench.send(ReplayFinished(1)) == (SendReceipt(1, "dseq", 2, 7),)


def test_they_are_told_again_from_time_to_time() -> None:
    bench = live()
    bench.advance(100)
    assert receipts(bench) == []
    frame(bench, 1)
    bench.send(FramesHandled(1))
    bench.advance(0.2 + 90)
    assert receipts(bench) == [1, 1, 1, 1]


def test_they_are_told_at_once_when_they_lag_far_behind() -> None:
    bench = live(policy=msgspec.structs.replace(STRICT, receipt_lag_max=3))
    frames(bench, 1, 2, 3)
    assert bench.send(FramesHandled(2)) == ()
    assert bench.send(FramesHandled(3)) == (SendReceipt(1, "dseq", 3, 7),)
    assert bench.left("receipt_due") is None


def test_sparse_numbers_do_not_measure_how_far_they_lag() -> None:
    bench = live("")
    bench.send(FrameNumbered(1, seq=1_000_000), FrameNumbered(1, seq=9_000_000))
    assert bench.send(FramesHandled(1_000_000), FramesHandled(9_000_000)) == ()


# fmt: off
OWN_CLOSES = pytest.mark.parametrize("end", [
    StopRequested(), LogoutRequested(), "a gap", "silence",
], ids=str)
# fmt: on


@OWN_CLOSES
def test_before_we_close_they_are_told(end: StopRequested | LogoutRequested | str) -> None:
    bench = live()
    frame(bench, 1)
    bench.send(FramesHandled(1))
    if end == "silence":
        bench.world.clear()
        for timer in ("ping_due", "pong_deadline"):
            bench.fire(timer)
        told = bench.fire("verify_deadline")
    else:
        told = frame(bench, 3) if isinstance(end, str) else bench.send(end)
    kinds = [type(one) for one in told]
    assert SendReceipt(1, "dseq", 1, 7) in told
    assert kinds.index(SendReceipt) < kinds.index(CloseSocket)


def test_nothing_is_told_twice_at_the_end() -> None:
    bench = live()
    frame(bench, 1)
    bench.send(FramesHandled(1))
    bench.fire("receipt_due")
    told = bench.stop()
    assert [one.number for one in told if isinstance(one, SendReceipt)] == [0], "only stored"


def test_what_has_no_number_is_stored_all_the_same() -> None:
    """A gateway that is not reliable, or the rest of a lost connection."""
    bench = live("")
    bench.send(FramesHandled(0))
    bench.advance(0.2)
    assert receipts(bench) == [0]
    bench.advance(100)
    assert receipts(bench) == [0]
    bench.drop()
    bench.send(FramesHandled(0))
    bench.advance(0.2)
    assert receipts(bench) == [0, 0]


# -- connections ---------------------------------------------------------------------------------------------------


def test_everything_begins_anew_with_each_hello() -> None:
    bench = live()
    frames(bench, 1, 2)
    bench.send(FramesHandled(2))
    bench.advance(1)
    bench.drop(1006)
    again(bench)
    assert (bench.account.numbered, bench.account.handled, bench.account.acked) == (0, 0, 0)
    frame(bench, 1)
    assert bench.is_in("connection/online")
    bench.send(FramesHandled(1))
    bench.advance(1)
    assert bench.sent(SendReceipt)[-1] == SendReceipt(2, "dseq", 1, 7)


def test_a_number_of_the_former_connection_is_not_told_on_this_one() -> None:
    bench = live()
    frames(bench, 1, 2, 3)
    bench.drop(1006)
    bench.send(FramesHandled(2))
    bench.advance(0.2)
    again(bench)
    bench.send(FramesHandled(3))
    bench.send(ReplayFinished(2))
    assert receipts(bench) == [0, 0]


def test_the_mode_and_the_epoch_are_those_of_the_hello() -> None:
    bench = live()
    frame(bench, 1)
    bench.drop(1006)
    bench.fire("retry")
    hello(bench, "", "other")
    bench.send(FrameNumbered(2, seq=40), FramesHandled(40), ReplayFinished(2))
    assert bench.sent(SendReceipt) == [SendReceipt(2, "seq", 40, "other")]


# -- the own disk --------------------------------------------------------------------------------------------------


def test_while_they_cannot_be_stored_they_are_tried_again() -> None:
    bench = live()
    frame(bench, 1)
    bench.send(FramesHandled(1))
    bench.fire("receipt_due")
    bench.send(HandledNotStored())
    assert bench.is_in("receipts/unstored")
    frame(bench, 2)
    assert bench.send(FramesHandled(2)) == ()
    assert bench.left("receipt_retry") == STRICT.store_retry_cap_s
    bench.fire("receipt_retry")
    assert receipts(bench) == [1, 2]
    assert bench.left("receipt_again") == STRICT.receipt_again_s


def test_what_could_not_be_stored_is_tried_once_more_before_the_close() -> None:
    bench = live()
    frame(bench, 1)
    bench.send(FramesHandled(1))
    bench.fire("receipt_due")
    bench.send(HandledNotStored())
    told = bench.log_out()
    assert SendReceipt(1, "dseq", 1, 7) in told
    bench.send(HandledNotStored())
    assert bench.is_in("receipts/unstored", "connection/closing")
    bench.drop()
    bench.fire("receipt_retry")
    assert receipts(bench) == [1, 1, 0]


def test_after_the_end_nothing_is_stored() -> None:
    bench = live()
    bench.stop()
    assert bench.send(FramesHandled(1)) == (Unhandled("FramesHandled"),)
    assert not {"receipt_due", "receipt_again", "receipt_retry"} & set(bench.timers)
