"""The outbox and the marks of any number of accounts, for any number of processes, in one SQLite file of their own.

Apart from the credentials, since they are written far more often, and losing them loses no account.
"""

from collections.abc import Sequence
from typing import Final

from .messages import HANDLED_MAX, Handled, OutboxItem, key_of
from .sqlite_file import SqliteFile
from .sqlite_schema import MESSAGES

_ITEM: Final = OutboxItem.__struct_fields__
_KEEP: Final = (
    f"INSERT INTO outbox (account, {', '.join(_ITEM)}) VALUES (?{', ?' * len(_ITEM)}) "
    "ON CONFLICT (account, message_id) DO NOTHING"
)
_WAITING: Final = f"SELECT {', '.join(_ITEM)} FROM outbox WHERE account = ? ORDER BY id"
_DROP: Final = "DELETE FROM outbox WHERE account = ? AND trace_id = ?"
_MARK: Final = "INSERT OR REPLACE INTO handled (account, message, digest, merged) VALUES (?, ?, ?, ?)"
_FORGET: Final = (
    "DELETE FROM handled WHERE account = ? AND id <= "
    "(SELECT id FROM handled WHERE account = ? ORDER BY id DESC LIMIT 1 OFFSET ?)"
)
_SEEN: Final = "SELECT digest, merged FROM handled WHERE account = ? AND message = ?"


class SqliteMessages(SqliteFile):
    """Messages in the SQLite file at ``path``, made with mode 0600 (missing folders with 0700) on first use.

    Safe to share between threads and to open in several processes. Not for network file systems.
    """

    _schema = MESSAGES

    def keep(self, account: str, items: Sequence[OutboxItem]) -> None:
        """See :meth:`MessageStore.keep`."""
        if items:
            with self._writing() as connection:
                connection.executemany(_KEEP, ([account, *(getattr(item, name) for name in _ITEM)] for item in items))

    def waiting(self, account: str) -> Sequence[OutboxItem]:
        """See :meth:`MessageStore.waiting`."""
        with self._using() as connection:
            rows = connection.execute(_WAITING, [account]).fetchall()
        return [self._decoded(_ITEM, row, OutboxItem) for row in rows]

    def drop(self, account: str, trace_ids: Sequence[str]) -> None:
        """See :meth:`MessageStore.drop`."""
        if trace_ids:
            with self._writing(spare=True, synced=False) as connection:
                connection.executemany(_DROP, ([account, trace_id] for trace_id in trace_ids))

    def handled(self, account: str, marks: Sequence[Handled]) -> None:
        """See :meth:`MessageStore.handled`."""
        if marks:
            with self._writing() as connection:
                rows = ([account, key_of(mark.message_id), mark.digest, mark.merged] for mark in marks)
                connection.executemany(_MARK, rows)
                connection.execute(_FORGET, [account, account, HANDLED_MAX])

    def seen(self, account: str, message_id: str) -> Handled | None:
        """See :meth:`MessageStore.seen`."""
        with self._using() as connection:
            row = connection.execute(_SEEN, [account, key_of(message_id)]).fetchone()
        if row is None:
            return None
        return self._decoded(Handled.__struct_fields__, (message_id, *row), Handled)
