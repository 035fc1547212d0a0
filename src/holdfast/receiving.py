"""From the gateway to the user: each thing once, in order, and remembered as handled only when it was."""

from collections.abc import AsyncIterator, Callable

from .adapters import Inbound, Message, Receipts, SeenSignals, Signal, Ticket
from .inbox import Handed, Inbox
from .reading import Reading


class Receiving:
    """What one link hands to its user."""

    def __init__(self, reading: Reading, receipts: Callable[[], Receipts], is_echo: Callable[[Message], bool]) -> None:
        self._inbox = Inbox(reading)
        self._receipts = receipts
        self._is_echo = is_echo
        self._signals = SeenSignals()
        self._unhandled: dict[str, Ticket] = {}
        self._taken: dict[int, tuple[Inbound, Ticket | None]] = {}
        self._last: Inbound | None = None

    def take(self, frame: Inbound) -> None:
        """Take in what came, unless the user has it: a signal comes live and in a replay (S0-57), a message again if
        its receipt got lost (P59), and our own words from another of our connections.
        """
        if isinstance(frame, Signal) and frame.event_id:
            self._take_signal(frame)
            return
        if isinstance(frame, Message) and self._is_echo(frame):
            return
        ticket = self._receipts().hand_over(frame)
        if ticket is not None:
            self._inbox.put(frame, ticket)

    def _take_signal(self, signal: Signal) -> None:
        waiting = self._unhandled.get(signal.event_id)
        if waiting is not None:
            self._receipts().tie(waiting)
        elif self._signals.is_new(signal.event_id):
            ticket = self._receipts().hand_over(signal)
            if ticket is not None:
                self._unhandled[signal.event_id] = ticket
                self._inbox.put(signal, ticket)

    def tell(self, frame: Inbound) -> None:
        """Hand over what is no frame of the gateway's that wants a receipt."""
        self._inbox.put(frame, None)

    def end(self) -> None:
        """Nothing more will come."""
        self._inbox.end()

    async def frames(self, *, by_hand: bool) -> AsyncIterator[Inbound]:
        """One after the other. Unless handled by hand, each is handled when the next one is asked for."""
        while True:
            if self._last is not None:
                self.handled(self._last)
            handed = await self._inbox.get()
            if handed is None:
                return
            self._keep(handed, by_hand)
            yield handed[0]

    def _keep(self, handed: Handed, by_hand: bool) -> None:
        frame = handed[0]
        self._taken[id(frame)] = handed
        if not by_hand:
            self._last = frame

    def handled(self, frame: Inbound) -> None:
        """The user is done with this one. Saying it twice changes nothing."""
        if self._last is frame:
            self._last = None
        if isinstance(frame, Signal):
            self._unhandled.pop(frame.event_id, None)
        taken = self._taken.pop(id(frame), None)
        if taken is not None:
            self._inbox.release()
            if taken[1] is not None:
                self._receipts().handled(taken[1])
