"""What waits for the user: bounded by asking the connection to stop reading, never by dropping."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from .adapters import Inbound

INBOX_MAX: Final = 256
"""Frames that wait before reading stops. What the socket had read by then still comes on top."""


class Inbox:
    """Frames between the connection and one consumer. A full one pauses the connection, a half empty one resumes it."""

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None], limit: int = INBOX_MAX) -> None:
        self._frames: deque[Inbound] = deque()
        self._limit = limit
        self._pause = pause
        self._resume = resume
        self._full = False
        self._ended = False
        self._waiting = asyncio.Event()

    def put(self, frame: Inbound) -> None:
        """Take a frame in."""
        self._frames.append(frame)
        self._waiting.set()
        if len(self._frames) >= self._limit:
            self._full = True
            self._pause()  # each time: by now it may be another connection

    def end(self) -> None:
        """Nothing more will come. What waits can still be had."""
        self._ended = True
        self._waiting.set()

    async def get(self) -> Inbound | None:
        """The next frame; None at the end."""
        while not self._frames:
            if self._ended:
                return None
            self._waiting.clear()
            await self._waiting.wait()
        frame = self._frames.popleft()
        if self._full and len(self._frames) <= self._limit // 2:
            self._full = False
            self._resume()
        return frame
