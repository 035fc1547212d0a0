"""The tables of the SQLite store, and the ladder that brings an older file up to them."""

import sqlite3
from collections.abc import Sequence
from typing import Final

APPLICATION_ID: Final = 0x484C4446
"""``HLDF`` in the file's header: tells a credential store from any other SQLite database."""

_V1: Final = (
    """CREATE TABLE accounts (
        account TEXT NOT NULL PRIMARY KEY,
        generation INTEGER NOT NULL,
        access TEXT,
        refresh TEXT,
        obtained_at REAL,
        device_id TEXT,
        user_id TEXT,
        owner_id TEXT,
        agent_id TEXT,
        conversation_id TEXT,
        resolved_device_id TEXT,
        interrupted INTEGER,
        interrupted_at REAL,
        had_tokens INTEGER NOT NULL
    )""",
    """CREATE TABLE history (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        state TEXT NOT NULL,
        code INTEGER,
        reason TEXT
    )""",
    "CREATE INDEX history_of_account ON history (account, id)",
)

LADDER: Final[Sequence[Sequence[str]]] = (_V1,)
"""``LADDER[n]`` brings a file of version ``n`` to version ``n + 1``. Rungs are only ever added, never changed."""


def climb(connection: sqlite3.Connection, ladder: Sequence[Sequence[str]]) -> None:
    """Bring the file to the newest version, all rungs in one transaction: a crash leaves the old version or the new.

    Another process may be doing the same: the version is read again once the write lock is held.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        for version in range(version_of(connection), len(ladder)):
            for statement in ladder[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version of the file; 0 is a new, empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_foreign(connection: sqlite3.Connection) -> bool:
    """True for a database that some other application made."""
    if connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID:
        return False
    return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
