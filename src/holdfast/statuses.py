"""The status of a link or of a gateway process, for whoever wants to follow it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final, Generic, TypeVar

import msgspec

from .statecharts import AccountState, Status

T = TypeVar("T")

KEPT_MAX: Final = 1000
"""Statuses kept for a reader that does not read. The oldest give way: the newest are what counts."""


class Feed(Generic[T]):
    """The newest status, and a stream of them for each reader."""

    def __init__(self, newest: T) -> None:
        self.newest = newest
        self._readers: list[deque[T]] = []
        self._changed = asyncio.Event()
        self._ended = False

    def put(self, status: T) -> None:
        """The status changed."""
        self.newest = status
        for reader in self._readers:
            reader.append(status)
        self._wake()

    def finish(self) -> None:
        """It will not change any more."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, wanted: Callable[[T], bool]) -> T | None:
        """The status as soon as it is a wanted one; None if it never will be."""
        while not wanted(self.newest):
            if self._ended:
                return None
            await self._changed.wait()
        return self.newest

    async def stream(self) -> AsyncIterator[T]:
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


class Statuses(Feed[Status]):
    """Those of a link."""

    def __init__(self) -> None:
        super().__init__(Status(state=AccountState.CONNECTING, connected=False, configured=False, running=False))

    def end(self) -> None:
        """It will not change any more. A link that was cut off had no time to say so itself (P37)."""
        if self.newest.state is not AccountState.STOPPED:
            stopped = {"state": AccountState.STOPPED, "connected": False, "running": False}
            self.put(msgspec.structs.replace(self.newest, **stopped, retry_at=None, refresh_at=None))
        self.finish()
