"""What OpenClaw's frames and payloads look like. Fields of wrong types count as absent, unless they are needed."""

import math
from typing import Any, Final, TypeVar

import msgspec

Form = TypeVar("Form", bound=msgspec.Struct)

NULL: Final = msgspec.Raw(b"null")


class Frame(msgspec.Struct):
    """Any frame of the gateway, and the older JSON-RPC ones (S3-62)."""

    type: Any = None
    jsonrpc: Any = None
    id: Any = None
    ok: Any = None
    event: Any = None
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw = NULL
    seq: msgspec.Raw = NULL
    stateVersion: msgspec.Raw = NULL
    method: Any = None
    params: msgspec.Raw = NULL
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Challenge(msgspec.Struct):
    """Of ``connect.challenge``."""

    nonce: Any = None
    ts: Any = None


class Error(msgspec.Struct, rename="camel"):
    """Why a request was refused."""

    code: Any = None
    message: Any = None
    details: msgspec.Raw = NULL
    retryable: Any = None
    retry_after_ms: Any = None


class Details(msgspec.Struct, rename="camel"):
    """What tells one refusal from another."""

    code: Any = None
    reason: Any = None
    can_retry_with_device_token: Any = None
    recommended_next_step: Any = None
    pause_reconnect: Any = None
    request_id: Any = None


class Hello(msgspec.Struct):
    """Of ``hello-ok``."""

    protocol: Any = None
    server: msgspec.Raw = NULL
    auth: msgspec.Raw = NULL
    policy: msgspec.Raw = NULL


class Server(msgspec.Struct, rename="camel"):
    """Who let us in. The boot id is another after each start."""

    version: Any = None
    boot_id: Any = None
    conn_id: Any = None


class Auth(msgspec.Struct, rename="camel"):
    """As what it let us in."""

    method: Any = None
    scopes: msgspec.Raw = NULL
    device_token: Any = None


class Policy(msgspec.Struct, rename="camel"):
    """What it expects of us."""

    tick_interval_ms: Any = None
    max_payload: Any = None


class StateVersion(msgspec.Struct):
    """Of an event."""

    presence: Any = None
    health: Any = None


class Shutdown(msgspec.Struct, rename="camel"):
    """Of ``shutdown``."""

    reason: Any = None
    restart_expected_ms: Any = None


class Progress(msgspec.Struct):
    """Of an answer's payload: ``accepted`` where another one follows."""

    status: Any = None


def read(raw: msgspec.Raw, form: type[Form]) -> Form | None:
    """``raw`` as ``form``, None if it is no such object."""
    try:
        return msgspec.json.decode(raw, type=form)
    except (ValueError, RecursionError):
        return None


def seconds(milliseconds: object) -> float | None:
    """A time that the gateway told, None if it is none."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    # An integer may be too large even for a float.
    return milliseconds / 1000 if 0 <= milliseconds < math.inf and milliseconds < 2**53 else None
