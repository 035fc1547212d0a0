"""What a person sees of an account: a pure projection of its snapshot (P37)."""

from enum import StrEnum
from typing import TypeVar

import msgspec

from holdfast.engine import Snapshot, Stamp

from .context import Account

_T = TypeVar("_T")


class AccountState(StrEnum):
    """The one word for what an account is doing."""

    WAITING = "waiting"  # for a person: to be paired, or to be resumed
    CONNECTING = "connecting"
    CONNECTED = "connected"
    REFRESHING = "refreshing"  # not connected, and a fresh token is awaited
    BACKOFF = "backoff"
    LOGGED_OUT = "logged_out"
    STOPPED = "stopped"


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A typed picture of an account.

    ``connected``: the handshake is finished and the socket open. ``configured``: there are tokens to dial
    with. ``running``: something is under way, without anybody's help. ``attempts``: dials since the last
    stable session, or all under a policy that has none. ``retry_at`` and ``token_expires_at`` are epoch seconds,
    None where there is nothing to tell; ``reason`` names what a user must do, if anything.
    """

    state: AccountState
    connected: bool
    configured: bool
    running: bool
    last_error: str = ""
    attempts: int = 0
    retry_at: float | None = None
    refresh_at: float | None = None
    token_expires_at: float | None = None
    device_id: str = ""
    reason: str = ""


# Tried top to bottom: the first state that is active gives the word.
_WORDS: tuple[tuple[str, AccountState], ...] = (
    ("credentials/stopped", AccountState.STOPPED),
    ("credentials/logged_out", AccountState.LOGGED_OUT),
    ("credentials/unconfigured", AccountState.WAITING),
    ("credentials/refused", AccountState.WAITING),
    ("connection/parked", AccountState.WAITING),
    ("connection/online", AccountState.CONNECTED),
    ("connection/held", AccountState.REFRESHING),
    ("connection/backing_off", AccountState.BACKOFF),
)

_REASONS: tuple[tuple[str, str], ...] = (
    ("credentials/logged_out/uncleared", "the tokens could not be blanked in the store; it is tried again"),
    ("credentials/logged_out", "pair this account again"),
    ("credentials/unconfigured", "pair this account"),
    ("credentials/refused", "pair this account again: its token was refused and cannot be refreshed"),
    ("credentials/unreadable", "the store cannot be read; it is tried again"),
    ("connection/parked/evicted", "another client uses this device's session; stop it, then resume, or start anew"),
    ("connection/parked/unreached", "the first connection failed; resume to try again, or start anew"),
    ("refresh/working/unstored", "a rotated token cannot be stored; it is tried again"),
)

_FADING = "pair this account again before its token expires: it cannot be refreshed"  # P24


def project(snapshot: Snapshot, stamp: Stamp) -> Status:
    """The status of an account at a moment."""
    account: Account = snapshot.context
    running = any(snapshot.matches(f"credentials/{name}") for name in ("configured", "loading", "unreadable"))
    running &= not snapshot.matches("connection/parked")
    configured = account.credential is not None and not snapshot.matches("credentials/refused")
    return Status(
        state=_first(snapshot, _WORDS, AccountState.CONNECTING),
        connected=snapshot.matches("connection/online"),
        configured=configured,
        running=running,
        last_error=account.last_error,
        attempts=account.attempts,
        retry_at=_wall_of(snapshot, ("retry", "load_retry"), stamp),
        refresh_at=_refresh_at(snapshot, stamp),
        token_expires_at=None if account.schedule is None else account.schedule.expires_at,
        device_id=account.device_id,
        reason=_first(snapshot, _REASONS, _FADING if configured and not _is_refreshable(account) else ""),
    )


def _first(snapshot: Snapshot, table: tuple[tuple[str, _T], ...], otherwise: _T) -> _T:
    return next((value for path, value in table if snapshot.matches(path)), otherwise)


def _is_refreshable(account: Account) -> bool:
    return account.credential is not None and account.credential.refreshable


def _wall_of(snapshot: Snapshot, timers: tuple[str, ...], stamp: Stamp) -> float | None:
    due = next((armed.due for armed in snapshot.timers if armed.timer in timers), None)
    # Rounded: the two clocks are not read at one instant, and noise is no news.
    return None if due is None else round(stamp.wall + due - stamp.now, 3)


def _refresh_at(snapshot: Snapshot, stamp: Stamp) -> float | None:
    account: Account = snapshot.context
    if snapshot.matches("refresh/armed") and account.schedule is not None:
        return account.schedule.refresh_at
    return _wall_of(snapshot, ("refresh_retry",), stamp)
