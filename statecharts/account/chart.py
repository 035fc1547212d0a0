"""The account chart: credentials, refresh, connection, heartbeat and mirror, as tables.

Read it row by row: in ``source``, when ``trigger`` happens and the conditions hold, run the effects and go to
``dest``. Rows are tried top to bottom, inner states before outer ones; an event reaches every region. Each row
names the rules it carries out (docs/rules.md).
"""

from holdfast.engine import After, In, State, Statechart, Timer, Transition, compile_chart

from . import delays
from . import effects as do
from . import events as ev
from . import guards as g
from .commands import Deliver, LoadCredentials
from .context import Account

Row = Transition

# fmt: off
# One row, one thought: laid out by hand, to be read as a table.

# ---------------------------------------------------------------------------------------------------------------
# credentials: what we are allowed to say who we are
# ---------------------------------------------------------------------------------------------------------------

CREDENTIALS = State(
    name="credentials",
    initial="loading",
    children=(
        State(name="loading", on_enter=(LoadCredentials(),)),
        State(name="unreadable", timers=(Timer("load_retry", delays.store_retry),)),
        State(name="unconfigured", note="half-alive: waits to be paired"),
        State(name="configured"),
        State(name="refused", note="no refresh token, and the gateway refused the access token"),
        State(
            name="logged_out",
            initial="clearing",
            note="waits to be paired again",
            children=(
                State(name="clearing"),
                State(name="uncleared", timers=(Timer("clear_retry", delays.store_retry),)),
                State(name="cleared"),
            ),
        ),
        State(name="stopped", final=True),
    ),
)

_UNREAD = ("credentials/loading", "credentials/unreadable")
_UNPAIRED = ("credentials/unconfigured", "credentials/refused", "credentials/logged_out")

CREDENTIAL_ROWS = (
    # the first look into the store
    Row(trigger=ev.CredentialsRead, source="credentials/loading", dest="credentials/configured",
        conditions=(g.has_tokens,), effects=(do.adopt,), rules="S0-06 S0-07 S0-09 V03 V04"),
    Row(trigger=ev.CredentialsRead, source="credentials/loading", dest="credentials/unconfigured",
        effects=(do.note_blank,), rules="S0-63"),
    Row(trigger=ev.StoreFailed, source="credentials/loading", dest="credentials/unreadable",
        effects=(do.note_store_error,)),
    Row(trigger=After("load_retry"), source="credentials/unreadable", dest="credentials/loading"),
    # paired, here or by another process; also again, after a logout
    Row(trigger=ev.CredentialsChanged, source=(*_UNREAD, *_UNPAIRED), dest="credentials/configured",
        conditions=(g.has_tokens, g.is_news), effects=(do.adopt,), rules="S0-32 S0-63"),
    Row(trigger=ev.CredentialsChanged, source="credentials/configured", dest="credentials/configured",
        conditions=(g.has_tokens, g.is_news), effects=(do.adopt,), rules="P05 P22"),
    # what a second look into the store found, before a refusal is believed
    Row(trigger=ev.CredentialsRead, source="credentials/configured", dest="credentials/configured",
        conditions=(g.has_tokens, g.is_news), effects=(do.adopt,), rules="P05 V01"),
    Row(trigger=ev.CredentialsRead, source="credentials/configured", dest="credentials/logged_out/cleared",
        conditions=(g.is_news,), effects=(do.log_out_elsewhere,), rules="P11"),
    # the ways out
    Row(trigger=ev.CredentialsChanged, source=("credentials/configured", "credentials/refused"),
        dest="credentials/logged_out/cleared", conditions=(g.is_news,), effects=(do.log_out_elsewhere,),
        rules="P11 V06"),
    Row(trigger=ev.LogoutRequested, source=(*_UNREAD, "credentials/configured", "credentials/refused"),
        dest="credentials/logged_out", effects=(do.log_out_asked,), rules="S0-44 V06 P11"),
    Row(trigger=ev.RefreshDenied, source="credentials/configured", dest="credentials/logged_out",
        effects=(do.log_out_expired,), rules="S0-11 S0-44 S0-45 S0-46 S0-47 V16"),
    Row(trigger=ev.PairingRequired, source="credentials/logged_out", dest=None, effects=(do.ask_to_pair,),
        rules="S0-45 S0-48"),
    Row(trigger=ev.TokenRefused, source="credentials/configured", dest="credentials/refused", rules="S0-29 S0-32"),
    # blanking the store is tried until it works
    Row(trigger=ev.CredentialsCleared, source="credentials/logged_out/clearing",
        dest="credentials/logged_out/cleared", effects=(do.note_cleared,), rules="S0-45"),
    Row(trigger=ev.ClearFailed, source="credentials/logged_out/clearing",
        dest="credentials/logged_out/uncleared", effects=(do.note_clear_error,)),
    Row(trigger=After("clear_retry"), source="credentials/logged_out/uncleared",
        dest="credentials/logged_out/clearing", effects=(do.clear,)),
    # stored before the logout, told after it
    Row(trigger=ev.RefreshSucceeded, source="credentials/logged_out", dest="credentials/logged_out/clearing",
        effects=(do.clear_late,), rules="V06 P11"),
    Row(trigger=ev.StopRequested, source="credentials/logged_out/uncleared", dest="credentials/stopped",
        effects=(do.clear,), rules="P11"),
    Row(trigger=ev.StopRequested, source=(*_UNREAD, "credentials/configured", *_UNPAIRED), dest="credentials/stopped",
        rules="S0-56 S1-37 V07"),
)

# ---------------------------------------------------------------------------------------------------------------
# refresh: at most one exchange, at most one timer
# ---------------------------------------------------------------------------------------------------------------

REFRESH = State(
    name="refresh",
    initial="idle",
    children=(
        State(name="idle", note="nothing to refresh, or no telling when"),
        State(name="armed", timers=(Timer("refresh_look", delays.next_look),)),
        State(name="due", note="not while disconnected"),
        State(name="choosing", note="new credentials: refresh first, or plan it"),
        State(name="draining", note="the pair under way is no longer wanted, but one POST at a time (P01)"),
        State(name="waiting", note="wanted, but not yet", timers=(Timer("refresh_retry", delays.refresh_retry),)),
        State(
            name="working",
            initial="requesting",
            children=(
                State(name="requesting", on_enter=(do.post_refresh,)),
                State(name="doubting", note="refused or overtaken: is that still our pair?",
                      on_enter=(LoadCredentials(),)),
                State(name="unsure", note="the store cannot tell: no POST before it can",
                      timers=(Timer("doubt_retry", delays.store_retry),)),
                State(name="unstored", note="rotated, but not on disk",
                      timers=(Timer("store_retry", delays.store_retry),)),
                State(name="storing", on_enter=(do.store_rotation,)),
            ),
        ),
        State(
            name="finishing",
            initial="answering",
            note="stopping with an exchange under way",
            timers=(Timer("finish_deadline", delays.fixed("stop_s")),),
            children=(
                State(name="answering"),
                State(name="unstored", timers=(Timer("last_retry", delays.store_retry),)),
                State(name="storing", on_enter=(do.store_rotation,)),
            ),
        ),
        State(name="stopped", final=True),
    ),
)

_UNDISTURBED = ("refresh/idle", "refresh/armed", "refresh/due")
_AT_REST = (*_UNDISTURBED, "refresh/waiting")
_WORKING = "refresh/working"
_REQUESTING = "refresh/working/requesting"
_HOLDING = ("refresh/working/unstored", "refresh/working/storing")
_STUCK = (*_HOLDING, "refresh/working/unsure")  # on our own disk, so that there is no telling how long

REFRESH_ROWS = (
    # new credentials: refresh first, or plan it; an exchange for older ones comes to its end first
    Row(trigger=ev.CredentialsAdopted, source=_AT_REST, dest="refresh/choosing", rules="S1-31 P18"),
    Row(trigger=ev.CredentialsAdopted, source=_REQUESTING, dest="refresh/draining",
        effects=(do.settle("success", "another pair was stored"),), rules="P01 P05 V06"),
    Row(trigger=ev.CredentialsAdopted, source=_WORKING, dest="refresh/choosing",
        effects=(do.settle("success", "another pair was stored"),), rules="P05 V06"),
    Row(trigger=None, source="refresh/choosing", dest=_WORKING, conditions=(g.must_refresh_first,),
        effects=(do.because("startup-near-expiry"),), rules="S0-09 P06 P21"),
    Row(trigger=None, source="refresh/choosing", dest=_WORKING, conditions=(g.can_refresh, In("connection/held")),
        effects=(do.because("hello-fail"),), rules="S0-25"),
    Row(trigger=None, source="refresh/choosing", dest="refresh/armed", conditions=(g.has_expiry,),
        rules="S1-24 S1-28 S1-29"),
    Row(trigger=None, source="refresh/choosing", dest="refresh/idle", rules="S1-30"),
    Row(trigger=ev.RefreshSucceeded, source="refresh/draining", dest="refresh/choosing"),
    Row(trigger=ev.RotationHeld, source="refresh/draining", dest="refresh/choosing", rules="V06"),
    Row(trigger=ev.RefreshFailed, source="refresh/draining", dest="refresh/choosing"),
    Row(trigger=ev.RefreshSuperseded, source="refresh/draining", dest="refresh/choosing", rules="V06"),
    Row(trigger=ev.RefreshRequested, source="refresh/draining", dest=None,
        effects=(do.settle("transient", "an exchange for older credentials is ending"),), rules="P01"),
    # the planned time comes
    Row(trigger=After("refresh_look"), source="refresh/armed", dest="refresh/idle", conditions=(g.is_latched,),
        rules="S1-05 P14"),
    Row(trigger=After("refresh_look"), source="refresh/armed", dest="refresh/due", conditions=(g.is_due,),
        unless=(In("connection/online"),), rules="S0-16"),
    Row(trigger=After("refresh_look"), source="refresh/armed", dest="refresh/waiting",
        conditions=(g.is_due, g.is_too_soon), effects=(do.because("proactive"),), rules="S1-07 V17"),
    Row(trigger=After("refresh_look"), source="refresh/armed", dest=_WORKING, conditions=(g.is_due,),
        effects=(do.because("proactive"),), rules="S1-20 S1-32"),
    Row(trigger=After("refresh_look"), source="refresh/armed", dest="refresh/armed", rules="V18 V21 P15 P17"),
    Row(trigger=ev.HelloAccepted, source="refresh/due", dest="refresh/waiting",
        conditions=(g.is_too_soon, In("connection/dialing/awaiting_hello")), effects=(do.because("proactive"),),
        rules="S0-15 S1-07"),
    Row(trigger=ev.HelloAccepted, source="refresh/due", dest=_WORKING,
        conditions=(In("connection/dialing/awaiting_hello"),), effects=(do.because("proactive"),),
        rules="S0-15 S1-20 S1-32"),
    Row(trigger=After("refresh_retry"), source="refresh/waiting", dest=_WORKING, rules="V11 V22 P13"),
    # somebody asks: the order of the questions is S1-04
    Row(trigger=ev.RefreshRequested, source=_AT_REST, dest=None, conditions=(g.refused_an_older,),
        effects=(do.settle("success", "already rotated"),), rules="S0-55"),
    Row(trigger=ev.RefreshRequested, source=_AT_REST, dest=None, conditions=(g.is_latched,),
        effects=(do.settle("skipped", "rejected-latch"),), rules="S1-04 S1-05 S1-06"),
    Row(trigger=ev.RefreshRequested, source=_AT_REST, dest=None, conditions=(g.is_too_soon,),
        effects=(do.settle("skipped", "min-interval"),), rules="S1-07 S1-08 S1-09 S1-10 V17"),
    Row(trigger=ev.RefreshRequested, source=_AT_REST, dest=None, unless=(g.has_refresh_token,),
        effects=(do.settle("skipped", "no-refresh-token"),), rules="S1-11"),
    Row(trigger=ev.RefreshRequested, source=_AT_REST, dest=_WORKING, effects=(do.because_asked,), rules="S0-49 S1-19"),
    Row(trigger=ev.RefreshRequested, source=_HOLDING, dest=None,
        effects=(do.settle("transient", "the store refused the new pair"),), rules="V01 V02"),
    Row(trigger=ev.RefreshRequested, source="refresh/working/unsure", dest=None,
        effects=(do.settle("transient", "the store cannot be read"),), rules="P05 P14"),
    Row(trigger=ev.RefreshRequested, source=_WORKING, dest=None, rules="S1-02 P01"),
    Row(trigger=ev.RefreshRequested, source="refresh", dest=None, effects=(do.settle("skipped", "stopped"),),
        rules="S1-03 V23"),
    # the connection asks: its rows have made sure that a refresh could help
    Row(trigger=ev.RefreshWanted, source=_UNDISTURBED, dest="refresh/waiting",
        conditions=(g.is_too_soon,), effects=(do.because_asked,), rules="S1-07"),
    Row(trigger=ev.RefreshWanted, source=_UNDISTURBED, dest=_WORKING,
        effects=(do.because_asked,), rules="S0-25 S0-26"),
    # how an exchange ends
    Row(trigger=ev.RefreshSucceeded, source=_REQUESTING, dest="refresh/armed", conditions=(g.made_progress,),
        effects=(do.take_rotation,), rules="S0-10 S0-23 S1-14 V15"),
    Row(trigger=ev.RefreshSucceeded, source=_REQUESTING, dest="refresh/waiting", effects=(do.take_unchanged,),
        rules="P20"),
    Row(trigger=ev.RefreshFailed, source=_REQUESTING, dest="refresh/working/doubting", conditions=(g.is_permanent,),
        effects=(do.note_refusal,), rules="S1-40 P05"),
    Row(trigger=ev.RefreshFailed, source=_REQUESTING, dest="refresh/waiting", effects=(do.count_failure,),
        rules="S0-12 S1-13 S1-18 V11 V22 P12"),
    Row(trigger=ev.RotationHeld, source=_REQUESTING, dest="refresh/working/unstored", effects=(do.hold_rotation,),
        rules="S0-18 S1-15 V01 V02 P07"),
    Row(trigger=ev.RefreshSuperseded, source=_WORKING, dest="refresh/working/doubting", rules="V06 P04 P11"),
    Row(trigger=ev.CredentialsRead, source="refresh/working/doubting", dest="refresh/idle", conditions=(g.was_refused,),
        unless=(g.is_news,), effects=(do.believe_refusal,), rules="S1-16 V24 P05 P14"),
    Row(trigger=ev.CredentialsRead, source="refresh/working/doubting", dest="refresh/waiting", unless=(g.is_news,),
        effects=(do.count_overtaken,), rules="V06 P12"),
    Row(trigger=ev.StoreFailed, source="refresh/working/doubting", dest="refresh/working/unsure",
        effects=(do.count_doubt,), rules="P05 P14"),
    Row(trigger=After("doubt_retry"), source="refresh/working/unsure", dest="refresh/working/doubting", rules="P05"),
    # a rotated pair that the store refused
    Row(trigger=After("store_retry"), source="refresh/working/unstored", dest="refresh/working/storing", rules="V02"),
    Row(trigger=ev.RotationUnstored, source="refresh/working/storing", dest="refresh/working/unstored",
        effects=(do.count_unstored,), rules="V02"),
    Row(trigger=ev.RotationStored, source="refresh/working/storing", dest="refresh/armed",
        effects=(do.take_rotation,), rules="V02 P06"),
    # the ends
    Row(trigger=ev.LoggedOut, source=("refresh/armed", "refresh/due", "refresh/waiting"), dest="refresh/idle",
        rules="P11"),
    Row(trigger=ev.LoggedOut, source=_REQUESTING, dest="refresh/draining",
        effects=(do.settle("permanent", "logged out"),), rules="V06 P01 P11"),
    Row(trigger=ev.LoggedOut, source=_WORKING, dest="refresh/idle",
        effects=(do.settle("permanent", "logged out"),), rules="V06 P11"),
    Row(trigger=ev.StopRequested, source=_AT_REST, dest="refresh/stopped", rules="S1-33 S1-37"),
    Row(trigger=ev.StopRequested, source=_REQUESTING, dest="refresh/finishing/answering",
        effects=(do.settle("skipped", "stopped"),), rules="S0-13 S1-23 V06"),
    Row(trigger=ev.StopRequested, source="refresh/draining", dest="refresh/finishing/answering"),
    Row(trigger=ev.StopRequested, source=_HOLDING, dest="refresh/finishing/storing",
        effects=(do.settle("skipped", "stopped"),), rules="V02"),
    Row(trigger=ev.StopRequested, source=("refresh/working/doubting", "refresh/working/unsure"), dest="refresh/stopped",
        effects=(do.settle("skipped", "stopped"),)),
    # a logout came before the stop, and its blanking before this pair
    Row(trigger=ev.RefreshSucceeded, source="refresh/finishing/answering", dest="refresh/stopped",
        conditions=(g.is_forgotten,), effects=(do.clear_late,), rules="V06 P11"),
    Row(trigger=ev.RotationHeld, source="refresh/finishing/answering", dest="refresh/stopped",
        conditions=(g.is_forgotten,), rules="V06 P11"),
    Row(trigger=ev.RefreshSucceeded, source="refresh/finishing/answering", dest="refresh/stopped",
        effects=(do.take_last,), rules="S0-13 S1-23 P19"),
    Row(trigger=ev.RotationHeld, source="refresh/finishing/answering", dest="refresh/finishing/unstored",
        effects=(do.hold_last,), rules="V02"),
    Row(trigger=ev.RefreshFailed, source="refresh/finishing/answering", dest="refresh/stopped"),
    Row(trigger=ev.RefreshSuperseded, source="refresh/finishing", dest="refresh/stopped"),
    Row(trigger=After("last_retry"), source="refresh/finishing/unstored", dest="refresh/finishing/storing"),
    Row(trigger=ev.RotationUnstored, source="refresh/finishing/storing", dest="refresh/finishing/unstored",
        effects=(do.count_unstored,)),
    Row(trigger=ev.RotationStored, source="refresh/finishing/storing", dest="refresh/stopped", effects=(do.take_last,)),
    Row(trigger=After("finish_deadline"), source="refresh/finishing", dest="refresh/stopped", rules="V06"),
)

# ---------------------------------------------------------------------------------------------------------------
# connection: at most one socket
# ---------------------------------------------------------------------------------------------------------------

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
            timers=(Timer("handshake_deadline", delays.fixed("handshake_s")),),
            children=(
                State(name="opening", timers=(Timer("open_deadline", delays.fixed("dial_s")),)),
                State(name="awaiting_challenge", timers=(Timer("challenge_deadline", delays.fixed("challenge_s")),)),
                State(name="awaiting_hello", timers=(Timer("hello_deadline", delays.fixed("hello_s")),)),
            ),
        ),
        State(
            name="online",
            initial="replaying",
            on_exit=(ev.SessionEnded(),),
            timers=(Timer("stable", delays.fixed("stable_s")),),
            children=(
                State(name="replaying", timers=(Timer("replay_idle", delays.fixed("replay_idle_s")),)),
                State(name="live"),
            ),
        ),
        State(name="closing", timers=(Timer("close_deadline", delays.fixed("close_s")),)),
        State(name="closed", note="where to now"),
        State(name="backing_off", on_exit=(do.climb,), timers=(Timer("retry", delays.backoff),)),
        State(name="stopped", final=True),
    ),
)

_DIALING = "connection/dialing"
_HELLO = "connection/dialing/awaiting_hello"
_ONLINE = "connection/online"
_SOCKET = (_DIALING, _ONLINE)  # there is one
_WAIT = "connection/backing_off"

CONNECTION_ROWS = (
    # credentials came
    Row(trigger=ev.CredentialsAdopted, source=("connection/offline", "connection/held", _WAIT), dest="connection/held",
        conditions=(g.must_refresh_first,), rules="S0-09 P06 P21"),
    Row(trigger=ev.CredentialsAdopted, source=("connection/offline", "connection/held", _WAIT), dest=_DIALING,
        rules="S0-10 S0-63"),
    Row(trigger=ev.CredentialsAdopted, source=_SOCKET, dest="connection/closing",
        effects=(do.closing("new credentials"),), rules="P21 P22"),
    # held for a refresh
    Row(trigger=ev.Rotated, source="connection/held", dest=_DIALING, rules="S0-10 S0-25 S0-26"),
    Row(trigger=ev.RefreshEnded, source="connection/held", dest=None, conditions=(g.must_not_dial,), rules="P21"),
    Row(trigger=ev.RefreshEnded, source="connection/held", dest=_WAIT, conditions=(g.was_rejected,), rules="S0-25 P28"),
    Row(trigger=ev.RefreshEnded, source="connection/held", dest=_DIALING, rules="S0-12"),
    # the handshake
    Row(trigger=ev.SocketOpened, source="connection/dialing/opening", dest="connection/dialing/awaiting_challenge"),
    Row(trigger=ev.Challenged, source="connection/dialing/awaiting_challenge", dest=_HELLO, effects=(do.authenticate,),
        rules="P21 P22"),
    Row(trigger=ev.HelloAccepted, source=_HELLO, dest=_ONLINE, effects=(do.welcome,), rules="S0-14 S0-15"),
    Row(trigger=ev.SocketFailed, source="connection/dialing/opening", dest=_WAIT, effects=(do.note_open_error,),
        rules="S0-33 S0-61 V09"),
    Row(trigger=ev.SocketClosed, source=_DIALING, dest=_WAIT, effects=(do.note_lost_handshake,), rules="S0-61 V09 P26"),
    Row(trigger=After("open_deadline"), source="connection/dialing/opening", dest=_WAIT,
        effects=(do.abandon_handshake,)),
    Row(trigger=After("challenge_deadline"), source="connection/dialing/awaiting_challenge", dest=_WAIT,
        effects=(do.abandon_handshake,)),
    Row(trigger=After("hello_deadline"), source=_HELLO, dest=_WAIT, effects=(do.abandon_handshake,)),
    Row(trigger=After("handshake_deadline"), source=_DIALING, dest=_WAIT, effects=(do.abandon_handshake,)),
    Row(trigger=ev.FrameRejected, source=_SOCKET, dest=None, effects=(do.report_frame,)),
    # the hello is refused: whose fault is it
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
        unless=(In(_WORKING),), effects=(do.note_rejected,), rules="S0-25 S1-07"),
    Row(trigger=ev.HelloRefused, source=_SOCKET, dest="connection/held", conditions=(g.blames_token, g.can_refresh),
        effects=(do.want_refresh,), rules="S0-25 S0-26 S0-35 S0-36"),
    Row(trigger=ev.HelloRefused, source=_SOCKET, dest="connection/offline", conditions=(g.rejects_token, g.is_unproven),
        effects=(do.give_up_token,), rules="S0-29"),
    Row(trigger=ev.HelloRefused, source=_SOCKET, dest=_WAIT, conditions=(g.rejects_token,), effects=(do.note_rejected,),
        rules="S0-25 P28"),
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
        effects=(do.closing("token refresh"),), rules="S0-24 V15"),
    Row(trigger=ev.SocketClosed, source=_ONLINE, dest=_WAIT, effects=(do.note_drop,), rules="S0-61 P35"),
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
        conditions=(g.must_refresh_first, In(_WORKING)), unless=tuple(In(state) for state in _STUCK), rules="S0-09"),
    Row(trigger=None, source="connection/closed", dest=_DIALING, rules="S0-24"),
    # backing off
    Row(trigger=After("retry"), source=_WAIT, dest="connection/held", conditions=(g.must_not_dial,),
        effects=(ev.RefreshWanted("expired"),), rules="P21"),
    Row(trigger=After("retry"), source=_WAIT, dest=_DIALING, rules="S0-38 S0-41 V09 V10"),
    Row(trigger=ev.Rotated, source=_WAIT, dest=_DIALING, conditions=(g.was_rejected,), rules="S0-25"),
    # the ends
    Row(trigger=ev.LoggedOut, source=("connection/held", _WAIT), dest="connection/offline", rules="S0-11"),
    Row(trigger=ev.LoggedOut, source=_SOCKET, dest="connection/closing",
        effects=(do.closing("logged out"),)),
    Row(trigger=ev.StopRequested, source=("connection/offline", "connection/held", _WAIT), dest="connection/stopped",
        rules="S0-13 S0-34 S0-40"),
    Row(trigger=ev.StopRequested, source=_SOCKET, dest="connection/closing",
        effects=(do.closing("stopped"),),
        rules="S0-56 V07 P33"),
)

# ---------------------------------------------------------------------------------------------------------------
# heartbeat: is anybody there
# ---------------------------------------------------------------------------------------------------------------

HEARTBEAT = State(
    name="heartbeat",
    initial="idle",
    children=(
        State(name="idle"),
        State(name="resting", timers=(Timer("ping_due", delays.fixed("ping_s")),)),
        State(name="pinging", on_enter=(do.send_ping,), timers=(Timer("pong_deadline", delays.fixed("pong_s")),)),
        State(name="verifying", on_enter=(do.send_ping,), timers=(Timer("verify_deadline", delays.fixed("verify_s")),)),
        State(name="blind", note="we read nothing, so silence proves nothing"),
        State(name="stopped", final=True),
    ),
)

_BEATING = ("heartbeat/resting", "heartbeat/pinging", "heartbeat/verifying")

HEARTBEAT_ROWS = (
    Row(trigger=ev.HelloAccepted, source="heartbeat/idle", dest="heartbeat/resting", conditions=(In(_HELLO),)),
    Row(trigger=After("ping_due"), source="heartbeat/resting", dest="heartbeat/pinging", rules="V40"),
    Row(trigger=ev.Ponged, source=("heartbeat/pinging", "heartbeat/verifying"), dest="heartbeat/resting", rules="V40"),
    Row(trigger=After("pong_deadline"), source="heartbeat/pinging", dest="heartbeat/verifying", rules="V40 P43"),
    Row(trigger=ev.FrameReceived, source="heartbeat/verifying", dest="heartbeat/resting", rules="P43"),
    Row(trigger=After("verify_deadline"), source="heartbeat/verifying", dest="heartbeat/idle",
        effects=(ev.PeerSilent(),), rules="V40 P42"),
    Row(trigger=ev.ReadingPaused, source=_BEATING, dest="heartbeat/blind", rules="P43"),
    Row(trigger=ev.ReadingResumed, source="heartbeat/blind", dest="heartbeat/resting", rules="P43"),
    Row(trigger=ev.SessionEnded, source=(*_BEATING, "heartbeat/blind"), dest="heartbeat/idle"),
    Row(trigger=ev.StopRequested, source=("heartbeat/idle", *_BEATING, "heartbeat/blind"), dest="heartbeat/stopped"),
)

# ---------------------------------------------------------------------------------------------------------------
# mirror: the configuration file follows the store, best effort
# ---------------------------------------------------------------------------------------------------------------

MIRROR = State(
    name="mirror",
    initial="clean",
    children=(
        State(name="clean"),
        State(name="writing", on_enter=(do.write_mirror,)),
        State(name="behind", timers=(Timer("mirror_retry", delays.mirror_retry),)),
        State(name="stopped", final=True),
    ),
)

MIRROR_ROWS = (
    Row(trigger=ev.MirrorStale, source=("mirror/clean", "mirror/writing", "mirror/behind"), dest="mirror/writing",
        rules="S0-17 S0-22 S0-45 V01"),
    Row(trigger=ev.MirrorWritten, source="mirror/writing", dest="mirror/clean", effects=(do.note_mirrored,)),
    # also the failure of a write that another one overtook: the mirror may hold its tokens
    Row(trigger=ev.MirrorFailed, source=("mirror/writing", "mirror/clean"), dest="mirror/behind",
        effects=(do.count_mirror_failure,), rules="S0-20 S0-47 V01 P07"),
    Row(trigger=After("mirror_retry"), source="mirror/behind", dest="mirror/writing", rules="V01"),
    Row(trigger=ev.StopRequested, source=("mirror/clean", "mirror/writing", "mirror/behind"), dest="mirror/stopped"),
)

ACCOUNT = Statechart(
    name="account",
    context=Account,
    parallel=True,
    states=(CREDENTIALS, REFRESH, CONNECTION, HEARTBEAT, MIRROR),
    transitions=(*CREDENTIAL_ROWS, *REFRESH_ROWS, *CONNECTION_ROWS, *HEARTBEAT_ROWS, *MIRROR_ROWS),
)

account_chart = compile_chart(ACCOUNT)
