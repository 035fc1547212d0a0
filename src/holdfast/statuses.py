"""The link's status, for whoever wants to follow it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from .statecharts import AccountState, Status

KEPT_MAX: Final = 1000
"""Statuses kept for a reader that does not read. The oldest give way: the newest are what counts."""


class Statuses:
    """The newest status, and a stream of them for each reader."""

    def __init__(self) -> None:
        self.newest = Status(state=AccountState.CONNECTING, connected=False, configured=False, running=False)
        self._readers: list[deque[Status]] = []
        self._changed = asyncio.Event()
        self._ended = False

    def put(self, status: Status) -> None:
        """The status changed."""
        self.newest = status
        for reader in self._readers:
            reader.append(status)
        self._wake()

    def end(self) -> None:
        """It will not change any more. A link that was cut off had no time to say so itself (P37)."""
        if self.newest.state is not AccountState.STOPPED:
            stopped = {"state": AccountState.STOPPED, "connected": False, "running": False}
            self.put(msgspec.structs.replace(self.newest, **stopped, retry_at=None, refresh_at=None))
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, wanted: Callable[[Status], bool]) -> Status | None:
        """The status as soon as it is a wanted one; None if it never will be."""
        while not wanted(self.newest):
            if self._ended:
                return None
            await self._changed.wait()
        return self.newest

    async def stream(self) -> AsyncIterator[Status]:
        """The present status, then each change, to the end."""
        mine = deque([self.newest], KEPT_MAX)
        self._readers.append(mine)
        try:
            while True:
                while mine:
                    yield mine.popleft()
                if self._ended:
                    return
                await self._changed.wait()
        finally:
            self._readers = [reader for reader in self._readers if reader is not mine]  # equal ones are others'
