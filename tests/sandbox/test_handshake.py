"""The handshake: challenge, connect, hello-ok or hello-fail, and what a wrong client gets."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest

from holdfast.sandbox import Gateway, GatewaySettings, serve

from .conftest import Clock
from .kit import connect_frame, dial, live, seen, still_serves

pytestmark = pytest.mark.anyio


async def test_challenge_hello_and_replay_done(gateway: Gateway) -> None:
    issued = gateway.issue(device_id="dev-a")
    async with dial(gateway) as peer:
        challenge = await peer.receive()
        assert challenge["event"] == "connect.challenge"
        assert challenge["trace_id"] == "challenge"
        assert challenge["version"] == "2"
        assert len(challenge["payload"]["nonce"]) == 24
        await peer.send(connect_frame(issued.access_token, challenge["payload"]["nonce"]))
        hello = await peer.receive()
        assert (hello["event"], hello["trace_id"]) == ("hello-ok", "t-1")
        assert hello["payload"]["device_id"] == "dev-a"
        assert "ack_mode" not in hello["payload"]
        assert (await peer.receive())["event"] == "replay.done"
        assert gateway.sessions == ((issued.user_id, "dev-a"),)


async def test_nonces_differ(gateway: Gateway) -> None:
    async with dial(gateway) as one, dial(gateway) as other:
        assert (await one.receive())["payload"]["nonce"] != (await other.receive())["payload"]["nonce"]


async def test_hello_names_the_resolved_device(gateway: Gateway) -> None:
    issued = gateway.issue()
    gateway.resolve_device(issued.user_id, "dev-resolved")
    async with dial(gateway) as peer:
        assert (await peer.greet(issued.access_token))["payload"]["device_id"] == "dev-resolved"
        assert gateway.sessions == ((issued.user_id, "dev-resolved"),)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"token": "nobody's"}, "authentication failed"),
        ({"nonce": "x" * 24}, "nonce mismatch"),
        ({"protocol_version": 1}, "invalid connect payload"),
        ({"protocol_version": "2"}, "invalid connect payload"),
        ({"token": ""}, "invalid connect payload"),
        ({"device_id": ""}, "invalid connect payload"),
        ({"device_id": "d" * 129}, "invalid connect payload"),
        ({"device_id": "ü" * 65}, "invalid connect payload"),
        ({"capabilities": {"e2ee": "yes"}}, "invalid connect payload"),
        ({"capabilities": {"reliable_delivery_v2": True}}, "invalid connect payload"),
        ({"capabilities": None}, "invalid connect payload"),
    ],
)
async def test_refusals(gateway: Gateway, changes: dict[str, object], reason: str) -> None:
    async with dial(gateway) as peer:
        hello = await peer.greet(gateway.issue().access_token, **changes)
        assert (hello["event"], hello["trace_id"], hello["payload"]) == ("hello-fail", "t-1", {"reason": reason})
        assert await peer.closed() == 1006
    assert gateway.sessions == ()


@pytest.mark.parametrize(
    "text",
    [
        "not json", "[1]", "{}", '{"event":7}', '{"version":"2","event":"hello","trace_id":"t","payload":{}}',
        '{"version":"1","event":"connect","trace_id":"t","payload":{}}',
        '{"version":"2","event":"connect","payload":{}}', "[" * 60_000,
    ],
)  # fmt: skip
async def test_a_first_frame_that_is_no_connect(gateway: Gateway, text: str) -> None:
    async with dial(gateway) as peer:
        await peer.receive()
        await peer.socket.send(text)
        hello = await peer.receive()
        assert (hello["event"], hello["payload"]["reason"]) == ("hello-fail", "invalid connect event")
        assert await peer.closed() == 1006


async def test_a_connect_frame_above_64_kib_is_closed(gateway: Gateway) -> None:
    async with dial(gateway) as peer:
        assert (await peer.receive())["event"] == "connect.challenge"
        await peer.send(connect_frame("t", "n", client_version="x" * 64 * 1024))
        assert await peer.closed() == 1009


async def test_a_late_client_is_dropped_without_hello_fail() -> None:
    async with serve(settings=GatewaySettings(connect_limit_s=0.01)) as gateway, dial(gateway) as peer:
        assert (await peer.receive())["event"] == "connect.challenge"
        assert await peer.closed() == 1006
        assert gateway.counters.hello_fails == 0


async def test_an_expired_token_is_refused(gateway: Gateway, clock: Clock) -> None:
    issued = gateway.issue(access_lifetime_s=60)
    async with live(gateway, issued):
        clock.now += 60
        async with dial(gateway) as peer:
            hello = await peer.greet(issued.access_token)
            assert hello["payload"]["reason"] == "authentication failed"
        assert len(gateway.sessions) == 1  # A token is checked only at connect.


async def test_a_newer_session_of_the_device_closes_the_older(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with live(gateway, issued) as older, live(gateway, issued) as newer:
        assert await older.closed() == 4001
        await newer.send({"event": "ping", "trace_id": "p"})
        assert (await newer.receive())["event"] == "pong"
    assert gateway.counters.takeovers == 1


async def test_a_fourth_takeover_in_ten_seconds_is_refused_and_the_older_session_stays(
    gateway: Gateway, clock: Clock
) -> None:
    issued = gateway.issue()
    async with AsyncExitStack() as sessions:
        for _ in range(3):
            await sessions.enter_async_context(live(gateway, issued))
        newest = await sessions.enter_async_context(live(gateway, issued))
        async with dial(gateway) as peer:
            hello = await peer.greet(issued.access_token)
            assert (hello["event"], hello["payload"]) == ("hello-fail", {"reason": "too many takeovers"})
            assert await peer.closed() == 1006
        await still_serves(newest)
        assert (gateway.counters.takeovers, gateway.counters.takeovers_refused) == (3, 1)
        await sessions.enter_async_context(live(gateway, issued, "dev-b"))
        clock.now += 9.9
        async with dial(gateway) as peer:
            assert (await peer.greet(issued.access_token))["event"] == "hello-fail"
        clock.now += 0.1
        await sessions.enter_async_context(live(gateway, issued))
        assert await newest.closed() == 4001


async def test_reconnecting_often_is_no_takeover(gateway: Gateway) -> None:
    issued = gateway.issue()
    for number in range(6):
        async with live(gateway, issued):
            pass
        await seen(gateway, "closed", number + 1)
    assert gateway.counters.takeovers == 0


async def test_other_devices_live_side_by_side(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with live(gateway, issued, "dev-a"), live(gateway, issued, "dev-b"):
        assert len(gateway.sessions) == 2
        assert gateway.counters.takeovers == 0


async def test_the_gateway_is_loopback_only() -> None:
    for host in ("0.0.0.0", "192.0.2.1", "example.org", "::"):
        with pytest.raises(ValueError, match="loopback"):
            async with serve(host):
                pass


async def test_stopping_says_goodbye() -> None:
    async with serve() as gateway:
        issued = gateway.issue()
        async with live(gateway, issued) as peer:
            stopping = asyncio.ensure_future(gateway.stop())
            assert await peer.closed() == 1001
            await stopping


async def test_cancelled_serving_leaves_nothing_open() -> None:
    async def serving(started: asyncio.Future[Gateway]) -> None:
        async with serve() as gateway:
            started.set_result(gateway)
            await asyncio.Event().wait()

    started: asyncio.Future[Gateway] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serving(started))
    gateway = await started
    async with live(gateway, gateway.issue()) as peer:
        task.cancel()
        task.get_loop().call_soon(task.cancel)  # Impatience: once more while it stops.
        assert await peer.closed() in (1001, 1006)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_clean_close_frees_the_session(gateway: Gateway) -> None:
    async with live(gateway, gateway.issue()) as peer:
        await peer.socket.close(1000)
        await seen(gateway, "closed")
        assert gateway.sessions == ()


async def test_no_token_in_state_events_or_reprs(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with live(gateway, issued):
        shown = json.dumps(gateway.state()) + repr(gateway.events) + repr(issued) + repr(gateway)
        assert issued.access_token not in shown
        assert issued.refresh_token not in shown
