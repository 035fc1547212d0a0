"""The lines that go out on their own: what the link does, what the gateway sends, what became of a message."""

import json
from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

from .. import (
    Ack,
    HistoryTruncated,
    Inbound,
    Message,
    MetadataInvalidated,
    Other,
    Paired,
    Permission,
    Presence,
    Reaction,
    ReadMark,
    Signal,
    StreamPart,
    Typing,
    Unsent,
)
from ..adapters import Nack, OutboxItem, Sent
from .results import Fields, fields_of

SIGNALS: Final[dict[type[Inbound], tuple[str, ...]]] = {
    Signal: ("notify.signal",),
    StreamPart: ("message.created", "message.add", "message.done", "message.failed"),
    Reaction: ("message.reaction",),
    ReadMark: ("message.read",),
    Typing: ("typing.update",),
    Presence: ("presence.*",),
    Permission: ("permission.*",),
    MetadataInvalidated: ("chat.metadata.invalidated",),
    HistoryTruncated: ("history.truncated",),
    Other: ("*",),
}
"""The events whose ``signal`` line has fields of its own. One that lacks what these need has none of them."""


class SentLine(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended with a message that no operation waits for. ``sent``: whether the service has it."""

    message_id: str | None
    chat_id: str | None
    outcome: Literal["acked", "refused", "expired", "full", "dropped", "unpaired", "unkept"]
    sent: Sent
    code: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    accepted_at: int | msgspec.UnsetType = msgspec.UNSET


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a user must see. ``bad_frames``: so many could not be understood since the start."""

    level: Literal["error", "warning", "info"]
    text: str
    bad_frames: int | msgspec.UnsetType = msgspec.UNSET


class _Envelope(msgspec.Struct, frozen=True):
    event: Any = None
    chat_id: Any = None
    payload: Any = None


def encoded(fields: Fields) -> bytes:
    """One line of output."""
    try:
        return msgspec.json.encode(fields)
    except UnicodeEncodeError:  # Half a surrogate pair, out of a path for example, which JSON can hold if escaped.
        return json.dumps(fields, default=msgspec.to_builtins).encode()


def told(type_: str, **fields: Any) -> bytes:
    """One line of output, of a type."""
    return encoded({"type": type_, **fields})


def notice(level: str, text: str, **fields: Any) -> bytes:
    """The line about something that a user must see."""
    return told("notice", level=level, text=text, **fields)


def described(frame: Inbound, **more: Any) -> bytes:
    """The line about something that came in."""
    fields = {name: getattr(frame, name) for name in frame.__struct_fields__ if name != "raw"}
    if isinstance(frame, Paired):
        return told("paired", **fields)
    if isinstance(frame, Message):
        return told("message", **more, **fields)
    return told("signal", **more, **{"event_id": None, **_around(frame), **fields})


def _around(frame: Inbound) -> Fields:
    """What every frame has. Its fields may be anything, and only the payload may stay so."""
    try:
        envelope = msgspec.json.decode(frame.raw, type=_Envelope)
    except (ValueError, RecursionError):  # Of the payload: the rest of it was understood before.
        envelope = _Envelope()
    event, chat_id = (one if isinstance(one, str) else None for one in (envelope.event, envelope.chat_id))
    return {"event": event or "", "chat_id": chat_id, "payload": envelope.payload}


class Posts:
    """Messages whose end is told by a line of its own, and their chats, which a refusal need not name."""

    def __init__(self, waiting: Iterable[OutboxItem]) -> None:
        self._chats = {item.message_id: item.chat_id for item in waiting}

    def begun(self, message_id: str, chat_id: str) -> None:
        """It is on its way."""
        self._chats[message_id] = chat_id

    def ended(self, frame: Ack | Nack | Unsent) -> bytes:
        """The line about how it ended."""
        chat_id = self._chats.pop(frame.message_id or "", None)
        if isinstance(frame, Unsent):
            line = _unsent(frame)
        elif isinstance(frame, Ack):
            line = _acked(frame, chat_id or _around(frame)["chat_id"])
        else:
            line = _refused(frame, chat_id or _around(frame)["chat_id"])
        return told("sent", **fields_of(line))


def _unsent(frame: Unsent) -> SentLine:
    outcome: Any = frame.outcome
    return SentLine(
        message_id=frame.message_id, chat_id=frame.chat_id, outcome=outcome, sent=frame.sent,
        code=frame.code or msgspec.UNSET,
    )  # fmt: skip


def _acked(frame: Ack, chat_id: str | None) -> SentLine:
    return SentLine(
        message_id=frame.message_id or None, chat_id=chat_id, outcome="acked", sent="yes",
        accepted_at=msgspec.UNSET if frame.accepted_at is None else frame.accepted_at,
    )  # fmt: skip


def _refused(frame: Nack, chat_id: str | None) -> SentLine:
    return SentLine(
        message_id=frame.message_id, chat_id=chat_id, outcome="refused", sent="yes", code=frame.code,
        reason=msgspec.UNSET if frame.reason is None else frame.reason,
    )  # fmt: skip
