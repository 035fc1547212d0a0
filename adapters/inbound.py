"""What the user gets of a service's frames: frozen records, typed as far as the fields are known.

Fields of a frame that have no place here are in ``raw``. A frame without the fields that make its record is an
:class:`Other`. Times are epoch milliseconds by the service's clock.
"""

from typing import Final, Literal

import msgspec

from .errors import Sent

HIDDEN: Final = ("raw", "payload")
"""Fields that are left out of the repr: nobody has looked into them, so that they may hold a token."""


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """Something for the user. ``raw`` is the frame as it came, and is left out of the repr."""

    raw: str | bytes

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name not in HIDDEN)
        return f"{type(self).__name__}({', '.join(shown)})"


class Mention(msgspec.Struct, frozen=True):
    """Somebody is mentioned. ``user_id`` ``"all"`` means everyone; ``display`` may be all there is (S1-42)."""

    user_id: str | None = None
    display: str | None = None


class Message(Inbound, frozen=True, kw_only=True):
    """Somebody said something. The same ``message_id`` may come again: then it is the same message, perhaps changed.

    ``merged``: the service put it together from a stream, so that it never replaces one that is not. ``reply_to`` is
    the id of the message it answers. A ``message_mode`` other than ``""`` and ``"normal"`` is not a turn addressed to
    an agent.
    """

    message_id: str
    chat_id: str
    chat_type: str
    sender_id: str
    sender_name: str
    text: str
    mentions: tuple[Mention, ...] = ()
    message_mode: str = ""
    merged: bool = False
    origin_device_id: str = ""
    reply_to: str | None = None


class StreamPart(Inbound, frozen=True, kw_only=True):
    """A message while it is being written. ``text`` is all of it so far; ``done`` and ``failed`` are the last part.

    ``sequence`` counts the ``add`` parts from 0. What holds is the :class:`Message` with this id, if one comes.
    """

    phase: Literal["created", "add", "done", "failed"]
    message_id: str
    chat_id: str
    sender_id: str
    text: str = ""
    sequence: int | None = None
    message_mode: str = ""
    origin_device_id: str = ""


class Ack(Inbound, frozen=True, kw_only=True):
    """The service has the message we sent."""

    trace_id: str
    message_id: str
    accepted_at: int | None = None


class Nack(Inbound, frozen=True, kw_only=True):
    """The service refused the message we sent, for good."""

    trace_id: str
    message_id: str | None
    code: str
    reason: str | None = None


class Typing(Inbound, frozen=True, kw_only=True):
    """Somebody began to write, or stopped."""

    chat_id: str
    user_id: str
    is_typing: bool


class Presence(Inbound, frozen=True, kw_only=True):
    """Whether somebody is there. ``event`` tells what one asked for from what changed; ``last_seen_at`` is RFC 3339."""

    event: str
    user_id: str
    online: bool
    last_seen_at: str | None = None


class Permission(Inbound, frozen=True, kw_only=True):
    """An agent asks its owner for leave (``event`` ``permission.request``), or that was settled (``.resolved``).

    ``target`` names what the operation is about. ``decision`` is open-ended: ``approved``, ``denied``, ``expired`` are
    known. The answer to a request goes by REST.
    """

    event: str
    request_id: str
    chat_id: str
    agent_id: str = ""
    operation: str = ""
    target: str = ""
    expires_at: int | None = None
    decision: str = ""
    reason: str | None = None


class Reaction(Inbound, frozen=True, kw_only=True):
    """Somebody reacted to a message, or took that back."""

    chat_id: str
    message_id: str
    user_id: str
    emoji: str
    removed: bool = False


class ReadMark(Inbound, frozen=True, kw_only=True):
    """Somebody has read a chat up to this message."""

    chat_id: str
    user_id: str
    message_id: str


class MetadataInvalidated(Inbound, frozen=True, kw_only=True):
    """What is known about a chat is out of date. An empty ``scope`` means all of it (S0-59)."""

    chat_id: str
    chat_type: str
    scope: tuple[str, ...] = ()
    version: int | None = None
    updated_at: int | None = None


class HistoryTruncated(Inbound, frozen=True, kw_only=True):
    """What came before ``oldest_seq`` is no longer kept, and will not be replayed."""

    oldest_seq: int


class Signal(Inbound, frozen=True, kw_only=True):
    """Something changed on the service. It may come again, live and in a replay: ``event_id`` tells (S0-57)."""

    event_id: str
    kind: str
    entity_id: str = ""
    version: int | None = None


class Unsent(Inbound, frozen=True, kw_only=True):
    """A message of ours that nobody waits for was given up: why (``outcome``), and whether it may have arrived
    (``sent``). ``raw`` is its frame.
    """

    trace_id: str
    message_id: str
    chat_id: str
    outcome: str
    sent: Sent
    code: str = ""


class Paired(Inbound, frozen=True, kw_only=True):
    """A new pairing has its first session: who it made us, as far as the service said. No frame of the service's:
    ``raw`` is empty. Told once per pairing with a code, before any frame of that session; a process that dies in that
    moment takes it along (S0-62).
    """

    user_id: str | None = None
    owner_id: str | None = None
    agent_id: str | None = None
    conversation_id: str | None = None


class Other(Inbound, frozen=True, kw_only=True):
    """An event this dialect has no type for, or one without the fields of its type."""

    event: str
    chat_id: str | None = None


def is_own_echo(inbound: Inbound, user_id: str | None, device_id: str | None) -> bool:
    """Whether this is what ``user_id`` said from ``device_id``, come back. Of a device or user unknown it never is."""
    if not isinstance(inbound, Message | StreamPart) or not user_id or not device_id:
        return False
    return (inbound.sender_id, inbound.origin_device_id) == (user_id, device_id)
