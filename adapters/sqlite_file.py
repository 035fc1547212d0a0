"""One SQLite file, private to its user: how it is opened, inspected and written, and how its faults are told.

WAL with ``synchronous=FULL``: a commit is on the disk when it returns, and readers never wait for a writer. Every
change is one ``BEGIN IMMEDIATE`` transaction. A file that cannot be used (damaged, newer, another application's) is
reported and left as it is: it may hold the only copy of what is in it.
"""

import sqlite3
import threading
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager, nullcontext, suppress
from os import O_CREAT, O_RDWR, PathLike, fspath
from os import close as close_descriptor
from os import open as open_descriptor
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import msgspec
from filelock import FileLock

from .errors import StoreCorrupt, StoreError, StoreTooNew, StoreUnavailable
from .files import CHECK_ACCESS, PRIVATE_FILE, make_private_folder, sync_folder
from .sqlite_schema import Schema, climb, is_foreign, version_of

BUSY_S: Final = 5.0
"""How long a call waits for another process's transaction. Each is one small write: a longer wait is a fault."""
SPARE_BUSY_S: Final = 0.2
"""The same for what may be lost, such as a row of history: the event loop waits with it."""


_Record = TypeVar("_Record")


class SqliteFile:
    """A store in the file at ``path``, made with mode 0600 (missing folders with 0700) on first use.

    Safe to share between threads and to open in several processes. Not for network file systems.
    """

    durable = True
    _schema: ClassVar[Schema]

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = Path(fspath(path))
        self._connection: sqlite3.Connection | None = None
        self._opened = 0
        self._mutex = threading.RLock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({fspath(self._path)!r})"

    @property
    def path(self) -> Path:
        """Where the store is, as it was given."""
        return self._path

    def open(self) -> None:
        """Open the file, create it, or bring an older one up to date.

        Raises:
            StoreCorrupt, StoreTooNew, StoreUnavailable: the file is left as it is.
        """
        with self._using():
            pass

    def close(self) -> None:
        """Close the file; the last one to close it also folds the write-ahead log back. A later call opens it again."""
        with self._mutex, self._faults():
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    @contextmanager
    def _using(self) -> Generator[sqlite3.Connection]:
        """The connection, for this thread alone, opened if need be. Errors of SQLite and the system become ours."""
        with self._mutex, self._faults():
            yield self._open()

    @contextmanager
    def _writing(self, *, spare: bool = False, synced: bool = True) -> Generator[sqlite3.Connection]:
        """A transaction: committed at the end of the block, and undone if anything is raised.

        With ``spare`` it does not wait long for another process. Without ``synced`` nothing waits for the disk: it
        outlives the process, but a power cut may undo it, until the next transaction that is synced.
        """
        with self._using() as connection, nullcontext() if synced else _unsynced(connection):
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

    def _fold(self) -> None:
        """Fold the write-ahead log back, if nobody reads it: then it no longer holds what was overwritten."""
        with self._using() as connection, _waiting(connection, SPARE_BUSY_S):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def _decoded(self, names: Iterable[str], row: Iterable[Any], kind: type[_Record]) -> _Record:
        """A row as a record.

        Raises:
            StoreCorrupt: it is none.
        """
        try:
            return msgspec.convert(dict(zip(names, row, strict=True)), kind, strict=False)
        except msgspec.ValidationError as error:
            raise self._corrupt(f"a row is not valid ({error})") from None

    def _corrupt(self, problem: str) -> StoreCorrupt:
        """The error for what is damaged, with what to do about it."""
        return StoreCorrupt(self._path, f"{problem}; the file is left as it is: {self._schema.remedy}")

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            path = self._path.resolve()
            make_private_folder(path.parent)
            # Two processes that make the same file would meet in the switch to WAL, for which SQLite does not wait.
            with FileLock(f"{path}.open.lock", timeout=BUSY_S, mode=PRIVATE_FILE, thread_local=False):
                _make_private_file(path)
                self._inspect(path)
                if path.stat().st_mode & 0o077:
                    path.chmod(PRIVATE_FILE)
                self._connection = _connect(path, self._schema)
            self._opened += 1
        return self._connection

    def _inspect(self, path: Path) -> None:
        """Look at the file read-only, so that one that cannot be used stays byte for byte what it is."""
        schema = self._schema
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_S)) as connection:
            if is_foreign(connection, schema):
                raise StoreUnavailable(path, "is a database of another application; use another path")
            version = version_of(connection)
            if version > len(schema.ladder):
                raise StoreTooNew(path, version, len(schema.ladder))
            # Only the table that must not be lost: the others can be large, and their damage shows when they are read.
            damage = connection.execute(f"PRAGMA quick_check({schema.vital})").fetchone()[0] if version else "ok"
            if damage != "ok":
                raise self._corrupt("is damaged")

    @contextmanager
    def _faults(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._store_error(error) from error
        except OSError as error:
            raise StoreUnavailable(self._path, f"{error.strerror or error}; {CHECK_ACCESS}") from error

    def _store_error(self, error: sqlite3.Error) -> StoreError:
        # Only the primary code: the extended ones (IOERR_WRITE, CANTOPEN_ISDIR, …) call for the same action. The text
        # is SQLite's own and never holds bound values.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_INTERNAL) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            return self._corrupt(f"is damaged or no {self._schema.name} ({error})")
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreUnavailable(self._path, "another process keeps it locked; end that one, then try again")
        return StoreUnavailable(self._path, f"{error}; {CHECK_ACCESS}")


@contextmanager
def _waiting(connection: sqlite3.Connection, busy_s: float) -> Generator[None]:
    """For a lock of another process, at most so long."""
    connection.execute(f"PRAGMA busy_timeout = {busy_s * 1000:.0f}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000:.0f}")


@contextmanager
def _unsynced(connection: sqlite3.Connection) -> Generator[None]:
    """In WAL mode NORMAL leaves a commit in the system's hands. FULL is what holds outside of the block."""
    connection.execute("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        connection.execute("PRAGMA synchronous = FULL")


def _make_private_file(path: Path) -> None:
    """Create the file before SQLite does: its permissions are then never wider, whatever the umask."""
    fresh = not path.exists()
    close_descriptor(open_descriptor(path, O_RDWR | O_CREAT, PRIVATE_FILE))
    if fresh:
        sync_folder(path.parent)


def _connect(path: Path, schema: Schema) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # On macOS a plain fsync does not reach the disk.
        connection.execute("PRAGMA secure_delete = ON")  # What is deleted is overwritten, not only unlinked.
        if version_of(connection) < len(schema.ladder):
            climb(connection, schema)
    except BaseException:
        connection.close()
        raise
    return connection
