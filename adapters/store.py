"""What Holdfast needs of a credential store: records, and one interface that every store keeps.

The interface is synchronous on purpose: between reading a refresh's answer and having stored it there is no ``await``
at which the pair could get lost (P06). Every method is durable when it returns, or raises :class:`StoreError` and has
written nothing. An account is a name; a name never seen before is an empty account of generation 0.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Literal, Protocol

import msgspec

from .vault import TokenPair

DEFAULT_ACCOUNT: Final = "default"
HISTORY_MAX: Final = 1000
"""Rows of history per account: weeks of an ordinary account, and some 100 KiB."""
REASON_MAX: Final = 500
"""Characters of a history row's reason. It comes from the peer."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who an account is. ``device_id`` is the pairing's: the refresh endpoint wants exactly this one."""

    device_id: str | None = None
    user_id: str | None = None
    owner_id: str | None = None
    agent_id: str | None = None
    conversation_id: str | None = None


class Stored(Identity, frozen=True, kw_only=True):
    """All that is stored of an account.

    ``generation`` counts the writes of tokens (activate, seed, rotate, clear) and never goes back. ``obtained_at`` is
    the wall clock (epoch seconds) at which this pair was received. ``resolved_device_id`` is the one the server gave at
    the last connect (S0-14). ``interrupted`` is the generation of a refresh that was begun (``interrupted_at``, epoch
    seconds) and never settled: its refresh token may be spent. ``had_tokens`` stays true after a logout. ``greeted`` is
    false from an activation until its first session (S0-62).
    """

    generation: int = 0
    pair: TokenPair | None = None
    obtained_at: float | None = None
    resolved_device_id: str | None = None
    interrupted: int | None = None
    interrupted_at: float | None = None
    had_tokens: bool = False
    greeted: bool = True


class HistoryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to an account. ``at`` is the wall clock in epoch seconds. Redact ``reason`` first."""

    at: float
    kind: Literal["connection", "refresh", "logout"]
    state: str
    code: int | None = None
    reason: str | None = None


class Lease(Protocol):
    """The right to run an account's live link. Ends with :meth:`release`, the ``with`` block, or the process."""

    def release(self) -> None:
        """Give the account free. Doing it twice changes nothing."""
        ...

    def __enter__(self) -> "Lease": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class CredentialStore(Protocol):
    """Keeps the credentials of any number of accounts. Methods raise :class:`StoreError` and then have changed nothing.

    A *fence* is the generation the caller knows: the change is made only if it is still the stored one, else nothing is
    written and the method says so (P04, P11). Checking and writing are one transaction.
    """

    @property
    def durable(self) -> bool:
        """False if everything is gone with the process (V05)."""
        ...

    def open(self) -> None:
        """Open the store now, to learn of a fault before anything depends on it. The others open it as needed."""
        ...

    def close(self) -> None:
        """Close files. A later call opens the store again: a pair that comes late must still find its place."""
        ...

    def read(self, account: str) -> Stored:
        """What is stored."""
        ...

    def activate(self, account: str, pair: TokenPair, identity: Identity, now_wall: float) -> int:
        """Store a new pairing and return its generation.

        The identity is replaced whole: what is None in it is forgotten. The resolved device id is kept. The pairing
        is yet to be greeted.
        """
        ...

    def seed(self, account: str, pair: TokenPair, identity: Identity, obtained_at: float | None = None) -> bool:
        """Store a first pair from settings; False, and nothing is written, if the account ever had tokens.

        When such a pair was received is unknown as a rule (S0-07): then ``obtained_at`` stays None. Nobody
        greets it.
        """
        ...

    def begin_refresh(self, account: str, generation: int, now_wall: float) -> bool:
        """Note that the refresh token of ``generation`` is about to be posted. False if superseded: do not post."""
        ...

    def settle_refresh(self, account: str, generation: int) -> None:
        """Note that this refresh was answered and changed no token. Of another generation: no change."""
        ...

    def rotate(self, account: str, generation: int, pair: TokenPair, now_wall: float) -> int | None:
        """Replace the pair of ``generation`` and return the new one, ``generation + 1``; None if superseded.

        A pair without refresh token keeps the stored one (P08). A pair never replaces a logout (P11, V06).
        """
        ...

    def clear(self, account: str, generation: int | None = None) -> int | None:
        """Blank both tokens, keep who the account is (S0-45), and return the new generation.

        With a ``generation`` it is fenced, and None means superseded; without, it always happens.
        """
        ...

    def greet(self, account: str, generation: int) -> bool:
        """Note that the pairing is greeted. False if superseded, or if it was greeted before: do not greet (S0-62)."""
        ...

    def remember_device(self, account: str, resolved_device_id: str) -> None:
        """Keep the device id that the server resolved (S0-14)."""
        ...

    def record(self, account: str, row: HistoryRow) -> None:
        """Append to the history. Only the newest :data:`HISTORY_MAX` rows are kept."""
        ...

    def history(self, account: str, limit: int = 100) -> Sequence[HistoryRow]:
        """The newest rows, newest first."""
        ...

    def version(self) -> object:
        """A value that differs from an earlier one if anything was written since, by any process. Cheap to poll."""
        ...

    def lease(self, account: str) -> Lease:
        """Take the account for a live link.

        Raises:
            AccountBusy: somebody has it, in this process or another.
        """
        ...
