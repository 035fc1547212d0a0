"""The ClawChat Protocol, version 2."""

from collections.abc import Callable
from typing import Any, Final, TypeGuard

import httpx
import msgspec
from ulid import ULID

from holdfast.engine import Event
from holdfast.statecharts import Challenged, FrameReceived, FrameRejected, HelloAccepted, HelloRefused, ReplayFinished

from .about import USER_AGENT, VERSION
from .clawchat_http import read_pairing, read_refresh
from .dialect import Ack, Inbound, Mention, Message, Nack, Other, Outgoing, PairingAnswer, RefreshAnswer, Signal
from .errors import SendRefused
from .text import clean_text
from .url import check_device_id, usable_device_id

FRAME_BYTES_MAX: Final = 1_000_000
"""Of a frame we send. The service's limit applies to its own, larger frame: this leaves the margin it advises."""
NONCE_CHARS_MAX: Final = 256
"""The service sends 24. A connect frame may have 64 KiB, most of it for the token."""
CHAT_PREFIX: Final = "cnv_"
CAPABILITIES: Final = {"device_replay": True, "notify_signals": True}
"""What is implemented, and nothing else: a capability changes what the service sends."""


class ClawChat:
    """The :class:`Dialect` of ClawChat.

    ``platform`` is what a pairing reports. ``mint`` makes the ids of messages and frames, and tells their time: both
    come from one ULID, so that a simulation can give its own.
    """

    name = "clawchat"
    default_device_id = "clawchat-plugin-openclaw"

    def __init__(self, *, platform: str = "openclaw", mint: Callable[[], ULID] = ULID) -> None:
        self._platform = platform
        self._mint = mint

    def decode(self, socket: int, data: str | bytes) -> tuple[Event, Inbound | None]:
        """See :meth:`Dialect.decode`."""
        try:
            header = _HEADER.decode(data)
            return _DECODERS.get(header.event, _other)(socket, header, data)
        except msgspec.DecodeError as error:
            # It names our own fields and positions, never what was found there.
            return FrameRejected(socket=socket, error=clean_text(str(error))), None
        except (ValueError, RecursionError) as error:
            return FrameRejected(socket=socket, error=f"unreadable ({type(error).__name__})"), None

    def authenticate(self, *, token: str, nonce: str, device_id: str) -> str:
        """See :meth:`Dialect.authenticate`."""
        payload = {
            "token": token,
            "nonce": nonce,
            "device_id": check_device_id(device_id),
            "client_version": USER_AGENT,
            "protocol_version": 2,
            "capabilities": CAPABILITIES,
        }
        return _frame("connect", self._mint(), payload).decode()

    def message(self, *, chat_id: str, text: str) -> Outgoing:
        """See :meth:`Dialect.message`."""
        if not chat_id.startswith(CHAT_PREFIX):
            raise SendRefused("chat_not_found", f"chat ids of this service start with {CHAT_PREFIX}")
        ulid = self._mint()
        message_id = f"msg-{ulid}"
        content = {"body": {"fragments": [{"kind": "text", "text": text}]}, "context": {"mentions": (), "reply": None}}
        payload = {"message_id": message_id, "message_mode": "normal", "message": content}
        try:
            frame = _frame("message.send", ulid, payload, chat_id=chat_id)
        except UnicodeEncodeError:
            raise SendRefused("bad_request", "the text is no valid Unicode") from None
        if len(frame) > FRAME_BYTES_MAX:
            raise SendRefused("message_too_large", f"its frame has {len(frame)} bytes, {FRAME_BYTES_MAX} are allowed")
        return Outgoing(trace_id=str(ulid), message_id=message_id, frame=frame.decode())

    def refresh_request(
        self, client: httpx.AsyncClient, base_url: str, refresh_token: str, device_id: str
    ) -> httpx.Request:
        """See :meth:`Dialect.refresh_request`. It carries no Authorization (S1-40)."""
        return _post(client, f"{base_url}/v1/auth/refresh", device_id, {"refresh_token": refresh_token})

    def read_refresh(self, response: httpx.Response) -> RefreshAnswer:
        """See :meth:`Dialect.read_refresh`."""
        return read_refresh(response)

    def pair_request(
        self, client: httpx.AsyncClient, base_url: str, code: str, *, device_id: str, user_id: str | None
    ) -> httpx.Request:
        """See :meth:`Dialect.pair_request`."""
        body = {"code": code, "platform": self._platform, "type": "clawbot", "plugin_version": VERSION}
        if user_id is not None:
            body["user_id"] = user_id
        return _post(client, f"{base_url}/v1/agents/connect", device_id, body)

    def read_pairing(self, response: httpx.Response) -> PairingAnswer:
        """See :meth:`Dialect.read_pairing`."""
        return read_pairing(response)


def _frame(event: str, ulid: ULID, payload: dict[str, Any], **fields: str) -> bytes:
    header = {"version": "2", "event": event, "trace_id": str(ulid), "emitted_at": ulid.milliseconds}
    return msgspec.json.encode({**header, **fields, "payload": payload})


def _post(client: httpx.AsyncClient, url: str, device_id: str, body: dict[str, str]) -> httpx.Request:
    # As bytes: httpx refuses a device id that isn't ASCII, and it is to be sent verbatim.
    headers = {b"Content-Type": b"application/json", b"X-Device-Id": check_device_id(device_id).encode()}
    return client.build_request("POST", url, content=msgspec.json.encode(body), headers=headers)


# What frames look like. Only what is used has a type; payloads of unknown events are not even parsed.


class _Header(msgspec.Struct):
    event: str
    trace_id: str | None = None
    chat_id: str | None = None
    chat_type: str | None = None
    sender: msgspec.Raw = msgspec.Raw(b"{}")
    payload: msgspec.Raw = msgspec.Raw(b"{}")


class _Challenge(msgspec.Struct):
    nonce: str


class _Hello(msgspec.Struct):
    device_id: Any = None


class _Refusal(msgspec.Struct):
    reason: Any = None


class _Sender(msgspec.Struct):
    id: str | None = None
    nick_name: str | None = None


class _Body(msgspec.Struct):
    fragments: list[Any] | None = None


class _Context(msgspec.Struct):
    mentions: Any = None


class _Content(msgspec.Struct):
    body: _Body | None = None
    context: _Context | None = None


class _MessagePayload(msgspec.Struct):
    message_id: str
    message_mode: str | None = None
    message: _Content | None = None


class _AckPayload(msgspec.Struct):
    message_id: str
    accepted_at: Any = None


class _NackPayload(msgspec.Struct):
    message_id: Any = None
    code: Any = None
    reason: Any = None


class _SignalPayload(msgspec.Struct):
    event_id: str
    type: str
    entity_id: Any = None
    version: Any = None


_HEADER = msgspec.json.Decoder(_Header)
_CHALLENGE = msgspec.json.Decoder(_Challenge)
_HELLO = msgspec.json.Decoder(_Hello)
_REFUSAL = msgspec.json.Decoder(_Refusal)
_SENDER = msgspec.json.Decoder(_Sender | None)
_MESSAGE = msgspec.json.Decoder(_MessagePayload)
_ACK = msgspec.json.Decoder(_AckPayload)
_NACK = msgspec.json.Decoder(_NackPayload)
_SIGNAL = msgspec.json.Decoder(_SignalPayload)

_Decoded = tuple[Event, Inbound | None]


def _challenge(socket: int, header: _Header, data: str | bytes) -> _Decoded:
    nonce = _CHALLENGE.decode(header.payload).nonce
    if not 0 < len(nonce) <= NONCE_CHARS_MAX:
        return FrameRejected(socket=socket, error="the challenge's nonce is empty or too long"), None
    return Challenged(socket=socket, nonce=nonce), None


def _hello_ok(socket: int, header: _Header, data: str | bytes) -> _Decoded:
    device_id = _HELLO.decode(header.payload).device_id
    # One that could not be presented again is none.
    return HelloAccepted(socket=socket, device_id=usable_device_id(device_id) or ""), None


def _hello_fail(socket: int, header: _Header, data: str | bytes) -> _Decoded:
    # A refusal is one whatever its payload looks like.
    try:
        reason = _REFUSAL.decode(header.payload).reason
    except msgspec.DecodeError:
        reason = None
    return HelloRefused(socket=socket, reason=_text(reason) or ""), None


def _replay_done(socket: int, header: _Header, data: str | bytes) -> _Decoded:
    return ReplayFinished(socket=socket), None


def _message(socket: int, header: _Header, data: str | bytes) -> _Decoded:
    payload = _MESSAGE.decode(header.payload)
    sender = _SENDER.decode(header.sender) or _Sender()
    content = payload.message or _Content()
    return FrameReceived(socket=socket), Message(
        message_id=payload.message_id,
        chat_id=header.chat_id or "",
        chat_type=header.chat_type or "",
        sender_id=sender.id or "",
        sender_name=sender.nick_name or "",
        text=_text_of(content.body.fragments if content.body else None),
        mentions=_mentions(content.context.mentions if content.context else None),
        message_mode=payload.message_mode or "",
        raw=data,
    )


def _ack(socket: int, header: _Header, data: str | bytes) -> _Decoded:
    payload = _ACK.decode(header.payload)
    return FrameReceived(socket=socket), Ack(
        trace_id=header.trace_id or "",
        message_id=payload.message_id,
        accepted_at=_whole(payload.accepted_at),
        raw=data,
    )


def _nack(socket: int, header: _Header, data: str | bytes) -> _Decoded:
    payload = _NACK.decode(header.payload)
    return FrameReceived(socket=socket), Nack(
        trace_id=header.trace_id or "",
        message_id=payload.message_id if isinstance(payload.message_id, str) else None,
        code=_text(payload.code) or "",
        reason=_text(payload.reason),
        raw=data,
    )


def _signal(socket: int, header: _Header, data: str | bytes) -> _Decoded:
    payload = _SIGNAL.decode(header.payload)
    return FrameReceived(socket=socket), Signal(
        event_id=payload.event_id,
        kind=payload.type,
        entity_id=payload.entity_id if isinstance(payload.entity_id, str) else "",
        version=_whole(payload.version),
        raw=data,
    )


def _other(socket: int, header: _Header, data: str | bytes) -> _Decoded:
    return FrameReceived(socket=socket), Other(event=header.event, chat_id=header.chat_id, raw=data)


_DECODERS: Final[dict[str, Callable[[int, _Header, str | bytes], _Decoded]]] = {
    "connect.challenge": _challenge,
    "hello-ok": _hello_ok,
    "hello-fail": _hello_fail,
    "replay.done": _replay_done,
    "message.send": _message,
    "message.reply": _message,
    "message.ack": _ack,
    "message.error": _nack,
    "notify.signal": _signal,
}


def _text_of(fragments: list[Any] | None) -> str:
    """The text of a body. A mention between two texts is part of what was said; other kinds are not text."""
    parts: list[str] = []
    for fragment in fragments or ():
        kind, text, display = (_field(fragment, name) for name in ("kind", "text", "display"))
        if kind == "text":
            parts.append(text)
        elif kind == "mention" and display:
            parts.append(display if display.startswith("@") else f"@{display}")
    return "".join(parts)


def _mentions(found: Any) -> tuple[Mention, ...]:
    """Mentions come as objects, bare user ids, null, or things unknown (S1-42): the unknown ones are left out."""
    if not _is_array(found):
        return ()
    return tuple(mention for mention in map(_mention, found) if mention.user_id or mention.display)


def _mention(found: Any) -> Mention:
    if isinstance(found, str):
        return Mention(user_id=found)
    return Mention(user_id=_field(found, "user_id") or None, display=_field(found, "display") or None)


def _field(found: Any, name: str) -> str:
    """The text of an object's field; empty if there is none, or no object."""
    value = found.get(name) if _is_object(found) else None
    return value if isinstance(value, str) else ""


def _is_array(found: Any) -> TypeGuard[list[Any]]:
    return isinstance(found, list)


def _is_object(found: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(found, dict)


def _text(value: object) -> str | None:
    """A reason or code for people, None where there is none (S1-43)."""
    if isinstance(value, str):
        return clean_text(value) or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
