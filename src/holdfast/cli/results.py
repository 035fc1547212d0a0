"""What an operation comes to: the fields of its result, if it worked, or of its failure."""

from typing import Any, Final, Literal

import msgspec

from .. import (
    AgentInfo,
    ConnectionLost,
    Conversation,
    HoldfastError,
    PairingFailed,
    Profile,
    RestFailed,
    SendError,
    SendRefused,
    Status,
)
from ..adapters import HistoryRow, Sent

Fields = dict[str, Any]


class Nothing(msgspec.Struct, frozen=True):
    """It worked, and there is nothing to add."""


class Acked(msgspec.Struct, frozen=True):
    """The service has the message. ``accepted_at`` is epoch milliseconds by its clock."""

    message_id: str
    accepted_at: int | None


class Posted(msgspec.Struct, frozen=True):
    """The message is stored, and will be sent."""

    message_id: str


class Answered(msgspec.Struct, frozen=True):
    """The answer of the REST service: ``status`` is HTTP's."""

    status: int
    body: Any


class Conversed(msgspec.Struct, frozen=True):
    """A chat."""

    conversation: Conversation


class Agented(msgspec.Struct, frozen=True):
    """The account's agent, null if the pairing named none."""

    agent: AgentInfo | None


class Profiled(msgspec.Struct, frozen=True):
    """The account's own user."""

    profile: Profile


class Refreshed(msgspec.Struct, frozen=True):
    """There is a fresh token."""

    outcome: str
    reason: str


class Remembered(msgspec.Struct, frozen=True):
    """The history, newest first. Times are epoch seconds."""

    rows: list[HistoryRow]


RESULTS: Final[dict[str, type[msgspec.Struct]]] = {
    "send": Acked,
    "post": Posted,
    "typing": Nothing,
    "handled": Nothing,
    "rest": Answered,
    "conversation": Conversed,
    "agent": Agented,
    "profile": Profiled,
    "activate": Nothing,
    "refresh": Refreshed,
    "logout": Nothing,
    "resume": Nothing,
    "status": Status,
    "history": Remembered,
    "stop": Nothing,
}

Kind = Literal[
    "NotPaired", "NotConnected", "ConnectionLost", "AckTimeout", "SendRefused", "OutboxFull",
    "HttpStatus", "ServiceCode", "NoEnvelope", "AnswerTooLong", "NoAnswer", "BodyNotReplayable", "RestFailed",
    "PairingFailed", "NotRefreshed", "StoreUnavailable", "StoreCorrupt", "StoreTooNew",
    "UnknownRef", "NotSupported", "TimedOut", "Malformed", "TooMany", "Stopped", "InternalError",
]  # fmt: skip


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why it did not work, for people (``error``) and for programs. ``status`` is HTTP's, ``code`` the service's."""

    error: str
    kind: Kind
    sent: Sent | msgspec.UnsetType = msgspec.UNSET
    kept: bool | msgspec.UnsetType = msgspec.UNSET
    status: int | msgspec.UnsetType = msgspec.UNSET
    code: int | str | msgspec.UnsetType | None = msgspec.UNSET
    body: Any = msgspec.UNSET
    outcome: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    spent: bool | msgspec.UnsetType = msgspec.UNSET


class Failed(Exception):
    """An operation that did not work."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.failure = failure


def failure(error: str, kind: Kind, **fields: Any) -> Failed:
    """An operation that did not work, to be raised."""
    return Failed(Failure(error=error, kind=kind, **fields))


def failure_of(error: HoldfastError) -> Failed:
    """What a result says of an error."""
    fields: Fields = {}
    if isinstance(error, SendError):
        fields["sent"] = error.sent
    if isinstance(error, ConnectionLost):
        fields["kept"] = error.kept
    if isinstance(error, SendRefused | PairingFailed | RestFailed):
        fields["code"] = error.code
    if isinstance(error, PairingFailed):
        fields["spent"] = error.spent
    if isinstance(error, RestFailed) and error.status is not None:
        fields["status"] = error.status
    kind: Any = type(error).__name__
    return failure(str(error), kind, **fields)


def fields_of(told: msgspec.Struct) -> Fields:
    """What goes into the line."""
    fields = msgspec.structs.asdict(told)
    return {name: value for name, value in fields.items() if value is not msgspec.UNSET}
