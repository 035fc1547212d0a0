"""ClawChat's handshake and what we send: what each frame means or holds, what is tolerated, what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from holdfast.adapters import ClawChat, ConfigError, Decoded, SendRefused
from holdfast.statecharts import SEED, Challenged, HelloAccepted, HelloRefused, ReplayFinished, Verdict, classify

from .clawchat_kit import DIALECT, ID, MESSAGE_ID, decode, frame, rejected

# -- the handshake -----------------------------------------------------------------------------------------------------


def test_the_handshake_and_its_end() -> None:
    assert decode("connect.challenge", {"nonce": "n" * 24}) == Decoded(Challenged(ID, "n" * 24))
    hello = frame("hello-ok", {"device_id": "dev-9", "delivery_mode": "device_replay"})
    assert DIALECT.decode(ID, hello) == Decoded(HelloAccepted(ID, "dev-9"))
    assert DIALECT.decode(ID, hello.encode()) == Decoded(HelloAccepted(ID, "dev-9"))


@pytest.mark.rule("S0-58")
def test_the_end_of_the_replay_is_an_event_and_nothing_for_the_user() -> None:
    assert decode("replay.done", {}) == Decoded(ReplayFinished(ID))
    assert decode("replay.done", {}, dseq=3) == Decoded(ReplayFinished(ID), dseq=3)
    assert DIALECT.decode(ID, '{"event":"replay.done"}') == Decoded(ReplayFinished(ID))


@pytest.mark.parametrize("payload", [{}, {"nonce": None}, {"nonce": ""}, {"nonce": "n" * 257}, [], None, "nonce"])
def test_a_challenge_without_a_usable_nonce_is_refused(payload: object) -> None:
    assert rejected(frame("connect.challenge", payload))


@pytest.mark.parametrize("device_id", [None, 7, "", "x" * 129, "ü" * 65, "a\nb", "My Laptop ", ["x"]])
def test_a_device_id_that_could_not_be_sent_is_left_out(device_id: object) -> None:
    assert decode("hello-ok", {"device_id": device_id}) == Decoded(HelloAccepted(ID))


@pytest.mark.parametrize(
    ("payload", "accepted"),
    [
        ({"ack_mode": "dseq", "ack_epoch": "01JX"}, HelloAccepted(ID, "", "dseq", "01JX")),
        ({"ack_mode": "dseq", "ack_epoch": 12}, HelloAccepted(ID, "", "dseq", 12)),
        ({"ack_mode": "dseq", "ack_epoch": -(2**63) + 1}, HelloAccepted(ID, "", "dseq", -(2**63) + 1)),
        ({"ack_mode": "dseq"}, HelloAccepted(ID, "", "dseq")),
        ({"ack_mode": "dseq", "ack_epoch": ["01JX"]}, HelloAccepted(ID, "", "dseq")),
        ({"ack_mode": "dseq", "ack_epoch": True}, HelloAccepted(ID, "", "dseq")),
        ({"ack_mode": "dseq", "ack_epoch": 2**63}, HelloAccepted(ID, "", "dseq")),
        ({"ack_mode": "dseq", "ack_epoch": "e" * 129}, HelloAccepted(ID, "", "dseq")),
        ({"ack_mode": "dseq", "ack_epoch": "a\x00b"}, HelloAccepted(ID, "", "dseq")),
        ({"ack_mode": "tseq", "ack_epoch": "01JX"}, HelloAccepted(ID, "", "", "01JX")),
        ({"ack_mode": True}, HelloAccepted(ID)),
        ({"ack_mode": None, "ack_epoch": None}, HelloAccepted(ID)),
    ],
)
def test_only_dense_numbers_are_granted_in_so_many_words(payload: object, accepted: HelloAccepted) -> None:
    assert decode("hello-ok", payload) == Decoded(accepted)


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
    assert decode("hello-fail", payload) == Decoded(HelloRefused(ID, reason))


@pytest.mark.rule("V14")
def test_the_dialect_classifies_nothing() -> None:
    refused = decode("hello-fail", {"reason": "remote auth service unavailable"}).event
    assert isinstance(refused, HelloRefused)
    assert classify(SEED, refused.reason) is Verdict.AUTH_UNAVAILABLE


ALWAYS = {"device_replay", "notify_signals", "chat_meta_events", "permission_events"}


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
        "capabilities": dict.fromkeys({*ALWAYS, "reliable_delivery", "reliable_delivery_v2"}, True),
    }


@pytest.mark.parametrize(
    ("dialect", "more"),
    [
        (ClawChat(reliable=False), set[str]()),
        (ClawChat(reliable=True), {"reliable_delivery", "reliable_delivery_v2"}),
        (ClawChat(reliable=False, multi_device=True), {"multi_device"}),
        (ClawChat(reliable=True, multi_device=True), {"reliable_delivery", "reliable_delivery_v2", "multi_device"}),
    ],
)
def test_what_is_asked_for_is_what_was_chosen(dialect: ClawChat, more: set[str]) -> None:
    found = json.loads(dialect.authenticate(token="t0ken", nonce="n", device_id="dev"))
    assert found["payload"]["capabilities"] == dict.fromkeys(ALWAYS | more, True)


@pytest.mark.parametrize("device_id", ["", "x" * 129, "a\nb", " a"])
def test_a_device_id_that_cannot_be_sent_verbatim_is_refused(device_id: str) -> None:
    with pytest.raises(ConfigError):
        DIALECT.authenticate(token="t0ken", nonce="n", device_id=device_id)


@pytest.mark.rule("S0-08")
def test_the_constant_device_id() -> None:
    assert DIALECT.default_device_id == "clawchat-plugin-openclaw"


# -- sending -----------------------------------------------------------------------------------------------------------


@pytest.mark.rule("S1-44")
def test_a_message_to_send() -> None:
    out = DIALECT.message(chat_id="cnv_1", text="hi")
    found = json.loads(out.frame)
    payload = found.pop("payload")
    assert out.chat_id == "cnv_1"
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


@pytest.mark.rule("S1-44")
@given(st.integers(0, 2**128 - 1), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_message_goes_out_under_the_id_it_is_given(number: int, text: str) -> None:
    message_id = f"msg-{ULID.from_int(number)}"
    first, second = (DIALECT.message(chat_id="cnv_1", text=text, message_id=message_id) for _ in range(2))
    assert first.message_id == second.message_id == message_id
    assert first.trace_id != second.trace_id
    payload = json.loads(first.frame)["payload"]
    assert payload["message_id"] == message_id
    assert payload["message"]["body"]["fragments"] == [{"kind": "text", "text": text}]


@pytest.mark.rule("S1-44")
@pytest.mark.parametrize(
    "message_id",
    [
        "", "x", "msg-", MESSAGE_ID[4:], MESSAGE_ID.lower(), MESSAGE_ID[:-1], MESSAGE_ID + "0", MESSAGE_ID + "\n",
        "msg-8" + MESSAGE_ID[5:], MESSAGE_ID[:-1] + "U", "msg_" + MESSAGE_ID[4:], MESSAGE_ID[:-1] + "\u0661",
    ],
)  # fmt: skip
def test_a_message_id_of_another_form_is_refused(message_id: str) -> None:
    with pytest.raises(SendRefused) as caught:
        DIALECT.message(chat_id="cnv_1", text="hi", message_id=message_id)
    assert caught.value.code == "bad_request"


@pytest.mark.parametrize(
    ("chat_id", "text", "code"),
    [
        ("", "hi", "chat_not_found"),
        ("u-1", "hi", "chat_not_found"),
        ("CNV_1", "hi", "chat_not_found"),
        ("cnv_1", "x" * 1_000_000, "message_too_large"),
        ("cnv_1", "\x00" * 170_000, "message_too_large"),  # Six bytes each as JSON.
        ("cnv_1", "\ud800", "bad_request"),
        ("cnv_\ud800", "hi", "bad_request"),
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


# -- other frames of ours, to the byte ---------------------------------------------------------------------------------


def minted() -> ClawChat:
    return ClawChat(mint=lambda: ULID.from_str("01JD3X5V8Q9WZK4T7M2N6P0RHB"))


HEAD = '{"version":"2","event":"%s","trace_id":"01JD3X5V8Q9WZK4T7M2N6P0RHB","emitted_at":1732076825879,'


@pytest.mark.parametrize(
    ("receipt", "event", "payload"),
    [
        ({"kind": "seq", "number": 42, "epoch": ""}, "message.cursor_ack", '{"seq":42}'),
        ({"kind": "seq", "number": 42, "epoch": "e"}, "message.cursor_ack", '{"seq":42}'),
        ({"kind": "dseq", "number": 1, "epoch": "01JXYZ"}, "message.sync_ack", '{"dseq":1,"epoch":"01JXYZ"}'),
        ({"kind": "dseq", "number": 2**53, "epoch": 7}, "message.sync_ack", '{"dseq":9007199254740992,"epoch":7}'),
    ],
)
def test_a_receipt(receipt: dict[str, Any], event: str, payload: str) -> None:
    assert minted().receipt(**receipt) == HEAD % event + f'"payload":{payload}}}'


@pytest.mark.parametrize(("is_typing", "flag"), [(True, "true"), (False, "false")])
def test_typing(is_typing: bool, flag: str) -> None:
    frame = minted().typing(chat_id="cnv_1", is_typing=is_typing)
    assert frame == HEAD % "typing.update" + f'"chat_id":"cnv_1","payload":{{"is_typing":{flag}}}}}'


@pytest.mark.parametrize("chat_id", ["", "u-1", "cnv_\ud800", "cnv_" + "x" * 1_000_000])
def test_typing_in_a_chat_that_cannot_be_is_refused(chat_id: str) -> None:
    with pytest.raises(SendRefused):
        DIALECT.typing(chat_id=chat_id, is_typing=True)
