"""A client that says and hears numbered messages until it is killed, and goes on where it was. Run as a program.

It obeys its stdin: ``go`` starts the client in a process of its own (a fork, since an import costs half a second),
``kill`` kills it the hard way and says so.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from ulid import ULID

from holdfast import ClawChat, Link, Message, SqliteMessages, SqliteStore, connect
from holdfast.statecharts import STRICT

POLICY = STRICT.scaled(0.01)


def message_id(number: int) -> str:
    """The same number is the same message, in whatever process."""
    return f"msg-{ULID(number.to_bytes(16, 'big'))}"


async def say(link: Link, folder: Path, chat: str, numbers: range) -> None:
    """Post what was not posted yet, in order. What was posted last may be posted again: it has the same id."""
    journal = folder / f"said-{chat}"
    begun = len(journal.read_bytes().splitlines()) if journal.exists() else 0
    with journal.open("ab", buffering=0) as said:
        for number in numbers[begun:]:
            await link.post(chat, str(number), message_id=message_id(number))
            said.write(b"%d\n" % number)


async def hear(link: Link, folder: Path) -> None:
    """Handling a message is writing it down. Only then the link is told."""
    with (folder / "heard").open("ab", buffering=0) as heard:
        async for frame in link.inbound(by_hand=True):
            if isinstance(frame, Message):
                heard.write(f"{frame.message_id} {frame.chat_id} {frame.text}\n".encode())
            link.handled(frame)


async def chat(url: str, folder: Path, count: int, chats: list[str]) -> None:
    store, messages = SqliteStore(folder / "store.db"), SqliteMessages(folder / "messages.db")
    link = connect(url, dialect=ClawChat(), store=store, messages=messages, policy=POLICY)
    async with link, asyncio.TaskGroup() as tasks:
        tasks.create_task(hear(link, folder))
        for place, name in enumerate(chats):
            tasks.create_task(say(link, folder, name, range(place, count, len(chats))))


def start(url: str, folder: Path, count: int, chats: list[str]) -> int:
    pid = os.fork()
    if not pid:
        try:
            asyncio.run(chat(url, folder, count, chats))
        except BaseException:
            import traceback

            traceback.print_exc()
        os._exit(1)  # it never ends by itself
    return pid


def main(url: str, folder: str, count: str, *chats: str) -> None:
    pid = 0
    for line in sys.stdin:
        if line == "go\n":
            pid = start(url, Path(folder), int(count), list(chats))
        else:
            os.kill(pid, signal.SIGKILL)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            print(status, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
