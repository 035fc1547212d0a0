"""ClawChat's frames for the user: which record each event becomes.

Only what a record cannot do without is required. The rest is decoded piece by piece, so that one unreadable fragment,
mention or field spoils no more than itself.
"""

from collections.abc import Callable
from typing import Final, Literal, TypeVar

import msgspec

from . import clawchat_forms as forms
from .clawchat_header import Header
from .inbound import (
    Ack,
    HistoryTruncated,
    Inbound,
    Mention,
    Message,
    MetadataInvalidated,
    Nack,
    Other,
    Permission,
    Presence,
    Reaction,
    ReadMark,
    Signal,
    StreamPart,
    Typing,
)
from .wire_values import said, short_id, text_or_empty, text_or_none, whole

Data = str | bytes
Form = TypeVar("Form", bound=msgspec.Struct)

_UNREADABLE: Final = (ValueError, RecursionError)
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT: Final = msgspec.json.Decoder(str)
_MENTION: Final = msgspec.json.Decoder(str | forms.Mention)


def read_inbound(header: Header, data: Data) -> Inbound:
    """The record of a frame; :class:`Other` if there is none for its event, or if it lacks what its record needs.

    Raises:
        ValueError: a message without an id. What cannot be told from another message is not handed on as one.
    """
    family = header.event.partition(".")[0]
    reader = _READERS.get(header.event) or _FAMILIES.get(family)
    found = None if reader is None else reader(header, data)
    return Other(event=header.event, chat_id=text_or_none(header.chat_id), raw=data) if found is None else found


# -- messages ----------------------------------------------------------------------------------------------------------


def _message(header: Header, data: Data) -> Inbound:
    payload = msgspec.json.decode(header.payload, type=forms.Message)
    sender = _sender(header)
    content = _read(payload.message, forms.Content) or forms.Content()
    body = _read(content.body, forms.Body) or forms.Body()
    context = _read(content.context, forms.Context) or forms.Context()
    reply = _read(context.reply, forms.Reply)
    return Message(
        message_id=payload.message_id,
        chat_id=text_or_empty(header.chat_id),
        chat_type=text_or_empty(header.chat_type),
        sender_id=text_or_empty(sender.id),
        sender_name=text_or_empty(sender.nick_name),
        text=_text_of(body.fragments),
        mentions=_mentions(context.mentions),
        message_mode=text_or_empty(payload.message_mode),
        merged=bytes(payload.stream_merged) == b"true",
        origin_device_id=text_or_empty(header.origin_device_id),
        reply_to=None if reply is None else reply.reply_to_msg_id,
        raw=data,
    )


_PHASES: Final[dict[str, Literal["created", "add", "done", "failed"]]] = {
    "message.created": "created",
    "message.add": "add",
    "message.done": "done",
    "message.failed": "failed",
}


def _stream(header: Header, data: Data) -> Inbound | None:
    payload = _read(header.payload, forms.Stream)
    if payload is None:
        return None
    return StreamPart(
        phase=_PHASES[header.event],
        message_id=payload.message_id,
        chat_id=text_or_empty(header.chat_id),
        sender_id=text_or_empty(_sender(header).id),
        text=_text_of(payload.fragments),
        sequence=whole(payload.sequence),
        message_mode=text_or_empty(payload.message_mode),
        origin_device_id=text_or_empty(header.origin_device_id),
        raw=data,
    )


def _ack(header: Header, data: Data) -> Inbound:
    payload = _read(header.payload, forms.Ack) or forms.Ack()  # it names what we sent by its trace id
    return Ack(
        trace_id=text_or_empty(header.trace_id),
        message_id=text_or_empty(payload.message_id),
        accepted_at=whole(payload.accepted_at),
        raw=data,
    )


def _nack(header: Header, data: Data) -> Inbound:
    payload = _read(header.payload, forms.Nack) or forms.Nack()
    return Nack(
        trace_id=text_or_empty(header.trace_id),
        message_id=text_or_none(payload.message_id),
        code=said(payload.code) or "",
        reason=said(payload.reason),
        raw=data,
    )


# -- what goes on around them ------------------------------------------------------------------------------------------


def _typing(header: Header, data: Data) -> Inbound | None:
    payload = _read(header.payload, forms.Typing)
    chat_id, user_id = text_or_empty(header.chat_id), text_or_empty(_sender(header).id)
    if payload is None or not (chat_id and user_id):
        return None
    return Typing(chat_id=chat_id, user_id=user_id, is_typing=payload.is_typing, raw=data)


def _presence(header: Header, data: Data) -> Inbound | None:
    payload = _read(header.payload, forms.Presence)
    if payload is None:
        return None
    last_seen_at = text_or_none(payload.last_seen_at)
    return Presence(
        event=header.event, user_id=payload.user_id, online=payload.online, last_seen_at=last_seen_at, raw=data
    )


def _permission(header: Header, data: Data) -> Inbound | None:
    payload = _read(header.payload, forms.Permission)
    if payload is None:
        return None
    target = _read(payload.target, forms.Target) or forms.Target()
    return Permission(
        event=header.event,
        request_id=payload.request_id,
        chat_id=text_or_empty(header.chat_id),
        agent_id=text_or_empty(payload.agent_id),
        operation=text_or_empty(payload.operation),
        target=text_or_empty(target.label),
        expires_at=whole(payload.expires_at),
        decision=text_or_empty(payload.decision),
        reason=text_or_none(payload.reason),
        raw=data,
    )


def _reaction(header: Header, data: Data) -> Inbound | None:
    payload = _read(header.payload, forms.Reaction)
    if payload is None:
        return None
    return Reaction(
        chat_id=text_or_empty(header.chat_id),
        message_id=payload.message_id,
        user_id=_who(payload.user_id, header),
        emoji=payload.emoji,
        removed=payload.removed,
        raw=data,
    )


def _read_mark(header: Header, data: Data) -> Inbound | None:
    payload = _read(header.payload, forms.Read)
    if payload is None:
        return None
    chat_id, user_id = text_or_empty(header.chat_id), _who(payload.user_id, header)
    return ReadMark(chat_id=chat_id, user_id=user_id, message_id=payload.message_id, raw=data)


def _invalidated(header: Header, data: Data) -> Inbound | None:
    payload = _read(header.payload, forms.Invalidated) or forms.Invalidated()
    chat_id = short_id(header.chat_id)  # which is remembered
    if not chat_id:
        return None
    return MetadataInvalidated(
        chat_id=chat_id,
        chat_type=text_or_empty(header.chat_type),
        scope=tuple(scope for each in _items(payload.scope) if (scope := _text(each)) is not None),
        version=whole(payload.version),
        updated_at=whole(payload.updated_at),
        raw=data,
    )


def _truncated(header: Header, data: Data) -> Inbound | None:
    payload = _read(header.payload, forms.Truncated)
    oldest_seq = None if payload is None else whole(payload.oldest_seq)
    return None if oldest_seq is None else HistoryTruncated(oldest_seq=oldest_seq, raw=data)


def _signal(header: Header, data: Data) -> Inbound | None:
    payload = _read(header.payload, forms.Signal)
    if payload is None:
        return None
    return Signal(
        event_id=payload.event_id,
        kind=payload.type,
        entity_id=text_or_empty(payload.entity_id),
        version=whole(payload.version),
        raw=data,
    )


_READERS: Final[dict[str, Callable[[Header, Data], Inbound | None]]] = {
    "message.send": _message,
    "message.reply": _message,
    **dict.fromkeys(_PHASES, _stream),
    "message.ack": _ack,
    "message.error": _nack,
    "message.reaction": _reaction,
    "message.read": _read_mark,
    "typing.update": _typing,
    "chat.metadata.invalidated": _invalidated,
    "history.truncated": _truncated,
    "notify.signal": _signal,
}
_FAMILIES: Final = {"presence": _presence, "permission": _permission}


# -- pieces of them ----------------------------------------------------------------------------------------------------


def _read(raw: msgspec.Raw, form: type[Form]) -> Form | None:
    try:
        return msgspec.json.decode(raw, type=form)
    except _UNREADABLE:
        return None


def _items(raw: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        return _LIST.decode(raw)
    except _UNREADABLE:
        return []


def _text(raw: msgspec.Raw) -> str | None:
    try:
        return _TEXT.decode(raw)
    except _UNREADABLE:
        return None


def _sender(header: Header) -> forms.Sender:
    return _read(header.sender, forms.Sender) or forms.Sender()


def _who(user_id: object, header: Header) -> str:
    """The user a payload names, or else the sender."""
    return text_or_empty(user_id) or text_or_empty(_sender(header).id)


def _text_of(fragments: msgspec.Raw) -> str:
    """The text of a body. A mention between two texts is part of what was said; other kinds are not text."""
    parts: list[str] = []
    for raw in _items(fragments):
        fragment = _read(raw, forms.Fragment) or forms.Fragment()
        display = text_or_empty(fragment.display)
        if fragment.kind == "text":
            parts.append(text_or_empty(fragment.text))
        elif fragment.kind == "mention" and display:
            parts.append(display if display.startswith("@") else f"@{display}")
    return "".join(parts)


def _mentions(raw: msgspec.Raw) -> tuple[Mention, ...]:
    """Mentions come as objects, bare user ids, null, or things unknown (S1-42): the unknown ones are left out."""
    return tuple(mention for mention in map(_mention, _items(raw)) if mention.user_id or mention.display)


def _mention(raw: msgspec.Raw) -> Mention:
    try:
        found = _MENTION.decode(raw)
    except _UNREADABLE:
        return Mention()
    if isinstance(found, str):
        return Mention(user_id=found)
    return Mention(user_id=text_or_empty(found.user_id) or None, display=text_or_empty(found.display) or None)
