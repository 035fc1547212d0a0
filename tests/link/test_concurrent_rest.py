"""Many REST calls at once whose token has expired: one refresh for all, whoever stops waiting for it."""

import asyncio

import httpx
import pytest

from holdfast import Link
from holdfast.sandbox import Gateway
from holdfast.testing import VirtualClock

from .kit import FaultyStore, held, link_to, pair, ready, seen, soon, stored_pair

pytestmark = pytest.mark.anyio

CALLS = 50
CANCELLED = 10


async def _asked(link: Link, gateway: Gateway, user_id: str) -> "list[asyncio.Task[httpx.Response]]":
    """Calls that were all refused, and wait for the refresh, whose answer is held back."""
    gateway.revoke(user_id, refresh=False)
    gateway.inject("refresh", "hold")
    calls = [asyncio.create_task(link.rest.get("/v1/users/me")) for _ in range(CALLS)]
    await seen(gateway, lambda found: sum(one.event == "rest-unauthorized" for one in found.events) == CALLS)
    await held(gateway, "refresh")
    return calls


@pytest.mark.rule("P01", "S0-49", "S0-55")
async def test_fifty_calls_with_an_expired_token_cost_one_refresh(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        calls = await _asked(link, gateway, issued.user_id)
        gateway.release()
        answers = await soon(_all(calls))
        assert [answer.status_code for answer in answers] == [200] * CALLS
        assert {answer.json()["data"]["id"] for answer in answers} == {issued.user_id}
        assert gateway.counters.refresh_posts == 1
        assert gateway.counters.rest_requests == 2 * CALLS
        assert link.status.connected
    assert stored_pair(store.path) == store.read("default").pair


async def _all(calls: "list[asyncio.Task[httpx.Response]]") -> list[httpx.Response]:
    return await asyncio.gather(*calls)


@pytest.mark.rule("P01", "P09", "S0-49", "S0-55")
@pytest.mark.parametrize("when", ["before the answer", "with the answer"])
async def test_callers_that_are_cancelled_meanwhile_harm_nobody(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, when: str
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        calls = await _asked(link, gateway, issued.user_id)
        gone, left = calls[::5], [call for place, call in enumerate(calls) if place % 5]
        assert len(gone) == CANCELLED
        if when == "with the answer":
            gateway.release()
            await seen(gateway, lambda found: found.counters.refreshes == 1)
        for call in gone:
            call.cancel()
        await asyncio.wait(gone)
        assert all(call.cancelled() for call in gone)
        gateway.release()
        assert [answer.status_code for answer in await soon(_all(left))] == [200] * (CALLS - CANCELLED)
        assert gateway.counters.refresh_posts == 1
        assert store.read("default").generation == 2
        assert (await soon(link.rest.get("/v1/users/me"))).status_code == 200  # the pool is whole
        assert gateway.counters.refresh_posts == 1
