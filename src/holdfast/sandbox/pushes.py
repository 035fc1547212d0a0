"""What a script sends to clients."""

from collections.abc import Mapping, Sequence
from typing import Any

from .book import ChatKind
from .frames import build, check_chat_id, new_id, new_message_id
from .registry import Sessions
from .world import World


class Pushes:
    """The part of a :class:`Gateway` that says something to clients."""

    _world: World
    _sessions: Sessions

    def push_message(
        self, user_id: str, chat_id: str | None = None, text: str = "", *, event: str = "message.send",
        message_id: str | None = None, sender_id: str | None = None, message_mode: str = "normal",
        mentions: Sequence[object] | None = (),
    ) -> str:  # fmt: skip
        """Say something to the user, in the account's conversation unless another is named; returns the message id.

        It goes to each of the user's devices, at once or in the replay of its next session.

        Raises:
            LookupError: no such user.
            ValueError: the chat id doesn't start with ``cnv_``, or the frame is too large.
        """
        account = self._world.book.account(user_id)
        chosen = check_chat_id(chat_id or account.conversation_id)
        self._world.book.join(chosen, user_id)
        message_id = message_id or new_message_id()
        content = {
            "body": {"fragments": [{"kind": "text", "text": text}]},
            "context": {"mentions": mentions, "reply": None},
            "streaming": {},
        }
        self.push_frame(
            user_id, event, {"message_id": message_id, "message_mode": message_mode, "message": content},
            chat_id=chosen, chat_type=self._world.book.about(chosen).kind,
            sender={"id": sender_id or account.owner_id, "type": "user", "nick_name": "Owner"},
        )  # fmt: skip
        return message_id

    def push_signal(
        self, user_id: str, kind: str, entity_id: str, *, version: int = 1, event_id: str | None = None
    ) -> str:
        """A ``notify.signal``; returns its event id."""
        event_id = event_id or new_id("evt")
        payload = {
            "type": kind, "entity_id": entity_id, "version": version, "event_id": event_id,
            "message_id": f"notify:{kind}:{entity_id}",
        }  # fmt: skip
        self.push_frame(user_id, "notify.signal", payload)
        return event_id

    def push_invalidation(
        self, user_id: str, chat_id: str, scope: Sequence[str] | None = None, version: int | None = None,
        chat_type: ChatKind = "direct",
    ) -> None:  # fmt: skip
        """A ``chat.metadata.invalidated``. Without a scope it concerns everything; without a version it is news.

        Raises:
            LookupError: no such user.
            ValueError: the chat id doesn't start with ``cnv_``.
        """
        given = {"scope": scope, "version": version, "updated_at": self._world.now_ms}
        payload = {name: value for name, value in given.items() if value is not None}
        self.push_frame(
            user_id, "chat.metadata.invalidated", payload, chat_id=check_chat_id(chat_id), chat_type=chat_type
        )

    def push_frame(self, user_id: str, event: str, payload: Mapping[str, Any], **fields: Any) -> None:
        """Any frame, with envelope fields such as ``chat_id``, to each of the user's devices, live or later.

        Where reliable delivery is granted, ``seq`` and ``dseq`` are the session's own, whatever the fields say.

        Raises:
            LookupError: no such user.
            ValueError: the frame is too large.
        """
        self._world.book.account(user_id)
        frame = build(event, payload, now_ms=self._world.now_ms, **fields)
        settings = self._world.settings
        if len(frame.encode()) > settings.frame_bytes_max:
            raise ValueError(f"the frame has {len(frame.encode())} bytes, more than {settings.frame_bytes_max}")
        self._world.mailbox(user_id).queue(frame, settings.messages_max)
        self._world.commit()
        self._world.journal.note("pushed", user_id=user_id, detail=event[:64])
        self._sessions.pump(user_id)

    def push_raw(self, user_id: str, data: str | bytes) -> int:
        """Send exactly this to the user's live sessions, never queued or numbered; returns to how many."""
        sessions = self._sessions.live(user_id)
        for session in sessions:
            if isinstance(data, str):
                session.wire.send(data)
            else:
                session.wire.send_binary(data)
        return len(sessions)
