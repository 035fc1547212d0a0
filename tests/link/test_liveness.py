"""Is anybody there: silence is found out, by probing twice and within a known time."""

import pytest

from holdfast import AccountState, Link
from holdfast.sandbox import Gateway
from holdfast.statecharts import STRICT
from holdfast.testing import VirtualClock

from .kit import FaultyStore, event, history, link_to, pair, ready, seen, state_of, until

pytestmark = pytest.mark.anyio


@pytest.mark.rule("P42", "P45", "V40")
async def test_a_silent_peer_is_detected_and_dialled_anew(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        gateway.silence()
        clock.advance(STRICT.ping_s)
        clock.advance(STRICT.pong_s or 0)
        assert link.status.connected  # one more probe before the verdict
        clock.advance(STRICT.verify_s)
        status = await state_of(link, AccountState.BACKOFF)
        assert status.last_error == "the gateway fell silent"
        clock.advance(STRICT.drop_floor_s)
        await ready(link)
    assert "the gateway fell silent" in [row.reason for row in history(store, "connection")]


@pytest.mark.rule("V40")
async def test_a_peer_that_answers_its_pings_is_left_alone(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        for _ in range(5):
            clock.advance(STRICT.ping_s)
            assert link._runner is not None
            assert link._runner.driver.snapshot.matches("heartbeat/pinging")
            await _rests(link)
        assert gateway.counters.hellos == 1


async def _rests(link: Link) -> None:
    runner = link._runner
    assert runner is not None
    await until(lambda: runner.driver.snapshot.matches("heartbeat/resting"))


@pytest.mark.rule("P35", "S0-61")
@pytest.mark.parametrize(("code", "floor"), [(1000, False), (1001, False), (None, True), (4001, True), (4999, False)])
async def test_a_close_that_we_did_not_ask_for_is_a_loss(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, code: int | None, floor: bool
) -> None:
    pair(gateway, store, clock)
    clock.chance = 0.0
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        gateway.kick(code=code)
        await state_of(link, AccountState.BACKOFF)
        clock.advance(STRICT.backoff_base_s)
        if floor:
            assert link.status.state is AccountState.BACKOFF
            clock.advance(STRICT.drop_floor_s)
        await ready(link)
        assert link.status.configured


@pytest.mark.rule("P44")
async def test_after_a_suspend_the_peer_is_probed_and_there_is_no_storm(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        dials = gateway.counters.connects
        clock.suspend(3_600)
        await _rests(link)
        assert link.status.connected
        assert gateway.counters.connects == dials
        gateway.silence()
        clock.suspend(3_600)
        clock.advance(STRICT.verify_s)
        await state_of(link, AccountState.BACKOFF)
        clock.advance(STRICT.drop_floor_s)
        await ready(link)
        assert gateway.counters.connects == dials + 1


async def test_a_handshake_that_stands_still_is_given_up(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    gateway.inject("upgrade", "never")
    gateway.inject("hello", "never")
    async with link_to(gateway, store, clock, policy=STRICT.scaled(0.1)) as link:
        await event(gateway, "fault", 1)
        clock.advance(1.0)
        await state_of(link, AccountState.BACKOFF)
        clock.advance(0.1)
        await event(gateway, "fault", 2)
        clock.advance(1.0)
        await state_of(link, AccountState.BACKOFF)
        clock.advance(0.2)
        await ready(link)
    await seen(gateway, lambda found: not found._connections)
