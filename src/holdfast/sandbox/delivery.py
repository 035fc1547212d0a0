"""How the frames of one session are numbered, and what an ack of them moves. Pure.

- ``off``: no numbers; the device's cursor advances when a frame is sent.
- ``v1``: each frame of the mailbox carries a sparse ``seq`` that stays the frame's own over all sessions.
- ``v2``: each frame after hello-ok carries ``dseq`` = 1, 2, 3 … of this session, whether it comes from the mailbox or
  answers something. Only ``pong`` has none: it is a bare answer, as on a session without reliable delivery.

In v1 and v2 the cursor advances when the client acks, and what was not acked is sent again in the next session.
"""

from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from .frames import new_id
from .mail import Mailbox
from .settings import Reliable

IN_FLIGHT_MAX = 4096  # The protocol's window. At this bound nothing that is numbered goes out until an ack comes.
ANSWERS_MAX = 4096  # That wait for the window or for a slow reader; beyond it a send gets no answer.
SEQ_BASE = 1000


def seq_of(place: int) -> int:
    """The ``seq`` of the frame at a place of the log: rising in uneven steps, so that counting gets nobody anywhere."""
    return SEQ_BASE + 3 * place + place % 2


def place_of(seq: int) -> int | None:
    """The place whose frame has this ``seq``, or None if no frame ever has it."""
    place = (seq - SEQ_BASE) // 3
    return place if place >= 0 and seq_of(place) == seq else None


class Delivery:
    """Which frame goes out next, and what the client has acked."""

    def __init__(
        self, mailbox: Mailbox, device_id: str, level: Reliable, *, echoes: bool, skips: Callable[[], bool]
    ) -> None:
        """``echoes``: the device wants its own messages too. ``skips`` says whether to leave out the next ``dseq``."""
        self.level: Reliable = level
        self.echoes = echoes
        self.epoch = new_id("epoch") if level == "v2" else None
        """What acks of this session must name."""
        self.sent = 0
        """The newest number that was given out."""
        self.acked = 0
        """The highest number that was acked."""
        self.delivered = 0
        """How many frames of the mailbox were sent."""
        cursor = mailbox.cursors.get(device_id, mailbox.first)
        self.oldest_seq = seq_of(mailbox.first) if level != "off" and cursor < mailbox.first else None
        """Where the log begins, if frames were discarded that this device was still to get."""
        self._mailbox = mailbox
        self._device_id = device_id
        self._skips = skips
        self._place = max(cursor, mailbox.first)
        self._answers: deque[str] = deque()
        self._in_flight: deque[tuple[int, int]] = deque()  # Number, and the place of the log before that frame.

    @property
    def in_flight(self) -> int:
        """How many numbered frames were sent and not acked."""
        return len(self._in_flight)

    @property
    def caught_up(self) -> bool:
        """Nothing of the mailbox waits to be sent."""
        return self._place >= self._mailbox.end

    def answer(self, frame: str) -> bool:
        """Put a frame that is not of the mailbox before those that are; False if there is no room for it."""
        if len(self._answers) >= ANSWERS_MAX:
            return False
        self._answers.append(frame)
        return True

    def take(self) -> str | None:
        """The next frame to send, with its number; None if nothing waits or the window is full."""
        if self.level == "v2" and self._is_full:
            return None
        if self._answers:
            return changed(self._answers.popleft(), self._number(queued=False))
        return self._take_queued()

    def knows(self, number: int) -> bool:
        """Whether a client can have handled a frame of this number."""
        if self.level == "v1":
            # Of any session: a client may ack at once what it handled just before the last connection broke.
            place = place_of(number)
            return place is not None and place < self._mailbox.end
        return 0 < number <= self.acked or any(number == sent for sent, _ in self._in_flight)

    def ack(self, number: int) -> bool:
        """Everything up to a number that :meth:`knows` was handled; True if the device's cursor moved."""
        if self.level == "v1":
            self._place = max(self._place, (place_of(number) or 0) + 1)
        self.acked = max(self.acked, number)
        while self._in_flight and self._in_flight[0][0] <= number:
            self._in_flight.popleft()
        return self._confirm()

    @property
    def _is_full(self) -> bool:
        return len(self._in_flight) >= IN_FLIGHT_MAX

    def _confirm(self) -> bool:
        before = self._in_flight[0][1] if self._in_flight else self._place
        return self._mailbox.confirm(self._device_id, before)

    def _take_queued(self) -> str | None:
        self._place = max(self._place, self._mailbox.first)
        self._pass_own()
        if self.caught_up or self._is_full:
            return None
        frame, changes = self._mailbox.frame(self._place), self._number(queued=True)
        if self._place in self._mailbox.origins and not self.echoes:
            changes["origin_device_id"] = None
        self._place += 1
        self.delivered += 1
        if self.level == "off":
            self._confirm()
        return changed(frame, changes)

    def _pass_own(self) -> None:
        start = self._place
        while not self.echoes and self._mailbox.origins.get(self._place) == self._device_id:
            self._place += 1
        if self._place > start:
            self._confirm()

    def _number(self, *, queued: bool) -> dict[str, int | None]:
        if self.level == "v2":
            self.sent += 2 if self._skips() else 1
        elif self.level == "v1" and queued:
            self.sent = seq_of(self._place)
        else:
            return {}
        self._in_flight.append((self.sent, self._place))
        return {"dseq" if self.level == "v2" else "seq": self.sent}


def changed(frame: str, changes: Mapping[str, int | None]) -> str:
    """The frame with other top-level fields; None takes one out. The rest stays byte for byte as it is."""
    if not changes:
        return frame
    fields = msgspec.json.decode(frame, type=dict[str, msgspec.Raw])
    for name, value in changes.items():
        if value is None:
            fields.pop(name, None)
        else:
            fields[name] = msgspec.Raw(msgspec.json.encode(value))
    return msgspec.json.encode(fields).decode()
