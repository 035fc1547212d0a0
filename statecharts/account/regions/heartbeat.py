"""Heartbeat: is anybody there."""

from holdfast.engine import After, In, State, Timer, Transition

from ...durations import fixed
from .. import effects as do
from .. import events as ev
from .. import guards as g
from .connection import HELLO

Row = Transition

# fmt: off
# One row, one thought: laid out by hand, to be read as a table.

HEARTBEAT = State(
    name="heartbeat",
    initial="idle",
    children=(
        State(name="idle"),
        State(name="resting", on_enter=(do.look_at_clocks("ping_s"),),
              timers=(Timer("ping_due", fixed("ping_s")),)),
        State(name="pinging", on_enter=(do.send_ping, do.look_at_clocks("pong_s")),
              timers=(Timer("pong_deadline", fixed("pong_s")),)),
        State(name="verifying", on_enter=(do.send_ping, do.look_at_clocks("verify_s")),
              timers=(Timer("verify_deadline", fixed("verify_s")),)),
        State(name="blind", note="we read nothing, so silence proves nothing"),
        State(name="stopped", final=True),
    ),
)

_FRAMES = (ev.FrameReceived, ev.MessageAcked, ev.MessageRefused, ev.ReplayFinished, ev.FrameRejected)
_BEATING = ("heartbeat/resting", "heartbeat/pinging", "heartbeat/verifying")

HEARTBEAT_ROWS = (
    Row(trigger=ev.HelloAccepted, source="heartbeat/idle", dest="heartbeat/resting", conditions=(In(HELLO),)),
    # after a sleep nothing that was true counts: probe at once, and give the peer its time
    Row(trigger=After("ping_due"), source="heartbeat/resting", dest="heartbeat/verifying", conditions=(g.woke_up,),
        effects=(ev.Woke(),), rules="P44 P46"),
    Row(trigger=After("pong_deadline"), source="heartbeat/pinging", dest="heartbeat/verifying", conditions=(g.woke_up,),
        effects=(ev.Woke(),), rules="P44 P46"),
    Row(trigger=After("verify_deadline"), source="heartbeat/verifying", dest="heartbeat/verifying",
        conditions=(g.woke_up,), effects=(ev.Woke(),), rules="P44 P46"),
    Row(trigger=After("ping_due"), source="heartbeat/resting", dest="heartbeat/pinging", conditions=(g.awaits_pongs,),
        rules="V40"),
    Row(trigger=After("ping_due"), source="heartbeat/resting", dest="heartbeat/resting", effects=(do.send_ping,),
        rules="V40"),
    Row(trigger=ev.Ponged, source="heartbeat/resting", dest=None),
    Row(trigger=ev.Ponged, source=("heartbeat/pinging", "heartbeat/verifying"), dest="heartbeat/resting", rules="V40"),
    Row(trigger=After("pong_deadline"), source="heartbeat/pinging", dest="heartbeat/verifying", rules="V40 P43 P46"),
    *(Row(trigger=frame, source="heartbeat/verifying", dest="heartbeat/resting", rules="P43") for frame in _FRAMES),
    Row(trigger=After("verify_deadline"), source="heartbeat/verifying", dest="heartbeat/idle",
        effects=(ev.PeerSilent(),), rules="V40 P42 P46"),
    Row(trigger=ev.ReadingPaused, source=_BEATING, dest="heartbeat/blind", rules="P43"),
    Row(trigger=ev.ReadingResumed, source="heartbeat/blind", dest="heartbeat/resting", rules="P43"),
    Row(trigger=ev.SessionEnded, source=(*_BEATING, "heartbeat/blind"), dest="heartbeat/idle"),
    Row(trigger=ev.StopRequested, source=("heartbeat/idle", *_BEATING, "heartbeat/blind"), dest="heartbeat/stopped"),
)
