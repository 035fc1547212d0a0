"""What ClawChat's HTTP answers mean, and what its requests hold."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.adapters import (
    ClawChat,
    ConfigError,
    NotRotated,
    PairingDenied,
    PairingGranted,
    Rotated,
    TokenPair,
)

DIALECT = ClawChat()
BASE_URL = "https://gateway.example"
PAIR = {"access_token": "access-1", "refresh_token": "refresh-1"}
SECRET = "s3cr3t-s3cr3t-s3cr3t"


def answer(body: object, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=body if isinstance(body, bytes) else json.dumps(body).encode())


def envelope(code: object = 0, data: object = None, message: object = "ok") -> httpx.Response:
    return answer({"code": code, "message": message, "data": data})


# -- refreshing --------------------------------------------------------------------------------------------------------


@pytest.mark.rule("S1-39", "S1-40")
def test_a_refresh_request_has_the_device_and_no_authorization() -> None:
    client = httpx.AsyncClient(headers={"User-Agent": "x"})
    request = DIALECT.refresh_request(client, BASE_URL, "refresh-1", "büro-pc")
    assert (request.method, str(request.url)) == ("POST", "https://gateway.example/v1/auth/refresh")
    assert "Authorization" not in request.headers
    assert dict(request.headers.raw)[b"X-Device-Id"] == "büro-pc".encode()
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.content) == {"refresh_token": "refresh-1"}
    assert "refresh-1" not in f"{request!r} {request.url} {request.headers!r}"


@pytest.mark.rule("S1-40")
@pytest.mark.parametrize("device_id", ["", "x" * 129, "ü" * 65, "a\r\nX-Evil: 1"])
def test_a_device_id_that_cannot_be_sent_is_refused(device_id: str) -> None:
    with pytest.raises(ConfigError):
        DIALECT.refresh_request(httpx.AsyncClient(), BASE_URL, "refresh-1", device_id)


@pytest.mark.rule("S1-40")
def test_code_0_is_a_new_pair() -> None:
    assert DIALECT.read_refresh(envelope(data=PAIR)) == Rotated(TokenPair("access-1", "refresh-1"))


@pytest.mark.rule("P08")
@pytest.mark.parametrize("refresh", [{}, {"refresh_token": None}, {"refresh_token": ""}, {"refresh_token": "  "}])
def test_an_answer_without_refresh_token_says_so(refresh: dict[str, str | None]) -> None:
    found = DIALECT.read_refresh(envelope(data={"access_token": "access-1", **refresh}))
    assert found == Rotated(TokenPair("access-1", None))


@pytest.mark.rule("S1-40")
@pytest.mark.parametrize("code", [1, 400, 10003, -1, 99999])
def test_any_other_code_is_handed_on_for_the_chart_to_judge(code: int) -> None:
    assert DIALECT.read_refresh(envelope(code, message="no\x00pe")) == NotRotated(str(code), f"{code}: nope")
    assert DIALECT.read_refresh(envelope(code, message=None)) == NotRotated(str(code), str(code))
    found = DIALECT.read_refresh(envelope(code, message="x" * 10_000))
    assert isinstance(found, NotRotated)
    assert len(found.error) <= 210


UNREADABLE: list[httpx.Response] = [
    answer({"code": 0, "data": PAIR}, status=500),
    answer({"code": 10003, "message": "dead"}, status=401),
    answer({"code": 0, "data": PAIR}, status=201),
    answer(b"", status=204),
    answer(b""),
    answer(b"<html>"),
    answer(b"\xff"),
    answer(b"[" * 100_000),
    answer(b'{"code":0,"data":' + b"[" * 100_000),
    answer([]),
    answer({}),
    envelope("0", PAIR),
    envelope(0.5, PAIR),
    envelope(True, PAIR),
    envelope(None, PAIR),
    envelope(data=None),
    envelope(data=[]),
    envelope(data={}),
    envelope(data={"access_token": None}),
    envelope(data={"access_token": ""}),
    envelope(data={"access_token": "  "}),
    envelope(data={"access_token": 7}),
    envelope(data={"access_token": "access\n1"}),
    envelope(data={"access_token": "äccess"}),
    envelope(data={"access_token": "access-1", "refresh_token": 7}),
    envelope(data={"access_token": "access-1", "refresh_token": "refresh\x001"}),
    answer(b" " * 1_048_577 + json.dumps({"code": 0, "data": PAIR}).encode()),
]


@pytest.mark.rule("S1-40")
@pytest.mark.parametrize("response", UNREADABLE)
def test_what_cannot_be_read_has_no_code(response: httpx.Response) -> None:
    found = DIALECT.read_refresh(response)
    assert isinstance(found, NotRotated)
    assert found.code == ""
    assert found.error
    pairing = DIALECT.read_pairing(response)
    assert isinstance(pairing, PairingDenied)
    assert pairing.code is None


junk: st.SearchStrategy[object] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=9), st.just(SECRET)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["code", "data", "access_token", "refresh_token", "agent", "id"]), inner),
    ),
    max_leaves=12,
)


@given(st.one_of(st.binary(), junk), st.sampled_from([200, 200, 200, 401, 500]))
def test_reading_never_raises_and_an_unreadable_answer_is_not_quoted(body: object, status: int) -> None:
    refresh = DIALECT.read_refresh(answer(body, status))
    assert isinstance(refresh, Rotated) or SECRET not in refresh.error
    pairing = DIALECT.read_pairing(answer(body, status))
    assert SECRET not in repr(pairing) or isinstance(pairing, PairingGranted)


# -- pairing -----------------------------------------------------------------------------------------------------------


def test_a_pairing_request() -> None:
    request = DIALECT.pair_request(httpx.AsyncClient(), BASE_URL, "c0de", device_id="dev", user_id=None)
    assert (request.method, str(request.url)) == ("POST", "https://gateway.example/v1/agents/connect")
    assert request.headers["X-Device-Id"] == "dev"
    assert "Authorization" not in request.headers
    body = json.loads(request.content)
    assert body.pop("plugin_version")
    assert body == {"code": "c0de", "platform": "openclaw", "type": "clawbot"}
    named = ClawChat(platform="mine").pair_request(httpx.AsyncClient(), BASE_URL, "c", device_id="d", user_id="u-1")
    assert json.loads(named.content)["user_id"] == "u-1"
    assert json.loads(named.content)["platform"] == "mine"


def test_a_pairing_grants_tokens_and_names() -> None:
    data: dict[str, Any] = {
        **PAIR,
        "agent": {"id": "a-1", "user_id": "u-1", "owner_id": "o-1"},
        "conversation": {"id": "cnv_1"},
    }
    assert DIALECT.read_pairing(envelope(data=data)) == PairingGranted(
        pair=TokenPair("access-1", "refresh-1"),
        user_id="u-1",
        owner_id="o-1",
        agent_id="a-1",
        conversation_id="cnv_1",
    )


def test_a_code_is_not_wasted_for_a_missing_name() -> None:
    for rest in ({}, {"agent": None, "conversation": None}):
        found = DIALECT.read_pairing(envelope(data={"access_token": "access-1", **rest}))
        assert found == PairingGranted(pair=TokenPair("access-1"))


def test_a_denied_pairing_says_whether_only_the_user_was_wrong() -> None:
    assert DIALECT.read_pairing(envelope(16000, message="used")) == PairingDenied(code=16000, reason="used")
    gone = DIALECT.read_pairing(envelope(16001, message="gone"))
    assert gone == PairingDenied(code=16001, reason="gone", user_is_gone=True)
