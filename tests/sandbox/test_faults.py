"""Scripted misbehaviour of connections and handshakes."""

import asyncio
import contextlib
import json

import httpx
import pytest
from websockets.exceptions import InvalidHandshake, InvalidStatus

from holdfast.sandbox import KINDS, Gateway, Kind

from .kit import LIMIT_S, connect_frame, dial, live, message_frame, refresh, seen

pytestmark = pytest.mark.anyio


async def test_refused_hellos_are_counted_down(gateway: Gateway) -> None:
    issued = gateway.issue()
    gateway.inject("hello", "refuse", reason="temporarily unavailable", times=2)
    for _ in range(2):
        async with dial(gateway) as peer:
            hello = await peer.greet(issued.access_token)
            assert (hello["event"], hello["payload"]["reason"]) == ("hello-fail", "temporarily unavailable")
            assert await peer.closed() == 1006
    async with live(gateway, issued):
        pass
    assert gateway.counters.hello_fails == 2
    assert gateway.counters.faults == 2


async def test_dropped_dials(gateway: Gateway) -> None:
    gateway.inject("accept", "drop", times=2)
    for _ in range(2):
        with pytest.raises((OSError, InvalidHandshake)):
            async with dial(gateway):
                pass
    async with dial(gateway) as peer:
        assert (await peer.receive())["event"] == "connect.challenge"
    assert gateway.counters.dials == 3


async def test_dropped_http_dials(gateway: Gateway, http: httpx.AsyncClient) -> None:
    gateway.inject("accept", "drop")
    with pytest.raises(httpx.TransportError):
        await http.get("/v1/users/me")
    assert (await http.get("/v1/users/me")).status_code == 401


async def test_refused_upgrades(gateway: Gateway) -> None:
    gateway.inject("upgrade", "status", status=502)
    with pytest.raises(InvalidStatus) as caught:
        async with dial(gateway):
            pass
    assert caught.value.response.status_code == 502
    gateway.inject("upgrade", "drop")
    with pytest.raises((OSError, InvalidHandshake)):
        async with dial(gateway):
            pass
    async with dial(gateway) as peer:
        assert (await peer.receive())["event"] == "connect.challenge"


async def test_an_upgrade_that_is_never_answered(gateway: Gateway) -> None:
    gateway.inject("upgrade", "never")
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    await seen(gateway, "fault")
    writer.write_eof()
    assert await reader.read() == b""  # Our end is noticed, and still nothing was said.
    writer.close()


async def test_a_challenge_that_never_comes(gateway: Gateway) -> None:
    gateway.inject("challenge", "never")
    async with dial(gateway) as peer:
        await seen(gateway, "fault")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(peer.socket.recv(), 0.02)


@pytest.mark.parametrize("point", ["challenge", "hello"])
async def test_garbage_frames(gateway: Gateway, point: str) -> None:
    gateway.inject("hello" if point == "hello" else "challenge", "garbage")
    async with dial(gateway) as peer:
        with pytest.raises(json.JSONDecodeError):
            await peer.greet(gateway.issue().access_token)


@pytest.mark.parametrize("point", ["challenge", "hello"])
async def test_drops_in_the_handshake(gateway: Gateway, point: str) -> None:
    issued = gateway.issue()
    gateway.inject("hello" if point == "hello" else "challenge", "drop")
    async with dial(gateway) as peer:
        if point == "hello":
            challenge = await peer.receive()
            assert challenge["event"] == "connect.challenge"
            await peer.send(connect_frame(issued.access_token, challenge["payload"]["nonce"]))
        assert await peer.closed() == 1006


async def test_a_held_hello_is_released(gateway: Gateway) -> None:
    issued = gateway.issue()
    gateway.inject("hello", "hold")
    async with dial(gateway) as peer:
        greeting = asyncio.create_task(peer.greet(issued.access_token))
        await seen(gateway, "fault")
        assert gateway.sessions == ()
        assert not greeting.done()
        assert gateway.release("hello") == 1
        assert (await greeting)["event"] == "hello-ok"
    assert gateway.release() == 0


async def test_a_hello_held_beyond_the_connections_life(gateway: Gateway) -> None:
    issued = gateway.issue()
    gateway.inject("hello", "hold")
    async with dial(gateway) as peer:
        greeting = asyncio.create_task(peer.greet(issued.access_token))
        await seen(gateway, "fault")
        greeting.cancel()
    await seen(gateway, "closed")
    gateway.clear()
    assert gateway.sessions == ()


async def test_a_delayed_hello(gateway: Gateway) -> None:
    gateway.inject("hello", "delay", seconds=0.01)
    async with dial(gateway) as peer:
        assert (await peer.greet(gateway.issue().access_token))["event"] == "hello-ok"


async def test_held_and_delayed_refreshes(gateway: Gateway, http: httpx.AsyncClient) -> None:
    issued = gateway.issue(device_id="dev-a")
    gateway.inject("refresh", "hold")
    answer = asyncio.create_task(refresh(http, issued.refresh_token))
    await seen(gateway, "refreshed")  # Carried out, and the answer is still to come.
    assert not answer.done()
    gateway.release("refresh")
    renewed = (await answer).json()["data"]["refresh_token"]
    gateway.inject("refresh", "delay", seconds=0.01)
    assert (await refresh(http, renewed)).json()["code"] == 0


async def test_a_held_answer_whose_asker_has_gone(gateway: Gateway, http: httpx.AsyncClient) -> None:
    gateway.inject("rest", "hold")
    with pytest.raises(httpx.ReadTimeout):
        await http.get("/v1/users/me", timeout=httpx.Timeout(10, read=0.02))
    await seen(gateway, "disconnect")
    gateway.release()
    assert (await http.get("/v1/users/me")).status_code == 401


async def test_dropped_sockets(gateway: Gateway) -> None:
    one, other = gateway.issue(), gateway.issue()
    async with live(gateway, one) as first, live(gateway, other) as second:
        assert gateway.drop(one.user_id) == 1
        assert await first.closed() == 1006
        assert gateway.sessions == ((other.user_id, "dev-a"),)
        assert gateway.drop() == 1
        assert await second.closed() == 1006


async def test_all_connections_dropped(gateway: Gateway) -> None:
    async with dial(gateway) as half_made, live(gateway, gateway.issue()) as whole:
        assert gateway.drop_all() == 2
        assert await half_made.closed() == await whole.closed() == 1006


@pytest.mark.parametrize(("code", "seen_as"), [(None, 1005), (4001, 4001), (1012, 1012)])
async def test_kicks(gateway: Gateway, code: int | None, seen_as: int) -> None:
    async with live(gateway, gateway.issue()) as peer:
        assert gateway.kick(code=code) == 1
        assert await peer.closed() == seen_as


@pytest.mark.parametrize(("code", "reason"), [(1006, ""), (999, ""), (5000, ""), (None, "why"), (1000, "x" * 124)])
async def test_kicks_that_no_frame_can_say(gateway: Gateway, code: int | None, reason: str) -> None:
    with pytest.raises(ValueError, match="close"):
        gateway.kick(code=code, reason=reason)


async def test_silence(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with live(gateway, issued) as peer:
        assert gateway.silence(issued.user_id) == 1
        await peer.send({"event": "ping", "trace_id": "p"})
        pong = await peer.socket.ping()
        missed = gateway.push_message(issued.user_id, None, "into the void")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(pong), 0.02)
        async with dial(gateway) as newer:
            await newer.greet(issued.access_token)
            replayed, _done = await newer.until("replay.done")
            assert replayed["payload"]["message_id"] == missed
            async with asyncio.timeout(LIMIT_S):
                await peer.socket.wait_closed()


async def test_a_client_that_never_reads_is_dropped(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with live(gateway, issued) as peer:
        for _ in range(60):
            gateway.push_raw(issued.user_id, "x" * 1_000_000)
        assert await peer.closed() == 1006


async def test_default_reasons(gateway: Gateway) -> None:
    issued = gateway.issue()
    gateway.inject("send", "refuse")
    async with live(gateway, issued) as peer:
        await peer.send(message_frame(issued.conversation_id))
        assert (await peer.receive())["payload"]["code"] == "bad_request"
    gateway.inject("hello", "refuse")
    async with dial(gateway) as peer:
        assert (await peer.greet(issued.access_token))["payload"]["reason"] == "authentication failed"


async def test_a_predicate_that_fails_tells_its_waiter(gateway: Gateway) -> None:
    answers = [False]
    waiting = asyncio.ensure_future(gateway.wait(lambda _: answers.pop()))
    await asyncio.sleep(0)
    gateway.issue()
    with pytest.raises(IndexError):
        await waiting


async def test_until_cleared(gateway: Gateway, http: httpx.AsyncClient) -> None:
    gateway.inject("rest", "status", times=None)
    gateway.inject("rest", "status", status=500, times=None)
    for _ in range(5):
        assert (await http.get("/v1/users/me")).status_code == 503
    gateway.clear()
    assert (await http.get("/v1/users/me")).status_code == 401


async def test_one_point_is_cleared_and_the_others_stay(gateway: Gateway, http: httpx.AsyncClient) -> None:
    gateway.inject("rest", "status")
    gateway.inject("refresh", "status")
    gateway.clear("refresh")
    assert [fault["point"] for fault in gateway.state()["faults"]] == ["rest"]
    assert (await http.get("/v1/users/me")).status_code == 503


@pytest.mark.parametrize("kind", KINDS["refresh"])
async def test_no_fault_of_a_refresh_shows_a_token(gateway: Gateway, http: httpx.AsyncClient, kind: Kind) -> None:
    issued = gateway.issue(device_id="dev-a")
    gateway.inject("refresh", kind)
    with contextlib.suppress(httpx.TransportError):
        await http.post(
            "/v1/auth/refresh",
            json={"refresh_token": issued.refresh_token},
            headers={"X-Device-Id": "dev-a"},
            timeout=httpx.Timeout(10, read=0.02),
        )
    assert issued.refresh_token not in json.dumps(gateway.state())
