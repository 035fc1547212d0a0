"""OpenClaw's frames: what one means to the account's chart, and what the user gets of it."""

from typing import Final

import msgspec

from holdfast.statecharts import (
    CHALLENGE_INCOMPLETE,
    Challenged,
    Failure,
    FrameReceived,
    FrameRejected,
    HelloAccepted,
    HelloRefused,
    Phase,
)

from . import openclaw_forms as forms
from .clawchat_header import number, numbers_of_unreadable
from .dialect import Decoded
from .inbound import Inbound, Other
from .openclaw_connect import CONNECT_ID, pack_challenge
from .openclaw_failures import failure_of
from .openclaw_forms import Frame, read, seconds
from .openclaw_hello import Hello, read_hello
from .openclaw_inbound import GatewayEvent, RpcAnswer, ShutdownNotice, StateVersion
from .text import clean_text
from .vault import TokenPair
from .wire_values import short_id, text_or_empty, whole

NONCE_CHARS_MAX: Final = 256
"""The gateway sends a UUID. A connect frame may have 64 KiB, most of it for the token."""

Data = str | bytes

_FRAME: Final = msgspec.json.Decoder(Frame)


class GatewayDecoded(Decoded, frozen=True, kw_only=True):
    """What a frame means here. A hello brings its terms, and beside them the secret that must not get into an event;
    a failed handshake what :func:`judge` needs.
    """

    hello: Hello | None = None
    device_token: TokenPair | None = None
    failure: Failure | None = None


def decode_frame(socket: int, data: Data) -> GatewayDecoded:
    """What a frame means. Never raises, and an error quotes nothing of the frame.

    ``seq`` is the event's: it counts this connection's events from 1, without holes.
    """
    try:
        frame = _FRAME.decode(data)
        return _meaning(socket, frame, data)
    except (ValueError, RecursionError) as error:
        seq, _ = numbers_of_unreadable(data)
        return GatewayDecoded(_rejected(socket, error), seq=seq)


def _rejected(socket: int, error: Exception) -> FrameRejected:
    # A decoding error names positions, never what was found there. Others might.
    is_ours = isinstance(error, msgspec.DecodeError)
    return FrameRejected(socket, clean_text(str(error)) if is_ours else f"unreadable ({type(error).__name__})")


def _meaning(socket: int, frame: Frame, data: Data) -> GatewayDecoded:
    if frame.type == "event" and frame.event == "connect.challenge":
        return _challenge(socket, frame)
    if frame.type == "res" and frame.id == CONNECT_ID:
        return _hello(socket, frame)
    inbound = _inbound(frame, data)
    return GatewayDecoded(FrameReceived(socket), inbound, number(frame.seq) if frame.type == "event" else None)


# -- the handshake -----------------------------------------------------------------------------------------------------


def _challenge(socket: int, frame: Frame) -> GatewayDecoded:
    payload = read(_payload(frame), forms.Challenge) or forms.Challenge()
    nonce, ts = text_or_empty(payload.nonce), whole(payload.ts)
    if nonce.strip() and nonce.isprintable() and len(nonce) <= NONCE_CHARS_MAX and ts is not None and ts >= 0:
        return GatewayDecoded(Challenged(socket, pack_challenge(nonce, ts)))
    problem = "the challenge lacks a usable nonce or time"
    failure = Failure(phase=Phase.HANDSHAKE, code=CHALLENGE_INCOMPLETE, message=problem)
    return GatewayDecoded(FrameRejected(socket, problem), failure=failure)


def _hello(socket: int, frame: Frame) -> GatewayDecoded:
    failure = _failure(frame, Phase.HANDSHAKE)
    if failure is not None:
        return GatewayDecoded(HelloRefused(socket, failure.message), failure=failure)
    hello, device_token = read_hello(_payload(frame))
    return GatewayDecoded(HelloAccepted(socket), hello=hello, device_token=device_token)


# -- what the user gets ------------------------------------------------------------------------------------------------


def _inbound(frame: Frame, data: Data) -> Inbound:
    if frame.type == "res":
        return _answer(frame, data, frame.payload)
    if frame.type == "event" and isinstance(frame.event, str):
        return _event(frame, data, frame.event, _payload(frame))
    if frame.jsonrpc == "2.0":  # from before protocol 3 (S3-62)
        return _of_json_rpc(frame, data)
    return Other(event=clean_text(text_or_empty(frame.type)), raw=data)


def _of_json_rpc(frame: Frame, data: Data) -> Inbound:
    if isinstance(frame.method, str):
        return _event(frame, data, frame.method, frame.params)
    return _answer(frame, data, frame.result)


def _answer(frame: Frame, data: Data, payload: msgspec.Raw | msgspec.UnsetType) -> Inbound:
    number = whole(frame.id)
    progress = read(_payload(frame), forms.Progress) or forms.Progress()
    failure = _failure(frame, Phase.REQUEST)
    return RpcAnswer(
        id=short_id(frame.id) if number is None else str(number),
        payload=_as_bytes(data) if isinstance(payload, msgspec.UnsetType) else bytes(payload),
        failure=failure,
        accepted=failure is None and progress.status == "accepted",
        raw=data,
    )


def _event(frame: Frame, data: Data, event: str, payload: msgspec.Raw) -> Inbound:
    seq = number(frame.seq)
    shutdown = read(payload, forms.Shutdown) if event == "shutdown" else None
    if shutdown is not None:
        back_s = seconds(shutdown.restart_expected_ms)
        return ShutdownNotice(
            reason=clean_text(text_or_empty(shutdown.reason)), restart_expected_s=back_s, seq=seq, raw=data
        )
    version = read(frame.stateVersion, forms.StateVersion)
    state_version = None if version is None else StateVersion(whole(version.presence), whole(version.health))
    return GatewayEvent(
        event=clean_text(event),
        payload=bytes(payload),
        seq=seq,
        state_version=state_version,
        raw=data,
    )


def _failure(frame: Frame, phase: Phase) -> Failure | None:
    """Of an answer. One that says ok and has an error beside is none (S3-72), nor is one that does not say ok."""
    says_ok = frame.ok is True or (frame.type is None and frame.ok is None)
    return None if says_ok and bytes(frame.error) == b"null" else failure_of(frame.error, phase)


def _payload(frame: Frame) -> msgspec.Raw:
    return forms.NULL if isinstance(frame.payload, msgspec.UnsetType) else frame.payload


def _as_bytes(data: Data) -> bytes:
    return data.encode() if isinstance(data, str) else data
