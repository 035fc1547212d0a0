"""Time that moves only when it is told to, for tests of whatever runs on a :class:`~holdfast.adapters.Clock`."""

import heapq
from collections.abc import Callable
from itertools import count
from typing import Final

from ..engine import Stamp

RINGS_MAX: Final = 10_000
"""Alarms that ring without time going on. More of them is a timer that arms itself anew with no delay."""


class VirtualClock:
    """A clock for ``connect(clock=…)``: nothing is ever due before :meth:`advance` or :meth:`suspend` says so.

    ``now`` is monotonic and ``wall`` epoch seconds; ``chance`` is what each stamp draws, in [0, 1). ``wall`` and
    ``chance`` may be set at any time: a wall clock that steps is ``clock.wall += 3600``.
    """

    def __init__(self, *, now: float = 1000.0, wall: float = 1_800_000_000.0, chance: float = 0.5) -> None:
        self.now = now
        self.wall = wall
        self.chance = chance
        self._alarms: list[VirtualAlarm] = []
        self._serials = count()

    def __repr__(self) -> str:
        return f"VirtualClock(now={self.now:g}, pending={self.pending})"

    @property
    def pending(self) -> int:
        """How many calls wait for their time."""
        return sum(not alarm.cancelled for alarm in self._alarms)

    def stamp(self) -> Stamp:
        """Now."""
        return Stamp(self.now, self.wall, self.chance)

    def call_at(self, due: float, call: Callable[[], None]) -> "VirtualAlarm":
        """Call within the :meth:`advance` that reaches ``due``, also where that is past."""
        alarm = VirtualAlarm(due, next(self._serials), call)
        heapq.heappush(self._alarms, alarm)
        return alarm

    def advance(self, seconds: float) -> None:
        """Let time go by. What comes due meanwhile is called at its time, one after the other.

        Raises:
            RuntimeError: an alarm rings on and on, and time stands still.
        """
        end = self.now + seconds
        rings = 0
        while (alarm := self._next()) is not None and alarm.due <= end:
            rings = 0 if alarm.due > self.now else rings + 1
            if rings > RINGS_MAX:
                raise RuntimeError(f"{RINGS_MAX} alarms rang at {self.now:g} s: something is armed with no delay")
            heapq.heappop(self._alarms)
            self._go_to(max(self.now, alarm.due))
            alarm.call()
        self._go_to(end)

    def suspend(self, seconds: float) -> None:
        """A laptop's sleep: the clocks leap, and what came due meanwhile is called only afterwards."""
        self._go_to(self.now + seconds)
        self.advance(0)

    def _next(self) -> "VirtualAlarm | None":
        while self._alarms and self._alarms[0].cancelled:
            heapq.heappop(self._alarms)
        return self._alarms[0] if self._alarms else None

    def _go_to(self, now: float) -> None:
        self.wall += now - self.now
        self.now = now


class VirtualAlarm:
    """One pending call."""

    __slots__ = ("call", "cancelled", "due", "serial")

    def __init__(self, due: float, serial: int, call: Callable[[], None]) -> None:
        self.due = due
        self.serial = serial
        self.call = call
        self.cancelled = False

    def __lt__(self, other: "VirtualAlarm") -> bool:
        return (self.due, self.serial) < (other.due, other.serial)

    def cancel(self) -> None:
        """Call it off."""
        self.cancelled = True
