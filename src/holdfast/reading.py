"""Whether the socket is read: not while enough waits for the user, and yet so that answers and losses are noticed."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from .adapters import Alarm, Clock, Connection
from .statecharts import ReadingPaused, ReadingResumed

INBOX_MAX: Final = 256
"""Frames that wait or are not handled before reading stops. What the socket had read by then still comes on top."""
INBOX_HARD_MAX: Final = 8 * INBOX_MAX
"""Frames not handled before reading stops, whatever it is wanted for. The service wants fewer than 4096 of them."""


class Reading:
    """Pauses the current connection once the inbox is full, and resumes it once that is half empty.

    A full inbox is read on for two reasons, up to ``INBOX_HARD_MAX``: while somebody waits for an answer, which comes
    on the same socket as what fills the inbox; and every ``peek_s`` seconds until the next frame, since neither a
    pong, nor a ping of the gateway's, nor the end of the connection is noticed unread. Beyond that bound a ping is
    written instead: writing to a connection that is gone fails.
    """

    def __init__(
        self,
        clock: Clock,
        peek_s: float,
        current: Callable[[], Connection | None],
        report: Callable[[ReadingPaused | ReadingResumed], None],
    ) -> None:
        self._clock = clock
        self._peek_s = peek_s
        self._current = current
        self._report = report
        self._waiting = 0
        self._full = False
        self._answers = 0
        self._paused: Connection | None = None
        self._alarm: Alarm | None = None
        self._probe: asyncio.Task[None] | None = None
        self._ended = False

    def more(self, waiting: int) -> None:
        """A frame came, and so many are not handled now."""
        self._count(waiting)
        self._hold()

    def less(self, waiting: int) -> None:
        """A frame was handled, and so many are not handled now."""
        self._count(waiting)
        self._go_on()

    def _count(self, waiting: int) -> None:
        # Also fewer than before when one came: with a new connection, what the former one counted begins anew.
        self._waiting = waiting
        self._full = waiting >= INBOX_MAX or (self._full and waiting > INBOX_MAX // 2)

    @contextmanager
    def for_an_answer(self) -> Generator[None]:
        """Somebody waits for an answer meanwhile."""
        self._answers += 1
        self._go_on()
        try:
            yield
        finally:
            self._answers -= 1
            self._hold()

    def end(self) -> None:
        """There will be no connection any more."""
        self._ended = True
        self._paused = None
        self._call_off()

    def _is_enough(self) -> bool:
        if self._ended:
            return False
        return self._waiting >= INBOX_HARD_MAX or (self._full and not self._answers)

    def _hold(self) -> None:
        connection = self._current()
        # Each time: by now it may be another connection.
        if self._is_enough() and connection is not None and connection is not self._paused:
            self._paused = connection
            connection.pause()
            self._report(ReadingPaused())
            self._arm()

    def _go_on(self) -> None:
        if not self._is_enough():
            self._resume()

    def _resume(self) -> None:
        paused, self._paused = self._paused, None
        self._call_off()
        if paused is not None and paused is self._current():
            paused.resume()
            self._report(ReadingResumed())

    def _peek(self) -> None:
        """The next frame pauses again. Until one comes, the connection is read and its heart is listened to."""
        connection = self._paused
        if self._waiting < INBOX_HARD_MAX or connection is None or connection is not self._current():
            self._resume()
        else:
            self._probe = asyncio.create_task(connection.ping())
            self._arm()

    def _arm(self) -> None:
        self._call_off()
        self._alarm = self._clock.call_at(self._clock.stamp().now + self._peek_s, self._peek)

    def _call_off(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
