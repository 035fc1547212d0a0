"""The file of the messages: private, synced where it must be, migrated, and never recreated."""

import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pytest
from msgspec.structs import replace

from holdfast.adapters import (
    Handled,
    Identity,
    OutboxItem,
    SqliteMessages,
    SqliteStore,
    StoreCorrupt,
    StoreError,
    StoreTooNew,
    StoreUnavailable,
    TokenPair,
)

SCHEMA = import_module("holdfast.adapters.sqlite_schema").MESSAGES
V1 = SCHEMA.ladder
MARK = Handled("m-1", b"12345678")
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")


def item(number: int = 1, frame: str = "between us") -> OutboxItem:
    return OutboxItem(
        trace_id=f"trace-{number}", message_id=f"message-{number}", chat_id="cnv_1", frame=frame, queued_at=1.0
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "messages.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteMessages]:
    store = SqliteMessages(path)
    yield store
    store.close()


def filled(path: Path) -> None:
    with closing(SqliteMessages(path)) as store:
        store.keep("a", [item()])
        store.handled("a", [MARK])


def database(path: Path) -> "closing[sqlite3.Connection]":
    return closing(sqlite3.connect(path, isolation_level=None))


def traced(store: SqliteMessages) -> list[str]:
    """The statements that run from now on, without what they are given."""
    ran: list[str] = []
    store.open()
    assert store._connection is not None
    store._connection.set_trace_callback(lambda sql: ran.append(" ".join(sql.split()[:4])))
    return ran


@posix
def test_all_its_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(SqliteMessages(tmp_path / "new" / "messages.db")) as store:
            store.keep("a", [item()])
            modes = [stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "new").iterdir()]
    finally:
        os.umask(before)
    assert modes == [0o600] * 4  # The database, -wal, -shm and a lock.
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_constructing_touches_nothing(path: Path) -> None:
    SqliteMessages(path)
    assert not path.exists()


def test_each_batch_is_one_transaction_and_only_what_is_settled_is_not_synced(store: SqliteMessages) -> None:
    ran = traced(store)
    marks = [Handled(f"m-{number}", b"12345678") for number in range(50)]
    calls: list[tuple[bool, Callable[[], None]]] = [
        (True, lambda: store.keep("a", [item(number) for number in range(100)])),
        (True, lambda: store.handled("a", marks)),
        (False, lambda: store.drop("a", [f"trace-{number}" for number in range(100)])),
    ]
    for synced, call in calls:
        ran.clear()
        call()
        assert [line for line in ran if line in ("BEGIN IMMEDIATE", "COMMIT")] == ["BEGIN IMMEDIATE", "COMMIT"]
        levels = [line for line in ran if line.startswith("PRAGMA synchronous")]
        assert levels == ([] if synced else ["PRAGMA synchronous = NORMAL", "PRAGMA synchronous = FULL"])
    assert store._connection is not None
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_after_a_drop_that_failed_the_rest_is_synced_all_the_same(
    path: Path, store: SqliteMessages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.adapters.sqlite_file.SPARE_BUSY_S", 0.01)
    store.keep("a", [item()])
    with database(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            store.drop("a", ["trace-1"])
        other.execute("ROLLBACK")
    assert store._connection is not None
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store.waiting("a") == [item()]


@pytest.mark.rule("P60")
def test_what_was_dropped_is_gone_from_the_raw_files_too(path: Path, store: SqliteMessages) -> None:
    store.keep("a", [item(number, "between us " * number) for number in range(1, 50)])
    store.drop("a", [f"trace-{number}" for number in range(1, 50)])
    store.close()
    assert [file.name for file in path.parent.iterdir() if b"between us" in file.read_bytes()] == []


# --- Versions ---------------------------------------------------------------------------------------------------


def test_an_older_store_is_brought_up_and_keeps_its_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path)
    newer = (*V1, ("ALTER TABLE outbox ADD COLUMN later TEXT", "UPDATE outbox SET later = 'filled'"), ())
    monkeypatch.setattr(SqliteMessages, "_schema", replace(SCHEMA, ladder=newer))
    with closing(SqliteMessages(path)) as store:
        store.keep("a", [item(2)])
        assert store.waiting("a") == [item(), item(2)]
        assert store.seen("a", "m-1") == MARK
    with database(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(V1) + 2,)
        assert connection.execute("SELECT later FROM outbox ORDER BY id").fetchall() == [("filled",), (None,)]


def test_a_migration_that_fails_leaves_the_older_store(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path)
    broken = (*V1, ("ALTER TABLE outbox ADD COLUMN later TEXT", "no SQL at all"))
    with monkeypatch.context() as patch, closing(SqliteMessages(path)) as store:
        patch.setattr(SqliteMessages, "_schema", replace(SCHEMA, ladder=broken))
        with pytest.raises(StoreError):
            store.open()
    with closing(SqliteMessages(path)) as store:
        assert store.waiting("a") == [item()]


def test_a_newer_store_is_left_alone(path: Path) -> None:
    filled(path)
    with database(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with closing(SqliteMessages(path)) as store:
        for call in (store.open, lambda: store.waiting("a"), lambda: store.keep("a", [item(2)])):
            with pytest.raises(StoreTooNew, match="upgrade Holdfast") as caught:
                call()
    assert (caught.value.found, caught.value.supported) == (99, len(V1))
    assert path.read_bytes() == before


# --- Faults -----------------------------------------------------------------------------------------------------


def garbage(data: bytes) -> bytes:
    return b"this is no database, but it may be precious. " * 50


def cut_in_half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def with_broken_pages(data: bytes) -> bytes:
    return data[:4096] + b"\xff" * (len(data) - 4096)


@pytest.mark.parametrize("damage", [garbage, cut_in_half, with_broken_pages])
def test_a_damaged_file_is_reported_and_left_as_it_is(path: Path, damage: Callable[[bytes], bytes]) -> None:
    filled(path)
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    with closing(SqliteMessages(path)) as store:
        calls: list[Callable[[], object]] = [
            store.open,
            lambda: store.keep("a", [item(2)]),
            lambda: store.waiting("a"),
            lambda: store.drop("a", ["trace-1"]),
            lambda: store.handled("a", [MARK]),
            lambda: store.seen("a", "m-1"),
        ]
        for call in calls:
            with pytest.raises(StoreCorrupt, match="restore a copy") as caught:
                call()
            assert caught.value.path == str(path)
            assert "pair" not in caught.value.problem
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE outbox SET queued_at = 'soon'",
        "UPDATE outbox SET frame = x'00ff'",
        "UPDATE handled SET merged = 'perhaps'",
        "UPDATE handled SET digest = 5",
        "DROP TABLE outbox",
    ],
)
def test_a_row_that_makes_no_sense_is_damage_and_not_a_crash(path: Path, sql: str) -> None:
    filled(path)
    with database(path) as connection:
        connection.execute(sql)
    with closing(SqliteMessages(path)) as store, pytest.raises(StoreCorrupt):
        _ = store.waiting("a"), store.seen("a", "m-1")


def test_neither_store_takes_over_the_others_file(tmp_path: Path, path: Path) -> None:
    filled(path)
    accounts = tmp_path / "accounts.db"
    with closing(SqliteStore(accounts)) as credentials:
        credentials.activate("a", TokenPair("access"), Identity(), 1.0)
    before = (path.read_bytes(), accounts.read_bytes())
    for wrong in (SqliteMessages(accounts), SqliteStore(path)):
        with closing(wrong), pytest.raises(StoreUnavailable, match="another application"):
            wrong.open()
    assert (path.read_bytes(), accounts.read_bytes()) == before


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    with closing(SqliteMessages(tmp_path)) as store, pytest.raises(StoreUnavailable, match="check the path"):
        store.waiting("a")


def test_a_batch_is_kept_whole_or_not_at_all(path: Path, store: SqliteMessages) -> None:
    store.keep("a", [item(1)])
    with database(path) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON outbox WHEN new.message_id = 'message-4' "
            "BEGIN SELECT RAISE(ABORT, 'no more'); END"
        )
    with pytest.raises(StoreError):
        store.keep("a", [item(2), item(3), item(4)])
    assert store.waiting("a") == [item(1)]
    store.keep("a", [item(2), item(3)])
    assert store.waiting("a") == [item(1), item(2), item(3)]


@posix
def test_a_full_disk_leaves_what_was_and_heals(path: Path) -> None:
    """A limit on file sizes stands in for the disk; it needs a process of its own."""
    program = """
        import resource, sys
        from holdfast.adapters import OutboxItem, SqliteMessages, StoreUnavailable

        def item(number, size):
            id = f"m{number}"
            return OutboxItem(trace_id=id, message_id=id, chat_id="c", frame="x" * size, queued_at=1.0)

        store = SqliteMessages(sys.argv[1])
        store.keep("a", [item(1, 10)])
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            store.keep("a", [item(2, 10), item(3, 200_000)])
        except StoreUnavailable as error:
            print("refused:", error.problem)
        assert store.waiting("a") == [item(1, 10)]
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        store.keep("a", [item(3, 200_000)])
        store.close()
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(program), str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "refused:" in done.stdout
    assert "free space" in done.stdout
    with closing(SqliteMessages(path)) as store:
        assert [len(kept.frame) for kept in store.waiting("a")] == [10, 200_000]
