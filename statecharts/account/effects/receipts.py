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
    return a.but(numbered=number, gap_allowed=0), (ExpectHandling(e.socket, number),)


@effect()
def allow_gap(a: Account, e: ev.FrameRejected, at: Stamp) -> Out:
    """A frame that cannot be read may have had a number: it was reported, and counts as handled."""
    return a.but(gap_allowed=a.gap_allowed + 1), ()


@effect()
def note_handled(a: Account, e: ev.FramesHandled, at: Stamp) -> Out:
    return a.but(handled=max(a.handled, e.number)), ()


@effect(SendReceipt)
def send_receipt(a: Account, e: Event, at: Stamp) -> Out:
    return a.but(acked=a.handled), (SendReceipt(a.socket, "dseq" if a.ack_mode else "seq", a.handled, a.ack_epoch),)


@effect(SendReceipt)
def last_receipt(a: Account, e: Event, at: Stamp) -> Out:
    """Before the socket closes, while it still can be told."""
    return send_receipt(a, e, at) if a.handled > a.acked else (a, ())
