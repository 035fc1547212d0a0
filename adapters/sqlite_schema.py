"""The tables of the SQLite files, and the ladders that bring older files up to them."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """What a kind of file holds.

    ``application_id`` stands in the file's header and tells it from any other SQLite database. ``ladder[n]`` brings a
    file of version ``n`` to version ``n + 1``: rungs are only ever added, never changed. ``vital`` is the table that is
    looked through for damage at each opening. ``name`` and ``remedy`` tell a person what it is, and what to do when it
    is damaged.
    """

    application_id: int
    ladder: Sequence[Sequence[str]]
    vital: str
    name: str
    remedy: str


_ACCOUNTS: Final = (
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

# What was paired before anybody was greeted is greeted by nobody any more.
_GREETED: Final = ("ALTER TABLE accounts ADD COLUMN greeted INTEGER NOT NULL DEFAULT 1",)

CREDENTIALS: Final = Schema(
    application_id=0x484C4446,  # "HLDF"
    ladder=(_ACCOUNTS, _GREETED),
    vital="accounts",
    name="credential store",
    remedy="restore a copy, or move it away and pair the account again",
)

_MESSAGES: Final = (
    """CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        message_id TEXT NOT NULL,
        trace_id TEXT NOT NULL,
        chat_id TEXT NOT NULL,
        frame TEXT NOT NULL,
        queued_at REAL NOT NULL,
        expires_at REAL,
        UNIQUE (account, message_id)
    )""",
    "CREATE INDEX outbox_of_trace ON outbox (account, trace_id)",
    """CREATE TABLE handled (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        message BLOB NOT NULL,
        digest BLOB NOT NULL,
        merged INTEGER NOT NULL,
        UNIQUE (account, message)
    )""",
    "CREATE INDEX handled_of_account ON handled (account, id)",
)

MESSAGES: Final = Schema(
    application_id=0x484C444D,  # "HLDM"
    ladder=(_MESSAGES,),
    vital="outbox",
    name="message store",
    remedy="restore a copy, or move it away, and what was not sent yet with it",
)


def climb(connection: sqlite3.Connection, schema: Schema) -> None:
    """Bring the file to the newest version, all rungs in one transaction: a crash leaves the old version or the new.

    Another process may be doing the same: the version is read again once the write lock is held.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        for version in range(version_of(connection), len(schema.ladder)):
            for statement in schema.ladder[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute(f"PRAGMA application_id = {schema.application_id}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version of the file; 0 is a new, empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_foreign(connection: sqlite3.Connection, schema: Schema) -> bool:
    """True for a database of another kind."""
    if connection.execute("PRAGMA application_id").fetchone()[0] == schema.application_id:
        return False
    return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
