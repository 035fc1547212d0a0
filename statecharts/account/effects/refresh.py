"""Refreshing: one exchange, and whatever it ends with."""

from typing import Any

from holdfast.engine import Event, Stamp, effect

from .. import events as ev
from ..commands import PostRefresh, Record, SettleRefresh, StoreRotation, UseCredential
from ..context import Account
from .shared import Out, adopted, asked


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
    return adopted(a, e.credential, at).but(latched=None), (
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
    return adopted(a, e.credential, at).but(tries=a.tries + 1, schedule=a.schedule), (
        UseCredential(e.credential.generation),
        Record("refresh", "unchanged", None, a.cause),
        SettleRefresh("transient", "unchanged access token"),
        ev.RefreshEnded(),
        ev.MirrorStale(),
    )


@effect(UseCredential)
def take_last(a: Account, e: ev.RefreshSucceeded | ev.RotationStored, at: Stamp) -> Out:
    """A pair that came while the link is stopping: stored and swapped, nothing else (S1-23, P19)."""
    return adopted(a, e.credential, at), (UseCredential(e.credential.generation),)


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
    pause = asked(a, e.retry_after_s, at)
    return a.but(tries=a.tries + 1, last_error=e.error, post_pause=pause or a.post_pause), (
        Record("refresh", "transient", None, a.cause, e.error),
        SettleRefresh("transient", e.error),
        ev.RefreshEnded(),
    )


@effect()
def heed(a: Account, e: ev.RefreshFailed, at: Stamp) -> Out:
    """Nobody wants this answer any more, but for what it says about the next one."""
    return a.but(post_pause=asked(a, e.retry_after_s, at) or a.post_pause), ()


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
