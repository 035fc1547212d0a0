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
    origins: dict[int, str] = msgspec.field(default_factory=dict[int, str])
    """Number of a frame that one of the user's own devices said, to that device's id."""
    cursors: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    """Device id to the number of the first frame that it is not known to have."""

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

    def queue(self, frame: str, frames_max: int, origin: str | None = None) -> None:
        """Add a frame for all of the user's devices; the oldest give way at the bounds."""
        if origin is not None:
            self.origins[self.end] = origin
        self.frames.append(frame)
        self.frames_bytes += len(frame)
        while len(self.frames) > frames_max or (self.frames_bytes > BYTES_MAX and len(self.frames) > 1):
            self.frames_bytes -= len(self.frames.pop(0))
            self.origins.pop(self.first, None)
            self.first += 1

    def frame(self, place: int) -> str:
        """The frame of this number, which must be one that is kept."""
        return self.frames[place - self.first]

    def enter(self, device_id: str) -> bool:
        """The device has a cursor from now on; True if it had none, and so gets everything that is kept."""
        if device_id in self.cursors:
            return False
        if len(self.cursors) >= DEVICES_MAX:
            del self.cursors[next(iter(self.cursors))]
        self.cursors[device_id] = self.first
        return True

    def confirm(self, device_id: str, place: int) -> bool:
        """The device has the frames before this number; True if that is news."""
        self.enter(device_id)
        if place <= self.cursors[device_id]:
            return False
        self.cursors[device_id] = place
        return True

    def unconfirmed(self, device_id: str) -> int:
        """How many of the frames that are kept the device is not known to have."""
        return self.end - max(self.cursors.get(device_id, self.first), self.first)
