"""What ClawChat's payloads look like: only what is used has a type, and only what a record needs must be there."""

from typing import Annotated, Any

import msgspec

from .clawchat_header import NULL

Id = Annotated[str, msgspec.Meta(min_length=1)]


class Challenge(msgspec.Struct):
    """Of ``connect.challenge``."""

    nonce: str


class Hello(msgspec.Struct):
    """Of ``hello-ok``."""

    device_id: Any = None
    ack_mode: Any = None
    ack_epoch: Any = None


class Refusal(msgspec.Struct):
    """Of ``hello-fail``."""

    reason: Any = None


class Sender(msgspec.Struct):
    """Of a header: who sent it."""

    id: Any = None
    nick_name: Any = None


class Message(msgspec.Struct):
    """Of ``message.send`` and ``message.reply``."""

    message_id: Id
    message_mode: Any = None
    message: msgspec.Raw = NULL
    stream_merged: msgspec.Raw = NULL


class Content(msgspec.Struct):
    """A message's ``message``."""

    body: msgspec.Raw = NULL
    context: msgspec.Raw = NULL


class Body(msgspec.Struct):
    """What a message says."""

    fragments: msgspec.Raw = NULL


class Fragment(msgspec.Struct):
    """A piece of what a message says."""

    kind: Any = None
    text: Any = None
    display: Any = None


class Context(msgspec.Struct):
    """Whom a message mentions, and which one it answers."""

    mentions: msgspec.Raw = NULL
    reply: msgspec.Raw = NULL


class Mention(msgspec.Struct):
    """A mention that is an object."""

    user_id: Any = None
    display: Any = None


class Reply(msgspec.Struct):
    """Which message a message answers."""

    reply_to_msg_id: Id


class Stream(msgspec.Struct):
    """Of ``message.created``, ``.add``, ``.done`` and ``.failed``."""

    message_id: Id
    message_mode: Any = None
    sequence: Any = None
    fragments: msgspec.Raw = NULL


class Ack(msgspec.Struct):
    """Of ``message.ack``."""

    message_id: Any = None
    accepted_at: Any = None


class Nack(msgspec.Struct):
    """Of ``message.error``."""

    message_id: Any = None
    code: Any = None
    reason: Any = None


class Typing(msgspec.Struct):
    """Of ``typing.update``."""

    is_typing: bool


class Presence(msgspec.Struct):
    """Of ``presence.snapshot`` and ``presence.update``."""

    user_id: Id
    online: bool
    last_seen_at: Any = None


class Permission(msgspec.Struct):
    """Of ``permission.request`` and ``permission.resolved``."""

    request_id: Id
    agent_id: Any = None
    operation: Any = None
    target: msgspec.Raw = NULL
    expires_at: Any = None
    decision: Any = None
    reason: Any = None


class Target(msgspec.Struct):
    """What a permission is about."""

    label: Any = None


class Reaction(msgspec.Struct):
    """Of ``message.reaction``."""

    message_id: Id
    emoji: Id
    removed: bool = False
    user_id: Any = None


class Read(msgspec.Struct):
    """Of ``message.read``."""

    message_id: Id
    user_id: Any = None


class Invalidated(msgspec.Struct):
    """Of ``chat.metadata.invalidated``."""

    scope: msgspec.Raw = NULL
    version: Any = None
    updated_at: Any = None


class Truncated(msgspec.Struct):
    """Of ``history.truncated``."""

    oldest_seq: int


class Signal(msgspec.Struct):
    """Of ``notify.signal``."""

    event_id: Id
    type: Id
    entity_id: Any = None
    version: Any = None
