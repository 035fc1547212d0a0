"""A WebSocket server that does what a test tells it, byte by byte, and an ear for what our side reports."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

LIMIT_S = 30  # For what should take milliseconds: a broken test ends, a slow machine breaks none.

# The library logs whole frames at DEBUG, and a test looks for what our side logs.
_SILENT = logging.getLogger("tests.peer")
_SILENT.disabled = True


class Peer:
    """The far end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.protocol = ServerProtocol(max_size=None, logger=_SILENT)
        self.received: list[Frame] = []

    async def accept(self, *first: Frame) -> None:
        """Upgrade; the first frames travel in the same write as the answer."""
        while True:
            self.protocol.receive_data(await self.reader.readuntil(b"\r\n\r\n"))
            for event in self.protocol.events_received():
                assert isinstance(event, Request)
                self.protocol.send_response(self.protocol.accept(event))
                self.flush(b"".join(frame.serialize(mask=False) for frame in first))
                return

    def flush(self, more: bytes = b"") -> None:
        self.writer.write(b"".join(data for data in self.protocol.data_to_send() if data) + more)

    def send(self, *frames: Frame) -> None:
        """Frames as they are, whatever the protocol thinks of them, in one write."""
        self.writer.write(b"".join(frame.serialize(mask=False) for frame in frames))

    async def until(self, opcode: Opcode) -> Frame:
        """The next frame of a kind. Pings are answered."""
        while True:
            for frame in self.received:
                if frame.opcode is opcode:
                    self.received.remove(frame)
                    return frame
            data = await self.reader.read(65536)
            assert data, "the client has hung up"
            self.protocol.receive_data(data)
            self.received += [event for event in self.protocol.events_received() if isinstance(event, Frame)]
            self.flush()

    async def hung_up(self) -> None:
        """Wait until the client has ended the connection."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


Script = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def serve(script: Script) -> AsyncGenerator[str, None]:
    """Run ``script`` for each connection, whose end is dropped when it returns. Gives the URL."""
    tasks: list[asyncio.Task[None]] = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        try:
            async with asyncio.timeout(LIMIT_S):
                await script(Peer(reader, writer))
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(play, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
    finally:
        server.close()
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(*tasks)


Heard = str | bytes | tuple[int, str]


class Ear:
    """A sink that keeps what it hears, in order."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.changed = asyncio.Event()

    def on_frame(self, data: str | bytes) -> None:
        self._hear(data)

    def on_pong(self) -> None:
        self._hear("<pong>")

    def on_closed(self, code: int, reason: str, ours: bool) -> None:
        self._hear((code, reason))

    def _hear(self, what: Heard) -> None:
        self.heard.append(what)
        self.changed.set()

    async def until(self, done: Callable[["Ear"], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not done(self):
                self.changed.clear()
                await self.changed.wait()

    async def count(self, number: int) -> list[Heard]:
        """What was heard, once there are so many."""
        await self.until(lambda ear: len(ear.heard) >= number)
        return self.heard

    async def closed(self) -> tuple[int, str]:
        """Code and reason, once the connection is gone."""
        await self.until(lambda ear: any(isinstance(each, tuple) for each in ear.heard))
        (end,) = [each for each in self.heard if isinstance(each, tuple)]
        assert self.heard[-1] is end
        return end


def text(data: str | bytes, *, fin: bool = True, opcode: Opcode = Opcode.TEXT) -> Frame:
    return Frame(opcode, data.encode() if isinstance(data, str) else data, fin)
