"""A busy gateway says when it wants to be dialled again, and is not dialled sooner."""

import asyncio

import pytest

from holdfast import AccountState, ClawChat, Identity, MemoryStore, TokenPair, connect
from holdfast.adapters import DEFAULT_ACCOUNT
from holdfast.testing import VirtualClock

from .kit import LIMIT_S, state_of, until

pytestmark = pytest.mark.anyio


@pytest.mark.rule("P39")
async def test_a_dial_waits_as_long_as_the_gateway_asked() -> None:
    dials: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dials.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    clock, store = VirtualClock(), MemoryStore()
    store.activate(DEFAULT_ACCOUNT, TokenPair("an-access-token", "a-refresh-token"), Identity(), clock.wall)
    async with asyncio.timeout(LIMIT_S), await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        async with connect(url, dialect=ClawChat(), store=store, clock=clock) as link:
            status = await state_of(link, AccountState.BACKOFF)
            assert status.retry_at is not None
            assert 120 <= status.retry_at - clock.wall <= 121
            assert "503" in status.last_error
            clock.advance(119.9)
            assert link.status.state is AccountState.BACKOFF
            clock.advance(1.1)
            await until(lambda: len(dials) == 2)
