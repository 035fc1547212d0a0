"""What the user gets of ClawChat's frames: a record for each event, whatever is missing or odd in it."""

import json
from typing import Any

import pytest

from holdfast.adapters import (
    Ack,
    Decoded,
    HistoryTruncated,
    Inbound,
    Mention,
    Message,
    MetadataInvalidated,
    Nack,
    Other,
    Permission,
    Presence,
    Reaction,
    ReadMark,
    Signal,
    StreamPart,
    Typing,
    is_own_echo,
)
from holdfast.statecharts import FrameReceived, MessageAcked, MessageRefused

from .clawchat_kit import DIALECT, ID, MESSAGE_ID, decode, frame, inbound_of, rejected

ANN = {"id": "u-1", "type": "direct", "nick_name": "Ann"}
IN_CHAT: dict[str, object] = {"chat_id": "cnv_1", "chat_type": "group", "sender": ANN}
NO_OBJECTS: list[object] = [None, [], "x", 7, True]

# -- messages ----------------------------------------------------------------------------------------------------------


def message(**changes: Any) -> dict[str, Any]:
    content: dict[str, object] = {
        "body": {"fragments": [{"kind": "text", "text": "hello "}, {"kind": "text", "text": "there"}]},
        "context": {"mentions": [], "reply": None},
        "streaming": {"status": "static"},
    }
    return {"message_id": MESSAGE_ID, "message_mode": "normal", "message": {**content, **changes}}


def message_of(payload: object, **fields: object) -> Message:
    found = inbound_of("message.send", payload, **fields)
    assert isinstance(found, Message)
    return found


@pytest.mark.parametrize("event", ["message.send", "message.reply"])
def test_a_message(event: str) -> None:
    data = frame(event, message(), chat_id="cnv_1", chat_type="direct", sender=ANN, origin_device_id="dev-2")
    decoded = DIALECT.decode(ID, data)
    assert decoded.event == FrameReceived(ID, "cnv_1")
    assert decoded.inbound == Message(
        message_id=MESSAGE_ID,
        chat_id="cnv_1",
        chat_type="direct",
        sender_id="u-1",
        sender_name="Ann",
        text="hello there",
        message_mode="normal",
        origin_device_id="dev-2",
        raw=data,
    )


def test_a_message_with_nothing_in_it_is_one() -> None:
    empty: list[dict[str, object]] = [{}, {"message": None}, {"message": {}}]
    for rest in empty:
        found = message_of({"message_id": "m", **rest}, sender=None)
        assert (found.text, found.sender_id, found.mentions, found.reply_to) == ("", "", (), None)


@pytest.mark.parametrize("odd", [*NO_OBJECTS, {"id": 7, "nick_name": []}])
def test_an_odd_part_of_a_message_spoils_no_other(odd: object) -> None:
    assert message_of(message(), sender=odd).text == "hello there"
    assert message_of(message(), sender=odd).sender_id == ""
    assert message_of(message(context=odd)).text == "hello there"
    assert message_of(message(body=odd, context={"mentions": ["u-1"]})).mentions == (Mention("u-1"),)
    assert message_of({**message(), "message": odd, "stream_merged": True}).merged
    assert message_of({**message(), "message_mode": []}).message_mode == ""


@pytest.mark.parametrize(
    ("merged", "found"), [(True, True), (False, False), (None, False), (1, False), ("true", False)]
)
def test_a_message_tells_whether_it_was_put_together_from_a_stream(merged: object, found: bool) -> None:
    assert message_of({**message(), "stream_merged": merged}).merged is found


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ({"reply_to_msg_id": "m-0", "reply_preview": {"id": "u-1", "fragments": []}}, "m-0"),
        ({"reply_to_msg_id": "m-0", "reply_preview": 7}, "m-0"),
        ({"reply_to_msg_id": ""}, None),
        ({"reply_to_msg_id": 7}, None),
        ({}, None),
        *((odd, None) for odd in NO_OBJECTS),
    ],
)
def test_a_message_tells_which_one_it_answers(reply: object, found: str | None) -> None:
    assert message_of(message(context={"mentions": ["u-1"], "reply": reply})).reply_to == found


MENTIONS: list[tuple[object, list[Mention]]] = [
    ([{"kind": "mention", "user_id": "u-1", "display": "Ann"}], [Mention("u-1", "Ann")]),
    ([{"kind": "mention", "display": "Ann"}], [Mention(None, "Ann")]),
    ([{"user_id": "all"}], [Mention("all")]),
    (["u-1", "u-2"], [Mention("u-1"), Mention("u-2")]),
    ([None, 7, [], {}, "", {"user_id": None, "display": 3}, "u-1"], [Mention("u-1")]),
    (None, []),
    ({}, []),
    ("u-1", []),
    (7, []),
]


@pytest.mark.rule("S1-42")
@pytest.mark.parametrize(("mentions", "found"), MENTIONS)
def test_mentions_in_any_form(mentions: object, found: list[Mention]) -> None:
    assert list(message_of(message(context={"mentions": mentions})).mentions) == found


@pytest.mark.rule("S1-42")
def test_a_mention_within_a_body_is_part_of_what_was_said() -> None:
    fragments = [
        {"kind": "text", "text": "ask "},
        {"kind": "mention", "display": "Ann"},
        {"kind": "mention", "user_id": "u-2"},
        {"kind": "image", "text": "not text"},
        {"kind": "text", "text": None},
        {"text": "of no kind"},
        None,
        {"kind": "text", "text": ", please"},
    ]
    assert message_of(message(body={"fragments": fragments})).text == "ask @Ann, please"


@pytest.mark.parametrize("more", [{}, {"message_id": ""}, {"message_id": None}, {"message_id": 7}])
def test_a_message_without_id_is_refused(more: dict[str, object]) -> None:
    assert "message_id" in rejected(frame("message.send", {"message": {}, **more}))


def test_a_message_that_is_being_written() -> None:
    parts: list[tuple[str, dict[str, Any], str, int | None]] = [
        ("message.created", {"message_mode": "thinking"}, "", None),
        (
            "message.add",
            {"sequence": 3, "fragments": [{"kind": "text", "text": "So far", "delta": "far"}]},
            "So far",
            3,
        ),
        ("message.done", {"fragments": [{"kind": "text", "text": "All"}], "completed_at": 1}, "All", None),
        ("message.failed", {"fragments": None, "sequence": "x"}, "", None),
    ]
    for event, payload, text, sequence in parts:
        fields = {**IN_CHAT, "origin_device_id": "dev-2"}
        found = inbound_of(event, {"message_id": "m", **payload}, **fields)
        assert isinstance(found, StreamPart)
        assert found.phase == event.removeprefix("message.")
        assert (found.message_id, found.chat_id, found.sender_id) == ("m", "cnv_1", "u-1")
        assert (found.text, found.sequence, found.origin_device_id) == (text, sequence, "dev-2")
        assert found.message_mode == payload.get("message_mode", "")


# -- answers to what we sent -------------------------------------------------------------------------------------------


def test_an_ack() -> None:
    data = frame("message.ack", {"message_id": MESSAGE_ID, "accepted_at": 1_800_000_000_000}, chat_id="cnv_1")
    ack = Ack(trace_id="t-1", message_id=MESSAGE_ID, accepted_at=1_800_000_000_000, raw=data)
    assert DIALECT.decode(ID, data) == Decoded(MessageAcked(ID, "t-1"), ack)


@pytest.mark.parametrize("payload", [*NO_OBJECTS, {}, {"message_id": 7, "accepted_at": "yesterday"}])
def test_an_ack_is_one_whatever_else_it_says(payload: object) -> None:
    data = frame("message.ack", payload)
    ack = Ack(trace_id="t-1", message_id="", accepted_at=None, raw=data)
    assert DIALECT.decode(ID, data) == Decoded(MessageAcked(ID, "t-1"), ack)


@pytest.mark.parametrize("trace_id", [None, "", 7, ["t-1"], "t" * 129, "t\n1"])
def test_an_answer_to_nothing_we_sent_is_a_frame_like_others(trace_id: object) -> None:
    acked = decode("message.ack", {"message_id": MESSAGE_ID}, trace_id=trace_id, chat_id="cnv_1")
    assert acked.event == FrameReceived(ID, "cnv_1")
    assert isinstance(acked.inbound, Ack)
    refused = decode("message.error", {"code": "chat_not_found"}, trace_id=trace_id, chat_id="cnv_1")
    assert refused.event == FrameReceived(ID)  # of a chat that may not exist
    assert isinstance(refused.inbound, Nack)


@pytest.mark.rule("S1-43")
@pytest.mark.parametrize(
    ("payload", "message_id", "code", "reason"),
    [
        ({"message_id": "m", "code": "not_member", "reason": "gone", "rejected_at": 1}, "m", "not_member", "gone"),
        ({"code": "not_member"}, None, "not_member", None),
        ({"code": "not_member", "reason": ""}, None, "not_member", None),
        ({"code": "never seen", "reason": None}, None, "never seen", None),
        ({"code": 7, "message_id": 7, "reason": ["x"]}, None, "7", None),
        ({"code": 10**100, "reason": True}, None, "", None),
        ({"code": "c\n" * 300, "reason": "r\n" * 300}, None, "c" * 200, "r" * 200),
        ({}, None, "", None),
        *((odd, None, "", None) for odd in NO_OBJECTS),
    ],
)
def test_a_refused_message(payload: object, message_id: str | None, code: str, reason: str | None) -> None:
    data = frame("message.error", payload, chat_id="cnv_1")
    nack = Nack(trace_id="t-1", message_id=message_id, code=code, reason=reason, raw=data)
    assert DIALECT.decode(ID, data) == Decoded(MessageRefused(ID, "t-1", code), nack)


# -- what goes on around them ------------------------------------------------------------------------------------------

SCOPED = {"scope": ["title", None, 7, "x"], "version": 3, "updated_at": 4}
RECORDS: list[tuple[str, object, dict[str, object], dict[str, object], type[Inbound]]] = [
    ("typing.update", {"is_typing": True}, IN_CHAT, {"chat_id": "cnv_1", "user_id": "u-1", "is_typing": True}, Typing),
    (
        "typing.update",
        {"is_typing": False},
        IN_CHAT,
        {"chat_id": "cnv_1", "user_id": "u-1", "is_typing": False},
        Typing,
    ),
    (
        "presence.snapshot",
        {"user_id": "u-1", "online": False},
        {},
        {"event": "presence.snapshot", "user_id": "u-1", "online": False, "last_seen_at": None},
        Presence,
    ),
    (
        "presence.update",
        {"user_id": "u-1", "online": True, "last_seen_at": "2026-05-13T12:35:00Z"},
        {},
        {"event": "presence.update", "user_id": "u-1", "online": True, "last_seen_at": "2026-05-13T12:35:00Z"},
        Presence,
    ),
    (
        "presence.more",
        {"user_id": "u-1", "online": True, "last_seen_at": 3},
        {},
        {"event": "presence.more", "user_id": "u-1", "online": True, "last_seen_at": None},
        Presence,
    ),
    (
        "permission.request",
        {"request_id": "r", "agent_id": "a", "operation": "read", "target": {"label": "Mail"}, "expires_at": 9},
        {"chat_id": "cnv_1"},
        {
            "event": "permission.request", "request_id": "r", "chat_id": "cnv_1", "agent_id": "a", "operation": "read",
            "target": "Mail", "expires_at": 9, "decision": "", "reason": None,
        },
        Permission,
    ),
    (
        "permission.resolved",
        {"request_id": "r", "decision": "denied", "reason": "no", "target": "odd", "expires_at": "odd"},
        {},
        {
            "event": "permission.resolved", "request_id": "r", "chat_id": "", "agent_id": "", "operation": "",
            "target": "", "expires_at": None, "decision": "denied", "reason": "no",
        },
        Permission,
    ),
    (
        "message.reaction",
        {"message_id": "m", "emoji": "+1"},
        IN_CHAT,
        {"chat_id": "cnv_1", "message_id": "m", "user_id": "u-1", "emoji": "+1", "removed": False},
        Reaction,
    ),
    (
        "message.reaction",
        {"message_id": "m", "emoji": "+1", "removed": True, "user_id": "u-2"},
        IN_CHAT,
        {"chat_id": "cnv_1", "message_id": "m", "user_id": "u-2", "emoji": "+1", "removed": True},
        Reaction,
    ),
    ("message.read", {"message_id": "m"}, IN_CHAT, {"chat_id": "cnv_1", "user_id": "u-1", "message_id": "m"}, ReadMark),
    (
        "message.read",
        {"message_id": "m", "user_id": "u-2"},
        {},
        {"chat_id": "", "user_id": "u-2", "message_id": "m"},
        ReadMark,
    ),
    (
        "chat.metadata.invalidated",
        SCOPED,
        IN_CHAT,
        {"chat_id": "cnv_1", "chat_type": "group", "scope": ("title", "x"), "version": 3, "updated_at": 4},
        MetadataInvalidated,
    ),
    ("history.truncated", {"oldest_seq": 12}, {}, {"oldest_seq": 12}, HistoryTruncated),
]  # fmt: skip


@pytest.mark.parametrize(("event", "payload", "fields", "found", "kind"), RECORDS)
def test_records(
    event: str, payload: dict[str, object], fields: dict[str, object], found: dict[str, object], kind: type[Inbound]
) -> None:
    data = frame(event, {**payload, "never": {"seen": [1]}}, **fields, more={"never": "seen"})
    decoded = DIALECT.decode(ID, data)
    assert decoded == Decoded(FrameReceived(ID, str(fields.get("chat_id", ""))), kind(raw=data, **found))


@pytest.mark.rule("S0-59")
@pytest.mark.parametrize(
    "payload", [*NO_OBJECTS, {}, {"scope": None}, {"scope": {}, "version": 1.5, "updated_at": True}]
)
def test_metadata_without_scope_are_all_metadata(payload: object) -> None:
    found = inbound_of("chat.metadata.invalidated", payload, chat_id="cnv_1")
    assert isinstance(found, MetadataInvalidated)
    assert (found.chat_type, found.scope, found.version, found.updated_at) == ("", (), None, None)


WITHOUT: list[tuple[str, object, dict[str, object]]] = [
    ("typing.update", {}, IN_CHAT),
    ("typing.update", {"is_typing": "yes"}, IN_CHAT),
    ("typing.update", {"is_typing": True}, {"chat_id": "cnv_1"}),
    ("typing.update", {"is_typing": True}, {"sender": ANN}),
    ("presence.update", {"user_id": "u-1"}, {}),
    ("presence.update", {"online": True}, {}),
    ("presence.update", {"user_id": "u-1", "online": "yes"}, {}),
    ("permission.request", {"operation": "read"}, {"chat_id": "cnv_1"}),
    ("permission.resolved", {"request_id": ""}, {}),
    ("message.reaction", {"message_id": "m"}, IN_CHAT),
    ("message.reaction", {"emoji": "+1"}, IN_CHAT),
    ("message.reaction", {"message_id": "m", "emoji": "+1", "removed": "perhaps"}, IN_CHAT),
    ("message.read", {"user_id": "u-1"}, IN_CHAT),
    ("message.created", {"message_id": ""}, IN_CHAT),
    ("message.add", {"sequence": 1}, IN_CHAT),
    ("chat.metadata.invalidated", SCOPED, {}),
    ("history.truncated", {}, {}),
    ("history.truncated", {"oldest_seq": "12"}, {}),
    ("history.truncated", {"oldest_seq": 2**64}, {}),
    ("notify.signal", {"type": "t"}, {}),
    ("notify.signal", {"event_id": "e", "type": ""}, {}),
    *(
        (event, odd, {})
        for event in ("presence.x", "permission.x", "message.done", "notify.signal")
        for odd in NO_OBJECTS
    ),
    ("sync.mark", {"covers_seq": 9}, {}),
    ("pong", {}, {}),
    ("", {}, {}),
    ("presence", {}, {}),
]


@pytest.mark.parametrize(("event", "payload", "fields"), WITHOUT)
def test_what_has_no_record_is_handed_on_all_the_same(event: str, payload: object, fields: dict[str, object]) -> None:
    data = frame(event, payload, **fields, dseq=5)
    chat_id = str(fields["chat_id"]) if "chat_id" in fields else None
    assert DIALECT.decode(ID, data) == Decoded(
        FrameReceived(ID, chat_id or ""), Other(event=event, chat_id=chat_id, raw=data), dseq=5
    )


def test_what_is_unknown_is_handed_on_unread() -> None:
    data = '{"event":"message.reaction","chat_id":"cnv_1","payload":[[["whatever", 1e999]]],"more":{}}'
    other = Other(event="message.reaction", chat_id="cnv_1", raw=data)
    assert DIALECT.decode(ID, data) == Decoded(FrameReceived(ID, "cnv_1"), other)


# -- signals, and which chat a frame proves ----------------------------------------------------------------------------


def signal(kind: str, entity_id: object = "cnv_1") -> dict[str, object]:
    return {"type": kind, "entity_id": entity_id, "version": 3, "event_id": "e-1", "message_id": f"notify:{kind}:cnv_1"}


@pytest.mark.rule("S0-57")
def test_a_signal_has_the_id_it_is_known_by() -> None:
    found = decode("notify.signal", signal("conversation.updated")).inbound
    assert isinstance(found, Signal)
    assert (found.event_id, found.kind, found.entity_id, found.version) == ("e-1", "conversation.updated", "cnv_1", 3)
    odd = inbound_of("notify.signal", {"type": "t", "event_id": "e", "entity_id": 1, "version": True})
    assert isinstance(odd, Signal)
    assert (odd.entity_id, odd.version) == ("", None)


@pytest.mark.parametrize(
    ("event", "payload", "fields", "chat"),
    [
        ("notify.signal", signal("conversation.updated"), {}, "cnv_1"),
        ("notify.signal", signal("conversation.never_seen"), {}, "cnv_1"),
        ("notify.signal", signal("conversation.dissolved"), {}, ""),
        ("notify.signal", signal("conversation.dissolved"), {"chat_id": "cnv_1"}, ""),
        ("notify.signal", signal("conversation.updated", 7), {}, ""),
        ("notify.signal", signal("friend.added", "u-1"), {}, ""),
        ("notify.signal", signal("conversations.updated"), {}, ""),
        ("message.send", {"message_id": "m"}, {"chat_id": "cnv_2"}, "cnv_2"),
        ("message.send", {"message_id": "m"}, {"chat_id": None}, ""),
        ("message.send", {"message_id": "m"}, {"chat_id": ["cnv_2"]}, ""),
        ("message.send", {"message_id": "m"}, {"chat_id": "cnv_" + "2" * 125}, ""),
        ("message.send", {"message_id": "m"}, {"chat_id": "cnv_\u202e"}, ""),
        ("never.seen", {}, {"chat_id": "cnv_2"}, "cnv_2"),
    ],
)
def test_the_chat_that_a_frame_proves(event: str, payload: object, fields: dict[str, object], chat: str) -> None:
    assert decode(event, payload, **fields).event == FrameReceived(ID, chat)


# -- own echoes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender_id", "origin", "user_id", "device_id", "own"),
    [
        ("u-1", "dev-1", "u-1", "dev-1", True),
        ("u-1", "dev-2", "u-1", "dev-1", False),
        ("u-2", "dev-1", "u-1", "dev-1", False),
        ("u-1", "", "u-1", "dev-1", False),
        ("u-1", "", "u-1", "", False),
        ("", "dev-1", "", "dev-1", False),
        ("u-1", "dev-1", None, None, False),
    ],
)
def test_an_echo_is_what_this_user_said_from_this_device(
    sender_id: str, origin: str, user_id: str | None, device_id: str | None, own: bool
) -> None:
    for event in ("message.send", "message.reply", "message.add"):
        found = inbound_of(event, {"message_id": "m"}, sender={"id": sender_id}, origin_device_id=origin)
        assert is_own_echo(found, user_id, device_id) is own
    typing = inbound_of("typing.update", {"is_typing": True}, chat_id="c", sender={"id": sender_id or "x"})
    assert not is_own_echo(typing, user_id, device_id)


# -- what is left of a frame -------------------------------------------------------------------------------------------


def test_a_repr_leaves_the_frame_out() -> None:
    assert "s3cret" not in repr(inbound_of("message.reaction", "s3cret"))
    assert repr(inbound_of("never.seen")) == "Other(event='never.seen', chat_id=None)"


def test_fields_without_a_place_are_in_the_frame_itself() -> None:
    found = message_of({**message(), "more": [1]}, chat_id="cnv_1", seen={"never": 1})
    assert json.loads(found.raw)["payload"]["more"] == [1]
    assert json.loads(found.raw)["seen"] == {"never": 1}
