"""What the user has handled: told apart from what only arrived, stored, and then acknowledged."""

import hashlib
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from holdfast.engine import Event
from holdfast.statecharts import ExpectHandling, FramesHandled, HandledNotStored, SendReceipt

from .errors import StoreError
from .inbound import Inbound, Message
from .logs import RedactingLogger
from .messages import Handled, MessageStore

DIGEST_BYTES: Final = 16


class _Place:
    """A numbered frame in the order of its arrival."""

    __slots__ = ("number", "settled")

    def __init__(self, number: int) -> None:
        self.number = number
        self.settled = True  # unless it is handed to the user


class Ticket:
    """A frame that was handed to the user and is not handled yet."""

    __slots__ = ("mark", "places")

    def __init__(self, mark: Handled | None) -> None:
        self.mark = mark
        self.places: list[_Place] = []


class Receipts:
    """Knows, for one account, which frames were handled. Reports how far that goes without a hole."""

    def __init__(
        self,
        *,
        whose: Callable[[], str],
        messages: MessageStore,
        report: Callable[[Event], None],
        tell: Callable[[SendReceipt], None],
        log: RedactingLogger,
    ) -> None:
        self._whose = whose
        self._messages = messages
        self._report = report
        self._tell = tell
        self._log = log
        self._socket = 0
        self._line: deque[_Place] = deque()
        self._newest: _Place | None = None
        self._pending: dict[str, Ticket] = {}
        self._marks: dict[str, Handled] = {}
        self._trouble = ""

    # -- frames come -----------------------------------------------------------------------------------------

    def expect(self, command: ExpectHandling) -> None:
        """The next frame has this number. Numbers of an earlier connection mean nothing any more."""
        if command.socket != self._socket:
            self._socket = command.socket
            self._line.clear()
        self._newest = _Place(command.number)
        self._line.append(self._newest)

    def hand_over(self, frame: Inbound) -> Ticket | None:
        """The ticket of the frame that has just come, or None if the user has it already (P59).

        A copy of a message that still waits to be handled is handled together with it.
        """
        mark = _mark_of(frame) if isinstance(frame, Message) else None
        waiting = None if mark is None else self._pending.get(mark.message_id)
        if mark is not None and waiting is not None and waiting.mark is not None and _is_covered(mark, waiting.mark):
            self.tie(waiting)
            return None
        if mark is not None and self._was_handled(mark):
            return None
        ticket = Ticket(mark)
        self.tie(ticket)
        if mark is not None:
            self._pending[mark.message_id] = ticket
        return ticket

    def tie(self, ticket: Ticket) -> None:
        """The frame that has just come is handled together with one that waits."""
        if self._newest is not None:
            self._newest.settled = False
            ticket.places.append(self._newest)

    def _was_handled(self, mark: Handled) -> bool:
        try:
            former = self._marks.get(mark.message_id) or self._messages.seen(self._whose(), mark.message_id)
        except StoreError as error:
            self._warn(error)  # twice is better than never
            return False
        return former is not None and _is_covered(mark, former)

    def arrived(self) -> None:
        """The frame that has just come is where it belongs. What nobody was handed counts as handled."""
        self._newest = None
        number = self._advance()
        if number:
            self._report(FramesHandled(number))

    # -- the user handles them -------------------------------------------------------------------------------

    def handled(self, ticket: Ticket) -> None:
        """The user is done with this one."""
        for place in ticket.places:
            place.settled = True
        mark = ticket.mark
        if mark is not None:
            self._marks[mark.message_id] = mark
            if self._pending.get(mark.message_id) is ticket:
                del self._pending[mark.message_id]
        number = self._advance()
        if number or mark is not None:
            self._report(FramesHandled(number))

    def _advance(self) -> int:
        number = 0
        while self._line and self._line[0].settled:
            number = self._line.popleft().number
        return number

    # -- and the gateway hears of it -------------------------------------------------------------------------

    def send(self, command: SendReceipt) -> None:
        """Store the marks; only then tell."""
        if not self.store():
            self._report(HandledNotStored())
        elif command.number:
            self._tell(command)

    def store(self) -> bool:
        """Store the marks. False if the store refuses: they are kept for the next time."""
        try:
            if self._marks:
                self._messages.handled(self._whose(), list(self._marks.values()))
        except StoreError as error:
            self._warn(error)
            return False
        self._marks.clear()
        self._trouble = ""
        return True

    def _warn(self, error: StoreError) -> None:
        if str(error) != self._trouble:
            self._log.warning("%s", error)
        self._trouble = str(error)


def _mark_of(message: Message) -> Handled:
    said = (message.chat_id, message.sender_id, message.text, message.mentions, message.message_mode)
    digest = hashlib.blake2b(msgspec.msgpack.encode(said), digest_size=DIGEST_BYTES).digest()
    return Handled(message.message_id, digest, message.merged)


def _is_covered(mark: Handled, former: Handled) -> bool:
    """The same again, or a merged reply for one that is whole, which it never replaces."""
    return mark.digest == former.digest or (mark.merged and not former.merged)
