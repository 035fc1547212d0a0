"""Bodies of the scripting actions, checked before anything happens."""

from typing import Any

import msgspec

from .book import ChatKind
from .faults import Point
from .frames import Frame


class _Form(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of an action. A misspelt field is an error: a fault that silently isn't one wastes an afternoon."""


class FaultName(msgspec.Struct, frozen=True):
    """``fault``: the two fields that go together. The whole of it is a :class:`Fault`."""

    point: Point
    kind: str


class Issue(_Form, frozen=True):
    """``issue``: credentials of a freshly paired device."""

    user_id: str | None = None
    device_id: str = "dev-sandbox"
    access_lifetime_s: float | None = None


class PairingCode(_Form, frozen=True):
    """``pairing-code``: a new code, or this one."""

    code: str | None = None


class Conversation(_Form, frozen=True):
    """``conversation``: join one, or leave it."""

    user_id: str
    chat_id: str | None = None
    leave: bool = False


class SetConversation(_Form, frozen=True):
    """``set-conversation``: see :meth:`Gateway.set_conversation`."""

    chat_id: str
    title: str | None = None
    description: str | None = None
    kind: ChatKind | None = None


class SetBehavior(_Form, frozen=True):
    """``set-behavior``: see :meth:`Gateway.set_behavior`."""

    user_id: str
    text: str


class Revoke(_Form, frozen=True):
    """``revoke``: kill tokens."""

    user_id: str
    access: bool = True
    refresh: bool = True


class OfUser(_Form, frozen=True):
    """An action on one user."""

    user_id: str


class MaybeUser(_Form, frozen=True):
    """An action on one user or on all."""

    user_id: str | None = None


class Resolve(_Form, frozen=True):
    """``resolve``: the device id that hello-ok names."""

    user_id: str
    device_id: str | None = None


class Advance(_Form, frozen=True):
    """``advance``: set the clock forward."""

    seconds: float


class AtPoint(_Form, frozen=True):
    """``clear`` and ``release``: one point or all."""

    point: Point | None = None


class Outage(_Form, frozen=True):
    """``outage``: the auth backend is down or up."""

    down: bool = True


class Kick(_Form, frozen=True):
    """``kick``: close live sessions."""

    user_id: str | None = None
    code: int | None = None
    reason: str = ""


class PushMessage(_Form, frozen=True):
    """``push-message``: see :meth:`Gateway.push_message`."""

    user_id: str
    chat_id: str | None = None
    text: str = ""
    event: str = "message.send"
    message_id: str | None = None
    sender_id: str | None = None
    message_mode: str = "normal"
    mentions: list[Any] | None = []


class PushSignal(_Form, frozen=True):
    """``push-signal``: see :meth:`Gateway.push_signal`."""

    user_id: str
    type: str
    entity_id: str
    version: int = 1
    event_id: str | None = None


class PushInvalidation(_Form, frozen=True):
    """``push-invalidation``: see :meth:`Gateway.push_invalidation`."""

    user_id: str
    chat_id: str
    scope: list[str] | None = None
    version: int | None = None
    chat_type: ChatKind = "direct"


class PushFrame(_Form, frozen=True):
    """``push-frame``: see :meth:`Gateway.push_frame`."""

    user_id: str
    event: str
    payload: Frame
    fields: Frame = {}


class PushRaw(_Form, frozen=True):
    """``push-raw``: text, or base64 for a binary frame."""

    user_id: str
    text: str | None = None
    binary: bytes | None = None


class Wait(_Form, frozen=True):
    """``wait``: until a counter has reached a number. The answer's ``reached`` says whether it did in time."""

    counter: str
    at_least: int
    timeout_s: float = 30.0
