"""From the gateway to the user: each thing once, in order, and remembered as handled only when it was."""

from collections.abc import AsyncIterator, Callable
from typing import Self
from weakref import ref

from .adapters import Inbound, Message, Receipts, SeenSignals, Signal, Ticket
from .inbox import Inbox
from .reading import Reading


class Receiving:
    """What one link hands to its user. What was taken counts until it is handled, and what came after it, too."""

    def __init__(self, reading: Reading, receipts: Callable[[], Receipts], is_echo: Callable[[Inbound], bool]) -> None:
        self._reading = reading
        self._inbox = Inbox()
        self._receipts = receipts
        self._is_echo = is_echo
        self._signals = SeenSignals()
        self._unhandled: dict[str, Ticket] = {}
        self._taken: dict[int, tuple[Inbound, Ticket]] = {}
        self._last: list[tuple[ref[Frames], Inbound]] = []

    # -- frames come -----------------------------------------------------------------------------------------

    def take(self, frame: Inbound) -> None:
        """Take in what came, unless the user has it: a signal comes live and in a replay (S0-57), a message again if
        its receipt got lost (P59), and our own words from another of our connections.
        """
        self._receipts().delivered()
        if isinstance(frame, Signal) and frame.event_id:
            self._take_signal(frame)
        elif not self._is_echo(frame):
            self._put(frame)
        self._reading.more(self._count())

    def _take_signal(self, signal: Signal) -> None:
        waiting = self._unhandled.get(signal.event_id)
        if waiting is not None:
            self._receipts().tie(waiting)
        elif self._signals.is_new(signal.event_id):
            ticket = self._put(signal)
            if ticket is not None:
                self._unhandled[signal.event_id] = ticket

    def _put(self, frame: Inbound) -> Ticket | None:
        ticket = self._receipts().hand_over(frame)
        if ticket is not None:
            self._inbox.put(frame, ticket)
        return ticket

    def tell(self, frame: Inbound) -> None:
        """Hand over what is no frame of the gateway's that wants a receipt."""
        self._inbox.put(frame, None)
        self._reading.more(self._count())

    def end(self) -> None:
        """Nothing more will come."""
        self._inbox.end()

    def _count(self) -> int:
        """What is not handled: here, or to be sent again. One forgotten frame holds up all that came after it."""
        return max(len(self._inbox) + len(self._taken), self._receipts().unacknowledged)

    # -- the user takes and handles them -----------------------------------------------------------------------

    async def next(self, asker: "Frames") -> Inbound | None:
        """The next frame, or None at the end. Whoever asks has handled the one before, unless that is said by hand."""
        self._go_on(asker)
        handed = await self._inbox.get()
        if handed is None:
            return None
        frame, ticket = handed
        if ticket is None:
            self._reading.less(self._count())
            return frame
        self._taken[id(frame)] = (frame, ticket)
        if not asker.by_hand:
            self._last.append((ref(asker), frame))
        return frame

    def _go_on(self, asker: "Frames") -> None:
        """The last frame is its iterator's own, while there is that one: somebody is still at work on it."""
        for owner, frame in list(self._last):
            if owner() is None or owner() is asker:
                self.handled(frame)

    def handled(self, frame: Inbound) -> None:
        """The user is done with this one. Saying it twice changes nothing."""
        _, ticket = self._taken.pop(id(frame), (frame, None))
        if ticket is None:
            return
        self._last = [(owner, last) for owner, last in self._last if last is not frame]
        if isinstance(frame, Signal):
            self._unhandled.pop(frame.event_id, None)
        self._receipts().handled(ticket)
        self._reading.less(self._count())


class Frames:
    """One iteration over all that comes. Cancelled while it waits, it has lost nothing and can go on."""

    def __init__(self, receiving: Receiving, *, by_hand: bool) -> None:
        self._receiving = receiving
        self.by_hand = by_hand

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Inbound:
        frame = await self._receiving.next(self)
        if frame is None:
            raise StopAsyncIteration
        return frame


class Messages:
    """One iteration over the messages among them."""

    def __init__(self, frames: AsyncIterator[Inbound]) -> None:
        self._frames = frames

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        async for frame in self._frames:
            if isinstance(frame, Message):
                return frame
        raise StopAsyncIteration
