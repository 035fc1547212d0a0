"""Receipts: what was handled is stored, and then told to the gateway."""

from holdfast.engine import Event, Stamp, effect

from .. import events as ev
from ..commands import ExpectHandling, SendReceipt
from ..context import Account
from .shared import Out


@effect()
def begin_receipts(a: Account, e: ev.HelloAccepted, at: Stamp) -> Out:
    """Numbers are a connection's own."""
    return a.but(ack_mode=e.ack_mode, ack_epoch=e.ack_epoch, numbered=0, gap_allowed=0, handled=0, acked=0), ()


@effect()
def end_receipts(a: Account, e: Event, at: Stamp) -> Out:
    return a.but(ack_mode="", ack_epoch="", numbered=0, gap_allowed=0, handled=0, acked=0), ()


@effect(ExpectHandling)
def accept_number(a: Account, e: ev.FrameNumbered, at: Stamp) -> Out:
    number = (e.dseq if a.ack_mode else e.seq) or 0
    return a.but(numbered=max(a.numbered, number), gap_allowed=0), (ExpectHandling(e.socket, number),)


@effect()
def allow_gap(a: Account, e: ev.FrameRejected, at: Stamp) -> Out:
    """A frame that cannot be read may have had a number: it was reported, and counts as handled."""
    return a.but(gap_allowed=a.gap_allowed + 1), ()


@effect()
def note_handled(a: Account, e: ev.FramesHandled, at: Stamp) -> Out:
    """A number that was not read on this connection is a former one's, and says nothing here."""
    return a.but(handled=max(a.handled, min(e.number, a.numbered))), ()


@effect()
def note_unstored(a: Account, e: ev.HandledNotStored, at: Stamp) -> Out:
    """Nothing was told, so all of it is still to be."""
    return a.but(acked=0), ()


@effect(SendReceipt)
def send_receipt(a: Account, e: Event, at: Stamp) -> Out:
    return a.but(acked=a.handled), (_receipt(a, a.handled),)


@effect(SendReceipt)
def last_receipt(a: Account, e: Event, at: Stamp) -> Out:
    """Before the socket closes, while it still can be told."""
    if a.handled <= a.acked:
        return a, ()
    return a.but(acked=a.handled), (_receipt(a, a.handled),)


@effect(SendReceipt)
def store_handled(a: Account, e: Event, at: Stamp) -> Out:
    """For the disk only: what could be told went before the close."""
    return a, (_receipt(a, 0),)


def _receipt(a: Account, number: int) -> SendReceipt:
    return SendReceipt(a.socket, "dseq" if a.ack_mode else "seq", number, a.ack_epoch)
