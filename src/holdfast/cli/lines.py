"""Lines through pipes, files and terminals, by two threads that block where the event loop must not.

Threads, and not the loop's own pipes: those refuse regular files, and switch the descriptor to non-blocking for every
process that shares it, the user's shell included. Both threads are daemons that hold no lock while they block, so that
a reader or writer that has fallen asleep never keeps the process from ending.
"""

import asyncio
import os
import select
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final

READ_BYTES: Final = 64 * 1024
CHUNKS_AHEAD: Final = 4
LINE_BYTES_MAX: Final = 8 * 1024 * 1024
"""A message of 1,000,000 bytes, written with six-byte escapes, still fits."""
WAITING_BYTES_HIGH: Final = 1024 * 1024
"""Output that waits for a slow reader before :meth:`LineWriter.room` waits too."""
FLUSH_S: Final = 5.0
"""For a reader that has stopped reading, at the end."""


class LineSplitter:
    """Cuts a stream of bytes into lines. A line longer than ``bytes_max`` becomes None, and is not kept in memory."""

    def __init__(self, bytes_max: int = LINE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """The lines that end in ``data``, without their line ends."""
        *ended, begun = data.split(b"\n")
        for part in ended:
            self._keep(part)
            yield self._end()
        self._keep(begun)

    def finish(self) -> Iterator[bytes | None]:
        """The last line, if it has no line end."""
        if self._size:
            yield self._end()

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._bytes_max:
            self._parts.append(part)
        else:
            self._parts.clear()

    def _end(self) -> bytes | None:
        line = b"".join(self._parts) if self._size <= self._bytes_max else None
        self._parts.clear()
        self._size = 0
        return line


class LineReader:
    """Reads lines from a file descriptor; None is an empty one. Make it in the event loop, and iterate over it once."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._ahead = threading.Semaphore(CHUNKS_AHEAD)

    async def __aiter__(self) -> AsyncIterator[bytes | None]:
        threading.Thread(target=self._read, name="holdfast stdin", daemon=True).start()
        splitter = LineSplitter()
        while data := await self._chunks.get():
            for line in splitter.feed(data):
                yield line
            self._ahead.release()
        for line in splitter.finish():
            yield line

    def _read(self) -> None:
        data = b"."
        while data:
            self._ahead.acquire()
            data = b"" if self._descriptor is None else _read_some(self._descriptor)
            try:
                self._loop.call_soon_threadsafe(self._chunks.put_nowait, data)
            except RuntimeError:  # The loop is closed: nobody reads any more.
                return


def _read_some(descriptor: int) -> bytes:
    while True:
        try:
            return os.read(descriptor, READ_BYTES)
        except BlockingIOError:  # Whoever started us left it non-blocking.
            select.select([descriptor], [], [])
        except OSError:
            return b""


_Waiting = tuple[bytes, Callable[[], None] | None]


class LineWriter:
    """Writes lines to a file descriptor, in order. Make it in the event loop. ``on_broken``: nothing can be written."""

    def __init__(self, descriptor: int, on_broken: Callable[[OSError], None]) -> None:
        self._descriptor = descriptor
        self._on_broken = on_broken
        self._loop = asyncio.get_running_loop()
        self._lines: deque[_Waiting] = deque()
        self._news = threading.Condition()
        self._ending = False
        self._broken = False
        self._waiting_bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self._finished = asyncio.Event()
        threading.Thread(target=self._write, name="holdfast stdout", daemon=True).start()

    def put(self, line: bytes, written: Callable[[], None] | None = None) -> None:
        """Write a line, as soon as what was put before it is written. ``written`` is called once it was, if ever."""
        if self._broken or self._ending:
            return
        self._waiting_bytes += len(line) + 1
        if self._waiting_bytes > WAITING_BYTES_HIGH:
            self._room.clear()
        with self._news:
            self._lines.append((line, written))
            self._news.notify()

    async def room(self) -> None:
        """Wait while too much is waiting to be read."""
        await self._room.wait()

    async def close(self) -> None:
        """Write what waits, at most :data:`FLUSH_S`."""
        with self._news:
            self._ending = True
            self._news.notify()
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await self._finished.wait()

    def _write(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._lines or self._ending)
                lines = [*self._lines]
                self._lines.clear()
            if not lines:
                self._tell(self._finished.set)
                return
            data = b"\n".join((*(line for line, _ in lines), b""))
            try:
                _write_all(self._descriptor, data)
            except OSError as error:
                self._tell(partial(self._break, error))
                return
            self._tell(partial(self._wrote, len(data), [written for _, written in lines if written is not None]))

    def _tell(self, news: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            self._loop.call_soon_threadsafe(news)

    def _wrote(self, size: int, tell: Iterable[Callable[[], None]]) -> None:
        self._waiting_bytes -= size
        if self._waiting_bytes <= WAITING_BYTES_HIGH:
            self._room.set()
        for written in tell:
            written()

    def _break(self, error: OSError) -> None:
        self._broken = True
        self._room.set()
        self._finished.set()
        self._on_broken(error)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
