"""Frames of ClawChat's service, and what the dialect makes of them."""

import json

from holdfast.adapters import ClawChat, Decoded, Dialect, Inbound
from holdfast.statecharts import FrameReceived, FrameRejected

ID = 7
MESSAGE_ID = "msg-01JD3X5V8Q9WZK4T7M2N6P0RHB"
DIALECT: Dialect = ClawChat()


def frame(event: str, payload: object = None, **fields: object) -> str:
    """A frame of the service."""
    return json.dumps(
        {"version": "2", "event": event, "trace_id": "t-1", "emitted_at": 1, **fields, "payload": payload}
    )


def decode(event: str, payload: object = None, **fields: object) -> Decoded:
    """What a frame means."""
    return DIALECT.decode(ID, frame(event, payload, **fields))


def inbound_of(event: str, payload: object = None, **fields: object) -> Inbound:
    """What the user gets of a frame, which has its chat for the chart."""
    decoded = decode(event, payload, **fields)
    assert decoded.event == FrameReceived(ID, str(fields.get("chat_id", "")))
    assert decoded.inbound is not None
    return decoded.inbound


def rejected(data: str | bytes) -> str:
    """The error of a frame that is not understood."""
    decoded = DIALECT.decode(ID, data)
    assert decoded.inbound is None
    assert isinstance(decoded.event, FrameRejected)
    assert decoded.event.socket == ID
    return decoded.event.error
