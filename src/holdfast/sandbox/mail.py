"""What was said: messages stored for a user, and frames that wait for the user's devices. Pure."""

import msgspec

BYTES_MAX = 64 * 1024 * 1024  # Held per user and direction, whatever the number: large frames must not fill the memory.
DEVICES_MAX = 100  # Cursors kept per user. A device beyond that is new again and gets everything once more.


class StoredMessage(msgspec.Struct, frozen=True, kw_only=True):
    """An uplink message that was accepted. ``accepted_at`` is epoch milliseconds."""

    message_id: str
    chat_id: str
    device_id: str
    text: str
    accepted_at: int


class Mailbox(msgspec.Struct, kw_only=True):
    """One user's messages. Sent ones by id; received ones as a log in which each device has its own place."""

    sent: dict[str, StoredMessage] = msgspec.field(default_factory=dict[str, StoredMessage])
    sent_bytes: int = 0
    frames: list[str] = msgspec.field(default_factory=list[str])
    frames_bytes: int = 0
    first: int = 0
    """Number of the oldest frame that is kept."""
    cursors: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    """Device id to the number of the next frame it is to get."""

    @property
    def end(self) -> int:
        """Number that the next frame will have."""
        return self.first + len(self.frames)

    def store(self, message: StoredMessage, messages_max: int) -> None:
        """Keep an accepted message; the oldest give way at the bounds."""
        self.sent[message.message_id] = message
        self.sent_bytes += len(message.text)
        while len(self.sent) > messages_max or (self.sent_bytes > BYTES_MAX and len(self.sent) > 1):
            self.sent_bytes -= len(self.sent.pop(next(iter(self.sent))).text)

    def queue(self, frame: str, frames_max: int) -> None:
        """Add a frame for all of the user's devices; the oldest give way at the bounds."""
        self.frames.append(frame)
        self.frames_bytes += len(frame)
        while len(self.frames) > frames_max or (self.frames_bytes > BYTES_MAX and len(self.frames) > 1):
            self.frames_bytes -= len(self.frames.pop(0))
            self.first += 1

    def peek(self, device_id: str) -> str | None:
        """The next frame that the device has not had yet."""
        place = self._place(device_id)
        return self.frames[place - self.first] if place < self.end else None

    def advance(self, device_id: str) -> None:
        """The frame that :meth:`peek` gave was sent."""
        place = self._place(device_id)
        if device_id not in self.cursors and len(self.cursors) >= DEVICES_MAX:
            del self.cursors[next(iter(self.cursors))]
        self.cursors[device_id] = min(place + 1, self.end)

    def _place(self, device_id: str) -> int:
        # A device that was never seen gets everything that is kept, as a new device does.
        return max(self.cursors.get(device_id, self.first), self.first)
