"""When a busy server wants to hear from us again: heard at the upgrade and at the refresh, and told to the chart."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.adapters import (
    ClawChat,
    Exchange,
    Identity,
    MemoryStore,
    NotRotated,
    OpenError,
    TokenPair,
    Vault,
    WebSocketTransport,
    http_client,
)
from holdfast.engine import Event
from holdfast.statecharts import PostRefresh, RefreshFailed

from .peer import Ear, Peer, serve

pytestmark = pytest.mark.anyio

NOON = "Sat, 21 Nov 2026 12:00:00 GMT"


def asked(status: int, headers: dict[str, str]) -> float:
    answer = ClawChat().read_refresh(httpx.Response(status, headers=headers))
    assert isinstance(answer, NotRotated)
    return answer.retry_after_s


@pytest.mark.rule("P39")
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0120 ", 120.0),
        ("0", 0.0),
        ("Sat, 21 Nov 2026 12:05:00 GMT", 300.0),
        ("Saturday, 21-Nov-26 12:05:00 GMT", 300.0),
        ("Sat Nov 21 12:05:00 2026", 300.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("9" * 5000, 9_999_999_999.0),
        ("-5", 0.0),
        ("1.5", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("Sat, 99 Nov 2026 12:05:00 GMT", 0.0),
    ],
)
def test_seconds_and_dates_are_understood(value: str, seconds: float) -> None:
    assert asked(503, {"Retry-After": value, "Date": NOON}) == seconds


@pytest.mark.rule("P39")
def test_a_date_counts_from_the_answers_own() -> None:
    later = "Sat, 21 Nov 2026 12:05:00 GMT"
    assert asked(429, {"Retry-After": later, "Date": NOON}) == 300.0
    assert asked(429, {"Retry-After": later}) == 0.0
    assert asked(429, {"Retry-After": later, "Date": "noon"}) == 0.0


@pytest.mark.rule("P39")
@pytest.mark.parametrize("status", [200, 301, 400, 401, 500, 502])
def test_only_a_busy_server_is_believed(status: int) -> None:
    assert asked(status, {"Retry-After": "120"}) == 0.0


@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0")), st.text(st.characters(codec="ascii")))
def test_nothing_a_server_says_is_too_odd(value: str, date: str) -> None:
    headers = [(b"Retry-After", value.encode("latin-1")), (b"Date", date.encode())]
    answer = ClawChat().read_refresh(httpx.Response(503, headers=headers))
    assert isinstance(answer, NotRotated)
    assert 0 <= answer.retry_after_s < 1e12


@pytest.mark.rule("P39")
@pytest.mark.parametrize(("status", "seconds"), [(503, 7.0), (429, 7.0), (403, 0.0)])
async def test_a_refused_upgrade_tells(status: int, seconds: float) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status} Busy\r\nRetry-After: 3600\r\nretry-after: 7\r\nContent-Length: 0\r\n\r\n"
        peer.writer.write(head.encode())
        await peer.hung_up()

    async with serve(script) as url:
        with pytest.raises(OpenError) as caught:
            await WebSocketTransport().open(url, Ear())
    assert caught.value.retry_after_s == seconds


@pytest.mark.rule("P39")
async def test_a_refused_refresh_tells_the_chart() -> None:
    store, vault, pair = MemoryStore(), Vault(), TokenPair("an-access-token", "a-refresh-token")
    store.activate("a", pair, Identity(device_id="dev"), 5.0)
    vault.load(1, pair)
    answer = httpx.Response(429, headers={"Retry-After": "90"})
    exchange = Exchange(
        account="a",
        store=store,
        vault=vault,
        dialect=ClawChat(),
        base_url="http://127.0.0.1",
        client=http_client(httpx.MockTransport(lambda request: answer)),
        device_id=lambda: "dev",
        wall=lambda: 7.0,
    )
    events: list[Event] = []
    await exchange.post(PostRefresh(1, 1, "test", 30.0), events.append)
    (event,) = events
    assert isinstance(event, RefreshFailed)
    assert (event.code, event.retry_after_s) == ("", 90.0)
