"""When a link gives up on its own: it says what a person must do, and comes back when that was done."""

import pytest

from holdfast import COMPAT, AccountState, Policy
from holdfast.sandbox import Gateway
from holdfast.statecharts import STRICT
from holdfast.testing import VirtualClock

from .kit import FaultyStore, event, history, link_to, pair, ready, retry_now, state_of

pytestmark = pytest.mark.anyio

TAKEN_OVER = 4001


@pytest.mark.rule("P31", "P24")
async def test_after_five_takeovers_the_link_waits_to_be_resumed(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    told: list[str] = []

    def notify(level: str, text: str) -> None:
        told.append(text)

    async with link_to(gateway, store, clock, notify=notify) as link:
        for number in range(STRICT.evictions_max):
            if number:
                retry_now(link, clock)
            await ready(link)
            gateway.kick(code=TAKEN_OVER)
            await state_of(link, AccountState.WAITING if number == 4 else AccountState.BACKOFF)
        status = link.status
        assert (status.configured, status.running, status.connected) == (True, False, False)
        assert "then resume" in status.reason
        dials = gateway.counters.connects
        clock.advance(STRICT.evictions_window_s)
        assert (link.status.state, gateway.counters.connects) == (AccountState.WAITING, dials)
        link.resume()
        await ready(link)
    assert [text for text in told if "resume" in text]
    assert "parked" in [row.state for row in history(store, "connection")]


@pytest.mark.rule("V09", "S0-33")
@pytest.mark.parametrize("policy", [STRICT, COMPAT], ids=["strict", "compat"])
async def test_a_first_dial_that_fails_is_a_persons_concern_only_in_compat(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, policy: Policy
) -> None:
    pair(gateway, store, clock)
    gateway.inject("upgrade", "never")
    async with link_to(gateway, store, clock, policy=policy) as link:
        await event(gateway, "fault", 1)
        clock.advance(policy.dial_s)
        await state_of(link, AccountState.WAITING if policy is COMPAT else AccountState.BACKOFF)
        if policy is COMPAT:
            link.resume()
        else:
            retry_now(link, clock)
        await ready(link)
