"""The SQLite file: private, migrated, never recreated, and rid of a token after a logout."""

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
    HistoryRow,
    Identity,
    SqliteStore,
    StoreCorrupt,
    StoreError,
    StoreTooNew,
    StoreUnavailable,
    TokenPair,
)

PAIR = TokenPair("access-s3cret-0000", "refresh-s3cret-0000")
ME = Identity(user_id="usr-1")
SCHEMA = import_module("holdfast.adapters.sqlite_schema").CREDENTIALS
LADDER = SCHEMA.ladder
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


def filled(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        store.activate("a", PAIR, ME, 1.0)


def database(path: Path) -> "closing[sqlite3.Connection]":
    return closing(sqlite3.connect(path, isolation_level=None))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@posix
def test_all_its_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = SqliteStore(tmp_path / "new" / "deeper" / "store.db")
        with closing(store), store.lease("a"):
            store.activate("a", PAIR, ME, 1.0)
            modes = {file.name: mode(file) for file in (tmp_path / "new" / "deeper").iterdir()}
    finally:
        os.umask(before)
    assert len(modes) == 5  # The database, -wal, -shm and two locks.
    assert set(modes.values()) == {0o600}
    assert mode(tmp_path / "new") == mode(tmp_path / "new" / "deeper") == 0o700


@posix
def test_a_file_that_others_could_read_is_made_private(path: Path) -> None:
    filled(path)
    path.chmod(0o644)
    filled(path)
    assert mode(path) == 0o600


def test_every_commit_reaches_the_disk(store: SqliteStore) -> None:
    store.open()
    connection = store._connection
    assert connection is not None
    settings = ("journal_mode", "synchronous", "secure_delete")
    assert [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in settings] == ["wal", 2, 1]


def test_constructing_touches_nothing(path: Path) -> None:
    SqliteStore(path)
    assert not path.exists()


@pytest.mark.rule("S0-45", "P60")
@pytest.mark.parametrize("watched", [False, True], ids=["alone", "with a reader beside"])
def test_after_a_logout_no_file_holds_a_token_that_ever_was(path: Path, store: SqliteStore, watched: bool) -> None:
    beside = SqliteStore(path)
    if watched:
        beside.read("a")
    store.activate("a", PAIR, ME, 1.0)
    for number in range(1, 40):  # Of growing length, so that rows move from page to page.
        store.rotate("a", number, TokenPair(f"access-s3cret-{'x' * number * 97}", f"refresh-s3cret-{number}"), 2.0)
    assert any(b"s3cret" in file.read_bytes() for file in path.parent.iterdir())
    store.clear("a")
    leaks = [file.name for file in path.parent.iterdir() if b"s3cret" in file.read_bytes()]
    beside.close()
    assert leaks == []


def test_a_logout_that_cannot_tidy_up_is_a_logout_all_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.adapters.sqlite_file.BUSY_S", 0.01)
    filled(path)
    with closing(SqliteStore(path)) as store, database(path) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM accounts").fetchall()  # Pins the log, so that it cannot be truncated.
        assert store.clear("a") == 2
        assert store.read("a").pair is None


# --- Versions ---------------------------------------------------------------------------------------------------


def test_an_empty_file_and_an_empty_database_become_a_store(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    with database(tmp_path / "zero.db") as connection:
        connection.execute("VACUUM")
    for name in ("empty.db", "zero.db"):
        filled(tmp_path / name)
        with database(tmp_path / name) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (len(LADDER),)


def test_an_older_store_is_brought_up_and_keeps_its_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path)
    newer = (*LADDER, ("ALTER TABLE accounts ADD COLUMN later TEXT", "UPDATE accounts SET later = 'filled'"), ())
    monkeypatch.setattr(SqliteStore, "_schema", replace(SCHEMA, ladder=newer))
    with closing(SqliteStore(path)) as store:
        assert store.read("a").pair == PAIR
        assert store.rotate("a", 1, TokenPair("access-1"), 2.0) == 2
    with database(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(LADDER) + 2,)


@pytest.mark.rule("S0-62")
def test_nobody_is_greeted_for_an_upgrade(path: Path) -> None:
    with database(path) as connection:
        for statement in LADDER[0]:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO accounts (account, generation, access, had_tokens) VALUES ('a', 3, 'access', 1)"
        )
        connection.execute(f"PRAGMA application_id = {SCHEMA.application_id}")
        connection.execute("PRAGMA user_version = 1")
    with closing(SqliteStore(path)) as store:
        assert not store.greet("a", 3)
        assert store.read("a").greeted
        store.activate("a", PAIR, Identity(), 1.0)
        assert store.greet("a", 4)


def test_a_migration_that_fails_leaves_the_older_store(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path)
    broken = (*LADDER, ("ALTER TABLE accounts ADD COLUMN later TEXT", "no SQL at all"))
    with monkeypatch.context() as patch, closing(SqliteStore(path)) as store:
        patch.setattr(SqliteStore, "_schema", replace(SCHEMA, ladder=broken))
        with pytest.raises(StoreError):
            store.open()
    with closing(SqliteStore(path)) as store:
        assert store.read("a").pair == PAIR
    with database(path) as connection:
        assert "later" not in [row[1] for row in connection.execute("PRAGMA table_info(accounts)")]


def test_a_newer_store_is_left_alone(path: Path) -> None:
    filled(path)
    with database(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with closing(SqliteStore(path)) as store:
        for call in (store.open, lambda: store.read("a"), lambda: store.clear("a"), lambda: store.lease("a")):
            with pytest.raises(StoreTooNew, match="upgrade Holdfast") as caught:
                call()
    assert (caught.value.found, caught.value.supported) == (99, len(LADDER))
    assert path.read_bytes() == before


# --- Faults -----------------------------------------------------------------------------------------------------


def garbage(data: bytes) -> bytes:
    return b"this is no database, but it may be precious. " * 50


def cut_in_half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def with_a_broken_page(data: bytes) -> bytes:
    return data[:4096] + b"\xff" * 4096 + data[8192:]


@pytest.mark.parametrize("damage", [garbage, cut_in_half, with_a_broken_page])
def test_a_damaged_file_is_reported_and_left_as_it_is(path: Path, damage: Callable[[bytes], bytes]) -> None:
    filled(path)
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    with closing(SqliteStore(path)) as store:
        for call in (store.open, lambda: store.activate("a", PAIR, ME, 1.0), lambda: store.read("a")):
            with pytest.raises(StoreCorrupt, match="restore a copy") as caught:
                call()
    assert caught.value.path == str(path)
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE accounts SET access = x'00ff'",
        "UPDATE accounts SET access = 'two' || char(10) || 'lines'",
        "UPDATE accounts SET generation = 'many'",
        "DROP TABLE accounts",
    ],
)
def test_a_row_that_makes_no_sense_is_damage_and_not_a_crash(path: Path, sql: str) -> None:
    filled(path)
    with database(path) as connection:
        connection.execute(sql)
    with closing(SqliteStore(path)) as store, pytest.raises(StoreCorrupt, match="pair the account again"):
        store.read("a")


def test_a_history_row_that_makes_no_sense_is_damage_too(path: Path, store: SqliteStore) -> None:
    store.record("a", HistoryRow(at=1.0, kind="refresh", state="ok"))
    with database(path) as connection:
        connection.execute("UPDATE history SET kind = 'unheard of'")
    with pytest.raises(StoreCorrupt):
        store.history("a")


def test_another_applications_database_is_not_taken_over(path: Path) -> None:
    with database(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    with closing(SqliteStore(path)) as store, pytest.raises(StoreUnavailable, match="another application"):
        store.open()
    assert path.read_bytes() == before


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path)) as store, pytest.raises(StoreUnavailable, match="check the path"):
        store.read("a")


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with closing(SqliteStore(tmp_path / "file" / "store.db")) as store:
        for call in (store.open, lambda: store.lease("a")):
            with pytest.raises(StoreUnavailable):
                call()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind the superuser")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with closing(SqliteStore(tmp_path / "store.db")) as store, pytest.raises(StoreUnavailable, match="permission"):
            store.open()
    finally:
        tmp_path.chmod(0o700)


def test_a_store_that_somebody_keeps_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.adapters.sqlite_file.BUSY_S", 0.01)
    filled(path)
    with closing(SqliteStore(path)) as store, database(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            store.rotate("a", 1, TokenPair("access-1"), 2.0)
        assert store.read("a").pair == PAIR
        other.execute("ROLLBACK")
        assert store.rotate("a", 1, TokenPair("access-1"), 2.0) == 2


def test_what_may_be_lost_is_not_waited_for_as_long_as_tokens(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.adapters.sqlite_file.BUSY_S", 0.02)
    monkeypatch.setattr("holdfast.adapters.sqlite_file.SPARE_BUSY_S", 0.01)
    filled(path)
    ran: list[str] = []
    with closing(SqliteStore(path)) as store, database(path) as other:
        store.open()
        assert store._connection is not None
        store._connection.set_trace_callback(ran.append)
        other.execute("BEGIN IMMEDIATE")
        writes: list[tuple[bool, Callable[[], object]]] = [
            (True, lambda: store.record("a", HistoryRow(at=1.0, kind="refresh", state="x"))),
            (True, lambda: store.remember_device("a", "dev")),
            (False, lambda: store.activate("a", PAIR, ME, 1.0)),
            (False, lambda: store.clear("a")),
        ]
        for spare, write in writes:
            ran.clear()
            with pytest.raises(StoreUnavailable, match="locked"):
                write()
            waited, usual = f"PRAGMA busy_timeout = {10 if spare else 20}", "PRAGMA busy_timeout = 20"
            assert [line for line in ran if "BEGIN" not in line] == [waited, usual]
        other.execute("ROLLBACK")
        store.remember_device("a", "dev")
        assert store.read("a").resolved_device_id == "dev"
        store._connection.set_trace_callback(None)


@posix
@pytest.mark.rule("P04", "V02")
def test_a_full_disk_leaves_the_old_pair_and_heals(path: Path) -> None:
    """A limit on file sizes stands in for the disk; it needs a process of its own."""
    program = """
        import resource, sys
        from holdfast.adapters import Identity, SqliteStore, StoreUnavailable, TokenPair

        store = SqliteStore(sys.argv[1])
        store.activate("a", TokenPair("access-0", "refresh-0"), Identity(), 1.0)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            store.rotate("a", 1, TokenPair("x" * 200_000), 2.0)
        except StoreUnavailable as error:
            print("refused:", error.problem)
        assert store.read("a").generation == 1 and store.read("a").pair.access == "access-0"
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert store.rotate("a", 1, TokenPair("x" * 200_000), 2.0) == 2
        store.close()
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(program), str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "refused:" in done.stdout
    assert "free space" in done.stdout
    with closing(SqliteStore(path)) as store:
        assert store.read("a").pair == TokenPair("x" * 200_000, "refresh-0")


def test_two_ways_to_the_same_file_are_one_store(tmp_path: Path, path: Path) -> None:
    filled(path)
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with closing(SqliteStore(link)) as store, closing(SqliteStore(path)) as direct, direct.lease("a"):
        assert store.read("a").pair == PAIR
        with pytest.raises(Exception, match="live link"):
            store.lease("a")
