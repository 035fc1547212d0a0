"""What we send to an OpenClaw gateway: closed objects, one proof for each choice of credentials, and requests."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.adapters import (
    ClientProfile,
    ConfigError,
    DeviceIdentity,
    SendRefused,
    build_connect,
    build_request,
    pack_challenge,
    proof_text,
    unpack_challenge,
)

IDENTITY = DeviceIdentity(bytes(range(32)))
PROFILE = ClientProfile()
CHALLENGE = pack_challenge("nonce-1", 1737264000000)


def connect(profile: ClientProfile = PROFILE, **credentials: str) -> Any:
    """The parameters of a connect frame."""
    frame = json.loads(build_connect(IDENTITY, profile, challenge=CHALLENGE, **credentials))
    assert {name: frame[name] for name in frame if name != "params"} == {
        "type": "req",
        "id": "connect",
        "method": "connect",
    }
    return frame["params"]


@pytest.mark.rule("S3-24")
@pytest.mark.parametrize(
    ("credentials", "auth", "signed"),
    [
        ({"token": "t"}, {"token": "t"}, "t"),
        ({"token": "t", "device_token": "d"}, {"token": "t", "deviceToken": "d"}, "t"),
        ({"device_token": "d"}, {"deviceToken": "d"}, "d"),
    ],
)
def test_each_choice_of_credentials_is_sent_and_the_first_is_signed(
    credentials: dict[str, Any], auth: dict[str, str], signed: str
) -> None:
    params = connect(**credentials)
    assert params["auth"] == auth
    device = params["device"]
    text = proof_text(IDENTITY.device_id, PROFILE, signed_at=1737264000000, token=signed, nonce="nonce-1")
    assert device == {
        "id": IDENTITY.device_id,
        "publicKey": IDENTITY.public_key,
        "signature": IDENTITY.sign(text),
        "signedAt": 1737264000000,
        "nonce": "nonce-1",
    }


def test_nothing_is_sent_that_the_gateway_does_not_know() -> None:
    params = connect(token="t")
    assert set(params) == {
        "minProtocol", "maxProtocol", "client", "role", "scopes", "caps", "auth", "userAgent", "device",
    }  # fmt: skip
    assert (params["minProtocol"], params["maxProtocol"], params["role"]) == (4, 4, "operator")
    assert params["scopes"] == ["operator.read", "operator.write"]
    assert set(params["client"]) == {"id", "mode", "version", "platform", "displayName"}
    full = connect(ClientProfile(device_family="Desk", display_name="Me", caps=("tool-events",)), token="t")
    assert full["caps"] == ["tool-events"]
    assert full["client"]["deviceFamily"] == "Desk"
    assert full["client"]["displayName"] == "Me"


def test_two_devices_have_two_names_unless_told_otherwise() -> None:
    other = DeviceIdentity(bytes(32))
    frame = json.loads(build_connect(other, PROFILE, challenge=CHALLENGE, token="t"))
    assert frame["params"]["client"]["displayName"] != connect(token="t")["client"]["displayName"]


@given(st.text(min_size=1), st.integers(0, 2**53))
def test_a_challenge_is_packed_without_loss(nonce: str, ts: int) -> None:
    assert unpack_challenge(pack_challenge(nonce, ts)) == (nonce, ts)


def test_what_was_never_packed_is_no_challenge() -> None:
    for text in ("", "nonce", "a:b", ":n"):
        with pytest.raises(ValueError, match=r"challenge|invalid literal"):
            unpack_challenge(text)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("client_id", "holdfast"),
        ("mode", "operator"),
        ("platform", ""),
        ("platform", " "),
        ("platform", "a|b"),
        ("platform", "a\nb"),
        ("device_family", "a|b"),
        ("scopes", ("operator.read,operator.admin",)),
        ("scopes", ("",)),
        ("scopes", ("a|b",)),
    ],
)
def test_a_profile_that_would_be_refused_is_told_at_once(setting: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        ClientProfile(**{setting: value})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert caught.value.setting == setting


def test_only_letters_of_ascii_are_folded_in_what_is_signed() -> None:
    profile = ClientProfile(platform=" MacÉ ", device_family="IPad", scopes=())
    text = proof_text("id", profile, signed_at=1, token="", nonce="n")
    assert text == "v3|id|gateway-client|ui|operator||1||n|macÉ|ipad"


# -- requests ----------------------------------------------------------------------------------------------------------


def test_a_request_has_parameters_only_if_there_are_some() -> None:
    assert json.loads(build_request("7", "health")) == {"type": "req", "id": "7", "method": "health"}
    assert json.loads(build_request("8", "x", {}))["params"] == {}
    assert json.loads(build_request("9", "x", None))["params"] is None


@pytest.mark.rule("S3-60")
@pytest.mark.parametrize("params", [{"x": object()}, {"x": "\ud800"}, {(1, 2): 3}])
def test_parameters_that_are_no_json_never_leave(params: object) -> None:
    with pytest.raises(SendRefused, match="no JSON") as caught:
        build_request("1", "x", params)
    assert caught.value.sent == "no"


def test_circular_parameters_never_leave() -> None:
    params: list[object] = []
    params.append(params)
    with pytest.raises(SendRefused, match="no JSON"):
        build_request("1", "x", params)


def test_a_frame_that_would_end_the_connection_never_leaves() -> None:
    frame = build_request("1", "x", {"text": "é" * 10})
    size = len(frame.encode())
    assert build_request("1", "x", {"text": "é" * 10}, limit=size) == frame
    with pytest.raises(SendRefused, match="too_large"):
        build_request("1", "x", {"text": "é" * 10}, limit=size - 1)
