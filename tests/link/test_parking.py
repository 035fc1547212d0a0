"""Another client of the same device, and a laptop that slept: who gives way says so, and who wakes up looks at once."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect

from holdfast import AccountState, Link
from holdfast.sandbox import Credentials, Gateway
from holdfast.statecharts import STRICT
from holdfast.testing import VirtualClock

from .kit import (
    DEVICE,
    LIMIT_S,
    FaultyStore,
    event,
    history,
    link_to,
    pair,
    ready,
    retry_now,
    seen,
    soon,
    state_of,
    status_of,
    until,
)
from .mailkit import turns

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def rival(gateway: Gateway, issued: Credentials) -> AsyncGenerator[ClientConnection, None]:
    """Another client of the same device takes the session over. It does not come back by itself."""
    async with asyncio.timeout(LIMIT_S), connect(gateway.ws_url, proxy=None) as socket:
        challenge = json.loads(await socket.recv())
        payload: dict[str, object] = {
            "token": issued.access_token, "nonce": challenge["payload"]["nonce"], "device_id": DEVICE,
            "client_version": "rival/1", "protocol_version": 2, "capabilities": {},
        }  # fmt: skip
        await socket.send(json.dumps({"version": "2", "event": "connect", "trace_id": "r", "payload": payload}))
        assert json.loads(await socket.recv())["event"] == "hello-ok"
        yield socket


async def evict(gateway: Gateway, issued: Credentials, link: Link, times: int) -> None:
    """The rival is there until the link has noticed."""
    async with rival(gateway, issued):
        await status_of(link, lambda status: not status.connected)
        await seen(gateway, lambda found: found.counters.takeovers >= times)


async def _wait_of(link: Link, clock: VirtualClock) -> float:
    status = await state_of(link, AccountState.BACKOFF)
    assert status.retry_at is not None
    return status.retry_at - clock.wall


@pytest.mark.rule("P31")
async def test_the_fifth_takeover_in_ten_minutes_parks_the_link_until_it_is_resumed(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    told: list[str] = []

    def hook(level: str, text: str) -> None:
        told.append(text)

    clock.chance = 1 - 1e-9
    async with link_to(gateway, store, clock, notify=hook) as link:
        await ready(link)
        waits: list[float] = []
        for times in range(1, STRICT.evictions_max):
            await evict(gateway, issued, link, times)
            waits.append(await _wait_of(link, clock))
            retry_now(link, clock)
            await ready(link)
        assert waits == sorted(waits)
        assert waits[-1] > 4 * waits[0]
        assert told == []
        await evict(gateway, issued, link, STRICT.evictions_max)
        status = await state_of(link, AccountState.WAITING)
        assert (status.connected, status.configured, status.running, status.retry_at) == (False, True, False, None)
        assert "another client" in status.reason
        await until(lambda: len(told) == 1)
        dials = gateway.counters.dials
        clock.advance(3_600)
        await turns()
        assert gateway.counters.dials == dials
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await link.wait_ready()
        link.resume()
        await ready(link)
        link.resume()  # and once more changes nothing
        assert gateway.counters.dials == dials + 1
        await evict(gateway, issued, link, STRICT.evictions_max + 1)
        assert await _wait_of(link, clock) < waits[1]  # the floor begins anew
    assert "parked" in [row.state for row in history(store, "connection")]
    assert gateway.counters.takeovers_refused == 0


@pytest.mark.rule("P31", "P56")
async def test_what_is_sent_while_parked_waits_for_the_resume(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        for times in range(1, STRICT.evictions_max + 1):
            await evict(gateway, issued, link, times)
            if times < STRICT.evictions_max:
                await state_of(link, AccountState.BACKOFF)
                retry_now(link, clock)
                await ready(link)
        await state_of(link, AccountState.WAITING)
        sending = asyncio.create_task(link.send(issued.conversation_id, "later", timeout=None))
        await turns()
        assert not sending.done()
        link.resume()
        await asyncio.wait((sending,), timeout=LIMIT_S)
        assert sending.result().message_id
        assert [row.state for row in history(store, "connection")].count("parked") == 1


@pytest.mark.rule("P31")
async def test_takeovers_that_are_rare_never_park(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        for times in range(1, STRICT.evictions_max + 2):
            await evict(gateway, issued, link, times)
            await state_of(link, AccountState.BACKOFF)
            retry_now(link, clock)
            await ready(link)
            clock.suspend(STRICT.evictions_window_s)
            await until(lambda: not link._running().driver.snapshot.matches("heartbeat/verifying"))
        assert link.status.connected


@pytest.mark.rule("P44")
@pytest.mark.parametrize("how", ["both clocks", "the wall clock"])
async def test_after_a_sleep_the_peer_is_probed_at_once(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, how: str
) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        gateway.silence()
        if how == "both clocks":
            clock.suspend(3_600)
        else:  # of a machine whose monotonic clock stands still meanwhile
            clock.wall += 3_600
            await _next_alarm(link, clock)
        assert link.status.connected
        began = clock.now
        clock.advance(STRICT.verify_s)
        assert (await state_of(link, AccountState.BACKOFF)).last_error == "the gateway fell silent"
        assert clock.now - began == STRICT.verify_s
        retry_now(link, clock)
        await ready(link)
    assert gateway.counters.hellos == 2


async def _next_alarm(link: Link, clock: VirtualClock) -> None:
    """Until something of the link's rings, and it sees that the clocks have parted."""
    for _ in range(int(STRICT.ping_s)):
        if link._running().driver.snapshot.matches("heartbeat/verifying"):
            return
        clock.advance(1)
    assert link._running().driver.snapshot.matches("heartbeat/verifying")


@pytest.mark.rule("P44")
async def test_a_session_that_outlived_the_sleep_is_kept(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        for _ in range(3):
            clock.suspend(3_600)
            await until(lambda: link._running().driver.snapshot.matches("heartbeat/resting"))
        assert isinstance((await soon(link.send(issued.conversation_id, "awake"))).message_id, str)
    assert gateway.counters.hellos == 1
    await event(gateway, "closed")
