"""ClawChat's frames: what each means, what is tolerated, what is refused, and that nothing of a bad one is quoted."""

import json
import string
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ulid import ULID

from holdfast.adapters import (
    Ack,
    ClawChat,
    ConfigError,
    Dialect,
    Inbound,
    Mention,
    Message,
    Nack,
    Other,
    SendRefused,
    Signal,
)
from holdfast.statecharts import (
    SEED,
    Challenged,
    FrameReceived,
    FrameRejected,
    HelloAccepted,
    HelloRefused,
    ReplayFinished,
    Verdict,
    classify,
)

ID = 7
MESSAGE_ID = "msg-01JD3X5V8Q9WZK4T7M2N6P0RHB"
DIALECT: Dialect = ClawChat()


def frame(event: str, payload: object = None, **fields: object) -> str:
    return json.dumps(
        {"version": "2", "event": event, "trace_id": "t-1", "emitted_at": 1, **fields, "payload": payload}
    )


def inbound_of(event: str, payload: object = None, **fields: object) -> Inbound:
    decoded, inbound = DIALECT.decode(ID, frame(event, payload, **fields))
    assert decoded == FrameReceived(socket=ID)
    assert inbound is not None
    return inbound


def rejected(data: str | bytes) -> str:
    decoded, inbound = DIALECT.decode(ID, data)
    assert inbound is None
    assert isinstance(decoded, FrameRejected)
    assert decoded.socket == ID
    return decoded.error


# -- the handshake -----------------------------------------------------------------------------------------------------


def test_the_handshake_and_its_end() -> None:
    assert DIALECT.decode(ID, frame("connect.challenge", {"nonce": "n" * 24})) == (
        Challenged(socket=ID, nonce="n" * 24),
        None,
    )
    hello = frame("hello-ok", {"device_id": "dev-9", "delivery_mode": "standard"})
    assert DIALECT.decode(ID, hello) == (HelloAccepted(socket=ID, device_id="dev-9"), None)
    assert DIALECT.decode(ID, hello.encode()) == (HelloAccepted(socket=ID, device_id="dev-9"), None)


@pytest.mark.rule("S0-58")
def test_the_end_of_the_replay_is_an_event_and_nothing_for_the_user() -> None:
    assert DIALECT.decode(ID, frame("replay.done", {})) == (ReplayFinished(socket=ID), None)
    assert DIALECT.decode(ID, '{"event":"replay.done"}') == (ReplayFinished(socket=ID), None)


@pytest.mark.parametrize("payload", [{}, {"nonce": None}, {"nonce": ""}, {"nonce": "n" * 257}, [], None, "nonce"])
def test_a_challenge_without_a_usable_nonce_is_refused(payload: object) -> None:
    assert rejected(frame("connect.challenge", payload))


@pytest.mark.parametrize("device_id", [None, 7, "", "x" * 129, "ü" * 65, "a\nb", "My Laptop ", ["x"]])
def test_a_device_id_that_could_not_be_sent_is_left_out(device_id: object) -> None:
    assert DIALECT.decode(ID, frame("hello-ok", {"device_id": device_id})) == (HelloAccepted(socket=ID), None)


@pytest.mark.rule("V14")
@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"reason": "authentication failed"}, "authentication failed"),
        ({"reason": "Auth\x00entication\r\n \u202efailed\x1b[0m"}, "Authentication failed[0m"),
        ({"reason": "x" * 100_000}, "x" * 200),
        ({"reason": "\ud83d\ude00"}, "\N{GRINNING FACE}"),
        ({"reason": None}, ""),
        ({"reason": ["authentication failed"]}, ""),
        ({"reason": 401}, "401"),
        ({}, ""),
        ([], ""),
        (None, ""),
    ],
)
def test_a_refusal_is_one_whatever_it_says_and_the_reason_is_bounded(payload: object, reason: str) -> None:
    assert DIALECT.decode(ID, frame("hello-fail", payload)) == (HelloRefused(socket=ID, reason=reason), None)


@pytest.mark.rule("V14")
def test_the_dialect_classifies_nothing() -> None:
    refused, _ = DIALECT.decode(ID, frame("hello-fail", {"reason": "remote auth service unavailable"}))
    assert isinstance(refused, HelloRefused)
    assert classify(SEED, refused.reason) is Verdict.AUTH_UNAVAILABLE


def test_the_connect_frame_has_what_the_protocol_wants_and_nothing_more() -> None:
    found = json.loads(DIALECT.authenticate(token="t0ken", nonce="n" * 24, device_id="büro-pc"))
    payload = found.pop("payload")
    assert set(found) == {"version", "event", "trace_id", "emitted_at"}
    assert (found["version"], found["event"]) == ("2", "connect")
    assert ULID.from_str(found["trace_id"]).milliseconds == found["emitted_at"]
    assert payload.pop("client_version").startswith("holdfast/")
    assert payload == {
        "token": "t0ken",
        "nonce": "n" * 24,
        "device_id": "büro-pc",
        "protocol_version": 2,
        "capabilities": {"device_replay": True, "notify_signals": True},
    }


@pytest.mark.parametrize("device_id", ["", "x" * 129, "a\nb", " a"])
def test_a_device_id_that_cannot_be_sent_verbatim_is_refused(device_id: str) -> None:
    with pytest.raises(ConfigError):
        DIALECT.authenticate(token="t0ken", nonce="n", device_id=device_id)


# -- messages ----------------------------------------------------------------------------------------------------------


def message(**changes: Any) -> dict[str, Any]:
    content: dict[str, object] = {
        "body": {"fragments": [{"kind": "text", "text": "hello "}, {"kind": "text", "text": "there"}]},
        "context": {"mentions": [], "reply": None},
        "streaming": {"state": "done"},
    }
    return {"message_id": MESSAGE_ID, "message_mode": "normal", "message": {**content, **changes}}


@pytest.mark.parametrize("event", ["message.send", "message.reply"])
def test_a_message(event: str) -> None:
    sender = {"id": "u-1", "type": "user", "nick_name": "Ann"}
    data = frame(event, message(), chat_id="cnv_1", chat_type="direct", sender=sender)
    decoded, inbound = DIALECT.decode(ID, data)
    assert decoded == FrameReceived(socket=ID)
    assert inbound == Message(
        message_id=MESSAGE_ID,
        chat_id="cnv_1",
        chat_type="direct",
        sender_id="u-1",
        sender_name="Ann",
        text="hello there",
        message_mode="normal",
        raw=data,
    )


def test_a_message_with_nothing_in_it_is_one() -> None:
    empty: list[dict[str, object]] = [{}, {"message": None}, {"message": {}}]
    for rest in empty:
        found = inbound_of("message.send", {"message_id": "m", **rest}, sender=None)
        assert isinstance(found, Message)
        assert (found.text, found.sender_id, found.mentions) == ("", "", ())


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
    inbound = inbound_of("message.send", message(context={"mentions": mentions}))
    assert isinstance(inbound, Message)
    assert list(inbound.mentions) == found


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
    inbound = inbound_of("message.send", message(body={"fragments": fragments}))
    assert isinstance(inbound, Message)
    assert inbound.text == "ask @Ann, please"


def test_a_message_without_id_is_refused() -> None:
    assert rejected(frame("message.send", {"message": {}})) == "Object missing required field `message_id`"


def test_an_ack() -> None:
    data = frame("message.ack", {"message_id": MESSAGE_ID, "accepted_at": 1_800_000_000_000})
    assert DIALECT.decode(ID, data)[1] == Ack(
        trace_id="t-1", message_id=MESSAGE_ID, accepted_at=1_800_000_000_000, raw=data
    )
    odd = inbound_of("message.ack", {"message_id": MESSAGE_ID, "accepted_at": "yesterday"}, trace_id=None)
    assert isinstance(odd, Ack)
    assert (odd.trace_id, odd.accepted_at) == ("", None)


@pytest.mark.rule("S1-43")
@pytest.mark.parametrize(
    ("payload", "message_id", "code", "reason"),
    [
        ({"message_id": "m", "code": "not_member", "reason": "gone", "rejected_at": 1}, "m", "not_member", "gone"),
        ({"code": "not_member"}, None, "not_member", None),
        ({"code": "not_member", "reason": ""}, None, "not_member", None),
        ({"code": "never seen", "reason": None}, None, "never seen", None),
        ({"code": 7, "message_id": 7, "reason": ["x"]}, None, "7", None),
        ({"code": "c\n" * 300, "reason": "r\n" * 300}, None, "c" * 200, "r" * 200),
        ({}, None, "", None),
    ],
)
def test_a_refused_message(payload: object, message_id: str | None, code: str, reason: str | None) -> None:
    found = inbound_of("message.error", payload)
    assert isinstance(found, Nack)
    assert (found.trace_id, found.message_id, found.code, found.reason) == ("t-1", message_id, code, reason)


@pytest.mark.rule("S0-57")
def test_a_signal_has_the_id_it_is_known_by() -> None:
    payload = {"type": "conversation.updated", "entity_id": "cnv_1", "version": 3, "event_id": "e-1", "message_id": "n"}
    found = inbound_of("notify.signal", payload)
    assert isinstance(found, Signal)
    assert (found.event_id, found.kind, found.entity_id, found.version) == ("e-1", "conversation.updated", "cnv_1", 3)
    odd = inbound_of("notify.signal", {"type": "t", "event_id": "e", "entity_id": 1, "version": True})
    assert isinstance(odd, Signal)
    assert (odd.entity_id, odd.version) == ("", None)


def test_what_is_unknown_is_handed_on_unread() -> None:
    data = '{"event":"message.reaction","chat_id":"cnv_1","payload":[[["whatever", 1e999]]],"more":{}}'
    assert DIALECT.decode(ID, data) == (
        FrameReceived(socket=ID),
        Other(event="message.reaction", chat_id="cnv_1", raw=data),
    )


def test_a_repr_leaves_the_frame_out() -> None:
    assert "s3cret" not in repr(inbound_of("message.reaction", "s3cret"))
    assert repr(inbound_of("presence.update")) == "Other(event='presence.update', chat_id=None)"


# -- sending -----------------------------------------------------------------------------------------------------------


@pytest.mark.rule("S1-44")
def test_a_message_to_send() -> None:
    out = DIALECT.message(chat_id="cnv_1", text="hi")
    found = json.loads(out.frame)
    payload = found.pop("payload")
    assert ULID.from_str(out.message_id.removeprefix("msg-"))
    assert len(out.message_id) == 4 + 26
    assert found == {
        "version": "2",
        "event": "message.send",
        "trace_id": out.trace_id,
        "emitted_at": ULID.from_str(out.trace_id).milliseconds,
        "chat_id": "cnv_1",
    }
    assert payload == {
        "message_id": out.message_id,
        "message_mode": "normal",
        "message": {
            "body": {"fragments": [{"kind": "text", "text": "hi"}]},
            "context": {"mentions": [], "reply": None},
        },
    }


def test_ids_differ_and_can_be_given() -> None:
    assert DIALECT.message(chat_id="cnv_1", text="").message_id != DIALECT.message(chat_id="cnv_1", text="").message_id
    mint = iter([ULID.from_timestamp(1.0), ULID.from_timestamp(2.0)]).__next__
    first = ClawChat(mint=mint).message(chat_id="cnv_1", text="")
    assert json.loads(first.frame)["emitted_at"] == 1000


@pytest.mark.parametrize(
    ("chat_id", "text", "code"),
    [
        ("", "hi", "chat_not_found"),
        ("u-1", "hi", "chat_not_found"),
        ("CNV_1", "hi", "chat_not_found"),
        ("cnv_1", "x" * 1_000_000, "message_too_large"),
        ("cnv_1", "\x00" * 170_000, "message_too_large"),  # Six bytes each as JSON.
        ("cnv_1", "\ud800", "bad_request"),
    ],
)
def test_what_the_service_would_refuse_is_not_sent(chat_id: str, text: str, code: str) -> None:
    with pytest.raises(SendRefused) as caught:
        DIALECT.message(chat_id=chat_id, text=text)
    assert caught.value.code == code


def test_a_frame_of_just_the_limit_is_sent() -> None:
    overhead = len(DIALECT.message(chat_id="cnv_1", text="").frame)
    out = DIALECT.message(chat_id="cnv_1", text="x" * (1_000_000 - overhead))
    assert len(out.frame) == 1_000_000
    with pytest.raises(SendRefused):
        DIALECT.message(chat_id="cnv_1", text="x" * (1_000_001 - overhead))


@pytest.mark.rule("S0-08")
def test_the_constant_device_id() -> None:
    assert DIALECT.default_device_id == "clawchat-plugin-openclaw"


# -- whatever the peer sends -------------------------------------------------------------------------------------------

SECRET = "s3cr3t-s3cr3t-s3cr3t"
EVENTS = [
    "connect.challenge", "hello-ok", "hello-fail", "replay.done", "message.send", "message.reply", "message.ack",
    "message.error", "notify.signal", "message.reaction", "pong", "",
]  # fmt: skip
NAMES = [
    "event", "version", "trace_id", "chat_id", "chat_type", "sender", "payload", "nonce", "device_id", "reason", "code",
    "message_id", "message_mode", "message", "body", "fragments", "kind", "text", "context", "mentions", "user_id",
    "display", "id", "nick_name", "accepted_at", "event_id", "type", "entity_id", "version", SECRET,
]  # fmt: skip
scalars: st.SearchStrategy[object] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just(SECRET), st.sampled_from(EVENTS)
)
values: st.SearchStrategy[object] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)),
    max_leaves=25,
)


@st.composite
def frames(draw: st.DrawFn) -> str:
    fields = draw(st.dictionaries(st.sampled_from(NAMES), values, max_size=8))
    return json.dumps({**fields, "event": draw(st.one_of(st.sampled_from(EVENTS), scalars))})


@st.composite
def broken_frames(draw: st.DrawFn) -> str:
    whole = draw(frames())
    return whole[: draw(st.integers(0, len(whole)))] + draw(st.text(max_size=5))


anything: st.SearchStrategy[str | bytes] = st.one_of(
    frames(), broken_frames(), st.text(), st.binary(), values.map(json.dumps), frames().map(str.encode)
)


@given(anything)
@example('{"event":"\ud800"}')
@example("[" * 100_000)
@example('{"event":"x","payload":' + "[" * 100_000)
@example('{"event":"hello-fail","payload":' + "[" * 2_000 + "]" * 2_000 + "}")
@example('{"event":"message.send","payload":{"message_id":"m","message":{"context":{"mentions":[' + "[" * 1_000)
@example('{"event":' + "9" * 5_000 + "}")
@example(b"\xff")
@example(b'{"event":"\xff"}')
@example(b"\xef\xbb\xbf{}")
def test_decoding_never_raises_and_a_rejection_quotes_nothing(data: str | bytes) -> None:
    decoded, inbound = DIALECT.decode(ID, data)
    assert getattr(decoded, "socket") == ID  # noqa: B009 - every event of a frame has it; Event itself does not
    assert isinstance(decoded, FrameReceived) == (inbound is not None)
    if isinstance(decoded, FrameRejected):
        assert 0 < len(decoded.error) <= 200
        assert decoded.error.isprintable()
        assert "s3cr3t" not in decoded.error
    if isinstance(decoded, HelloRefused):
        assert len(decoded.reason) <= 200
    if inbound is not None:
        assert inbound.raw == data
        assert msgspec.json.encode(decoded)


@given(st.text(string.printable, min_size=12, max_size=40), st.sampled_from(EVENTS[:-1]))
def test_a_rejection_does_not_quote_what_stands_where_something_else_belongs(secret: str, event: str) -> None:
    for payload in (secret, [secret], {"nonce": [secret], "message_id": {secret: secret}, "event_id": [secret]}):
        for data in (frame(event, payload), frame(secret, payload, trace_id=[secret])):
            decoded, _ = DIALECT.decode(ID, data)
            if isinstance(decoded, FrameRejected):
                assert secret not in decoded.error
