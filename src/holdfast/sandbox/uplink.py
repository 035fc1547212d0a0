"""What a client says after its hello: messages, acks, typing, pings. Whatever else it says is tolerated."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from .frames import (
    AGENT_NAME,
    CursorAck,
    Frame,
    MessagePayload,
    Rejected,
    SyncAck,
    Typing,
    build,
    message,
    message_id_of,
    payload_of,
    text_of,
    trace_of,
)
from .mail import Mailbox, StoredMessage

if TYPE_CHECKING:
    from .sessions import Session

ENVELOPE_BYTES = 256  # What the service adds to a message besides the ids: sender, type, stream, number.


def take(session: "Session", frame: Frame, size: int) -> None:
    """Do what a frame of so many bytes asks for."""
    if frame["event"] == "message.send":
        _take_message(session, frame, size)
    elif frame["event"] in HANDLERS:
        HANDLERS[frame["event"]](session, frame)
    else:
        session.note("frame", frame["event"][:64])  # Unknown events are tolerated: no error, no close.


def _take_ping(session: "Session", frame: Frame) -> None:
    session.world.journal.counters.json_pings += 1
    session.note("json-ping")
    if session.world.fault("ping") is None:
        session.send_plain("pong", {}, trace_id=trace_of(frame))


def _take_typing(session: "Session", frame: Frame) -> None:
    typing = payload_of(frame, Typing)
    if typing is None:
        session.note("bad-typing")
        return
    session.world.journal.counters.typing_updates += 1
    session.note("typing", f"{str(frame.get('chat_id'))[:64]}: {'on' if typing.is_typing else 'off'}")


# Acks.


def _take_sync_ack(session: "Session", frame: Frame) -> None:
    ack = payload_of(frame, SyncAck)
    if ack is None or session.delivery.level != "v2":
        _refuse_ack(session, None)
    elif ack.epoch != session.delivery.epoch:
        session.world.journal.counters.stale_acks += 1
        session.note("stale-ack", str(ack.dseq))
    else:
        _take_ack(session, ack.dseq)


def _take_cursor_ack(session: "Session", frame: Frame) -> None:
    ack = payload_of(frame, CursorAck)
    if ack is None or session.delivery.level != "v1":
        _refuse_ack(session, None)
    else:
        _take_ack(session, ack.seq)


def _take_ack(session: "Session", number: int) -> None:
    if not session.delivery.knows(number):
        _refuse_ack(session, number)
        return
    if session.delivery.ack(number):
        session.world.commit()
    counters = session.world.journal.counters
    counters.acks += 1
    counters.highest_ack = session.delivery.acked
    session.note("ack", str(number))
    session.pump()  # The window may have room again.


def _refuse_ack(session: "Session", number: int | None) -> None:
    session.world.journal.counters.bad_acks += 1
    session.note("bad-ack", None if number is None else str(number))


HANDLERS: dict[str, Callable[["Session", Frame], None]] = {
    "ping": _take_ping,
    "typing.update": _take_typing,
    "message.sync_ack": _take_sync_ack,
    "message.cursor_ack": _take_cursor_ack,
}


# Messages.


def _take_message(session: "Session", frame: Frame, size: int) -> None:
    session.world.journal.counters.messages_received += 1
    fault = session.world.fault("send")
    if fault is not None and fault.kind in ("drop", "never"):
        session.misbehave(fault)
        return
    try:
        if fault is not None and fault.kind == "refuse":
            raise Rejected(fault.reason or "bad_request", "scripted")
        stored = _store(session, frame, size)
    except Rejected as error:
        _reject(session, frame, error)
        return
    if fault is not None:  # lose, swallow
        session.misbehave(fault)
    else:
        payload = {"message_id": stored.message_id, "accepted_at": stored.accepted_at}
        session.answer("message.ack", payload, trace_id=trace_of(frame), chat_id=stored.chat_id)
    session.sessions.pump(session.user_id)


def _store(session: "Session", frame: Frame, size: int) -> StoredMessage:
    chat_id, payload = _checked(session, frame, size)
    mailbox = session.world.mailbox(session.user_id)
    known = mailbox.sent.get(payload.message_id)
    if known is not None:
        session.world.journal.counters.duplicates += 1
        session.note("duplicate", payload.message_id)
        return known
    stored = StoredMessage(
        message_id=payload.message_id, chat_id=chat_id, device_id=session.device_id, text=text_of(payload),
        accepted_at=session.world.now_ms,
    )  # fmt: skip
    mailbox.store(stored, session.world.settings.messages_max)
    _relay(session, mailbox, chat_id, payload)
    session.world.commit()
    session.world.journal.counters.messages_stored += 1
    session.note("stored", payload.message_id)
    return stored


def _checked(session: "Session", frame: Frame, size: int) -> tuple[str, MessagePayload]:
    chat_id, payload = message(frame)
    members = session.world.book.members(chat_id)
    if members is None:
        raise Rejected("chat_not_found", "no such conversation")
    if session.user_id not in members:
        raise Rejected("not_member", "the user is not a member of the conversation")
    if size + len(session.user_id) + len(session.device_id) + ENVELOPE_BYTES > session.world.settings.frame_bytes_max:
        raise Rejected("message_too_large", "the frame that the service makes of it is too large")
    return chat_id, payload


def _relay(session: "Session", mailbox: Mailbox, chat_id: str, payload: MessagePayload) -> None:
    """Queue the message for the user's other devices, and as an echo for this one if it wants that."""
    if not session.delivery.echoes and mailbox.cursors.keys() <= {session.device_id}:
        return
    content: dict[str, object] = {**msgspec.to_builtins(payload.message), "streaming": {}}
    frame = build(
        "message.send", {"message_id": payload.message_id, "message_mode": payload.message_mode, "message": content},
        now_ms=session.world.now_ms, chat_id=chat_id, chat_type=session.world.book.about(chat_id).kind,
        sender={"id": session.user_id, "type": "agent", "nick_name": AGENT_NAME}, origin_device_id=session.device_id,
    )  # fmt: skip
    mailbox.queue(frame, session.world.settings.messages_max, origin=session.device_id)


def _reject(session: "Session", frame: Frame, error: Rejected) -> None:
    payload: dict[str, object] = {
        "code": error.code, "reason": error.reason, "rejected_at": session.world.now_ms
    }  # fmt: skip
    message_id = message_id_of(frame)
    if message_id is not None:
        payload["message_id"] = message_id
    session.answer("message.error", payload, trace_id=trace_of(frame))
    session.note("rejected", error.code)
