"""The default store: one SQLite file, private to its user, for any number of accounts and processes.

WAL with ``synchronous=FULL``: a commit is on the disk when it returns, and readers never wait for a writer. Every
change is one ``BEGIN IMMEDIATE`` transaction. A file that cannot be used (damaged, newer, another application's) is
reported and left as it is: it may hold the only copy of a credential.
"""

import sqlite3
import threading
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager, suppress
from os import O_CREAT, O_RDWR, PathLike, fspath
from os import close as close_descriptor
from os import open as open_descriptor
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from filelock import FileLock
from msgspec.structs import replace

from .errors import StoreCorrupt, StoreError, StoreTooNew, StoreUnavailable
from .files import PRIVATE_FILE, make_private_folder, sync_folder
from .leases import FileLease
from .ledger import Change, LedgerStore, bounded
from .sqlite_schema import LADDER, climb, is_foreign, version_of
from .store import HISTORY_MAX, HistoryRow, Stored
from .vault import token_pair

BUSY_S: Final = 5.0
"""How long a call waits for another process's transaction. Each is one small write: a longer wait is a fault."""
SPARE_BUSY_S: Final = 0.2
"""The same for what may be lost, such as a row of history: the event loop waits with it."""

_ACCOUNT: Final = tuple(name for name in Stored.__struct_fields__ if name != "pair")
_COLUMNS: Final = ("access", "refresh", *_ACCOUNT)
_READ: Final = f"SELECT {', '.join(_COLUMNS)} FROM accounts WHERE account = ?"
_WRITE: Final = f"INSERT OR REPLACE INTO accounts ({', '.join(_COLUMNS)}, account) VALUES (?{', ?' * len(_COLUMNS)})"
_HISTORY: Final = HistoryRow.__struct_fields__
_RECORD: Final = f"INSERT INTO history (account, {', '.join(_HISTORY)}) VALUES (?{', ?' * len(_HISTORY)})"

_Record = TypeVar("_Record")


class SqliteStore(LedgerStore):
    """Credentials in the SQLite file at ``path``, made with mode 0600 (missing folders with 0700) on first use.

    Safe to share between threads and to open in several processes. Not for network file systems.
    """

    durable = True

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = Path(fspath(path))
        self._connection: sqlite3.Connection | None = None
        self._opened = 0
        self._mutex = threading.RLock()

    def __repr__(self) -> str:
        return f"SqliteStore({fspath(self._path)!r})"

    @property
    def path(self) -> Path:
        """Where the store is, as it was given."""
        return self._path

    def open(self) -> None:
        """Open the file, create it, or bring an older one up to date.

        Raises:
            StoreCorrupt, StoreTooNew, StoreUnavailable: the file is left as it is.
        """
        with self._mutex, self._faults():
            self._open()

    def close(self) -> None:
        """Close the file; the last one to close it also folds the write-ahead log back. A later call opens it again."""
        with self._mutex, self._faults():
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def read(self, account: str) -> Stored:
        """What is stored."""
        with self._mutex, self._faults():
            return self._fetch(self._open(), account)

    def clear(self, account: str, generation: int | None = None) -> int | None:
        """See :meth:`CredentialStore.clear`. The blanked tokens are also gone from the raw files."""
        changed = super().clear(account, generation)
        if changed is not None:
            with self._mutex, suppress(sqlite3.Error):  # The logout is stored: a log that stays a while is no failure.
                connection = self._open()
                with _waiting(connection, SPARE_BUSY_S):
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return changed

    def remember_device(self, account: str, resolved_device_id: str) -> None:
        """See :meth:`CredentialStore.remember_device`."""
        self._change(account, lambda stored: replace(stored, resolved_device_id=resolved_device_id), spare=True)

    def record(self, account: str, row: HistoryRow) -> None:
        """See :meth:`CredentialStore.record`."""
        row = bounded(row)
        values = [getattr(row, name) for name in _HISTORY]
        with self._transaction(spare=True) as connection:
            connection.execute(_RECORD, [account, *values])
            connection.execute(
                "DELETE FROM history WHERE account = ? AND id <= "
                "(SELECT id FROM history WHERE account = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
                [account, account, HISTORY_MAX],
            )

    def history(self, account: str, limit: int = 100) -> Sequence[HistoryRow]:
        """See :meth:`CredentialStore.history`."""
        query = f"SELECT {', '.join(_HISTORY)} FROM history WHERE account = ? ORDER BY id DESC LIMIT ?"
        with self._mutex, self._faults():
            rows = self._open().execute(query, [account, max(limit, 0)]).fetchall()
        return [self._decoded(dict(zip(_HISTORY, row, strict=True)), HistoryRow) for row in rows]

    def version(self) -> object:
        """See :meth:`CredentialStore.version`. SQLite's counter leaves out our own writes, so those are added."""
        with self._mutex, self._faults():
            connection = self._open()
            by_others = connection.execute("PRAGMA data_version").fetchone()[0]
            return (self._opened, by_others, connection.total_changes)

    def lease(self, account: str) -> FileLease:
        """See :meth:`CredentialStore.lease`. The lock file beside the store is never deleted."""
        with self._mutex, self._faults():
            self._open()
            return FileLease(self._path.resolve(), account)

    def _change(self, account: str, change: Change, *, spare: bool = False) -> Stored | None:
        with self._transaction(spare=spare) as connection:
            changed = change(self._fetch(connection, account))
            if changed is not None:
                tokens = (None, None) if changed.pair is None else (changed.pair.access, changed.pair.refresh)
                connection.execute(_WRITE, [*tokens, *(getattr(changed, name) for name in _ACCOUNT), account])
            return changed

    @contextmanager
    def _transaction(self, *, spare: bool = False) -> Generator[sqlite3.Connection]:
        with self._mutex, self._faults():
            connection = self._open()
            with _waiting(connection, SPARE_BUSY_S if spare else BUSY_S):
                connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # A full disk has rolled back by itself, and the first error is the one to tell.
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def _fetch(self, connection: sqlite3.Connection, account: str) -> Stored:
        row = connection.execute(_READ, [account]).fetchone()
        if row is None:
            return Stored()
        access, refresh, *columns = row
        try:
            pair = token_pair(access, refresh)
        except (ValueError, AttributeError):
            raise StoreCorrupt(self._path, f"the token of account {account!r} is damaged; {_RESTORE}") from None
        stored = self._decoded(dict(zip(_ACCOUNT, columns, strict=True)), Stored)
        return replace(stored, pair=pair)

    def _decoded(self, columns: dict[str, Any], kind: type[_Record]) -> _Record:
        try:
            return msgspec.convert(columns, kind, strict=False)
        except msgspec.ValidationError as error:
            raise StoreCorrupt(self._path, f"a row is not valid ({error}); {_RESTORE}") from None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            path = self._path.resolve()
            make_private_folder(path.parent)
            # Two processes that make the same file would meet in the switch to WAL, for which SQLite does not wait.
            with FileLock(f"{path}.open.lock", timeout=BUSY_S, mode=PRIVATE_FILE, thread_local=False):
                _make_private_file(path)
                _inspect(path)
                if path.stat().st_mode & 0o077:
                    path.chmod(PRIVATE_FILE)
                self._connection = _connect(path)
            self._opened += 1
        return self._connection

    @contextmanager
    def _faults(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _store_error(self._path, error) from error
        except OSError as error:
            raise StoreUnavailable(self._path, f"{error.strerror or error}; {_ACCESS}") from error


_RESTORE: Final = "the file is left as it is: restore a copy, or move it away and pair the account again"
_ACCESS: Final = "check the path, its permissions and the free space, then try again"


def _make_private_file(path: Path) -> None:
    """Create the file before SQLite does: its permissions are then never wider, whatever the umask."""
    fresh = not path.exists()
    close_descriptor(open_descriptor(path, O_RDWR | O_CREAT, PRIVATE_FILE))
    if fresh:
        sync_folder(path.parent)


def _inspect(path: Path) -> None:
    """Look at the file read-only, so that one that cannot be used stays byte for byte what it is."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_S)) as connection:
        if is_foreign(connection):
            raise StoreUnavailable(path, "is a database of another application; use another path")
        version = version_of(connection)
        if version > len(LADDER):
            raise StoreTooNew(path, version, len(LADDER))
        # Only the table that must not be lost: the history can be large, and its damage shows when it is read.
        damage = connection.execute("PRAGMA quick_check(accounts)").fetchone()[0] if version else "ok"
        if damage != "ok":
            raise StoreCorrupt(path, f"is damaged; {_RESTORE}")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # On macOS a plain fsync does not reach the disk.
        connection.execute("PRAGMA secure_delete = ON")  # A blanked token is overwritten, not only unlinked.
        if version_of(connection) < len(LADDER):
            climb(connection, LADDER)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _waiting(connection: sqlite3.Connection, busy_s: float) -> Generator[None]:
    """For a lock of another process, at most so long."""
    connection.execute(f"PRAGMA busy_timeout = {busy_s * 1000:.0f}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000:.0f}")


def _store_error(path: Path, error: sqlite3.Error) -> StoreError:
    # Only the primary code: the extended ones (IOERR_WRITE, CANTOPEN_ISDIR, …) call for the same action. The text is
    # SQLite's own and never holds bound values.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_INTERNAL) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
        return StoreCorrupt(path, f"is damaged or no credential store ({error}); {_RESTORE}")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreUnavailable(path, "another process keeps it locked; end that one, then try again")
    return StoreUnavailable(path, f"{error}; {_ACCESS}")
