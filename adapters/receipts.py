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

    __slots__ = ("delivered", "number", "settled")

    def __init__(self, number: int) -> None:
        self.number = number
        self.settled = True  # unless it is handed to the user
        self.delivered = False


class Ticket:
    """A frame that was handed to the user and is not handled yet. A message belongs to whom it came for.

    ``former`` is an older version of the same message that waits to be handled, too.
    """

    __slots__ = ("former", "mark", "overtaken", "owner", "places")

    def __init__(self, owner: str = "", mark: Handled | None = None, former: "Ticket | None" = None) -> None:
        self.owner = owner
        self.mark = mark
        self.former = former
        self.overtaken = False
        """A newer version was handled before this one."""
        self.places: list[_Place] = []

    def overtake(self) -> None:
        """What is older is no longer worth a mark."""
        former, self.former = self.former, None
        while former is not None:
            former.overtaken = True
            former = former.former


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
        self.unacknowledged = 0
        """Frames for the user from the first one on that is not handled: so many may come again."""
        self._pending: dict[tuple[str, str], Ticket] = {}
        self._marks: dict[str, dict[str, Handled]] = {}
        self._ended = False
        self._trouble = ""

    # -- frames come -----------------------------------------------------------------------------------------

    def expect(self, command: ExpectHandling) -> None:
        """The next frame has this number. Numbers of an earlier connection mean nothing any more."""
        if command.socket != self._socket:
            self._socket = command.socket
            self._line.clear()
            self.unacknowledged = 0
        self._newest = _Place(command.number)
        self._line.append(self._newest)

    def delivered(self) -> None:
        """The frame that has just come is no answer but one for the user, handed over or not."""
        if self._newest is not None:
            self._newest.delivered = True
            self.unacknowledged += 1

    def hand_over(self, frame: Inbound) -> Ticket | None:
        """The ticket of the frame that has just come, or None if the user has it already (P59).

        A copy of a message that still waits to be handled is handled together with it.
        """
        ticket = self._ticket_of(frame) if isinstance(frame, Message) else Ticket()
        if ticket is not None:
            self.tie(ticket)
        return ticket

    def _ticket_of(self, message: Message) -> Ticket | None:
        owner, mark = self._whose(), _mark_of(message)
        waiting = self._pending.get((owner, mark.message_id))
        if waiting is not None and waiting.mark is not None and _is_covered(mark, waiting.mark):
            self.tie(waiting)
            return None
        if self._was_handled(owner, mark):
            return None
        ticket = self._pending[owner, mark.message_id] = Ticket(owner, mark, waiting)
        return ticket

    def tie(self, ticket: Ticket) -> None:
        """The frame that has just come is handled together with one that waits."""
        if self._newest is not None:
            self._newest.settled = False
            ticket.places.append(self._newest)

    def _was_handled(self, owner: str, mark: Handled) -> bool:
        unstored = self._marks.get(owner, {}).get(mark.message_id)
        try:
            former = unstored or self._messages.seen(owner, mark.message_id)
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
        is_marked = ticket.mark is not None and self._mark(ticket, ticket.mark)
        number = self._advance()
        if self._ended:
            self._store_late()
        elif number or is_marked:
            self._report(FramesHandled(number))

    def _mark(self, ticket: Ticket, mark: Handled) -> bool:
        key = (ticket.owner, mark.message_id)
        if self._pending.get(key) is ticket:
            del self._pending[key]
        if ticket.overtaken:
            return False
        ticket.overtake()
        self._marks.setdefault(ticket.owner, {})[mark.message_id] = mark
        return True

    def _advance(self) -> int:
        number = 0
        while self._line and self._line[0].settled:
            place = self._line.popleft()
            number = place.number
            self.unacknowledged -= place.delivered
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
            for owner in list(self._marks):
                self._messages.handled(owner, list(self._marks[owner].values()))
                del self._marks[owner]
        except StoreError as error:
            self._warn(error)
            return False
        self._trouble = ""
        return True

    def end(self) -> None:
        """The run is over, and the gateway hears of nothing more. What is handled from now on is stored at once."""
        self.store()
        self._ended = True

    def _store_late(self) -> None:
        """Nobody else closes the store again by now."""
        if not self._marks:
            return
        try:
            self.store()
            self._messages.close()
        except StoreError as error:
            self._warn(error)

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
