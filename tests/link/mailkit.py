"""What the tests of messages share: a store that fails when told to, a transport that writes down what was said."""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from typing import Any

from ulid import ULID

from holdfast import Inbound, Link, Message, SqliteMessages, StoreUnavailable
from holdfast.adapters import Connection, Handled, OutboxItem, Sink, WebSocketTransport
from holdfast.sandbox import Gateway
from holdfast.testing import VirtualClock

from .kit import LIMIT_S, ready, retry_now, status_of

TURNS = 200


def message_id() -> str:
    return f"msg-{ULID()}"


class FaultyMessages(SqliteMessages):
    """A message store whose named methods fail."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self.broken: set[str] = set()
        self.failures = 0

    def _check(self, name: str) -> None:
        if name in self.broken:
            self.failures += 1
            raise StoreUnavailable(self.path, "the disk is full")

    def keep(self, account: str, items: Sequence[OutboxItem]) -> None:
        self._check("keep")
        super().keep(account, items)

    def drop(self, account: str, trace_ids: Sequence[str]) -> None:
        self._check("drop")
        super().drop(account, trace_ids)

    def handled(self, account: str, marks: Sequence[Handled]) -> None:
        self._check("handled")
        super().handled(account, marks)

    def seen(self, account: str, message_id: str) -> Handled | None:
        self._check("seen")
        return super().seen(account, message_id)


class Tapped:
    """A transport that writes down each text that is sent, by connection."""

    def __init__(self) -> None:
        self.said: list[list[str]] = []

    async def open(self, url: str, sink: Sink) -> Connection:
        connection = await WebSocketTransport().open(url, sink)
        self.said.append([])
        return _Tap(connection, self.said[-1])

    def frames(self, event: str) -> list[str]:
        """All texts of this event, over all connections, as they were sent."""
        return [text for texts in self.said for text in texts if json.loads(text)["event"] == event]


class _Tap:
    def __init__(self, inner: Connection, said: list[str]) -> None:
        self._inner = inner
        self._said = said
        self.ping, self.close, self.pause = inner.ping, inner.close, inner.pause
        self.resume, self.abort = inner.resume, inner.abort

    async def send(self, text: str) -> None:
        self._said.append(text)
        await self._inner.send(text)


async def turns() -> None:
    """Let the loop turn, for what must not happen."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def again(link: Link, clock: VirtualClock) -> None:
    """Once the connection is lost, dial anew."""
    await status_of(link, lambda status: not status.connected)
    await status_of(link, lambda status: status.retry_at is not None or status.connected)
    if not link.status.connected:
        retry_now(link, clock)
    await ready(link)


async def frames_of(link: Link, count: int, *, by_hand: bool = False) -> list[Inbound]:
    """The next ones. The last of them is not handled: no other was asked for."""
    got: list[Inbound] = []
    async with asyncio.timeout(LIMIT_S):
        async for frame in link.inbound(by_hand=by_hand):
            got.append(frame)
            if len(got) == count:
                break
    return got


class Consumer:
    """Takes all that comes, in a task of its own."""

    def __init__(self, link: Link, *, by_hand: bool = False) -> None:
        self.frames: list[Inbound] = []
        self._link = link
        self._by_hand = by_hand
        self._more = asyncio.Event()
        self.task = asyncio.create_task(self._consume())

    async def _consume(self) -> None:
        async for frame in self._link.inbound(by_hand=self._by_hand):
            self.frames.append(frame)
            self._more.set()

    def texts(self) -> list[str]:
        return [frame.text for frame in self.frames if isinstance(frame, Message)]

    async def until(self, holds: Callable[["Consumer"], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not holds(self):
                self._more.clear()
                await self._more.wait()


def texts_of(frames: Sequence[Inbound]) -> list[str]:
    return [frame.text for frame in frames if isinstance(frame, Message)]


def sent_texts(gateway: Gateway, user_id: str, chat_id: str | None = None) -> list[str]:
    """What the service has stored, oldest first."""
    return [one.text for one in gateway.messages(user_id) if chat_id in (None, one.chat_id)]


def parsed(frame: str | bytes) -> Any:
    return json.loads(frame)
