"""A store that is gone with the process: for tests, demos, and accounts that are paired anew each time (V05)."""

from collections import deque
from collections.abc import Sequence
from types import TracebackType

from .errors import AccountBusy
from .ledger import Change, LedgerStore, bounded
from .store import HISTORY_MAX, HistoryRow, Stored


class MemoryStore(LedgerStore):
    """Keeps everything in this object. Share the object to share the accounts; :meth:`close` forgets nothing."""

    durable = False

    def __init__(self) -> None:
        self._accounts: dict[str, Stored] = {}
        self._history: dict[str, deque[HistoryRow]] = {}
        self._leases: dict[str, MemoryLease] = {}
        self._version = 0

    def __repr__(self) -> str:
        return f"MemoryStore(accounts={len(self._accounts)})"

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to close."""

    def read(self, account: str) -> Stored:
        """What is stored."""
        return self._accounts.get(account, Stored())

    def _change(self, account: str, change: Change) -> Stored | None:
        changed = change(self.read(account))
        if changed is not None:
            self._accounts[account] = changed
            self._version += 1
        return changed

    def record(self, account: str, row: HistoryRow) -> None:
        """Append to the history."""
        self._history.setdefault(account, deque(maxlen=HISTORY_MAX)).append(bounded(row))
        self._version += 1

    def history(self, account: str, limit: int = 100) -> Sequence[HistoryRow]:
        """The newest rows, newest first."""
        return list(reversed(self._history.get(account, ())))[: max(limit, 0)]

    def version(self) -> object:
        """Counts the writes."""
        return self._version

    def lease(self, account: str) -> "MemoryLease":
        """Take the account for a live link that uses this very object.

        Raises:
            AccountBusy: another link has it.
        """
        if account in self._leases:
            raise AccountBusy(account)
        return self._leases.setdefault(account, MemoryLease(self._leases, account))


class MemoryLease:
    """See :class:`Lease`."""

    def __init__(self, leases: "dict[str, MemoryLease]", account: str) -> None:
        self._leases = leases
        self._account = account

    def release(self) -> None:
        """Give the account free. Doing it twice changes nothing, also if somebody else has it by then."""
        if self._leases.get(self._account) is self:
            del self._leases[self._account]

    def __enter__(self) -> "MemoryLease":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
