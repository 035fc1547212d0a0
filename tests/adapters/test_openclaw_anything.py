"""Whatever a gateway sends: decoding never raises, shows no token, and what is judged has a judgement."""

import json

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.adapters import GatewayEvent, Other, RpcAnswer, ShutdownNotice, decode_frame
from holdfast.statecharts import Challenged, FrameReceived, FrameRejected, HelloAccepted, HelloRefused, judge

ID = 7
SECRET = "s3cr3t-s3cr3t-s3cr3t"
NAMES = [
    "type", "id", "ok", "payload", "error", "event", "seq", "stateVersion", "presence", "health", "jsonrpc", "method",
    "params", "result", "nonce", "ts", "code", "message", "details", "retryable", "retryAfterMs", "reason",
    "canRetryWithDeviceToken", "recommendedNextStep", "pauseReconnect", "requestId", "protocol", "server", "version",
    "bootId", "connId", "auth", "scopes", "deviceToken", "policy", "tickIntervalMs", "maxPayload", "restartExpectedMs",
    "status",
]  # fmt: skip
WORDS = [
    "event", "res", "req", "connect", "connect.challenge", "hello-ok", "shutdown", "tick", "2.0", "accepted",
    "startup-sidecars", "AUTH_TOKEN_MISMATCH", "PAIRING_REQUIRED", "NOT_PAIRED", "wait_then_retry",
]  # fmt: skip

scalars: st.SearchStrategy[object] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(WORDS)
)
values: st.SearchStrategy[object] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)),
    max_leaves=25,
)
known: st.SearchStrategy[dict[str, object]] = st.sampled_from(
    [
        {"type": "event", "event": "connect.challenge"},
        {"type": "event", "event": "shutdown"},
        {"type": "event", "event": "presence"},
        {"type": "res", "id": "connect", "ok": True},
        {"type": "res", "id": "connect", "ok": False},
        {"type": "res", "id": "r-1", "ok": True},
        {"jsonrpc": "2.0", "id": 1},
        {"jsonrpc": "2.0", "method": "x"},
        {},
    ]
)


@st.composite
def frames(draw: st.DrawFn) -> str:
    return json.dumps({**draw(st.dictionaries(st.sampled_from(NAMES), values, max_size=8)), **draw(known)})


@st.composite
def broken_frames(draw: st.DrawFn) -> str:
    whole = draw(frames())
    return whole[: draw(st.integers(0, len(whole)))] + draw(st.text(max_size=5))


anything: st.SearchStrategy[str | bytes] = st.one_of(
    frames(), broken_frames(), st.text(), st.binary(), values.map(json.dumps), frames().map(str.encode)
)


@given(anything)
@example("[" * 100_000)
@example('{"type":"event","event":"x","payload":' + "[" * 100_000)
@example('{"type":"res","id":"connect","ok":true,"payload":' + '{"auth":' * 900 + "1" + "}" * 900 + "}")
@example('{"type":"res","id":"connect","ok":false,"error":' + "[" * 900 + "]" * 900 + "}")
@example('{"type":"res","id":"connect","ok":false,"error":{"retryAfterMs":1e999}}')
@example('{"type":"event","event":"\ud800"}')
@example('{"type":"res","id":"connect","ok":false,"error":{"message":"\\ud800"}}')
@example('{"id":' + "9" * 5_000 + ',"type":"res"}')
@example(b'{"type":"res","id":"connect","ok":false,"error":"\xff"}')
@example(b'{"type":"event","event":"x","payload":"\xff"}')
@example(b"\xef\xbb\xbf{}")
def test_decoding_never_raises(data: str | bytes) -> None:
    decoded = decode_frame(ID, data)
    event, inbound = decoded.event, decoded.inbound
    assert isinstance(event, Challenged | HelloAccepted | HelloRefused | FrameReceived | FrameRejected)
    assert event.socket == ID
    assert isinstance(event, FrameReceived) == (inbound is not None)
    assert isinstance(event, HelloAccepted) == (decoded.hello is not None)
    assert inbound is None or isinstance(inbound, RpcAnswer | GatewayEvent | ShutdownNotice | Other)
    assert decoded.device_token is None or decoded.hello is not None
    assert decoded.seq is None or 0 < decoded.seq < 2**63
    if isinstance(event, HelloRefused | FrameRejected):
        text = event.reason if isinstance(event, HelloRefused) else event.error
        assert len(text) <= 200
        assert text.isprintable()
    failure = inbound.failure if isinstance(inbound, RpcAnswer) else decoded.failure
    if failure is not None:
        assert 0 <= judge(failure).retry_after_s < 2**53
    if inbound is not None:
        assert inbound.raw == data
        assert repr(inbound)
        assert hash(inbound) == hash(decode_frame(ID, data).inbound)
    assert msgspec.json.encode(event)


hidden: st.SearchStrategy[object] = st.recursive(
    st.just(SECRET),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)),
    max_leaves=8,
)


@given(hidden, known)
def test_a_payload_is_never_shown(payload: object, frame: dict[str, object]) -> None:
    """What a payload quotes stays in it, but for the few names that tell the terms of a hello and a shutdown."""
    name = "params" if "method" in frame else "result" if "jsonrpc" in frame else "payload"
    decoded = decode_frame(ID, json.dumps({**frame, name: payload}))
    told = repr(decoded.hello) + repr(decoded.device_token) + repr(decoded.event)
    if frame.get("event") != "shutdown":
        told += repr(decoded.inbound)
    if frame.get("id") == "connect":
        told = repr(decoded.device_token) + repr(decoded.event)
    if not isinstance(decoded.event, Challenged):
        assert SECRET not in told


@given(st.sampled_from(["event", "res", "x"]), st.text(min_size=12).filter(lambda text: text not in NAMES))
def test_a_rejection_quotes_nothing(kind: str, secret: str) -> None:
    for data in (f'{{"type":"{kind}","payload":{json.dumps(secret)}', json.dumps([secret]), json.dumps(secret)):
        event = decode_frame(ID, data).event
        assert isinstance(event, FrameRejected)
        assert secret not in event.error
