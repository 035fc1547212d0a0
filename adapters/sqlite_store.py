"""The default store: the credentials of any number of accounts, for any number of processes, in one SQLite file."""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from .errors import StoreError
from .leases import FileLease
from .ledger import Change, LedgerStore, bounded
from .sqlite_file import SqliteFile
from .sqlite_schema import CREDENTIALS
from .store import HISTORY_MAX, HistoryRow, Stored
from .vault import token_pair

_ACCOUNT: Final = tuple(name for name in Stored.__struct_fields__ if name != "pair")
_COLUMNS: Final = ("access", "refresh", *_ACCOUNT)
_READ: Final = f"SELECT {', '.join(_COLUMNS)} FROM accounts WHERE account = ?"
_WRITE: Final = f"INSERT OR REPLACE INTO accounts ({', '.join(_COLUMNS)}, account) VALUES (?{', ?' * len(_COLUMNS)})"
_HISTORY: Final = HistoryRow.__struct_fields__
_RECORD: Final = f"INSERT INTO history (account, {', '.join(_HISTORY)}) VALUES (?{', ?' * len(_HISTORY)})"


class SqliteStore(SqliteFile, LedgerStore):
    """Credentials in the SQLite file at ``path``, made with mode 0600 (missing folders with 0700) on first use.

    Safe to share between threads and to open in several processes. Not for network file systems.
    """

    _schema = CREDENTIALS

    def read(self, account: str) -> Stored:
        """What is stored."""
        with self._using() as connection:
            return self._fetch(connection, account)

    def clear(self, account: str, generation: int | None = None) -> int | None:
        """See :meth:`CredentialStore.clear`. The blanked tokens are also gone from the raw files."""
        changed = super().clear(account, generation)
        if changed is not None:
            with suppress(StoreError):  # The logout is stored: a log that stays a while is no failure.
                self._fold()
        return changed

    def remember_device(self, account: str, resolved_device_id: str) -> None:
        """See :meth:`CredentialStore.remember_device`."""
        self._change(account, lambda stored: replace(stored, resolved_device_id=resolved_device_id), spare=True)

    def record(self, account: str, row: HistoryRow) -> None:
        """See :meth:`CredentialStore.record`."""
        row = bounded(row)
        values = [getattr(row, name) for name in _HISTORY]
        with self._writing(spare=True) as connection:
            connection.execute(_RECORD, [account, *values])
            connection.execute(
                "DELETE FROM history WHERE account = ? AND id <= "
                "(SELECT id FROM history WHERE account = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
                [account, account, HISTORY_MAX],
            )

    def history(self, account: str, limit: int = 100) -> Sequence[HistoryRow]:
        """See :meth:`CredentialStore.history`."""
        query = f"SELECT {', '.join(_HISTORY)} FROM history WHERE account = ? ORDER BY id DESC LIMIT ?"
        with self._using() as connection:
            rows = connection.execute(query, [account, max(limit, 0)]).fetchall()
        return [self._decoded(_HISTORY, row, HistoryRow) for row in rows]

    def version(self) -> object:
        """See :meth:`CredentialStore.version`. SQLite's counter leaves out our own writes, so those are added."""
        with self._using() as connection:
            by_others = connection.execute("PRAGMA data_version").fetchone()[0]
            return (self._opened, by_others, connection.total_changes)

    def lease(self, account: str) -> FileLease:
        """See :meth:`CredentialStore.lease`. The lock file beside the store is never deleted."""
        with self._using():
            return FileLease(self._path.resolve(), account)

    def _change(self, account: str, change: Change, *, spare: bool = False) -> Stored | None:
        with self._writing(spare=spare) as connection:
            changed = change(self._fetch(connection, account))
            if changed is not None:
                tokens = (None, None) if changed.pair is None else (changed.pair.access, changed.pair.refresh)
                connection.execute(_WRITE, [*tokens, *(getattr(changed, name) for name in _ACCOUNT), account])
            return changed

    def _fetch(self, connection: sqlite3.Connection, account: str) -> Stored:
        row = connection.execute(_READ, [account]).fetchone()
        if row is None:
            return Stored()
        access, refresh, *columns = row
        try:
            pair = token_pair(access, refresh)
        except (ValueError, AttributeError):
            raise self._corrupt(f"the token of account {account!r} is damaged") from None
        stored = self._decoded(_ACCOUNT, columns, Stored)
        return replace(stored, pair=pair)
