"""Credentials: what we are allowed to say who we are."""

from holdfast.engine import After, In, State, Timer, Transition

from .. import delays
from .. import effects as do
from .. import events as ev
from .. import guards as g
from ..commands import LoadCredentials
from .connection import HELLO

Row = Transition

# fmt: off
# One row, one thought: laid out by hand, to be read as a table.

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
    # the first session of a pairing
    Row(trigger=ev.HelloAccepted, source="credentials/configured", dest=None, conditions=(In(HELLO),),
        unless=(g.is_greeted,), effects=(do.greet,), rules="S0-62"),
    Row(trigger=ev.NotGreeted, source="credentials/configured", dest=None, effects=(do.note_ungreeted,),
        rules="S0-62"),
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
