"""Several processes and threads on one message store, and a process that is killed in the middle."""

import subprocess
import sys
import textwrap
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from holdfast.adapters import Handled, OutboxItem, SqliteMessages

Process = subprocess.Popen[str]
BATCH = 3

PRELUDE = """
import sys
from holdfast.adapters import Handled, OutboxItem, SqliteMessages
store = SqliteMessages(sys.argv[1])
name = sys.argv[2]
def tell(*words): print(*words, flush=True)
def batch(number, size):
    ids = [f"{name}-{number}-{at}" for at in range(size)]
    return [OutboxItem(trace_id=id, message_id=id, chat_id="c", frame=id * 20, queued_at=1.0) for id in ids]
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


def names(name: str, numbers: range) -> list[str]:
    return [f"{name}-{number}-{at}" for number in numbers for at in range(BATCH)]


CRASH = f"""
number = 0
while True:
    store.keep("a", batch(number, {BATCH}))
    store.handled("a", [Handled(f"in-{{number}}", b"12345678")])
    if number:
        store.drop("a", [f"{{name}}-{{number - 1}}-0"])
    tell(number)
    number += 1
"""


@pytest.mark.parametrize("rounds", [1, 2, 7, 20, 60])
def test_whatever_was_kept_is_there_after_a_kill(tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "messages.db"
    with running(CRASH, path, "p") as victim:
        for _ in range(rounds):
            hear(victim)
        victim.kill()
        assert victim.stdout is not None
        reported = [int(line) for line in victim.stdout if line.endswith("\n")] or [rounds - 1]
    last = reported[-1]
    with closing(SqliteMessages(path)) as store:
        waiting = [item.message_id for item in store.waiting("a")]
        assert [item.frame for item in store.waiting("a")] == [name * 20 for name in waiting]
        begun = names("p", range(last + 1, last + 2))
        settled = [f"p-{number}-0" for number in range(last)]
        told = [name for name in names("p", range(last + 1)) if name not in settled]
        # The round after the last one told may be there as well: whole or not at all, and settled or not.
        assert waiting in (told, told + begun, [name for name in told if name != f"p-{last}-0"] + begun)
        assert all(store.seen("a", f"in-{number}") for number in range(last + 1))
        store.keep("a", [OutboxItem(trace_id="t", message_id="m", chat_id="c", frame="f", queued_at=1.0)])
        assert store.waiting("a")[-1].message_id == "m"


RACE = f"""
tell("ready")
sys.stdin.readline()
for number in range(20):
    store.keep("a", batch(number, {BATCH}) + batch("x", 1))
    store.handled("a", [Handled(f"{{name}}-{{number}}", b"12345678")])
    store.drop("a", [f"{{name}}-{{number}}-1"])
tell("end")
"""


def test_processes_that_write_together_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "messages.db"
    with ExitStack() as stack:
        writers = {name: stack.enter_context(running(RACE, path, name)) for name in ("p", "q")}
        assert {hear(writer) for writer in writers.values()} == {"ready"}
        for writer in writers.values():
            go(writer)
        assert {hear(writer) for writer in writers.values()} == {"end"}
        store = stack.enter_context(closing(SqliteMessages(path)))
        waiting = [item.message_id for item in store.waiting("a")]
        for name in writers:
            mine = [id for id in waiting if id.startswith(name) and "x" not in id]
            assert mine == [id for id in names(name, range(20)) if not id.endswith("-1")]
            assert waiting.count(f"{name}-x-0") == 1
            assert all(store.seen("a", f"{name}-{number}") for number in range(20))


def test_threads_share_a_store(tmp_path: Path) -> None:
    def keep(store: SqliteMessages, number: int) -> None:
        id = str(number)
        store.keep("a", [OutboxItem(trace_id=id, message_id=id, chat_id="c", frame=id, queued_at=1.0)])
        store.handled("a", [Handled(id, b"12345678")])

    with closing(SqliteMessages(tmp_path / "messages.db")) as store, ThreadPoolExecutor(4) as threads:
        list(threads.map(partial(keep, store), range(40)))
        assert sorted(int(item.message_id) for item in store.waiting("a")) == list(range(40))
        assert all(store.seen("a", str(number)) for number in range(40))
