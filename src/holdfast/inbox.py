"""What waits for the user: bounded by reading no more from the socket, never by dropping."""

import asyncio
from collections import deque

from .adapters import Inbound, Ticket
from .reading import Reading

Handed = tuple[Inbound, Ticket | None]


class Inbox:
    """Frames between the connection and one consumer. What was taken counts until it is handled, too."""

    def __init__(self, reading: Reading) -> None:
        self._frames: deque[Handed] = deque()
        self._taken = 0
        self._reading = reading
        self._ended = False
        self._waiting = asyncio.Event()

    def put(self, frame: Inbound, ticket: Ticket | None) -> None:
        """Take a frame in."""
        self._frames.append((frame, ticket))
        self._waiting.set()
        self._reading.more(len(self._frames) + self._taken)

    def end(self) -> None:
        """Nothing more will come. What waits can still be had."""
        self._ended = True
        self._waiting.set()

    async def get(self) -> Handed | None:
        """The next frame; None at the end. It takes room until :meth:`release`."""
        while not self._frames:
            if self._ended:
                return None
            self._waiting.clear()
            await self._waiting.wait()
        self._taken += 1
        return self._frames.popleft()

    def release(self) -> None:
        """One that was taken is handled."""
        self._taken -= 1
        self._reading.less(len(self._frames) + self._taken)
