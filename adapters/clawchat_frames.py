"""ClawChat's frames: what one means to the account's chart, and how one of ours is written."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from ulid import ULID

from holdfast.engine import Event
from holdfast.statecharts import (
    Challenged,
    FrameReceived,
    FrameRejected,
    HelloAccepted,
    HelloRefused,
    MessageAcked,
    MessageRefused,
    ReplayFinished,
)

from . import clawchat_forms as forms
from .clawchat_header import HEADER, Header, number, numbers_of_unreadable
from .clawchat_inbound import read_inbound
from .dialect import Decoded
from .inbound import Ack, Inbound, Nack, Signal
from .text import clean_text
from .url import usable_device_id
from .wire_values import said, short_id, whole

NONCE_CHARS_MAX: Final = 256
"""The service sends 24. A connect frame may have 64 KiB, most of it for the token."""


def decode_frame(socket: int, data: str | bytes) -> Decoded:
    """See :meth:`Dialect.decode`."""
    try:
        header = HEADER.decode(data)
    except (ValueError, RecursionError) as error:
        seq, dseq = numbers_of_unreadable(data)
        return Decoded(_rejected(socket, error), None, seq, dseq)
    try:
        event, inbound = _meaning(socket, header, data)
    except (ValueError, RecursionError) as error:
        event, inbound = _rejected(socket, error), None
    return Decoded(event, inbound, number(header.seq), number(header.dseq))


def build_frame(event: str, ulid: ULID, payload: Mapping[str, Any], **fields: str) -> bytes:
    """A frame of ours. ``ulid`` is its trace id and its time."""
    header = {"version": "2", "event": event, "trace_id": str(ulid), "emitted_at": ulid.milliseconds}
    return msgspec.json.encode({**header, **fields, "payload": payload})


def _rejected(socket: int, error: Exception) -> FrameRejected:
    # A decoding error names our own fields and positions, never what was found there. Others might.
    is_ours = isinstance(error, msgspec.DecodeError)
    return FrameRejected(socket, clean_text(str(error)) if is_ours else f"unreadable ({type(error).__name__})")


def _meaning(socket: int, header: Header, data: str | bytes) -> tuple[Event, Inbound | None]:
    control = _CONTROLS.get(header.event)
    if control is not None:
        return control(socket, header), None
    inbound = read_inbound(header, data)
    return _event_of(socket, header, inbound), inbound


def _event_of(socket: int, header: Header, inbound: Inbound) -> Event:
    trace = short_id(header.trace_id)
    if trace and isinstance(inbound, Ack):
        return MessageAcked(socket, trace)
    if trace and isinstance(inbound, Nack):
        return MessageRefused(socket, trace, inbound.code)
    return FrameReceived(socket, _proven_chat(header, inbound))


def _proven_chat(header: Header, inbound: Inbound) -> str:
    """The chat that exists and has us as a member, going by this frame; empty if it tells of none."""
    if isinstance(inbound, Nack):  # names the chat that does not exist
        return ""
    if isinstance(inbound, Signal) and inbound.kind.startswith("conversation."):
        return "" if inbound.kind == "conversation.dissolved" else short_id(inbound.entity_id)
    return short_id(header.chat_id)


# -- the handshake and its end -----------------------------------------------------------------------------------------


def _challenge(socket: int, header: Header) -> Event:
    nonce = msgspec.json.decode(header.payload, type=forms.Challenge).nonce
    if not 0 < len(nonce) <= NONCE_CHARS_MAX:
        return FrameRejected(socket, "the challenge's nonce is empty or too long")
    return Challenged(socket, nonce)


def _hello_ok(socket: int, header: Header) -> Event:
    payload = msgspec.json.decode(header.payload, type=forms.Hello)
    epoch = whole(payload.ack_epoch)
    return HelloAccepted(
        socket=socket,
        # One that could not be presented again is none.
        device_id=usable_device_id(payload.device_id) or "",
        ack_mode="dseq" if payload.ack_mode == "dseq" else "",
        ack_epoch=short_id(payload.ack_epoch) if epoch is None else epoch,
    )


def _hello_fail(socket: int, header: Header) -> Event:
    # A refusal is one whatever its payload looks like.
    try:
        reason = msgspec.json.decode(header.payload, type=forms.Refusal).reason
    except (ValueError, RecursionError):
        reason = None
    return HelloRefused(socket, said(reason) or "")


def _replay_done(socket: int, header: Header) -> Event:
    return ReplayFinished(socket)


_CONTROLS: Final[dict[str, Callable[[int, Header], Event]]] = {
    "connect.challenge": _challenge,
    "hello-ok": _hello_ok,
    "hello-fail": _hello_fail,
    "replay.done": _replay_done,
}
