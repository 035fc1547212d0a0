"""The frames of an OpenClaw gateway, and what they mean."""

import json
from typing import Any

import msgspec
import pytest

from holdfast.adapters import (
    GatewayDecoded,
    GatewayEvent,
    Hello,
    Other,
    RpcAnswer,
    ShutdownNotice,
    StateVersion,
    TokenPair,
    decode_frame,
    unpack_challenge,
)
from holdfast.statecharts import (
    CHALLENGE_INCOMPLETE,
    Challenged,
    Failure,
    FrameReceived,
    FrameRejected,
    HelloAccepted,
    HelloRefused,
    Phase,
    Remedy,
    judge,
)

ID = 7
DEVICE_TOKEN = "device-token-0123456789-abcdefghijklmnopqrs"


def decode(**frame: object) -> GatewayDecoded:
    return decode_frame(ID, json.dumps(frame))


def challenge(**payload: object) -> GatewayDecoded:
    return decode(type="event", event="connect.challenge", payload=payload)


def hello(**payload: object) -> GatewayDecoded:
    return decode(type="res", id="connect", ok=True, payload={"type": "hello-ok", "protocol": 4, **payload})


def answer(**frame: object) -> RpcAnswer:
    decoded = decode(**{"type": "res", "id": "r-1", **frame})
    assert decoded.event == FrameReceived(ID)
    assert decoded.failure is None
    assert isinstance(decoded.inbound, RpcAnswer)
    return decoded.inbound


# -- the handshake -----------------------------------------------------------------------------------------------------


@pytest.mark.rule("S3-24")
def test_a_challenge_brings_both_parts_of_what_is_signed() -> None:
    event = challenge(nonce="3b7d:c1d2", ts=1795221240264, capabilities=["model-catalog-snapshot"]).event
    assert isinstance(event, Challenged)
    assert event.socket == ID
    assert unpack_challenge(event.nonce) == ("3b7d:c1d2", 1795221240264)


@pytest.mark.rule("S3-25")
@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"nonce": "n"},
        {"ts": 1},
        {"nonce": "", "ts": 1},
        {"nonce": " ", "ts": 1},
        {"nonce": "a\nb", "ts": 1},
        {"nonce": "n" * 257, "ts": 1},
        {"nonce": 7, "ts": 1},
        *({"nonce": "n", "ts": ts} for ts in (None, "1", 1.5, -1, True, 2**63)),
    ],
)
def test_a_challenge_that_cannot_be_signed_is_final(payload: dict[str, object]) -> None:
    decoded = challenge(**payload)
    assert isinstance(decoded.event, FrameRejected)
    assert decoded.failure is not None
    assert decoded.failure.code == CHALLENGE_INCOMPLETE
    assert judge(decoded.failure).remedy is Remedy.TERMINAL


def test_a_challenge_without_payload_is_as_final() -> None:
    for payload in (None, [7], "nonce"):
        decoded = decode(type="event", event="connect.challenge", payload=payload)
        assert decoded.failure is not None


@pytest.mark.rule("S3-27")
def test_a_hello_brings_its_terms_and_apart_from_them_the_device_token() -> None:
    decoded = hello(
        server={"version": "2026.9.6", "bootId": "b-1", "connId": "c-1"},
        auth={"method": "token", "scopes": ["operator.read", 7, "x" * 200], "deviceToken": DEVICE_TOKEN},
        policy={"maxPayload": 1000, "tickIntervalMs": 15000},
        features={"methods": ["health"]},
    )
    assert decoded.event == HelloAccepted(ID)
    assert decoded.hello == Hello(
        tick_s=15.0,
        max_payload=1000,
        method="token",
        scopes=("operator.read",),
        server_version="2026.9.6",
        boot_id="b-1",
        connection_id="c-1",
    )
    assert decoded.device_token == TokenPair(DEVICE_TOKEN)
    assert (decoded.failure, decoded.inbound, decoded.seq) == (None, None, None)
    assert DEVICE_TOKEN not in repr(decoded)
    with pytest.raises(TypeError):
        msgspec.json.encode(decoded)


@pytest.mark.parametrize(
    "frame",
    [
        {},
        {"payload": None},
        {"payload": []},
        {"payload": {"auth": 7, "policy": [], "server": "x"}},
        {"payload": {"auth": {"deviceToken": "a b\n", "scopes": 7}, "policy": {"tickIntervalMs": 0, "maxPayload": -1}}},
        {"payload": {"auth": {"deviceToken": 7}, "policy": {"tickIntervalMs": "15000", "maxPayload": True}}},
        {"payload": {"policy": {"tickIntervalMs": 1e300, "maxPayload": 2**80}}, "error": None},
    ],
)
def test_a_hello_whatever_it_lacks(frame: dict[str, object]) -> None:
    decoded = decode(type="res", id="connect", ok=True, **frame)
    assert decoded.event == HelloAccepted(ID)
    assert decoded.hello == Hello()
    assert decoded.device_token is None


def test_a_tick_is_expected_at_most_once_a_second() -> None:
    decoded = hello(policy={"tickIntervalMs": 5})
    assert decoded.hello is not None
    assert decoded.hello.tick_s == 1.0


@pytest.mark.rule("S3-28")
def test_a_refused_connect_says_why() -> None:
    decoded = decode(
        type="res",
        id="connect",
        ok=False,
        error={
            "code": "INVALID_REQUEST",
            "message": "unauthorized: gateway token mismatch",
            "details": {
                "code": "AUTH_TOKEN_MISMATCH",
                "authReason": "token_mismatch",
                "canRetryWithDeviceToken": True,
                "recommendedNextStep": "retry_with_device_token",
            },
        },
    )
    assert decoded.event == HelloRefused(ID, "unauthorized: gateway token mismatch")
    assert decoded.failure == Failure(
        phase=Phase.HANDSHAKE,
        error="INVALID_REQUEST",
        code="AUTH_TOKEN_MISMATCH",
        message="unauthorized: gateway token mismatch",
        device_token_helps=True,
    )


def test_a_refusal_has_the_gateway_s_advice() -> None:
    pairing: dict[str, object] = {"code": "PAIRING_REQUIRED", "reason": "not-paired", "requestId": "p-1"}
    for advice in ({"pauseReconnect": False}, {"recommendedNextStep": "wait_then_retry"}):
        failure = decode(
            type="res", id="connect", ok=False, error={"code": "NOT_PAIRED", "details": {**pairing, **advice}}
        ).failure
        assert failure is not None
        assert (failure.reason, failure.pairing_request, failure.wait_then_retry) == ("not-paired", "p-1", True)
    busy = {"code": "UNAVAILABLE", "retryable": True, "retryAfterMs": 19986, "details": {"reason": "startup-sidecars"}}
    failure = decode(type="res", id="connect", ok=False, error=busy).failure
    assert failure is not None
    assert (failure.retryable, failure.retry_after_s, failure.reason) == (True, 19.986, "startup-sidecars")


@pytest.mark.rule("S3-72")
@pytest.mark.parametrize(
    "frame",
    [
        {"ok": False},
        {"ok": False, "error": None},
        {"ok": True, "error": {}},
        {"ok": True, "error": {"message": 7, "code": [], "details": 7, "retryable": 1, "retryAfterMs": "x"}},
        {"ok": True, "error": "no", "payload": {"type": "hello-ok"}},
        {"ok": "true"},
        {"ok": 1},
        {},
    ],
)
def test_whatever_does_not_say_ok_without_an_error_is_a_refusal(frame: dict[str, object]) -> None:
    decoded = decode(type="res", id="connect", **frame)
    assert isinstance(decoded.event, HelloRefused)
    assert decoded.failure is not None
    assert judge(decoded.failure).remedy is Remedy.RETRY
    assert decoded.hello is None
    assert answer(**frame).failure == msgspec.structs.replace(decoded.failure, phase=Phase.REQUEST)


@pytest.mark.parametrize("told", [-1, True, "500", None, [], 2**80, 1e300])
def test_a_time_that_is_none_is_not_waited_for(told: object) -> None:
    failure = decode(type="res", id="connect", ok=False, error={"retryAfterMs": told}).failure
    assert failure is not None
    assert failure.retry_after_s == 0


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.rule("S3-61")
def test_an_answer_brings_its_payload_or_its_error() -> None:
    assert answer(ok=True, payload={"count": 0}).payload == b'{"count": 0}'
    failure = answer(ok=False, error={"code": "FORBIDDEN", "message": "missing\x00 scope"}).failure
    assert failure == Failure(phase=Phase.REQUEST, error="FORBIDDEN", message="missing scope")
    failure = answer(ok=False, error={"code": "ODD", "why": [1]}).failure
    assert failure is not None
    assert failure.message == '{"code": "ODD", "why": [1]}'
    failure = answer(ok=False, error="plain").failure
    assert failure is not None
    assert failure.message == '"plain"'
    failure = answer(ok=False, error={"message": "m" * 1000, "code": "a code of words"}).failure
    assert failure is not None
    assert (len(failure.message), failure.error) == (200, "")


@pytest.mark.rule("S3-73")
def test_an_answer_without_payload_is_its_own() -> None:
    found = answer(ok=True)
    assert found.payload == json.dumps({"type": "res", "id": "r-1", "ok": True}).encode()
    assert answer(ok=True, payload=None).payload == b"null"
    as_bytes = decode_frame(ID, found.payload).inbound
    assert isinstance(as_bytes, RpcAnswer)
    assert as_bytes.payload == as_bytes.raw == found.payload


def test_an_answer_that_announces_another_one() -> None:
    assert answer(ok=True, payload={"status": "accepted", "runId": "r"}).accepted
    assert not answer(ok=True, payload={"status": "started"}).accepted
    assert not answer(ok=True, payload=["accepted"]).accepted
    final = answer(ok=False, payload={"status": "accepted"}, error={"code": "UNAVAILABLE"})
    assert not final.accepted
    assert final.failure is not None
    assert json.loads(final.payload) == {"status": "accepted"}


@pytest.mark.rule("S3-63")
@pytest.mark.parametrize(("sent", "found"), [("x", "x"), (7, "7"), (None, ""), ("x" * 200, ""), ([1], ""), (True, "")])
def test_an_answer_to_nobody_is_an_answer(sent: object, found: str) -> None:
    assert answer(id=sent, ok=True).id == found


@pytest.mark.rule("S3-62")
def test_the_older_form_of_answers_and_events_is_understood() -> None:
    def legacy(**frame: object) -> Any:
        decoded = decode(jsonrpc="2.0", **frame)
        assert decoded.event == FrameReceived(ID)
        return decoded.inbound

    done = legacy(id=12, result={"x": 1})
    assert (done.id, done.payload, done.failure) == ("12", b'{"x": 1}', None)
    refused = legacy(id="12", error={"code": -32601, "message": "Method not found"})
    assert refused.failure == Failure(phase=Phase.REQUEST, error="-32601", message="Method not found")
    event = legacy(method="chat.message", params={"text": "hi"})
    assert (event.event, event.payload, event.seq) == ("chat.message", b'{"text": "hi"}', None)
    # Nobody was ever let in by one.
    assert isinstance(legacy(id="connect", result={"type": "hello-ok"}), RpcAnswer)


# -- events ------------------------------------------------------------------------------------------------------------


def test_an_event_brings_its_payload_and_its_number() -> None:
    decoded = decode(
        type="event", event="presence", payload={"x": 1}, seq=3, stateVersion={"presence": 3, "health": "x"}
    )
    assert decoded.event == FrameReceived(ID)
    assert decoded.seq == 3
    assert decoded.dseq is None
    assert isinstance(decoded.inbound, GatewayEvent)
    assert (decoded.inbound.event, decoded.inbound.payload, decoded.inbound.seq) == ("presence", b'{"x": 1}', 3)
    assert decoded.inbound.state_version == StateVersion(presence=3)


def test_an_event_needs_no_payload_and_no_number() -> None:
    tick = decode(type="event", event="tick").inbound
    assert isinstance(tick, GatewayEvent)
    assert (tick.event, tick.payload, tick.seq, tick.state_version) == ("tick", b"null", None, None)


@pytest.mark.parametrize("seq", [0, -1, 1.5, "1", True, None, 2**63])
def test_an_odd_number_is_none(seq: object) -> None:
    assert decode(type="event", event="tick", seq=seq).seq is None


def test_an_answer_has_no_number() -> None:
    assert decode(type="res", id="r-1", ok=True, seq=5).seq is None


def test_a_frame_that_cannot_be_read_keeps_its_number() -> None:
    deep = '{"type":"event","event":"x","payload":' + "[" * 5000 + "]" * 5000 + ',"seq":9}'
    decoded = decode_frame(ID, deep)
    assert isinstance(decoded.event, FrameRejected)
    assert decoded.seq == 9


def test_a_gateway_that_goes_says_whether_it_comes_back() -> None:
    notice = decode(
        type="event", event="shutdown", payload={"reason": "gateway restarting", "restartExpectedMs": 1500}, seq=4
    )
    assert isinstance(notice.inbound, ShutdownNotice)
    assert (notice.inbound.reason, notice.inbound.restart_expected_s) == ("gateway restarting", 1.5)
    assert notice.seq == notice.inbound.seq == 4
    stops = decode(type="event", event="shutdown", payload={"reason": "gateway stopping"}).inbound
    assert isinstance(stops, ShutdownNotice)
    assert stops.restart_expected_s is None
    odd = decode(type="event", event="shutdown", payload=7).inbound
    assert isinstance(odd, GatewayEvent)


# -- everything else ---------------------------------------------------------------------------------------------------


@pytest.mark.rule("S3-31")
@pytest.mark.parametrize("data", ["", "x", "{", "[]", "7", "null", '"text"', b"\xff", b"\x00\x01"])
def test_what_is_no_frame_is_survived(data: str | bytes) -> None:
    decoded = decode_frame(ID, data)
    assert isinstance(decoded.event, FrameRejected)
    assert decoded.event.error


@pytest.mark.parametrize("frame", [{}, {"type": "ping"}, {"type": "event"}, {"type": "event", "event": 7}, {"id": 1}])
def test_a_frame_of_another_kind_is_handed_on(frame: dict[str, object]) -> None:
    decoded = decode(**frame)
    assert decoded.event == FrameReceived(ID)
    assert decoded.inbound == Other(event=str(frame.get("type", "")), raw=json.dumps(frame))


def test_what_nobody_has_looked_into_is_not_shown() -> None:
    for inbound in (
        answer(ok=True, payload={"token": DEVICE_TOKEN}),
        decode(type="event", event="x", payload=DEVICE_TOKEN),
    ):
        assert DEVICE_TOKEN not in repr(inbound)
