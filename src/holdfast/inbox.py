"""What waits for the user: bounded by reading no more from the socket, never by dropping."""

import asyncio
from collections import deque

from .adapters import Inbound
from .reading import Reading


class Inbox:
    """Frames between the connection and one consumer."""

    def __init__(self, reading: Reading) -> None:
        self._frames: deque[Inbound] = deque()
        self._reading = reading
        self._ended = False
        self._waiting = asyncio.Event()

    def put(self, frame: Inbound) -> None:
        """Take a frame in."""
        self._frames.append(frame)
        self._waiting.set()
        self._reading.more(len(self._frames))

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
        self._reading.less(len(self._frames))
        return frame
