"""A client that kills itself at the n-th await of a refresh, and one that starts again after it. Run as a program.

One process imports everything and forks the others, since each fork costs milliseconds and each import half a second.
Prints one JSON object for each pair of runs, until a run came through alive.
"""

import asyncio
import contextvars
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

from holdfast import AccountState, ClawChat, SqliteStore, connect
from holdfast.adapters import Exchange
from holdfast.statecharts import STRICT

LIMIT_S = 30
POLICY = STRICT.scaled(0.05)
LEFT = 77  # exit code of a run that was not killed

_counting: contextvars.ContextVar[bool] = contextvars.ContextVar("counting", default=False)


class Steps:
    """Runs a coroutine, and reports each of its suspensions."""

    def __init__(self, work: Coroutine[Any, Any, Any], suspended: Callable[[], None]) -> None:
        self.work = work
        self.suspended = suspended

    def __await__(self) -> Generator[Any, Any, Any]:
        resume: Callable[[], Any] = partial(self.work.send, None)
        while True:
            try:
                waited_for = resume()
            except StopIteration as end:
                return end.value
            self.suspended()
            try:
                resume = partial(self.work.send, (yield waited_for))
            except BaseException as error:
                resume = partial(self.work.throw, error)


def watch_exchanges(suspended: Callable[[], None]) -> None:
    """Report each suspension of each exchange: of its task, and of every task that it starts."""
    post = Exchange.post

    async def counted(self: Exchange, *args: Any) -> None:
        _counting.set(True)
        await Steps(post(self, *args), suspended)

    Exchange.post = counted  # type: ignore[method-assign,assignment]

    def make(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> "asyncio.Task[Any]":
        async def stepping() -> Any:
            return await Steps(work, suspended)

        return asyncio.Task(stepping() if _counting.get() else work, loop=loop, **options)

    asyncio.get_running_loop().set_task_factory(make)


async def crash(url: str, path: str, at: int) -> None:
    count = 0

    def suspended() -> None:
        nonlocal count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

    async with connect(url, dialect=ClawChat(), store=SqliteStore(path), policy=POLICY) as link:
        await link.wait_ready(LIMIT_S)
        watch_exchanges(suspended)
        outcome = await link.refresh()
        assert outcome.outcome == "success"
    os._exit(LEFT)


async def start_again(url: str, path: str, pipe: int) -> None:
    async with asyncio.timeout(LIMIT_S):
        async with connect(url, dialect=ClawChat(), store=SqliteStore(path), policy=POLICY) as link:
            async for status in link.statuses():
                if status.state in (AccountState.CONNECTED, AccountState.LOGGED_OUT):
                    found: dict[str, Any] = {"state": status.state, "error": status.last_error}
                    if status.connected:
                        found["rest"] = (await link.rest.get("/v1/users/me")).status_code
                    os.write(pipe, json.dumps(found).encode())
                    return


def forked(main: Coroutine[Any, Any, None]) -> int:
    """Run it in a process of its own; its exit code, negative for a signal."""
    pid = os.fork()
    if not pid:
        try:
            asyncio.run(main)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    main.close()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(url: str, *paths: str) -> None:
    for at, path in enumerate(paths, 1):
        killed = forked(crash(url, path, at)) == -signal.SIGKILL
        reader, writer = os.pipe()
        ended = forked(start_again(url, path, writer))
        os.close(writer)
        with os.fdopen(reader) as pipe:
            print(json.dumps({"killed": killed, "ended": ended, **json.loads(pipe.read() or "{}")}), flush=True)  # noqa: T201
        if not killed:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
