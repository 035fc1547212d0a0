"""Which URLs and device ids are accepted, and that a refusal repeats no secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.adapters import ConfigError, base_url_for, check_base_url, check_device_id, check_ws_url


@pytest.mark.parametrize(
    "url",
    [
        "wss://gateway.example/ws",
        "WSS://gateway.example:8443/ws",
        "wss://[2001:db8::1]/ws",
        "ws://localhost:8080/ws",
        "ws://LOCALHOST./ws",
        "ws://127.0.0.1/ws",
        "ws://127.9.9.9",
        "ws://[::1]:9/ws",
    ],
)
def test_accepted(url: str) -> None:
    assert check_ws_url(url) == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "wss://"),
        ("gateway.example", "wss://"),
        ("https://gateway.example/ws", "wss://"),
        ("ftp://gateway.example", "wss://"),
        ("wss:///ws", "names no host"),
        ("ws://gateway.example/ws", "unencrypted"),
        ("ws://localhost.evil.example/ws", "unencrypted"),
        ("ws://127.0.0.1.evil.example/ws", "unencrypted"),
        ("ws://10.0.0.1/ws", "unencrypted"),
        ("ws://0.0.0.0/ws", "unencrypted"),
        ("wss://user@gateway.example", "user name"),
        ("wss://:s3cret@gateway.example", "user name"),
        ("wss://@gateway.example", "user name"),
        ("ws://evil.example\\@localhost/", "character"),
        ("wss://gateway.example/ws?token=s3cret", "query"),
        ("wss://gateway.example/ws?", "query"),
        ("wss://gateway.example/ws#s3cret", "fragment"),
        ("wss://gateway.example:99999/ws", "valid URL"),
        ("wss://gateway.example:s3cret/ws", "valid URL"),
        ("wss://[::1/ws", "valid URL"),
        (" wss://gateway.example", "character"),
        ("wss://gate\tway.example", "character"),
        ("wss://gateway.example/\nX", "character"),
        ("wss://gätew.example", "character"),
    ],
)
def test_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        check_ws_url(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.setting == "WebSocket URL"


def test_a_host_can_be_allowed_by_name_and_only_that_one() -> None:
    allowed = frozenset({"Gateway.Internal"})
    assert check_ws_url("ws://gateway.internal/ws", allowed)
    assert check_base_url("http://gateway.internal/", allowed) == "http://gateway.internal"
    with pytest.raises(ConfigError):
        check_ws_url("ws://other.internal/ws", allowed)


@pytest.mark.parametrize(
    ("ws_url", "base_url"),
    [
        ("wss://host:8443/ws", "https://host:8443"),
        ("WSS://host/ws", "https://host"),
        ("ws://127.0.0.1:80/deep/ws", "http://127.0.0.1:80"),
        ("wss://[::1]:9/ws", "https://[::1]:9"),
    ],
)
def test_the_base_url_of_a_websocket_url(ws_url: str, base_url: str) -> None:
    assert base_url_for(ws_url) == base_url
    assert check_base_url(base_url) == base_url


def test_a_base_url_keeps_its_path_and_loses_its_last_slash() -> None:
    assert check_base_url("https://host/api/") == "https://host/api"
    for url in ("http://host", "https://u:p@host", "https://host?x", "wss://host"):
        with pytest.raises(ConfigError):
            check_base_url(url)


@given(st.text(max_size=60))
def test_plain_text_goes_to_loopback_only(rest: str) -> None:
    try:
        url = check_ws_url(f"ws://{rest}")
    except ConfigError:
        return
    assert url.lower().startswith(("ws://localhost", "ws://127.", "ws://[::1]", "ws://[0"))


@pytest.mark.rule("S1-40")
@pytest.mark.parametrize("device_id", ["a", "laptop 3", "d" * 128, "ü" * 64])
def test_device_ids_that_can_be_sent(device_id: str) -> None:
    assert check_device_id(device_id) == device_id


@pytest.mark.rule("S1-40")
@pytest.mark.parametrize("device_id", ["", " ", " a", "a\n", "a\x7f", "d" * 129, "ü" * 65, "\ud800"])
def test_device_ids_that_cannot(device_id: str) -> None:
    with pytest.raises(ConfigError):
        check_device_id(device_id)
