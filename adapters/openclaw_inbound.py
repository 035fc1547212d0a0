"""What a user of OpenClaw's gateway gets: answers and events, with their payloads as they came.

A payload is JSON that nobody has looked into, so that it may hold a token: it is left out of the repr, as ``raw`` is.
"""

import msgspec

from holdfast.statecharts import Failure

from .inbound import Inbound


class RpcAnswer(Inbound, frozen=True, kw_only=True):
    """The answer to the request ``id``, empty if it names none. It is an error if there is a ``failure``.

    ``payload`` is there in both cases: of an answer without one it is the whole frame (S3-73). ``accepted``: the work
    has begun, and another answer with the same id brings its result.
    """

    id: str
    payload: bytes
    failure: Failure | None = None
    accepted: bool = False


class StateVersion(msgspec.Struct, frozen=True):
    """The versions of what the gateway counts."""

    presence: int | None = None
    health: int | None = None


class GatewayEvent(Inbound, frozen=True, kw_only=True):
    """Something happened. ``seq`` counts this connection's events from 1; a hole in it means that some were dropped."""

    event: str
    payload: bytes
    seq: int | None = None
    state_version: StateVersion | None = None


class ShutdownNotice(Inbound, frozen=True, kw_only=True):
    """The gateway stops, or restarts if ``restart_expected_s`` says when it will be back. Then it closes with 1012."""

    reason: str
    restart_expected_s: float | None = None
    seq: int | None = None
