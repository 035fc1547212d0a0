"""When a long-running command ends: SIGTERM is a polite stop, Ctrl-C a stop that says so in its exit code."""

import asyncio
import signal
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

CODES: Final[Mapping[int, int]] = {signal.SIGTERM: 0, signal.SIGINT: 130}


class Stop:
    """The wish to end. The first one counts."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self.code = 0

    def ask(self, code: int = 0) -> None:
        """End, with this exit code."""
        if not self._asked.is_set():
            self.code = code
            self._asked.set()

    async def wait(self) -> None:
        """Wait until somebody asks."""
        await self._asked.wait()


@contextmanager
def stop_on_signals(codes: Mapping[int, int] = CODES) -> Generator[Stop]:
    """A stop that the first of these signals asks for, with its exit code. The second one ends us at once, as it would
    without this.
    """
    stop = Stop()
    loop = asyncio.get_running_loop()
    former: dict[int, Any] = {}

    def on_signal(number: int, frame: FrameType | None) -> None:
        signal.signal(number, former[number])
        loop.call_soon_threadsafe(stop.ask, codes[number])

    for number in codes:
        former[number] = signal.getsignal(number)
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
