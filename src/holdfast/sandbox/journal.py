"""What happened so far: counters, a bounded log of events, and a way to wait for more. Holds no secrets."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable

import msgspec

TOKENS_COUNTED_MAX = 1_000
PATHS_COUNTED_MAX = 1_000
PATH_CHARS_MAX = 200
WAITERS_MAX = 100


class Counters(msgspec.Struct, kw_only=True):
    """How often what happened since the gateway started."""

    dials: int = 0
    upgrades: int = 0
    connects: int = 0
    hellos: int = 0
    hello_fails: int = 0
    takeovers: int = 0
    takeovers_refused: int = 0
    refresh_posts: int = 0
    refreshes: int = 0
    pairing_posts: int = 0
    pairings: int = 0
    rest_requests: int = 0
    messages_received: int = 0
    messages_stored: int = 0
    duplicates: int = 0
    frames_delivered: int = 0
    acks: int = 0
    """Of frames, by the client. A repeated one counts."""
    highest_ack: int = 0
    """The highest number acked so far by the session that acked last."""
    stale_acks: int = 0
    """Named another session's epoch."""
    bad_acks: int = 0
    """Named a number that was not given out, or came where nothing of the kind was granted."""
    typing_updates: int = 0
    json_pings: int = 0
    pings_sent: int = 0
    pongs_received: int = 0
    faults: int = 0


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the log. ``at`` is epoch seconds by the machine's clock."""

    n: int
    at: float
    event: str
    user_id: str | None = None
    device_id: str | None = None
    detail: str | None = None


class Journal:
    """Counts and logs. Whoever waits is asked again after each event."""

    def __init__(self, events_max: int) -> None:
        self.counters = Counters()
        self.events: deque[Event] = deque(maxlen=events_max)
        self.refresh_posts_by_token: Counter[str] = Counter()
        self.rest_reads: Counter[str] = Counter()
        self._number = 0
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def note(
        self, event: str, *, user_id: str | None = None, device_id: str | None = None, detail: str | None = None
    ) -> None:
        """Add a line to the log and wake who waited for it."""
        self._number += 1
        self.events.append(
            Event(n=self._number, at=time.time(), event=event, user_id=user_id, device_id=device_id, detail=detail)
        )
        self._wake()

    def count_refresh(self, token: str) -> None:
        """One more POST with the refresh token of this short digest; the oldest tokens are dropped at the bound."""
        _count(self.refresh_posts_by_token, token, TOKENS_COUNTED_MAX)

    def count_read(self, path: str) -> None:
        """One more GET of this path; the oldest paths are dropped at the bound."""
        _count(self.rest_reads, path[:PATH_CHARS_MAX], PATHS_COUNTED_MAX)

    def when(self, predicate: Callable[[], bool]) -> "asyncio.Future[None]":
        """A future that is done as soon as the predicate holds after an event (or now).

        Raises:
            RuntimeError: more than :data:`WAITERS_MAX` wait already.
        """
        future = asyncio.get_running_loop().create_future()
        if predicate():
            future.set_result(None)
            return future
        self._waiting = [entry for entry in self._waiting if not entry[1].done()]
        if len(self._waiting) >= WAITERS_MAX:
            raise RuntimeError(f"{WAITERS_MAX} callers wait already, the limit")
        self._waiting.append((predicate, future))
        return future

    def _wake(self) -> None:
        for entry in [entry for entry in self._waiting if not entry[1].done()]:
            predicate, future = entry
            try:
                if predicate():
                    future.set_result(None)
            except Exception as error:  # The predicate is the waiter's, so its failure is too.
                future.set_exception(error)
        self._waiting = [entry for entry in self._waiting if not entry[1].done()]


def _count(counter: "Counter[str]", key: str, keys_max: int) -> None:
    counter[key] += 1
    while len(counter) > keys_max:
        del counter[next(iter(counter))]
