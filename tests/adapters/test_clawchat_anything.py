"""Whatever the peer sends: decoding never raises, quotes nothing of what it rejects, and loses no number."""

import json
import string
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.adapters import Decoded, Other
from holdfast.statecharts import FrameReceived, FrameRejected, HelloAccepted, HelloRefused, MessageAcked, MessageRefused

from .clawchat_kit import DIALECT, ID, frame

SECRET = "s3cr3t-s3cr3t-s3cr3t"
EVENTS = [
    "connect.challenge", "hello-ok", "hello-fail", "replay.done", "message.send", "message.reply", "message.ack",
    "message.error", "message.created", "message.add", "message.done", "message.failed", "message.reaction",
    "message.read", "typing.update", "presence.snapshot", "presence.update", "permission.request",
    "permission.resolved", "chat.metadata.invalidated", "history.truncated", "notify.signal", "sync.mark", "pong", "",
]  # fmt: skip
NAMES = [
    "event", "version", "trace_id", "chat_id", "chat_type", "sender", "payload", "nonce", "device_id", "reason", "code",
    "message_id", "message_mode", "message", "body", "fragments", "kind", "text", "context", "mentions", "user_id",
    "display", "id", "nick_name", "accepted_at", "event_id", "type", "entity_id", "seq", "dseq", "ack_mode",
    "ack_epoch", "stream_merged", "origin_device_id", "reply", "reply_to_msg_id", "is_typing", "online", "last_seen_at",
    "request_id", "target", "label", "emoji", "removed", "scope", "updated_at", "oldest_seq", "sequence", SECRET,
]  # fmt: skip
WITHOUT_INBOUND = {"connect.challenge", "hello-ok", "hello-fail", "replay.done"}

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


# -- frames as they should be, and what may become of them -------------------------------------------------------------

CONTENT = {
    "body": {"fragments": [{"kind": "text", "text": "hi "}, {"kind": "mention", "user_id": "u-2", "display": "Bo"}]},
    "context": {"mentions": [{"user_id": "u-2"}, "all"], "reply": {"reply_to_msg_id": "m-0"}},
    "streaming": {"status": "static", "sequence": 0},
}
PART = {"message_id": "m", "sequence": 0, "fragments": [{"kind": "text", "text": "h", "delta": "h"}]}
PAYLOADS: dict[str, dict[str, Any]] = {
    "connect.challenge": {"nonce": "n" * 24},
    "hello-ok": {"device_id": "dev-9", "ack_mode": "dseq", "ack_epoch": "01JX"},
    "hello-fail": {"reason": "authentication failed"},
    "message.send": {"message_id": "m", "message_mode": "normal", "message": CONTENT, "stream_merged": True},
    "message.reply": {"message_id": "m", "message_mode": "", "message": CONTENT},
    "message.ack": {"message_id": "m", "accepted_at": 5},
    "message.error": {"message_id": "m", "code": "not_member", "reason": "gone", "rejected_at": 5},
    **dict.fromkeys(("message.created", "message.add", "message.done", "message.failed"), PART),
    "message.reaction": {"message_id": "m", "emoji": "+1", "removed": False},
    "message.read": {"message_id": "m", "user_id": "u-1"},
    "typing.update": {"is_typing": True},
    "presence.update": {"user_id": "u-1", "online": True, "last_seen_at": "2026-05-13T12:35:00Z"},
    "permission.request": {"request_id": "r", "operation": "o", "target": {"label": "l"}, "expires_at": 7},
    "chat.metadata.invalidated": {"scope": ["title"], "version": 7, "updated_at": 7},
    "history.truncated": {"oldest_seq": 7},
    "notify.signal": {"type": "conversation.updated", "entity_id": "cnv_1", "version": 7, "event_id": "e"},
}
ODD_JSON = [
    "null", "true", "7", "-1", "1.5", "1e999", "9" * 30, "9" * 5_000, '""', '"x"', r'"\u0000"', r'"\ud800"',
    r'"\udc00\ud800"', '"\\n"', "[]", "{}", "[[[[]]]]", '{"a":{"a":{"a":[]}}}', "[" * 2_000 + "]" * 2_000,
    '{"a":' * 1_500 + "1" + "}" * 1_500, '{"a":1,"a":[2]}', f'"{SECRET}"', f'["{SECRET}"]', f'{{"{SECRET}":7}}',
]  # fmt: skip
MARK = "\x07here\x07"


def whole(event: str) -> dict[str, Any]:
    return {
        "version": "2", "event": event, "trace_id": "t-1", "emitted_at": 1, "chat_id": "cnv_1", "chat_type": "direct",
        "sender": {"id": "u-1", "type": "direct", "nick_name": "Ann"}, "origin_device_id": "dev-1",
        "payload": PAYLOADS[event],
    }  # fmt: skip


def paths(value: Any) -> list[tuple[Any, ...]]:
    """Where something can be replaced, at any depth."""
    inner: Any = ()
    if hasattr(value, "items"):
        inner = value.items()
    elif hasattr(value, "append"):
        inner = enumerate(value)
    return [(key, *rest) for key, each in inner for rest in ((), *paths(each))]


def replaced(value: Any, path: tuple[Any, ...], new: object) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, str]:
    """A frame as it should be, but for one value, or with one name twice; and its event."""
    event = draw(st.sampled_from(sorted(PAYLOADS)))
    good = whole(event)
    path = draw(st.sampled_from([path for path in paths(good) if path != ("event",)]))
    odd = draw(st.sampled_from(ODD_JSON))
    text = json.dumps(replaced(good, path, MARK)).replace(json.dumps(MARK), odd)
    twice = draw(st.sampled_from(["", f'"payload":{odd},', f'"chat_id":{odd},', f'"trace_id":{odd},', '"event":"x",']))
    numbers = draw(st.sampled_from(['"seq":41,"dseq":3,', '"dseq":3,"seq":41,']))
    return event, "{" + numbers + twice + text[1:]


anything: st.SearchStrategy[str | bytes] = st.one_of(
    frames(), broken_frames(), st.text(), st.binary(), values.map(json.dumps), frames().map(str.encode),
    mutated().map(lambda found: found[1]),
)  # fmt: skip


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
    decoded = DIALECT.decode(ID, data)
    event, inbound = decoded.event, decoded.inbound
    assert getattr(event, "socket") == ID  # noqa: B009 - every event of a frame has it; Event itself does not
    assert isinstance(event, FrameReceived | MessageAcked | MessageRefused) == (inbound is not None)
    if isinstance(event, FrameRejected):
        assert 0 < len(event.error) <= 200
        assert event.error.isprintable()
        assert "s3cr3t" not in event.error
    if isinstance(event, HelloRefused):
        assert len(event.reason) <= 200
    if inbound is not None:
        assert inbound.raw == data
        assert repr(inbound)
    assert all(number is None or 0 < number < 2**63 for number in (decoded.seq, decoded.dseq))
    assert msgspec.json.encode(event)


@given(st.text(string.printable, min_size=12, max_size=40), st.sampled_from(EVENTS[:-1]))
def test_a_rejection_does_not_quote_what_stands_where_something_else_belongs(secret: str, event: str) -> None:
    for payload in (secret, [secret], {"nonce": [secret], "message_id": {secret: secret}, "event_id": [secret]}):
        for data in (frame(event, payload), frame(secret, payload, trace_id=[secret])):
            decoded = DIALECT.decode(ID, data).event
            if isinstance(decoded, FrameRejected):
                assert secret not in decoded.error


@given(mutated())
def test_a_frame_with_something_odd_in_it_keeps_its_numbers_and_is_delivered_or_rejected(
    found: tuple[str, str],
) -> None:
    event, data = found
    for form in (data, data.encode()):
        decoded = DIALECT.decode(ID, form)
        assert (decoded.seq, decoded.dseq) == (41, 3)
        assert decoded.inbound is not None or isinstance(decoded.event, FrameRejected) or event in WITHOUT_INBOUND
        assert decoded.inbound is None or decoded.inbound.raw == form


@pytest.mark.parametrize("event", sorted(PAYLOADS))
def test_frames_as_they_should_be_have_a_record_of_their_own(event: str) -> None:
    decoded = DIALECT.decode(ID, json.dumps(whole(event)))
    assert not isinstance(decoded.event, FrameRejected)
    assert (decoded.inbound is None) == (event in WITHOUT_INBOUND)
    assert not isinstance(decoded.inbound, Other)


plain: st.SearchStrategy[object] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)
unknown_fields = st.dictionaries(st.text().filter(lambda name: name not in NAMES), plain, max_size=4)


@given(st.sampled_from(sorted(PAYLOADS)), unknown_fields, unknown_fields)
def test_unknown_fields_change_nothing_and_survive(event: str, above: dict[str, Any], within: dict[str, Any]) -> None:
    good = whole(event)
    expected = DIALECT.decode(ID, json.dumps(good))
    data = json.dumps({**above, **good, "payload": {**within, **PAYLOADS[event]}})
    decoded = DIALECT.decode(ID, data)
    assert decoded.event == expected.event
    if expected.inbound is not None:
        assert decoded.inbound == msgspec.structs.replace(expected.inbound, raw=data)


@given(st.text().filter(lambda event: event.partition(".")[0] not in ("presence", "permission")), plain)
def test_unknown_events_survive(event: str, payload: object) -> None:
    event = f"{event}.never.seen"
    data = json.dumps({**whole("message.send"), "event": event, "payload": payload})
    other = Other(event=event, chat_id="cnv_1", raw=data)
    assert DIALECT.decode(ID, data) == Decoded(FrameReceived(ID, "cnv_1"), other)


# -- the numbers -------------------------------------------------------------------------------------------------------

UNREADABLE: dict[str, Callable[[str], str]] = {
    "readable": lambda rest: '{"event":"never.seen"' + rest + "}",
    "rejected payload": lambda rest: '{"event":"message.send","payload":{}' + rest + "}",
    "no event": lambda rest: '{"a":1' + rest + "}",
    "an odd event": lambda rest: '{"event":7' + rest + "}",
    "too deep": lambda rest: '{"event":"x","payload":' + '[{"dseq":99,"a":' * 5_000 + "1" + "}]" * 5_000 + rest + "}",
    "half a surrogate pair": lambda rest: r'{"event":"x","payload":"\ud800 \"dseq\":99"' + rest + ' , "dse":99 }\n',
}


@pytest.mark.parametrize("where", UNREADABLE)
@pytest.mark.parametrize(
    ("text", "found"),
    [("1", 1), ("9007199254740993", 9007199254740993), (str(2**63 - 1), 2**63 - 1)]
    + [(odd, None) for odd in ("0", "-1", "-0", "1.0", "1e3", "01", "true", "null", '"1"', "[1]", '{"dseq":1}')]
    + [(odd, None) for odd in (str(2**63), "9" * 5_000, "1" * 19 + ".5")],
)
def test_only_positive_integers_of_64_bits_are_numbers(where: str, text: str, found: int | None) -> None:
    if text == "01" and where in ("readable", "rejected payload"):
        return  # no JSON
    for name, expected in (("dseq", (None, found)), ("seq", (found, None))):
        decoded = DIALECT.decode(ID, UNREADABLE[where](f',"{name}" : {text}'))
        assert (decoded.seq, decoded.dseq) == expected
        assert isinstance(decoded.event, FrameRejected) == (where != "readable")


@pytest.mark.parametrize(
    ("event", "kind"), [("hello-ok", HelloAccepted), ("message.ack", MessageAcked), ("message.error", MessageRefused)]
)
def test_any_frame_has_its_numbers(event: str, kind: type[object]) -> None:
    decoded = DIALECT.decode(ID, frame(event, {"message_id": "m"}, seq=12, dseq=5))
    assert isinstance(decoded.event, kind)
    assert (decoded.seq, decoded.dseq) == (12, 5)


@pytest.mark.parametrize(
    "data",
    [
        "", "5", '"dseq"', "[]", '["dseq",5]', '{"dseq":5', '{"event":"x","dseq":5', '{"dseq":5}}',
        '{"dseq":5}{"dseq":5}', '{"dseq":5,"payload":' + "[" * 5_000 + "}", '{"dseq":5,"event":never}', "{'dseq':5}",
        '{"dseq":5}x', '[{"dseq":5}]', '{"event":"\ud800","dseq":5}',
        b'{"event":"\xff","dseq":5,"a":}', b'\xef\xbb\xbf{"dseq":5}',
    ],
)  # fmt: skip
def test_what_is_no_frame_has_no_numbers(data: str | bytes) -> None:
    decoded = DIALECT.decode(ID, data)
    assert isinstance(decoded.event, FrameRejected)
    assert (decoded.seq, decoded.dseq) == (None, None)
