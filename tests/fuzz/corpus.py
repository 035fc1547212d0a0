"""What the service sends when all is well: frames of every event, and answers of every request."""

from typing import Any, Final

SECRET: Final = "s3cr3t-acc3ss-t0k3n-0f-th1s-4cc0unt"
"""The access token in force, which a peer may quote wherever it likes."""

_CONTENT: Final = {
    "body": {"fragments": [{"kind": "text", "text": "hi "}, {"kind": "mention", "user_id": "u-2", "display": "Bo"}]},
    "context": {"mentions": [{"user_id": "u-2", "display": "Bo"}, "all"], "reply": {"reply_to_msg_id": "m-0"}},
    "streaming": {"status": "static", "sequence": 0},
}
_PART: Final = {"sequence": 0, "fragments": [{"kind": "text", "text": "h", "delta": "h"}], "message_mode": "normal"}

PAYLOADS: Final[dict[str, dict[str, Any]]] = {
    "connect.challenge": {"nonce": "n" * 24},
    "hello-ok": {"device_id": "dev-9", "delivery_mode": "standard"},
    "hello-fail": {"reason": "server is in maintenance"},
    "replay.done": {},
    "message.send": {"message_mode": "normal", "message": _CONTENT, "stream_merged": True},
    "message.reply": {"message_mode": "", "message": _CONTENT},
    "message.ack": {"accepted_at": 5},
    "message.error": {"code": "not_member", "reason": "gone", "rejected_at": 5},
    **dict.fromkeys(("message.created", "message.add", "message.done", "message.failed"), _PART),
    "message.reaction": {"emoji": "+1", "removed": False},
    "message.read": {"user_id": "u-1"},
    "typing.update": {"is_typing": True},
    "presence.snapshot": {"user_id": "u-1", "online": False},
    "presence.update": {"user_id": "u-1", "online": True, "last_seen_at": "2026-05-13T12:35:00Z"},
    "permission.request": {"request_id": "r", "operation": "o", "target": {"label": "l"}, "expires_at": 7},
    "permission.resolved": {"request_id": "r", "decision": "denied", "reason": "no"},
    "chat.metadata.invalidated": {"scope": ["title"], "version": 7, "updated_at": 7},
    "history.truncated": {"oldest_seq": 7},
    "notify.signal": {"type": "conversation.updated", "entity_id": "cnv_1", "version": 7},
    "never.seen": {"a": [1, {"b": None}]},
}
HANDSHAKE: Final = ("connect.challenge", "hello-ok", "hello-fail", "replay.done")
AFTERWARDS: Final = tuple(sorted(set(PAYLOADS) - {"hello-fail"}))
"""``hello-fail`` ends the session it comes on, so that it is rarer than the others."""


def frame(event: str, number: int, **fields: object) -> dict[str, Any]:
    """A frame with ids of its own."""
    payload = {"message_id": f"m-{number}", "event_id": f"e-{number}", **PAYLOADS[event]}
    return {
        "version": "2", "event": event, "trace_id": f"t-{number}", "emitted_at": 1, "chat_id": "cnv_1",
        "chat_type": "direct", "sender": {"id": "u-1", "type": "direct", "nick_name": "Ann"},
        "origin_device_id": "dev-1", **fields, "payload": payload,
    }  # fmt: skip


ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "refresh": {"access_token": f"{SECRET}-fresh", "refresh_token": f"refresh-of-{SECRET}-fresh"},
    "pairing": {
        "access_token": "first-access-token", "refresh_token": "first-refresh-token",
        "agent": {"id": "agt_1", "user_id": "usr_1", "owner_id": "usr_2"}, "conversation": {"id": "cnv_1"},
    },
    "profile": {"user_id": "usr_1", "nick_name": "Ann", "avatar_url": "https://x.invalid/a.png", "owner_id": "usr_2"},
    "conversation": {
        "id": "cnv_1", "kind": "group", "title": "t", "description": "d", "version": 3,
        "members": [{"user_id": "usr_1"}, "usr_2"],
    },
    "agent": {"id": "agt_1", "name": "n", "behavior": "be kind", "version": 2},
}  # fmt: skip
"""The ``data`` of each request's good answer."""

REFUSALS: Final = (1, 100, 429, 500, 16001)
"""Codes of answers. The two that end a pairing are not among them, and no mutation makes one of another."""


def envelope(request: str, code: int = 0) -> dict[str, Any]:
    """An answer."""
    if code:
        return {"code": code, "message": "try later", "data": None}
    return {"code": 0, "message": "ok", "data": ANSWERS[request]}
