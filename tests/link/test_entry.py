"""Before a link is entered, and while it is: what cannot be used says so, and a broken entry leaves nothing."""

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest

from holdfast import AccountBusy, AccountState, Link, NotEntered, Stopped, StoreUnavailable
from holdfast.adapters import DEFAULT_ACCOUNT
from holdfast.sandbox import Gateway
from holdfast.testing import VirtualClock

from .kit import LIMIT_S, FaultyStore, link_to, pair, ready, soon

pytestmark = pytest.mark.anyio


async def rest(link: Link) -> object:
    return await link.rest.get("/v1/users/me")


CALLS: dict[str, Callable[[Link], Awaitable[object]]] = {
    "rest": rest,
    "send": lambda link: link.send("cnv_x", "hello"),
    "refresh": lambda link: link.refresh(),
    "activate": lambda link: link.activate("A-CODE"),
    "logout": lambda link: link.logout(),
    "wait_ready": lambda link: link.wait_ready(),
}


@pytest.mark.parametrize("call", CALLS)
async def test_before_the_block_it_says_so_and_is_none_the_worse(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, call: str
) -> None:
    pair(gateway, store, clock)
    link = link_to(gateway, store, clock)
    with pytest.raises(NotEntered, match="async with"):
        await soon(_call(CALLS[call], link))
    async with link:
        await ready(link)


@pytest.mark.rule("V29", "P51")
async def test_stopped_before_it_was_entered_it_stays_stopped(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    link = link_to(gateway, store, clock)
    await soon(link.stop())
    await soon(link.stop())
    assert link.status.state is AccountState.STOPPED
    assert [frame async for frame in link] == []
    for call in CALLS.values():
        with pytest.raises(Stopped):
            await soon(_call(call, link))
    with pytest.raises(Stopped):
        async with link:
            pytest.fail("it must not get in")
    store.lease(DEFAULT_ACCOUNT).release()
    async with link_to(gateway, store, clock) as another:
        await ready(another)


@pytest.mark.rule("V29", "P53")
async def test_stopped_by_another_task_while_it_is_entered_it_does_not_get_in(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    link = link_to(gateway, store, clock)
    stopping = asyncio.create_task(link.stop())
    with pytest.raises(Stopped):
        async with link:
            pytest.fail("it must not get in")
    await asyncio.wait((stopping,), timeout=LIMIT_S)
    assert stopping.done()
    assert link.status.state is AccountState.STOPPED
    store.lease(DEFAULT_ACCOUNT).release()


@pytest.mark.rule("P33", "P47")
@pytest.mark.parametrize("turns", range(8))
async def test_a_cancel_scope_that_ends_the_entry_leaves_nothing(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, turns: int
) -> None:
    pair(gateway, store, clock)
    store.close()
    link = link_to(gateway, store, clock)
    scope = anyio.CancelScope()

    async def cancel() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        scope.cancel()

    cancelling = asyncio.create_task(cancel())
    with scope:
        async with link:
            await asyncio.sleep(LIMIT_S)
    assert scope.cancelled_caught
    await cancelling
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("holdfast")] == []
    assert link.status.state is AccountState.STOPPED
    assert store._connection is None
    store.lease(DEFAULT_ACCOUNT).release()


@pytest.mark.rule("P47", "P51")
async def test_cancelled_already_when_it_is_entered(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    pair(gateway, store, clock)
    store.close()
    with anyio.move_on_after(0) as scope:
        async with link_to(gateway, store, clock):
            await asyncio.sleep(LIMIT_S)
    assert scope.cancelled_caught
    assert store._connection is None
    store.lease(DEFAULT_ACCOUNT).release()


async def test_a_link_that_was_not_let_in_may_try_again(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    link = link_to(gateway, store, clock)
    with store.lease(DEFAULT_ACCOUNT), pytest.raises(AccountBusy):
        async with link:
            pytest.fail("it must not get in")
    async with link:
        await ready(link)


@pytest.mark.rule("P51")
async def test_an_entry_that_fails_twice_over_tells_both(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = store.close

    def fail() -> None:
        close()
        raise StoreUnavailable(store.path, "cannot be closed")

    with store.lease(DEFAULT_ACCOUNT), monkeypatch.context() as patch:
        patch.setattr(store, "close", fail)
        with pytest.raises(AccountBusy) as busy:
            async with link_to(gateway, store, clock):
                pytest.fail("it must not get in")
    assert "cannot be closed" in "".join(busy.value.__notes__)


async def _call(call: Callable[[Link], Awaitable[object]], link: Link) -> None:
    await call(link)
