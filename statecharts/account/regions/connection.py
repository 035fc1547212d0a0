"""Connection: at most one socket."""

from holdfast.engine import After, In, State, Timer, Transition

from ...durations import fixed
from .. import delays
from .. import effects as do
from .. import events as ev
from .. import guards as g
from ..commands import Deliver
from .refresh import STUCK, WORKING

Row = Transition

# fmt: off
# One row, one thought: laid out by hand, to be read as a table.

CONNECTION = State(
    name="connection",
    initial="offline",
    children=(
        State(name="offline", note="no credentials, no dialling"),
        State(name="held", note="waits for a refresh; no deadline runs (P10)"),
        State(
            name="dialing",
            initial="opening",
            on_enter=(do.dial,),
            timers=(Timer("handshake_deadline", fixed("handshake_s")),),
            children=(
                State(name="opening", timers=(Timer("open_deadline", fixed("dial_s")),)),
                State(name="awaiting_challenge", timers=(Timer("challenge_deadline", fixed("challenge_s")),)),
                State(name="awaiting_hello", timers=(Timer("hello_deadline", fixed("hello_s")),)),
            ),
        ),
        State(
            name="online",
            initial="replaying",
            on_exit=(do.last_receipt, ev.SessionEnded()),
            timers=(Timer("stable", fixed("stable_s")),),
            children=(
                State(name="replaying", timers=(Timer("replay_idle", fixed("replay_idle_s")),)),
                State(name="live"),
            ),
        ),
        State(name="closing", timers=(Timer("close_deadline", fixed("close_s")),)),
        State(name="closed", note="where to now"),
        State(name="failed", note="the first of all, or one of many"),
        State(name="cleared", note="to dial, unless the server asked us to wait"),
        State(name="backing_off", on_enter=(do.climb,), timers=(Timer("retry", delays.backoff),)),
        State(
            name="parked",
            initial="unreached",
            note="waits for a person",
            children=(
                State(name="unreached", note="the first dial failed"),
                State(name="evicted", note="another client does not give way"),
            ),
        ),
        State(name="stopped", final=True),
    ),
)

_DIALING = "connection/dialing"
HELLO = "connection/dialing/awaiting_hello"
_ONLINE = "connection/online"
_SOCKET = (_DIALING, _ONLINE)  # there is one
_WAIT = "connection/backing_off"
_FAILED = "connection/failed"
_CLEARED = "connection/cleared"
_PARKED = "connection/parked"
_RESTING = ("connection/offline", "connection/held", _WAIT, _PARKED)

CONNECTION_ROWS = (
    # credentials came
    Row(trigger=ev.CredentialsAdopted, source=_RESTING, dest="connection/held", conditions=(g.must_refresh_first,),
        rules="S0-09 P06 P21"),
    Row(trigger=ev.CredentialsAdopted, source=_WAIT, dest=None, conditions=(g.was_told_to_wait,), rules="P39"),
    Row(trigger=ev.CredentialsAdopted, source=_RESTING, dest=_CLEARED, rules="S0-10 S0-63 P31"),
    Row(trigger=ev.CredentialsAdopted, source=_SOCKET, dest="connection/closing",
        effects=(do.closing("new credentials"),), rules="P21 P22"),
    # held for a refresh
    Row(trigger=ev.Rotated, source="connection/held", dest=_CLEARED, conditions=(g.was_rejected,),
        effects=(do.count_rotation,), rules="S0-25 S0-26 S0-35 S0-36"),
    Row(trigger=ev.Rotated, source="connection/held", dest=_CLEARED, rules="S0-10"),
    Row(trigger=ev.RefreshEnded, source="connection/held", dest=None, conditions=(g.must_not_dial, g.retries_refresh),
        rules="P21"),
    Row(trigger=ev.RefreshEnded, source="connection/held", dest=_WAIT, conditions=(g.must_not_dial,),
        rules="P21 V11 V22"),
    Row(trigger=ev.RefreshEnded, source="connection/held", dest=_WAIT, conditions=(g.was_rejected,), rules="S0-25 P28"),
    Row(trigger=ev.RefreshEnded, source="connection/held", dest=_CLEARED, rules="S0-12"),
    # may we dial
    Row(trigger=None, source=_CLEARED, dest=_WAIT, conditions=(g.was_told_to_wait,), rules="P39"),
    Row(trigger=None, source=_CLEARED, dest=_DIALING),
    # the handshake
    Row(trigger=ev.SocketOpened, source="connection/dialing/opening", dest="connection/dialing/awaiting_challenge"),
    Row(trigger=ev.Challenged, source="connection/dialing/awaiting_challenge", dest=HELLO, effects=(do.authenticate,),
        rules="P21 P22"),
    Row(trigger=ev.HelloAccepted, source=HELLO, dest=_ONLINE, effects=(do.welcome,), rules="S0-14 S0-15"),
    Row(trigger=ev.SocketFailed, source="connection/dialing/opening", dest=_FAILED, effects=(do.note_open_error,),
        rules="S0-33 S0-61 P39"),
    Row(trigger=ev.SocketClosed, source=_DIALING, dest=_FAILED, effects=(do.note_lost_handshake,), rules="S0-61 P26"),
    Row(trigger=After("open_deadline"), source="connection/dialing/opening", dest=_FAILED,
        effects=(do.abandon_handshake,)),
    Row(trigger=After("challenge_deadline"), source="connection/dialing/awaiting_challenge", dest=_FAILED,
        effects=(do.abandon_handshake,)),
    Row(trigger=After("hello_deadline"), source=HELLO, dest=_FAILED, effects=(do.abandon_handshake,)),
    Row(trigger=After("handshake_deadline"), source=_DIALING, dest=_FAILED, effects=(do.abandon_handshake,)),
    Row(trigger=None, source=_FAILED, dest="connection/parked/unreached", conditions=(g.gives_up_unreached,),
        effects=(do.await_resume,), rules="S0-33 V09 P49"),
    Row(trigger=None, source=_FAILED, dest=_WAIT, rules="S0-33 V09 P49"),
    Row(trigger=ev.FrameRejected, source=_SOCKET, dest=None, effects=(do.report_frame,)),
    # the hello is refused: whose fault is it
    Row(trigger=ev.HelloRefused, source=_SOCKET, dest="connection/offline",
        conditions=(g.auth_is_down, g.gives_up_in_outage), effects=(do.give_up_token,), rules="S0-30 V08"),
    Row(trigger=ev.HelloRefused, source=_SOCKET, dest=_WAIT, conditions=(g.auth_is_down,), effects=(do.note_outage,),
        rules="S0-02 S0-04 S0-30 V08"),
    Row(trigger=ev.HelloRefused, source=_SOCKET, dest="connection/closing",
        conditions=(g.rejects_token, g.presented_an_older), effects=(do.closing("token refresh"),), rules="S0-55 P21"),
    Row(trigger=ev.HelloRefused, source=_SOCKET, dest=_WAIT, conditions=(g.blames_token, g.can_refresh, g.is_capped),
        effects=(do.note_capped,), rules="S0-37 V12"),
    Row(trigger=ev.HelloRefused, source=_SOCKET, dest=_WAIT,
        conditions=(g.blames_token, g.can_refresh, In("refresh/waiting")), effects=(do.note_rejected,),
        rules="S0-25 V11"),
    Row(trigger=ev.HelloRefused, source=_SOCKET, dest=_WAIT, conditions=(g.blames_token, g.can_refresh, g.is_too_soon),
        unless=(In(WORKING),), effects=(do.note_rejected,), rules="S0-25 S1-07"),
    Row(trigger=ev.HelloRefused, source=_SOCKET, dest="connection/held", conditions=(g.blames_token, g.can_refresh),
        effects=(do.want_refresh,), rules="S0-25 S0-26"),
    Row(trigger=ev.HelloRefused, source=_SOCKET, dest="connection/offline", conditions=(g.rejects_token, g.is_unproven),
        effects=(do.give_up_token,), rules="S0-29"),
    Row(trigger=ev.HelloRefused, source=_SOCKET, dest=_WAIT, conditions=(g.rejects_token,), effects=(do.note_rejected,),
        rules="S0-25 P28"),
    Row(trigger=ev.HelloRefused, source=_SOCKET, dest="connection/parked/unreached",
        conditions=(g.gives_up_unreached,), unless=(g.has_refresh_token,), effects=(do.note_generic, do.await_resume),
        rules="S0-28 V09"),
    Row(trigger=ev.HelloRefused, source=_SOCKET, dest=_WAIT, effects=(do.note_generic,), rules="S0-27 S0-28 P40"),
    # online
    Row(trigger=ev.FrameReceived, source="connection/online/replaying", dest="connection/online/replaying",
        effects=(Deliver(),), rules="P58"),
    Row(trigger=ev.FrameReceived, source="connection/online/live", dest=None, effects=(Deliver(),), rules="P58"),
    Row(trigger=ev.ReplayFinished, source="connection/online/replaying", dest="connection/online/live", rules="S0-58"),
    Row(trigger=After("replay_idle"), source="connection/online/replaying", dest="connection/online/live",
        rules="S0-58"),
    Row(trigger=After("stable"), source=_ONLINE, dest=None, effects=(do.settle_down,), rules="V12 P25 P27"),
    Row(trigger=ev.Rotated, source=_ONLINE, dest="connection/closing", conditions=(g.should_reconnect,),
        effects=(do.count_renewal, do.closing("token refresh")), rules="S0-24 V15"),
    Row(trigger=ev.SocketClosed, source=_ONLINE, dest="connection/parked/evicted",
        conditions=(g.was_evicted, g.is_outnumbered), effects=(do.note_eviction, do.give_way), rules="P31"),
    Row(trigger=ev.SocketClosed, source=_ONLINE, dest=_WAIT, conditions=(g.was_evicted,), effects=(do.note_eviction,),
        rules="P31 P35"),
    Row(trigger=ev.SocketClosed, source=_ONLINE, dest=_WAIT, effects=(do.note_drop,), rules="S0-61 P35"),
    Row(trigger=ev.GapFound, source=_ONLINE, dest=_WAIT, effects=(do.abandon_gap,), rules="P59"),
    Row(trigger=ev.PeerSilent, source=_ONLINE, dest=_WAIT, effects=(do.abandon_silent,), rules="V40 P42"),
    # closing on our own account
    Row(trigger=ev.SocketClosed, source="connection/closing", dest="connection/closed"),
    Row(trigger=After("close_deadline"), source="connection/closing", dest="connection/closed", rules="P41"),
    Row(trigger=None, source="connection/closed", dest="connection/stopped", conditions=(In("credentials/stopped"),)),
    Row(trigger=None, source="connection/closed", dest="connection/offline", unless=(In("credentials/configured"),)),
    Row(trigger=None, source="connection/closed", dest="connection/held", conditions=(g.must_not_dial,),
        effects=(ev.RefreshWanted("expired"),), rules="P21"),
    Row(trigger=None, source="connection/closed", dest="connection/held",
        conditions=(g.must_refresh_first, In("refresh/draining")), rules="S0-09"),
    Row(trigger=None, source="connection/closed", dest="connection/held",
        conditions=(g.must_refresh_first, In(WORKING)), unless=tuple(In(state) for state in STUCK), rules="S0-09"),
    Row(trigger=None, source="connection/closed", dest=_CLEARED, rules="S0-24"),
    # backing off
    Row(trigger=After("retry"), source=_WAIT, dest="connection/held", conditions=(g.must_not_dial,),
        effects=(ev.RefreshWanted("expired"),), rules="P21"),
    Row(trigger=After("retry"), source=_WAIT, dest=_DIALING, rules="S0-38 S0-41 V09 V10"),
    Row(trigger=ev.Rotated, source=_WAIT, dest=None, conditions=(g.was_rejected, g.was_told_to_wait),
        effects=(do.count_rotation,), rules="P39"),
    Row(trigger=ev.Rotated, source=_WAIT, dest=_DIALING, conditions=(g.was_rejected,), effects=(do.count_rotation,),
        rules="S0-25 S0-35 S0-36"),
    # parked
    Row(trigger=ev.ResumeRequested, source=_PARKED, dest="connection/held", conditions=(g.must_not_dial,),
        effects=(do.forgive_evictions, ev.RefreshWanted("expired")), rules="P21 P31"),
    Row(trigger=ev.ResumeRequested, source=_PARKED, dest=_CLEARED, effects=(do.forgive_evictions,), rules="V09 P31"),
    # the ends
    Row(trigger=ev.LoggedOut, source=("connection/held", _WAIT, _PARKED), dest="connection/offline", rules="S0-11"),
    Row(trigger=ev.LoggedOut, source=_SOCKET, dest="connection/closing",
        effects=(do.closing("logged out"),)),
    Row(trigger=ev.StopRequested, source=_RESTING, dest="connection/stopped", rules="S0-13 S0-34 S0-40"),
    Row(trigger=ev.StopRequested, source=_SOCKET, dest="connection/closing",
        effects=(do.closing("stopped"),),
        rules="S0-56 V07 P33"),
)
