"""Taking credentials over, and forgetting them, in the store and in its mirror."""

from holdfast.engine import Event, Stamp, effect

from .. import events as ev
from ..commands import BlankMirror, ClearCredentials, ForgetTokens, Greet, Notify, Record, UseCredential, WriteMirror
from ..context import Account
from .shared import Out, adopted

# S0-48 and S0-46 fix these texts.
TEXT_EXPIRED = "ClawChat token expired and could not be refreshed. Re-pair with `/clawchat-activate <code>`."
ERROR_EXPIRED = "token expired — re-pair required"


@effect(UseCredential, ev.CredentialsAdopted, ev.MirrorStale)
def adopt(a: Account, e: ev.CredentialsRead | ev.CredentialsChanged, at: Stamp) -> Out:
    """Take over what the store holds; what was known of an older pair no longer counts."""
    if e.credential is None:  # excluded by the guard has_tokens
        return a, ()
    fresh = adopted(a, e.credential, at).but(
        interrupted=isinstance(e, ev.CredentialsRead) and e.interrupted,
        greeted=e.greeted,
        user_id=e.user_id,
        rejected=None,
        welcomed=False,
        rotations=0,
        rotations_since=None,
        evicted_at=(),
        last_error="",
    )
    return fresh, (UseCredential(e.credential.generation), ev.CredentialsAdopted(), ev.MirrorStale())


@effect()
def note_blank(a: Account, e: ev.CredentialsRead, at: Stamp) -> Out:
    """The store is empty, at this generation."""
    return a.but(credential=None, schedule=None, generation=e.generation), ()


@effect(Greet)
def greet(a: Account, e: ev.HelloAccepted, at: Stamp) -> Out:
    """This pairing's first session: told once, whatever happens next (S0-62)."""
    return a.but(greeted=True), (Greet(a.generation if a.credential is None else a.credential.generation),)


@effect()
def note_ungreeted(a: Account, e: ev.NotGreeted, at: Stamp) -> Out:
    """The next session is to greet."""
    return a.but(greeted=False), ()


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
