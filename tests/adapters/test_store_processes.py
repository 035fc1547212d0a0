"""Several processes on one store, and one that is killed in the middle."""

import subprocess
import sys
import textwrap
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from holdfast.adapters import AccountBusy, Identity, SqliteStore, TokenPair

Process = subprocess.Popen[str]

PRELUDE = """
import sys
from holdfast.adapters import Identity, SqliteStore, TokenPair
store = SqliteStore(sys.argv[1])
def tell(*words): print(*words, flush=True)
"""


@contextmanager
def running(program: str, *arguments: object) -> Generator[Process]:
    command = [sys.executable, "-P", "-c", PRELUDE + textwrap.dedent(program), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def hear(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.rule("P02", "P03")
def test_a_lease_binds_other_processes_and_dies_with_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    program = "lease = store.lease('a'); tell('held'); sys.stdin.read()"
    with closing(SqliteStore(path)) as store, running(program, path) as owner:
        assert hear(owner) == "held"
        with pytest.raises(AccountBusy):
            store.lease("a")
        assert store.activate("a", TokenPair("access"), Identity(), 1.0) == 1  # Beside a live owner.
        owner.kill()
        owner.wait()
        store.lease("a").release()


def test_the_lock_file_outlives_its_lease(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "store.db")) as store:
        store.lease("Wörk/../x").release()
        store.lease("wörk/../x").release()
        locks = sorted(file.name for file in tmp_path.glob("*.lock"))
    assert len(locks) == 3  # One for each account, one for opening.
    assert all(name.startswith("store.db.") for name in locks)


def test_the_version_tells_of_another_process(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(SqliteStore(path)) as store:
        before = store.version()
        with running("store.activate('a', TokenPair('access'), Identity(), 1.0); tell('done')", path) as other:
            assert hear(other) == "done"
        assert store.version() != before
        assert store.version() == store.version()


RACE = """
name, rounds = sys.argv[2], int(sys.argv[3])
tell("ready")
sys.stdin.readline()
for _ in range(rounds):
    generation = store.read("a").generation
    pair = TokenPair(f"access-{name}-{generation + 1}", f"refresh-{name}-{generation + 1}")
    won = store.rotate("a", generation, pair, 1.0)
    if won is not None:
        tell(won)
tell("end")
"""


@pytest.mark.rule("P03", "P04")
def test_of_racing_processes_one_wins_each_generation(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(SqliteStore(path)) as store, ExitStack() as stack:
        store.activate("a", TokenPair("access", "refresh"), Identity(), 1.0)
        racers = {name: stack.enter_context(running(RACE, path, name, 25)) for name in ("p", "q", "r")}
        assert {hear(racer) for racer in racers.values()} == {"ready"}
        for racer in racers.values():
            go(racer)
        wins = {name: [int(won) for won in iter(partial(hear, racer), "end")] for name, racer in racers.items()}
        won = sorted(generation for generations in wins.values() for generation in generations)
        assert won == list(range(2, 2 + len(won)))  # Each once, none missing.
        stored = store.read("a")
        last = next(name for name, generations in wins.items() if stored.generation in generations)
        assert stored.generation == won[-1]
        assert stored.pair == TokenPair(f"access-{last}-{won[-1]}", f"refresh-{last}-{won[-1]}")


def test_processes_that_create_the_store_together_all_succeed(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store.db"
    program = "tell('ready'); sys.stdin.readline(); tell(store.activate('a', TokenPair('access'), Identity(), 1.0))"
    with ExitStack() as stack:
        makers = [stack.enter_context(running(program, path)) for _ in range(4)]
        assert {hear(maker) for maker in makers} == {"ready"}
        for maker in makers:
            go(maker)
        assert sorted(hear(maker) for maker in makers) == ["1", "2", "3", "4"]


CRASH = """
generation = store.read("a").generation
while True:
    generation = store.rotate("a", generation, TokenPair(f"access-{generation + 1}", f"refresh-{generation + 1}"), 1.0)
    tell(generation)
"""


@pytest.mark.rule("P06")
@pytest.mark.parametrize("rotations", [1, 2, 7, 20, 60])
def test_a_process_killed_while_writing_leaves_the_old_pair_or_the_new_one(tmp_path: Path, rotations: int) -> None:
    path = tmp_path / "store.db"
    with closing(SqliteStore(path)) as store:
        store.activate("a", TokenPair("access-1", "refresh-1"), Identity(), 1.0)
    with running(CRASH, path) as victim:
        for _ in range(rotations):
            hear(victim)
        victim.kill()
        assert victim.stdout is not None
        reported = [int(line) for line in victim.stdout if line.endswith("\n")] or [rotations + 1]
    with closing(SqliteStore(path)) as store:
        stored = store.read("a")
        assert stored.generation in (reported[-1], reported[-1] + 1)  # What was reported is there: it was durable.
        assert stored.pair == TokenPair(f"access-{stored.generation}", f"refresh-{stored.generation}")
        assert store.rotate("a", stored.generation, TokenPair("access-next"), 2.0) == stored.generation + 1
