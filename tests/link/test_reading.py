"""A full inbox stops the reading, and yet an answer is awaited and a loss is noticed."""

import asyncio

import pytest

from holdfast import AccountState, AckTimeout, Link
from holdfast.reading import INBOX_HARD_MAX, INBOX_MAX
from holdfast.sandbox import Gateway
from holdfast.statecharts import STRICT
from holdfast.testing import VirtualClock

from .kit import LIMIT_S, FaultyStore, event, history, link_to, pair, ready, until

pytestmark = pytest.mark.anyio

BACKLOG = 1_000


@pytest.mark.rule("P56", "P57", "P58")
async def test_an_echo_in_the_loop_is_acknowledged_however_many_wait(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        for number in range(BACKLOG):
            gateway.push_message(issued.user_id, text=f"{number} {'x' * 1_000}")
        await until(lambda: link._reading._paused is not None)
        echoed = 0
        async with asyncio.timeout(60):
            async for message in link:
                await link.send(issued.conversation_id, message.text)
                assert message.text.split()[0] == str(echoed)
                echoed += 1
                if echoed == BACKLOG:
                    break
        assert gateway.counters.hellos == 1
        assert link._runner is not None
        assert link._runner.driver.snapshot.matches("heartbeat/resting")


@pytest.mark.rule("P56", "P57")
async def test_sends_that_are_over_leave_the_reading_as_they_found_it(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        for number in range(INBOX_MAX):
            gateway.push_message(issued.user_id, text=str(number))
        await until(lambda: link._reading._paused is not None)
        async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as sends:
            for text in ("one", "two"):
                sends.create_task(link.send(issued.conversation_id, text))
        assert link._reading._paused is not None
        gateway.inject("send", "never")
        sending = asyncio.create_task(link.send(issued.conversation_id, "unanswered", timeout=1))
        await event(gateway, "fault")
        clock.advance(1)
        with pytest.raises(AckTimeout):
            await sending
        assert link._reading._paused is not None


async def _turns() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


async def _seconds_until_lost(link: Link, clock: VirtualClock) -> float:
    """How long until the link knows that nobody is there, in steps that are too short for it to dial anew."""
    began = clock.now
    for _ in range(100):
        if not link.status.connected:
            return clock.now - began
        clock.advance(STRICT.drop_floor_s / 2)
        await _turns()
    raise AssertionError("it was never noticed")


async def _texts(link: Link, count: int) -> list[str]:
    texts: list[str] = []
    async with asyncio.timeout(LIMIT_S):
        async for message in link:
            texts.append(message.text)
            if len(texts) == count:
                break
    return texts


@pytest.mark.rule("P42", "P43", "P58")
@pytest.mark.parametrize("how", ["dropped", "silent"])
async def test_without_a_consumer_the_loss_of_the_connection_is_noticed(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, how: str
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        for number in range(300):
            gateway.push_message(issued.user_id, text=str(number))
        await until(lambda: link._reading._paused is not None)
        gateway.drop() if how == "dropped" else gateway.silence()
        assert await _seconds_until_lost(link, clock) <= 3 * STRICT.ping_s + (STRICT.pong_s or 0) + STRICT.verify_s
        assert link.status.state is AccountState.BACKOFF
        clock.advance(STRICT.drop_floor_s)
        await ready(link)
        assert await _texts(link, INBOX_MAX) == [str(number) for number in range(INBOX_MAX)]
    assert len(history(store, "connection")) > 1


@pytest.mark.rule("P42", "P57")
async def test_beyond_the_last_bound_nothing_is_read_and_the_loss_is_noticed_all_the_same(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        for number in range(2 * INBOX_HARD_MAX):
            gateway.push_message(issued.user_id, text=f"{number} {'x' * 500}")
        while len(link._receiving._inbox._frames) < INBOX_HARD_MAX:
            await until(lambda: link._reading._paused is not None)
            clock.advance(STRICT.ping_s)
        await until(lambda: link._reading._paused is not None)
        for _ in range(3):
            read = len(link._receiving._inbox._frames)
            assert read < 2 * INBOX_HARD_MAX
            clock.advance(STRICT.ping_s)
            await _turns()
            assert len(link._receiving._inbox._frames) == read
        sending = asyncio.create_task(link.send(issued.conversation_id, "its answer is behind all that", timeout=1))
        await _turns()
        clock.advance(1)
        with pytest.raises(AckTimeout):
            await sending
        gateway.drop()
        assert await _seconds_until_lost(link, clock) <= 2 * STRICT.ping_s
