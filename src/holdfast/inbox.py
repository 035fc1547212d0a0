"""What waits for the user: bounded by reading no more from the socket, never by dropping."""

import asyncio
from collections import deque

from .adapters import Inbound, Ticket

Handed = tuple[Inbound, Ticket | None]


class Inbox:
    """Frames between the connection and whoever consumes them."""

    def __init__(self) -> None:
        self._frames: deque[Handed] = deque()
        self._ended = False
        self._waiting = asyncio.Event()

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: Inbound, ticket: Ticket | None) -> None:
        """Take a frame in."""
        self._frames.append((frame, ticket))
        self._waiting.set()

    def end(self) -> None:
        """Nothing more will come. What waits can still be had."""
        self._ended = True
        self._waiting.set()

    async def get(self) -> Handed | None:
        """The next frame; None at the end. Cancelled, it has taken none."""
        while not self._frames:
            if self._ended:
                return None
            self._waiting.clear()
            await self._waiting.wait()
        return self._frames.popleft()
