"""The notice that we are writing: begun at once, repeated while it lasts, ended in any case, and never in the way."""

import asyncio

import pytest

from holdfast import AccountState, Link, SendRefused, Stopped
from holdfast.sandbox import Gateway
from holdfast.statecharts import STRICT
from holdfast.testing import VirtualClock
from holdfast.typing_notice import AGAIN_S

from .kit import FaultyStore, event, link_to, pair, ready, retry_now, seen, soon, state_of, until
from .mailkit import Tapped, again, parsed, turns

pytestmark = pytest.mark.anyio


def notices(gateway: Gateway) -> list[str]:
    return [one.detail or "" for one in gateway.events if one.event == "typing"]


def notes(chat: str, *said: str) -> list[str]:
    return [f"{chat}: {one}" for one in said]


async def told(gateway: Gateway, count: int) -> None:
    await seen(gateway, lambda found: found.counters.typing_updates == count)


async def _seconds(link: Link, clock: VirtualClock, seconds: float) -> None:
    """Let time go by, with pongs in between."""
    for _ in range(int(seconds)):
        clock.advance(1)
        await until(lambda: not link._running().driver.snapshot.matches("heartbeat/pinging"))


async def test_it_is_said_at_once_again_and_no_more_at_the_end(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    chat = issued.conversation_id
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        async with link.typing(chat):
            await told(gateway, 1)
            await _seconds(link, clock, AGAIN_S - 1)
            await turns()
            assert notices(gateway) == notes(chat, "on")
            await _seconds(link, clock, 1)
            await told(gateway, 2)
            await _seconds(link, clock, AGAIN_S)
            await told(gateway, 3)
        await told(gateway, 4)
        assert notices(gateway) == notes(chat, "on", "on", "on", "off")
        await _seconds(link, clock, 2 * AGAIN_S)
        await turns()
        assert gateway.counters.typing_updates == 4


@pytest.mark.parametrize("how", ["error", "cancelled"])
async def test_it_ends_however_the_block_ends(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, how: str
) -> None:
    issued = pair(gateway, store, clock)
    chat = issued.conversation_id

    async def write() -> None:
        async with link.typing(chat):
            if how == "error":
                raise ZeroDivisionError
            await asyncio.Event().wait()

    async with link_to(gateway, store, clock) as link:
        await ready(link)
        writing = asyncio.create_task(write())
        if how == "cancelled":
            await told(gateway, 1)
            writing.cancel()
        await asyncio.wait((writing,))
        assert writing.cancelled() or isinstance(writing.exception(), ZeroDivisionError)
        await told(gateway, 2)
        assert notices(gateway) == notes(chat, "on", "off")


async def test_while_offline_nothing_is_said_and_with_the_connection_it_is_taken_up_again(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    chat = issued.conversation_id
    gateway.inject("upgrade", "status")
    async with link_to(gateway, store, clock) as link:
        await state_of(link, AccountState.BACKOFF)
        async with link.typing(chat):
            pass
        async with link.typing(chat):
            retry_now(link, clock)
            await ready(link)
            await turns()
            assert notices(gateway) == []
            await _seconds(link, clock, AGAIN_S)
            await told(gateway, 1)
            gateway.drop()
            await again(link, clock)
            await turns()
        await seen(gateway, lambda found: notices(found)[-1:] == notes(chat, "off"))


async def test_a_link_that_is_cut_off_meanwhile_is_no_trouble(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        async with link.typing(issued.conversation_id):
            await told(gateway, 1)
            assert link._task is not None
            link._task.cancel()
            await asyncio.wait((link._task,))
    assert gateway.counters.typing_updates == 1


@pytest.mark.parametrize("stage", ["challenge", "hello"])
async def test_nothing_is_said_into_a_handshake(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, stage: str
) -> None:
    issued = pair(gateway, store, clock)
    tap = Tapped()
    gateway.inject(stage, "never" if stage == "challenge" else "hold")  # type: ignore[arg-type]
    async with link_to(gateway, store, clock, transport=tap) as link:
        await event(gateway, "fault")
        await until(lambda: bool(tap.said) and len(tap.said[0]) == (stage == "hello"))
        await until(lambda: link._running().sockets.current is not None)
        async with link.typing(issued.conversation_id):
            await turns()
        await turns()
        assert [parsed(text)["event"] for text in tap.said[0]] == ["connect"] * (stage == "hello")
        if stage == "hello":
            gateway.release()
        else:
            clock.advance(STRICT.challenge_s)
            await state_of(link, AccountState.BACKOFF)
            retry_now(link, clock)
        await ready(link)
    assert (gateway.counters.typing_updates, gateway.counters.hello_fails) == (0, 0)


async def test_a_link_that_stops_meanwhile_is_no_trouble(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        async with link.typing(issued.conversation_id):
            await told(gateway, 1)
            await soon(link.stop())
            clock.advance(2 * AGAIN_S)
        with pytest.raises(Stopped):
            link.typing(issued.conversation_id)
    assert gateway.counters.typing_updates == 1


async def test_a_chat_that_cannot_be_one_is_refused(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        with pytest.raises(SendRefused):
            link.typing("no chat")  # not only when the block is entered
        await soon(link.stop())
    assert gateway.counters.typing_updates == 0
