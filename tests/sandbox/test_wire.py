"""Whatever bytes arrive, the gateway answers by the book or hangs up, and goes on serving the others."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.sandbox import Gateway, GatewaySettings, serve, wire

from .conftest import Clock
from .kit import LIMIT_S, dial, live, message_frame, seen

pytestmark = pytest.mark.anyio

UPGRADE = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
KEYED = UPGRADE + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"


@asynccontextmanager
async def raw(gateway: Gateway) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def exchange(gateway: Gateway, data: bytes) -> bytes:
    """Everything that the gateway says to these bytes until it hangs up."""
    async with asyncio.timeout(LIMIT_S), raw(gateway) as (reader, writer):
        writer.write(data)
        try:
            return await reader.read()
        except ConnectionError:
            return b""


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x00\x01\x02\r\n\r\n", 400),
        (b"x" * 40_000, 431),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # No Host.
        (b"GET //[ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 2_200_000, 413),
        (b"GET /else HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n", 404),
        (b"GET /v1/users/me HTTP/1.0\r\n\r\n", 401),
        (b"HEAD /v1/users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
        (UPGRADE + b"\r\n", 400),
        (KEYED.replace(b": 13", b": 12"), 400),
        (KEYED.replace(b"GET", b"POST"), 405),
        (KEYED.replace(b"1.1", b"1.0"), 505),
    ],
)
async def test_wrong_requests_are_answered(gateway: Gateway, data: bytes, status: int) -> None:
    said = await exchange(gateway, data)
    assert said.startswith(b"HTTP/1.1 %d " % status)


async def test_requests_behind_each_other(gateway: Gateway) -> None:
    request = b"GET /v1/users/me HTTP/1.1\r\nHost: x\r\n\r\n"
    last = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    said = await exchange(gateway, request * 200 + last)
    assert said.count(b"HTTP/1.1 401") == 201


async def test_a_request_in_pieces(gateway: Gateway) -> None:
    async with asyncio.timeout(LIMIT_S), raw(gateway) as (reader, writer):
        for byte in b"GET /v1/users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert (await reader.read()).startswith(b"HTTP/1.1 401")


async def test_a_body_is_asked_for(gateway: Gateway) -> None:
    async with asyncio.timeout(LIMIT_S), raw(gateway) as (reader, writer):
        writer.write(b"POST /v1/auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 100")
        await reader.readline()
        writer.write(b"{}")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_a_head_that_never_ends(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEAD_LIMIT_S", 0.01)
    async with serve(wall=clock) as gateway:
        assert await exchange(gateway, b"GET / HT") == b""


async def test_a_flood_behind_a_held_request_is_cut_off(gateway: Gateway) -> None:
    gateway.inject("rest", "hold")
    head = b"GET /v1/users/me HTTP/1.1\r\nHost: x\r\n\r\n"
    assert await exchange(gateway, head + b"x" * 3_000_000) == b""


async def test_too_many_connections(clock: Clock) -> None:
    async with serve(settings=GatewaySettings(connections_max=2), wall=clock) as gateway:
        async with dial(gateway), dial(gateway):
            assert await exchange(gateway, KEYED) == b""
        await seen(gateway, "disconnect", 3)
        async with dial(gateway) as peer:
            assert (await peer.receive())["event"] == "connect.challenge"


@pytest.mark.parametrize(
    ("text", "code"), [("not json", 1007), ("[]", 1008), ('{"event":1}', 1008), ('{"payload":{}}', 1008)]
)
async def test_frames_that_are_none(gateway: Gateway, text: str, code: int) -> None:
    async with live(gateway, gateway.issue()) as peer:
        await peer.socket.send(text)
        assert await peer.closed() == code


async def test_binary_and_broken_utf8(gateway: Gateway) -> None:
    async with live(gateway, gateway.issue()) as peer:
        await peer.socket.send(b"{}")
        assert await peer.closed() == 1003
    async with live(gateway, gateway.issue()) as peer:
        await peer.socket.send(b'{"event":"\xff"}', text=True)
        assert await peer.closed() == 1007


async def test_a_message_in_fragments(gateway: Gateway) -> None:
    async with live(gateway, gateway.issue()) as peer:
        await peer.socket.send(['{"event":', '"ping","trace', '_id":"ä"}'])
        assert (await peer.receive())["trace_id"] == "ä"


async def test_an_unmasked_frame_is_a_protocol_error(gateway: Gateway) -> None:
    said = await exchange(gateway, KEYED + b"\x81\x02{}")
    assert b"\x88" in said
    assert b"\x03\xea" in said  # 1002


async def test_a_client_that_vanishes_in_the_handshake(gateway: Gateway) -> None:
    async with raw(gateway) as (reader, writer):
        writer.write(KEYED)
        await reader.readuntil(b"\r\n\r\n")
        writer.write_eof()
        await reader.read()
    await seen(gateway, "closed")


@given(data=st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=5), keyed=st.booleans())
def test_noise_breaks_nothing(data: list[bytes], keyed: bool) -> None:
    async def noise() -> None:
        async with serve() as gateway:
            async with raw(gateway) as (_, writer):
                writer.write(KEYED if keyed else b"")
                for piece in data:
                    writer.write(piece)
                writer.write_eof()
                await seen(gateway, "disconnect")
            issued = gateway.issue()
            async with live(gateway, issued) as peer:
                await peer.send(message_frame(issued.conversation_id))
                assert (await peer.receive())["event"] == "message.ack"
            assert [event for event in gateway.events if event.event == "internal-error"] == []

    asyncio.run(noise())
