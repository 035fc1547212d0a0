"""Receipts: what the user has handled is stored, and only then told to the gateway."""

from holdfast.engine import After, In, State, Timer, Transition

from ...durations import fixed
from .. import delays
from .. import effects as do
from .. import events as ev
from .. import guards as g
from .connection import HELLO

Row = Transition

# fmt: off
# One row, one thought: laid out by hand, to be read as a table.

RECEIPTS = State(
    name="receipts",
    initial="resting",
    children=(
        State(name="resting", timers=(Timer("receipt_again", delays.receipt_again),)),
        State(name="due", timers=(Timer("receipt_due", fixed("receipt_s")),)),
        State(name="unstored", note="the message store refuses: nothing is acknowledged",
              timers=(Timer("receipt_retry", fixed("store_retry_cap_s")),)),
        State(name="stopped", final=True),
    ),
)

_ONLINE = In("connection/online")  # what comes later is delivered to nobody, so it must not count as handled
_ANY = ("receipts/resting", "receipts/due", "receipts/unstored")

RECEIPT_ROWS = (
    Row(trigger=ev.HelloAccepted, source=_ANY, dest=None, conditions=(In(HELLO),), effects=(do.begin_receipts,),
        rules="P59"),
    Row(trigger=ev.SessionEnded, source="receipts/resting", dest="receipts/resting", effects=(do.end_receipts,)),
    Row(trigger=ev.SessionEnded, source=("receipts/due", "receipts/unstored"), dest=None, effects=(do.end_receipts,)),
    # each number as it is read
    Row(trigger=ev.FrameNumbered, source=_ANY, dest=None, conditions=(_ONLINE, g.is_dense, g.leaves_gap),
        effects=(ev.GapFound(),), rules="P59"),
    Row(trigger=ev.FrameNumbered, source=_ANY, dest=None, conditions=(_ONLINE, g.has_number),
        effects=(do.accept_number,), rules="P59"),
    Row(trigger=ev.FrameRejected, source=_ANY, dest=None, conditions=(g.is_dense,), unless=(g.is_numbered,),
        effects=(do.allow_gap,)),
    # what was handled is told 200 ms later, or at once when the replay ends, and from time to time again
    Row(trigger=ev.FramesHandled, source="receipts/due", dest="receipts/resting",
        conditions=(g.is_dense, g.lags_behind), effects=(do.note_handled, do.send_receipt), rules="P59"),
    Row(trigger=ev.FramesHandled, source="receipts/resting", dest="receipts/due", effects=(do.note_handled,),
        rules="P59"),
    Row(trigger=ev.FramesHandled, source=("receipts/due", "receipts/unstored"), dest=None, effects=(do.note_handled,),
        rules="P59"),
    Row(trigger=After("receipt_due"), source="receipts/due", dest="receipts/resting", effects=(do.send_receipt,)),
    Row(trigger=ev.ReplayFinished, source="receipts/due", dest="receipts/resting", effects=(do.send_receipt,)),
    Row(trigger=After("receipt_again"), source="receipts/resting", dest="receipts/resting",
        effects=(do.send_receipt,)),
    # the own disk
    Row(trigger=ev.HandledNotStored, source=("receipts/resting", "receipts/due"), dest="receipts/unstored",
        effects=(do.note_unstored,), rules="P59"),
    Row(trigger=ev.HandledNotStored, source="receipts/unstored", dest=None, effects=(do.note_unstored,), rules="P59"),
    Row(trigger=After("receipt_retry"), source="receipts/unstored", dest="receipts/resting",
        effects=(do.send_receipt,)),
    Row(trigger=ev.StopRequested, source=_ANY, dest="receipts/stopped", effects=(do.store_handled,)),
)
