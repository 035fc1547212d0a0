"""Time and chance: the one place where they are fetched."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final, Protocol

from holdfast.engine import Stamp

# Goes on through suspend where the system has such a clock, so that intervals are true after a laptop's sleep.
_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)
# The loop's own clock may stand still during suspend: no wait is longer than this before it is looked at again.
SLICE_S: Final = 60.0


class Alarm(Protocol):
    """A call that was asked for and can still be called off."""

    def cancel(self) -> None:
        """Call it off. Doing it twice, or too late, changes nothing."""
        ...


class Clock(Protocol):
    """What the driver needs of time: a stamp for each event, and one call at a due time."""

    def stamp(self) -> Stamp:
        """Now, by both clocks, and one uniform draw."""
        ...

    def call_at(self, due: float, call: Callable[[], None]) -> Alarm:
        """Call once the monotonic clock of :meth:`stamp` has reached ``due``; never from inside this method."""
        ...


class SystemClock:
    """The machine's clocks and the running event loop's timers."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def stamp(self) -> Stamp:
        """Now."""
        return Stamp(self._now(), time.time(), self._random.random())

    def call_at(self, due: float, call: Callable[[], None]) -> "SystemAlarm":
        """Wait in slices, each re-checked against the clock that goes on through suspend."""
        return SystemAlarm(self._now, due, call)

    @staticmethod
    def _now() -> float:
        return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


class SystemAlarm:
    """One pending call."""

    def __init__(self, now: Callable[[], float], due: float, call: Callable[[], None]) -> None:
        self._now = now
        self._due = due
        self._call = call
        self._arm()

    def cancel(self) -> None:
        """See :meth:`Alarm.cancel`."""
        self._handle.cancel()

    def _arm(self) -> None:
        wait = min(max(0.0, self._due - self._now()), SLICE_S)
        self._handle = asyncio.get_running_loop().call_later(wait, self._look)

    def _look(self) -> None:
        if self._now() < self._due:
            self._arm()
        else:
            self._call()
