"""What the account chart's rows do: a new context, and commands or events. No decisions here."""

from typing import Any

from holdfast.engine import Command, Event, Stamp, effect

from . import events as ev
from .commands import (
    Authenticate,
    BlankMirror,
    ClearCredentials,
    CloseSocket,
    ForgetTokens,
    Notify,
    OpenSocket,
    PostRefresh,
    Record,
    RememberDevice,
    ReportFrame,
    SendPing,
    SettleRefresh,
    StoreRotation,
    UseCredential,
    WriteMirror,
)
from .context import Account, Credential
from .timing import plan

Out = tuple[Account, tuple[Command | Event, ...]]

# S0-48 and S0-46 fix these texts.
TEXT_EXPIRED = "ClawChat token expired and could not be refreshed. Re-pair with `/clawchat-activate <code>`."
ERROR_EXPIRED = "token expired — re-pair required"

# -- credentials ---------------------------------------------------------------------------------------------


def _adopted(a: Account, credential: Credential, at: Stamp) -> Account:
    return a.but(
        credential=credential,
        pending=None,
        schedule=plan(a.policy, credential, at),
        generation=max(a.generation, credential.generation),
        interrupted=False,
        tries=0,
        store_tries=0,
        mirror_tries=0,
    )


@effect(UseCredential, ev.CredentialsAdopted, ev.MirrorStale)
def adopt(a: Account, e: ev.CredentialsRead | ev.CredentialsChanged, at: Stamp) -> Out:
    """Take over what the store holds; what was known of an older pair no longer counts."""
    if e.credential is None:  # excluded by the guard has_tokens
        return a, ()
    fresh = _adopted(a, e.credential, at).but(
        interrupted=isinstance(e, ev.CredentialsRead) and e.interrupted,
        rejected=None,
        welcomed=False,
        rotations=0,
        rotations_since=None,
        last_error="",
    )
    return fresh, (UseCredential(e.credential.generation), ev.CredentialsAdopted(), ev.MirrorStale())


@effect()
def note_blank(a: Account, e: ev.CredentialsRead, at: Stamp) -> Out:
    """The store is empty, at this generation."""
    return a.but(credential=None, schedule=None, generation=e.generation), ()


@effect()
def note_store_error(a: Account, e: ev.StoreFailed, at: Stamp) -> Out:
    return a.but(last_error=e.error, store_tries=a.store_tries + 1), ()


def _forgotten(a: Account, error: str) -> Account:
    return a.but(
        credential=None,
        pending=None,
        schedule=None,
        rejected=None,
        tries=0,
        store_tries=0,
        mirror_tries=0,
        last_error=error,
    )


# S0-45: record, blank the store, blank the mirror; the status follows from the state; then the message. What is
# raised is handled in turn, the message last.
@effect(Record, ClearCredentials, ev.LoggedOut, ev.MirrorStale, ev.PairingRequired)
def log_out_expired(a: Account, e: Event, at: Stamp) -> Out:
    return _forgotten(a, ERROR_EXPIRED).but(fence=a.generation), (
        Record("logout", "logged_out", None, ERROR_EXPIRED, a.refusal),
        ClearCredentials(a.generation),
        ev.LoggedOut(),
        ev.MirrorStale(),
        ev.PairingRequired(),
    )


@effect(Notify)
def ask_to_pair(a: Account, e: Event, at: Stamp) -> Out:
    return a, (Notify("error", TEXT_EXPIRED),)


@effect(Record, ClearCredentials, ev.LoggedOut, ev.MirrorStale)
def log_out_asked(a: Account, e: Event, at: Stamp) -> Out:
    return _forgotten(a, "logged out").but(fence=None), (
        Record("logout", "logged_out", None, "logged out by the user"),
        ClearCredentials(None),
        ev.LoggedOut(),
        ev.MirrorStale(),
    )


@effect(Record, ForgetTokens, ev.LoggedOut, ev.MirrorStale)
def log_out_elsewhere(a: Account, e: ev.CredentialsChanged | ev.CredentialsRead, at: Stamp) -> Out:
    return _forgotten(a, "logged out").but(generation=e.generation), (
        ForgetTokens(),
        Record("logout", "logged_out", None, "logged out by another process"),
        ev.LoggedOut(),
        ev.MirrorStale(),
    )


@effect(ClearCredentials)
def clear(a: Account, e: Event, at: Stamp) -> Out:
    return a, (ClearCredentials(a.fence),)


@effect(ClearCredentials)
def clear_late(a: Account, e: ev.RefreshSucceeded, at: Stamp) -> Out:
    """The pair came to rest in the store while the logout was on its way there."""
    generation = max(a.generation, e.credential.generation)
    return a.but(generation=generation, fence=generation), (ClearCredentials(generation),)


@effect()
def note_cleared(a: Account, e: ev.CredentialsCleared, at: Stamp) -> Out:
    return a.but(generation=max(a.generation, e.generation), store_tries=0), ()


@effect()
def note_clear_error(a: Account, e: ev.ClearFailed, at: Stamp) -> Out:
    """The next try is fenced, so that it cannot blank what somebody paired meanwhile; unless nothing was ever read."""
    return a.but(store_tries=a.store_tries + 1, fence=a.fence or a.generation or None), ()


# -- refresh -------------------------------------------------------------------------------------------------


def because(cause: str) -> Any:
    """Note why the coming refresh is posted."""

    @effect()
    def note_cause(a: Account, e: Event, at: Stamp) -> Out:
        return a.but(cause=cause), ()

    note_cause.__name__ = f"because {cause}"
    return note_cause


@effect()
def because_asked(a: Account, e: ev.RefreshRequested | ev.RefreshWanted, at: Stamp) -> Out:
    return a.but(cause=e.cause), ()


@effect(PostRefresh)
def post_refresh(a: Account, e: Event, at: Stamp) -> Out:
    """One exchange, noted before it begins (S1-12)."""
    generation = a.generation if a.credential is None else a.credential.generation
    begun = a.but(refresh=a.refresh + 1, attempted=generation, attempted_at=at.now, refusal="")
    return begun, (PostRefresh(begun.refresh, generation, a.cause, a.policy.refresh_post_s),)


def settle(outcome: str, reason: str = "") -> SettleRefresh:
    """How a refresh ended, for all who wait for it."""
    return SettleRefresh(outcome, reason)


@effect(UseCredential, Record, SettleRefresh, ev.Rotated, ev.MirrorStale)
def take_rotation(a: Account, e: ev.RefreshSucceeded | ev.RotationStored, at: Stamp) -> Out:
    """Swap to the stored pair, and let everybody know (S1-14, V15)."""
    return _adopted(a, e.credential, at).but(latched=None), (
        UseCredential(e.credential.generation),
        Record("refresh", "rotated", None, a.cause),
        SettleRefresh("success"),
        ev.Rotated(),
        ev.MirrorStale(),
    )


@effect(UseCredential, Record, SettleRefresh, ev.RefreshEnded, ev.MirrorStale)
def take_unchanged(a: Account, e: ev.RefreshSucceeded, at: Stamp) -> Out:
    """The refresh token rotated and the access token did not: keep the pair, count a failure (P20)."""
    # What was planned stays planned: the access token is as old as before.
    return _adopted(a, e.credential, at).but(tries=a.tries + 1, schedule=a.schedule), (
        UseCredential(e.credential.generation),
        Record("refresh", "unchanged", None, a.cause),
        SettleRefresh("transient", "unchanged access token"),
        ev.RefreshEnded(),
        ev.MirrorStale(),
    )


@effect(UseCredential)
def take_last(a: Account, e: ev.RefreshSucceeded | ev.RotationStored, at: Stamp) -> Out:
    """A pair that came while the link is stopping: stored and swapped, nothing else (S1-23, P19)."""
    return _adopted(a, e.credential, at), (UseCredential(e.credential.generation),)


@effect(Record, SettleRefresh, ev.RefreshEnded)
def hold_rotation(a: Account, e: ev.RotationHeld, at: Stamp) -> Out:
    """The store refused the new pair: keep it, unused, and never POST the old token again (V01, V02)."""
    return a.but(pending=e.credential, store_tries=1, last_error=e.error), (
        Record("refresh", "unstored", None, a.cause, e.error),
        SettleRefresh("transient", "the store refused the new pair"),
        ev.RefreshEnded(),
    )


@effect()
def hold_last(a: Account, e: ev.RotationHeld, at: Stamp) -> Out:
    return a.but(pending=e.credential, store_tries=1), ()


@effect(StoreRotation)
def store_rotation(a: Account, e: Event, at: Stamp) -> Out:
    return a, (StoreRotation(a.refresh, a.generation if a.attempted is None else a.attempted),)


@effect()
def count_unstored(a: Account, e: ev.RotationUnstored, at: Stamp) -> Out:
    return a.but(store_tries=a.store_tries + 1, last_error=e.error), ()


@effect(Record, SettleRefresh, ev.RefreshEnded)
def count_failure(a: Account, e: ev.RefreshFailed, at: Stamp) -> Out:
    """Transient: no latch, no logout, credentials untouched (S1-13, S1-18)."""
    return a.but(tries=a.tries + 1, last_error=e.error), (
        Record("refresh", "transient", None, a.cause, e.error),
        SettleRefresh("transient", e.error),
        ev.RefreshEnded(),
    )


@effect(SettleRefresh, ev.RefreshEnded)
def count_doubt(a: Account, e: ev.StoreFailed, at: Stamp) -> Out:
    """Refused for good, but the store cannot say whether by now it holds another pair."""
    doubtful = a.but(store_tries=a.store_tries + 1, last_error=e.error)
    return doubtful, (SettleRefresh("transient", e.error), ev.RefreshEnded())


@effect(SettleRefresh, ev.RefreshEnded)
def count_overtaken(a: Account, e: ev.CredentialsRead, at: Stamp) -> Out:
    """The store would not have this exchange, and yet holds nothing newer: no word about the token, so try again."""
    told = a.but(tries=a.tries + 1, store_tries=0)
    return told, (SettleRefresh("transient", "overtaken by another process"), ev.RefreshEnded())


@effect()
def note_refusal(a: Account, e: ev.RefreshFailed, at: Stamp) -> Out:
    return a.but(refusal=f"{e.code}: {e.error}"), ()


@effect(Record, SettleRefresh, ev.RefreshDenied)
def believe_refusal(a: Account, e: Event, at: Stamp) -> Out:
    """Refused for good: latch the pair that was POSTed (S1-16)."""
    return a.but(latched=a.attempted), (
        Record("refresh", "permanent", None, a.cause, a.refusal),
        SettleRefresh("permanent", a.refusal),
        ev.RefreshDenied(),
    )


# -- connection ----------------------------------------------------------------------------------------------


@effect(OpenSocket)
def dial(a: Account, e: Event, at: Stamp) -> Out:
    dialling = a.but(socket=a.socket + 1, attempts=a.attempts + 1, presented=None)
    return dialling, (OpenSocket(dialling.socket),)


@effect(Authenticate)
def authenticate(a: Account, e: ev.Challenged, at: Stamp) -> Out:
    """The token is read when it is sent, by its generation (P21)."""
    generation = a.generation if a.credential is None else a.credential.generation
    return a.but(presented=generation), (Authenticate(a.socket, generation, e.nonce),)


@effect(RememberDevice, Record)
def welcome(a: Account, e: ev.HelloAccepted, at: Stamp) -> Out:
    """In. The resolved device id is kept for the next dial (S0-14)."""
    return a.but(rejected=None, welcomed=True, floor=0.0, last_error="", device_id=e.device_id), (
        RememberDevice(e.device_id),
        Record("connection", "connected"),
    )


@effect()
def settle_down(a: Account, e: Event, at: Stamp) -> Out:
    """Stable: the ladder and the streak start anew (V12, P25, P27)."""
    return a.but(depth=0, attempts=0, rotations=0, rotations_since=None), ()


@effect()
def climb(a: Account, e: Event, at: Stamp) -> Out:
    """The delay of this wait used the present step; the next one is a step higher."""
    return a.but(depth=a.depth + 1), ()


@effect(Record)
def note_open_error(a: Account, e: ev.SocketFailed, at: Stamp) -> Out:
    return a.but(last_error=e.error, floor=0.0), (Record("connection", "transport_error", None, e.error),)


@effect(Record)
def note_lost_handshake(a: Account, e: ev.SocketClosed, at: Stamp) -> Out:
    error = f"closed during the handshake ({e.code}) {e.reason}".rstrip()
    return a.but(last_error=error, floor=0.0), (Record("connection", "transport_error", e.code, error),)


@effect(Record)
def note_drop(a: Account, e: ev.SocketClosed, at: Stamp) -> Out:
    """A good session ended: after a takeover or an unexplained close, the next dial waits longer."""
    floor = a.policy.drop_floor_s if e.code in a.policy.drop_codes else 0.0
    error = f"connection lost ({e.code}) {e.reason}".rstrip()
    return a.but(last_error=error, floor=floor), (Record("connection", "disconnected", e.code, e.reason),)


@effect(CloseSocket, Record)
def abandon_handshake(a: Account, e: Event, at: Stamp) -> Out:
    error = "the gateway did not finish the handshake in time"
    return a.but(last_error=error, floor=0.0), (
        _close(a, 1000, "handshake timeout"),
        Record("connection", "transport_error", None, error),
    )


@effect(CloseSocket, Record)
def abandon_silent(a: Account, e: Event, at: Stamp) -> Out:
    error = "the gateway fell silent"
    return a.but(last_error=error, floor=a.policy.drop_floor_s), (
        _close(a, 1001, "ping timeout"),
        Record("connection", "disconnected", 1006, error),
    )


def _close(a: Account, code: int, reason: str) -> CloseSocket:
    return CloseSocket(a.socket, code, reason, a.policy.close_s)


def _row(a: Account, e: ev.HelloRefused, reason: str, detail: str) -> Record:
    """How a refused connection ends in the history: S0-31 while there was none before, then S0-24 and S0-39."""
    if not a.welcomed:
        return Record("connection", "auth_failed", None, e.reason, detail)
    return Record("connection", "disconnected", 1000, reason, detail)


def _refused(a: Account, e: ev.HelloRefused, detail: str) -> Out:
    reason = "transport backoff reconnect"
    return a.but(last_error=e.reason, floor=0.0), (_close(a, 1000, reason), _row(a, e, reason, detail))


@effect(CloseSocket, Record)
def note_outage(a: Account, e: ev.HelloRefused, at: Stamp) -> Out:
    return _refused(a, e, "auth-unavailable")


@effect(CloseSocket, Record)
def note_capped(a: Account, e: ev.HelloRefused, at: Stamp) -> Out:
    after, out = _refused(a, e, "refresh-reconnect-capped")
    return after.but(rejected=_generation(a)), out


@effect(CloseSocket, Record)
def note_rejected(a: Account, e: ev.HelloRefused, at: Stamp) -> Out:
    """The token was refused and no refresh may be posted now: back off with it (S0-25)."""
    after, out = _refused(a, e, "token-rejected")
    return after.but(rejected=_generation(a)), out


@effect(CloseSocket, Record)
def note_generic(a: Account, e: ev.HelloRefused, at: Stamp) -> Out:
    """S0-27 and S0-28 name the two cases."""
    return _refused(a, e, "hello-fail-generic-not-near" if a.welcomed else "initial-connect-generic-not-near")


@effect(CloseSocket, Record, ev.RefreshWanted)
def want_refresh(a: Account, e: ev.HelloRefused, at: Stamp) -> Out:
    """The token is to blame: a fresh one before the next dial (S0-25, S0-26), counted for the cap (S0-35, S0-36)."""
    since = a.rotations_since
    within = since is not None and at.now - since < a.policy.rotations_window_s
    counted = a.but(
        rejected=_generation(a),
        last_error=e.reason,
        floor=0.0,
        rotations=a.rotations + 1 if within else 1,
        rotations_since=since if within else at.now,
    )
    reason = "token refresh"
    return counted, (_close(a, 1000, reason), _row(a, e, reason, "hello-fail"), ev.RefreshWanted("hello-fail"))


@effect(CloseSocket, Record, Notify, ev.TokenRefused)
def give_up_token(a: Account, e: ev.HelloRefused, at: Stamp) -> Out:
    """S0-29: nothing to refresh with. The tokens stay; a pairing is awaited."""
    return a.but(last_error=e.reason), (
        _close(a, 1000, "token refused"),
        Record("connection", "auth_failed", None, e.reason),
        Notify("error", f"The gateway refused the token ({e.reason}). Pair this account again."),
        ev.TokenRefused(),
    )


def _generation(a: Account) -> int | None:
    return None if a.credential is None else a.credential.generation


def closing(reason: str, recorded: bool = True) -> Any:
    """Close the socket on our own account."""

    @effect(CloseSocket, Record)
    def close_socket(a: Account, e: Event, at: Stamp) -> Out:
        row = (Record("connection", "disconnected", 1000, reason),) if recorded else ()
        return a, (_close(a, 1000, reason), *row)

    close_socket.__name__ = f"close: {reason}"
    return close_socket


@effect(SendPing)
def send_ping(a: Account, e: Event, at: Stamp) -> Out:
    return a, (SendPing(a.socket),)


@effect(ReportFrame)
def report_frame(a: Account, e: ev.FrameRejected, at: Stamp) -> Out:
    return a, (ReportFrame(e.error),)


# -- mirror --------------------------------------------------------------------------------------------------


@effect(WriteMirror, BlankMirror)
def write_mirror(a: Account, e: Event, at: Stamp) -> Out:
    """The mirror follows the store: the pair in use, or blanks."""
    return a, (BlankMirror() if a.credential is None else WriteMirror(a.credential.generation),)


@effect()
def count_mirror_failure(a: Account, e: ev.MirrorFailed, at: Stamp) -> Out:
    return a.but(mirror_tries=a.mirror_tries + 1), ()


@effect()
def note_mirrored(a: Account, e: ev.MirrorWritten, at: Stamp) -> Out:
    return a.but(mirror_tries=0), ()
