"""What Holdfast needs of a message store: what still has to be sent, and which inbound messages were handled.

Synchronous like :class:`CredentialStore`, and with the same errors: a method that raises :class:`StoreError` has
changed nothing. An account is a name; one never seen before has no messages.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

HANDLED_MAX: Final = 10_000
"""Marks per account, some 2 MiB: more than any gateway sends again after a lost connection."""
KEY_BYTES: Final = 16


class OutboxItem(msgspec.Struct, frozen=True, kw_only=True):
    """One frame that has to be sent, and sent again byte for byte, until the service answers.

    ``queued_at`` and ``expires_at`` are the wall clock in epoch seconds; None: it is tried as long as it takes.
    """

    trace_id: str
    message_id: str
    chat_id: str
    frame: str
    queued_at: float
    expires_at: float | None = None

    def __repr__(self) -> str:
        # Without the frame: it is what somebody wrote to somebody.
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name != "frame")
        return f"OutboxItem({', '.join(shown)})"


class Handled(msgspec.Struct, frozen=True):
    """An inbound message that was handed on. ``digest`` (8 to 16 bytes) is a fingerprint of its content."""

    message_id: str
    digest: bytes
    merged: bool = False


class MessageStore(Protocol):
    """Keeps the outbox and the marks of any number of accounts."""

    @property
    def durable(self) -> bool:
        """False if everything is gone with the process."""
        ...

    def open(self) -> None:
        """Open the store now, to learn of a fault before anything depends on it. The others open it as needed."""
        ...

    def close(self) -> None:
        """Close files. A later call opens the store again."""
        ...

    def keep(self, account: str, items: Sequence[OutboxItem]) -> None:
        """Add to the outbox, all or none, durable on return. A message that is kept already stays as it is.

        ``message_id`` tells which it is. How many may wait is the caller's policy: nothing is refused here.
        """
        ...

    def waiting(self, account: str) -> Sequence[OutboxItem]:
        """The outbox, in the order in which it was kept."""
        ...

    def drop(self, account: str, trace_ids: Sequence[str]) -> None:
        """Take what was settled from the outbox. Unknown ids are none of it.

        A power cut may undo this: then it is sent once more, and the service recognises it.
        """
        ...

    def handled(self, account: str, marks: Sequence[Handled]) -> None:
        """Mark messages as handled, all or none, durable on return. A later mark of a message replaces the earlier.

        Only the newest :data:`HANDLED_MAX` are kept.
        """
        ...

    def seen(self, account: str, message_id: str) -> Handled | None:
        """The mark of a message, if it has one."""
        ...


def owner_of(account: str, user_id: str | None) -> str:
    """Under which name the messages of an account's user are kept: another user of the account has others."""
    return account if user_id is None else f"{account} of {user_id}"


def key_of(message_id: str) -> bytes:
    """What stands for an inbound message's id: of any length and any characters, since the id is the peer's choice."""
    return hashlib.blake2b(message_id.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()
