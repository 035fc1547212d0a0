"""The service's side of the wire format: builds frames, and says what is wrong with a client's."""

import re
import secrets
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import msgspec
from ulid import ULID

VERSION = "2"
NONCE_CHARS = 24
DEVICE_ID_BYTES_MAX = 128
MESSAGE_ID_CHARS_MAX = 128
CHAT_PREFIX = "cnv_"
AGENT_NAME = "Agent"
# Crockford's base 32 has no I, L, O, U; 26 characters hold 130 bits, so the first of a 128-bit value is at most 7.
MESSAGE_ID = re.compile(r"msg-[0-7][0-9A-HJKMNP-TV-Z]{25}")

CAPABILITIES = frozenset(
    {"multi_device", "device_replay", "chat_meta_events", "delivery_receipt", "notify_signals", "permission_events",
     "history_sync", "reliable_delivery", "reliable_delivery_v2", "e2ee"}
)  # fmt: skip

Json = Mapping[str, Any]
Frame = dict[str, Any]
T = TypeVar("T")


class NotAFrame(Exception):
    """The text is no JSON object with an event; ``close_code`` says how to part."""

    def __init__(self, close_code: Literal[1007, 1008], reason: str) -> None:
        super().__init__(reason)
        self.close_code = close_code
        self.reason = reason


class Rejected(Exception):
    """A message that is answered by message.error."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of a client's connect frame. Never shown: it holds the token."""

    token: str
    nonce: str
    device_id: str
    client_version: str
    protocol_version: int
    capabilities: dict[str, bool]


class Body(msgspec.Struct, frozen=True):
    """What a message says."""

    fragments: list[dict[str, Any]]


class Context(msgspec.Struct, frozen=True):
    """Whom a message mentions and which one it answers."""

    mentions: list[Any]
    reply: dict[str, Any] | None


class MessageContent(msgspec.Struct, frozen=True, kw_only=True):
    """Content of an uplink message."""

    body: Body
    context: Context
    streaming: Any = msgspec.UNSET


class MessagePayload(msgspec.Struct, frozen=True, kw_only=True):
    """Payload of an uplink message."""

    message_id: str
    message_mode: str
    message: MessageContent


class Typing(msgspec.Struct, frozen=True):
    """Payload of an uplink typing.update."""

    is_typing: bool


class CursorAck(msgspec.Struct, frozen=True):
    """Payload of a message.cursor_ack."""

    seq: int


class SyncAck(msgspec.Struct, frozen=True):
    """Payload of a message.sync_ack. The epoch is whatever the client took it for."""

    dseq: int
    epoch: Any


def parse(text: str) -> Frame:
    """Decode a client's frame.

    Raises:
        NotAFrame: it is no JSON (1007) or no object with an event name (1008).
    """
    try:
        frame: object = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        raise NotAFrame(1007, "not JSON") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("event"), str):  # pyright: ignore[reportUnknownMemberType]
        raise NotAFrame(1008, "not an object with an event")
    return frame  # pyright: ignore[reportUnknownVariableType]


def trace_of(frame: Json) -> str:
    """The frame's trace id, or an empty one."""
    trace_id = frame.get("trace_id")
    return trace_id if isinstance(trace_id, str) else ""


def is_connect(frame: Json) -> bool:
    """A connect frame as far as its envelope goes: version, event and a trace id of its own."""
    return frame["event"] == "connect" and frame.get("version") == VERSION and trace_of(frame) != ""


def greeting(frame: Json) -> Greeting | None:
    """The payload of a connect frame, or None if it is not valid."""
    found = payload_of(frame, Greeting)
    if found is None:
        return None
    device_id_bytes = len(found.device_id.encode("utf-8", "surrogatepass"))
    lone_v2 = found.capabilities.get("reliable_delivery_v2") and not found.capabilities.get("reliable_delivery")
    valid = found.protocol_version == 2 and found.token and 0 < device_id_bytes <= DEVICE_ID_BYTES_MAX and not lone_v2
    return found if valid else None


def message(frame: Json) -> tuple[str, MessagePayload]:
    """Chat id and payload of an uplink message.send.

    Raises:
        Rejected: something in it is not as the protocol wants it.
    """
    if frame.get("version") != VERSION:
        raise Rejected("unsupported_version", 'version must be "2"')
    for name in ("sender", "chat_type", "origin_device_id"):
        if name in frame:
            raise Rejected("bad_request", f"a client never sends {name}")
    if not isinstance(frame.get("emitted_at"), int) or not trace_of(frame):
        raise Rejected("bad_request", "emitted_at (epoch ms) and trace_id are required")
    payload = _message_payload(frame)
    chat_id = frame.get("chat_id")
    if not isinstance(chat_id, str):
        raise Rejected("bad_request", "chat_id is required")
    if not chat_id.startswith(CHAT_PREFIX):
        raise Rejected("chat_not_found", "chat ids of this service start with cnv_")
    return chat_id, payload


def _message_payload(frame: Json) -> MessagePayload:
    try:
        payload = msgspec.convert(frame.get("payload"), MessagePayload)
    except msgspec.ValidationError as error:
        raise Rejected("bad_request", str(error)) from None
    if len(payload.message_id) > MESSAGE_ID_CHARS_MAX:
        raise Rejected("message_id_too_long", f"at most {MESSAGE_ID_CHARS_MAX} characters")
    if not MESSAGE_ID.fullmatch(payload.message_id):
        raise Rejected("bad_request", "message_id must be msg- and a 26-character ULID")
    if payload.message_mode != "normal":
        raise Rejected("bad_request", 'message_mode must be "normal"')
    if payload.message.streaming is not msgspec.UNSET:
        raise Rejected("bad_request", "a client never sends payload.message.streaming")
    if not payload.message.body.fragments:
        raise Rejected("bad_request", "body.fragments must not be empty")
    for fragment in payload.message.body.fragments:
        if not isinstance(fragment.get("kind"), str):
            raise Rejected("bad_request", "each fragment needs a kind")
        if fragment["kind"] == "text" and not isinstance(fragment.get("text"), str):
            raise Rejected("bad_request", "a text fragment needs a text")
    return payload


def payload_of(frame: Json, form: type[T]) -> T | None:
    """The frame's payload, or None if it is not of this form."""
    try:
        return msgspec.convert(frame.get("payload"), form)
    except msgspec.ValidationError:
        return None


def message_id_of(frame: Json) -> str | None:
    """The message id of a frame that may be wrong in other ways; None if it is none to speak of."""
    payload: object = frame.get("payload")
    message_id: object = payload.get("message_id") if isinstance(payload, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return message_id if isinstance(message_id, str) and len(message_id) <= MESSAGE_ID_CHARS_MAX else None


def text_of(payload: MessagePayload) -> str:
    """The text fragments of a message, joined."""
    parts = [fragment["text"] for fragment in payload.message.body.fragments if fragment["kind"] == "text"]
    return "".join(parts)


def new_id(prefix: str) -> str:
    """A unique id, for traces and events."""
    return f"{prefix}-{secrets.token_hex(12)}"


def new_message_id() -> str:
    """A message id of the protocol's form."""
    return f"msg-{ULID()}"


def new_chat_id() -> str:
    """An id for a new conversation."""
    return f"{CHAT_PREFIX}{secrets.token_hex(8)}"


def check_chat_id(chat_id: str) -> str:
    """The id itself.

    Raises:
        ValueError: the service has no such ids.
    """
    if not chat_id.startswith(CHAT_PREFIX):
        raise ValueError(f"chat ids of this service start with {CHAT_PREFIX}, not {chat_id!r}")
    return chat_id


def new_nonce() -> str:
    """A challenge's nonce: 24 characters."""
    return secrets.token_urlsafe(NONCE_CHARS)[:NONCE_CHARS]


def build(event: str, payload: Json, *, now_ms: int, trace_id: str | None = None, **fields: Any) -> str:
    """A frame of the service. Fields that are None are left out."""
    frame: Frame = {
        "version": VERSION, "event": event, "trace_id": new_id("tr") if trace_id is None else trace_id,
        "emitted_at": now_ms,
    }  # fmt: skip
    frame.update({name: value for name, value in fields.items() if value is not None})
    frame["payload"] = payload
    return msgspec.json.encode(frame).decode()
