"""The rules of a credential store as pure functions of one record, and the part of a store that follows from them.

A store adds how a record is read and written in one transaction. The fence against superseded writers is here, once.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from msgspec.structs import replace

from .store import REASON_MAX, HistoryRow, Identity, Stored
from .vault import TokenPair, completed

Change = Callable[[Stored], Stored | None]
"""The next record, or None to leave the stored one as it is."""


def activated(stored: Stored, pair: TokenPair, identity: Identity, obtained_at: float | None) -> Stored:
    """A new pairing. Whatever was under way for the old one is superseded by the new generation."""
    who = {name: getattr(identity, name) for name in Identity.__struct_fields__}
    return replace(_next(stored, pair, obtained_at), **who, had_tokens=True, greeted=False)


def seeded(stored: Stored, pair: TokenPair, identity: Identity, obtained_at: float | None) -> Stored | None:
    """A first pair. After a logout the seed is refused: its tokens are the ones that died, or older."""
    return None if stored.had_tokens else replace(activated(stored, pair, identity, obtained_at), greeted=True)


def refresh_begun(stored: Stored, generation: int, now_wall: float) -> Stored | None:
    """The intent. Beginning once more after an interruption is allowed: one POST then shows what became of it (P06)."""
    if stored.generation != generation or stored.pair is None or stored.pair.refresh is None:
        return None
    return replace(stored, interrupted=generation, interrupted_at=now_wall)


def refresh_settled(stored: Stored, generation: int) -> Stored | None:
    """The intent is done with, if it is this one."""
    return replace(stored, interrupted=None, interrupted_at=None) if stored.interrupted == generation else None


def rotated(stored: Stored, generation: int, pair: TokenPair, now_wall: float) -> Stored | None:
    """The answer of a refresh. Only a pair is replaced, so that no late answer undoes a logout (V06)."""
    if stored.generation != generation or stored.pair is None:
        return None
    return _next(stored, completed(pair, stored.pair), now_wall)


def cleared(stored: Stored, generation: int | None) -> Stored | None:
    """A logout. It bumps the generation even where nothing was stored: what is under way must find itself outdated."""
    return _next(stored, None, None) if generation in (None, stored.generation) else None


def greeted(stored: Stored, generation: int) -> Stored | None:
    """The greeting of a pairing, once."""
    if stored.generation != generation or stored.pair is None or stored.greeted:
        return None
    return replace(stored, greeted=True)


def _next(stored: Stored, pair: TokenPair | None, obtained_at: float | None) -> Stored:
    """Every write of tokens: a new generation, and no refresh intent outlives it."""
    return replace(
        stored,
        generation=stored.generation + 1,
        pair=pair,
        obtained_at=obtained_at,
        interrupted=None,
        interrupted_at=None,
    )


def bounded(row: HistoryRow) -> HistoryRow:
    """``row`` with a reason that any store can hold: cut, and without the lone surrogates that JSON lets through."""
    if row.reason is None:
        return row
    return replace(row, reason=row.reason[:REASON_MAX].encode("utf-8", "replace").decode())


class LedgerStore(ABC):
    """The token methods of :class:`CredentialStore`, for stores that can change one record in a transaction."""

    @abstractmethod
    def _change(self, account: str, change: Change) -> Stored | None:
        """Apply ``change`` durably in one transaction and return its result."""

    def activate(self, account: str, pair: TokenPair, identity: Identity, now_wall: float) -> int:
        """See :meth:`CredentialStore.activate`."""
        changed = self._change(account, lambda stored: activated(stored, pair, identity, now_wall))
        assert changed is not None  # Activation has no fence.
        return changed.generation

    def seed(self, account: str, pair: TokenPair, identity: Identity, obtained_at: float | None = None) -> bool:
        """See :meth:`CredentialStore.seed`."""
        return self._change(account, lambda stored: seeded(stored, pair, identity, obtained_at)) is not None

    def begin_refresh(self, account: str, generation: int, now_wall: float) -> bool:
        """See :meth:`CredentialStore.begin_refresh`."""
        return self._change(account, lambda stored: refresh_begun(stored, generation, now_wall)) is not None

    def settle_refresh(self, account: str, generation: int) -> None:
        """See :meth:`CredentialStore.settle_refresh`."""
        self._change(account, lambda stored: refresh_settled(stored, generation))

    def rotate(self, account: str, generation: int, pair: TokenPair, now_wall: float) -> int | None:
        """See :meth:`CredentialStore.rotate`."""
        changed = self._change(account, lambda stored: rotated(stored, generation, pair, now_wall))
        return None if changed is None else changed.generation

    def clear(self, account: str, generation: int | None = None) -> int | None:
        """See :meth:`CredentialStore.clear`."""
        changed = self._change(account, lambda stored: cleared(stored, generation))
        return None if changed is None else changed.generation

    def greet(self, account: str, generation: int) -> bool:
        """See :meth:`CredentialStore.greet`."""
        return self._change(account, lambda stored: greeted(stored, generation)) is not None

    def remember_device(self, account: str, resolved_device_id: str) -> None:
        """See :meth:`CredentialStore.remember_device`."""
        self._change(account, lambda stored: replace(stored, resolved_device_id=resolved_device_id))
