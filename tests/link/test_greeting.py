"""A new pairing is told to the user once: in its first session, before everything else, and never again."""

import asyncio
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast import Identity, Inbound, Link, Message, Paired, SqliteStore, TokenPair
from holdfast.adapters import DEFAULT_ACCOUNT
from holdfast.sandbox import Credentials, Gateway
from holdfast.testing import VirtualClock

from .kit import FaultyStore, link_to, ready, retry_now, soon, status_of

pytestmark = [pytest.mark.anyio, pytest.mark.rule("S0-62")]

PROGRAM = """
    import asyncio, os, signal, sys
    from holdfast import ClawChat, SqliteStore, connect

    class Deadly(SqliteStore):
        def greet(self, account, generation):
            if "stored" in sys.argv:
                super().greet(account, generation)
            os.kill(os.getpid(), signal.SIGKILL)

    async def main():
        async with connect(sys.argv[1], dialect=ClawChat(), store=Deadly(sys.argv[2])) as link:
            await link.wait_ready()

    asyncio.run(main())
"""
"""Dies while it greets."""


def pair_anew(gateway: Gateway, path: Path) -> Credentials:
    """Tokens as another process would store them, which has paired with a code."""
    issued = gateway.issue()
    identity = Identity(
        device_id=issued.device_id,
        user_id=issued.user_id,
        owner_id=issued.owner_id,
        agent_id=issued.agent_id,
        conversation_id=issued.conversation_id,
    )
    store = SqliteStore(path)
    store.activate(DEFAULT_ACCOUNT, TokenPair(issued.access_token, issued.refresh_token), identity, gateway.now)
    store.close()
    return issued


def told(issued: Credentials) -> Paired:
    return Paired(
        user_id=issued.user_id,
        owner_id=issued.owner_id,
        agent_id=issued.agent_id,
        conversation_id=issued.conversation_id,
        raw="",
    )


async def heard(frames: AsyncIterator[Inbound]) -> Inbound:
    return await soon(anext(frames))


async def says(gateway: Gateway, issued: Credentials, frames: AsyncIterator[Inbound], text: str) -> None:
    """Somebody says something, and that is what comes next."""
    gateway.push_message(issued.user_id, text=text)
    frame = await heard(frames)
    assert isinstance(frame, Message)
    assert frame.text == text


async def reconnected(gateway: Gateway, link: Link, clock: VirtualClock) -> None:
    gateway.drop_all()
    await status_of(link, lambda status: status.retry_at is not None)
    retry_now(link, clock)
    await ready(link)


async def test_once_per_pairing_and_not_once_per_session(
    gateway: Gateway, store: FaultyStore, path: Path, clock: VirtualClock
) -> None:
    issued = pair_anew(gateway, path)
    async with link_to(gateway, store, clock) as link:
        frames = link.inbound()
        assert await heard(frames) == told(issued)
        await reconnected(gateway, link, clock)
        await says(gateway, issued, frames, "after a loss")
        assert (await link.refresh()).outcome == "success"
        await reconnected(gateway, link, clock)
        await says(gateway, issued, frames, "after a rotation")
        await link.logout()
        another = pair_anew(gateway, path)
        clock.advance(1.0)
        assert await heard(frames) == told(another)
        third = pair_anew(gateway, path)
        clock.advance(1.0)
        assert await heard(frames) == told(third)
    async with link_to(gateway, store, clock) as link:
        await says(gateway, third, link.inbound(), "after a restart")


async def test_a_code_redeemed_beside_the_link(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    async with link_to(gateway, store, clock) as link:
        await link.activate(gateway.pairing_code())
        frame = await heard(link.inbound())
        stored = store.read(DEFAULT_ACCOUNT)
        assert isinstance(frame, Paired)
        assert (frame.user_id, frame.conversation_id) == (stored.user_id, stored.conversation_id)
        link.handled(frame)


async def test_before_what_was_missed(gateway: Gateway, store: FaultyStore, path: Path, clock: VirtualClock) -> None:
    issued = pair_anew(gateway, path)
    for number in range(3):
        gateway.push_message(issued.user_id, text=str(number))
    async with link_to(gateway, store, clock) as link:
        frames = link.inbound()
        kinds = [type(await heard(frames)) for _ in range(4)]
        assert kinds == [Paired, Message, Message, Message]


async def test_a_store_that_refuses_puts_it_off_to_the_next_session(
    gateway: Gateway, store: FaultyStore, path: Path, clock: VirtualClock
) -> None:
    issued = pair_anew(gateway, path)
    store.broken.add("greet")
    async with link_to(gateway, store, clock) as link:
        frames = link.inbound()
        await ready(link)
        await says(gateway, issued, frames, "not greeted yet")
        assert store.failures == 1
        store.broken.clear()
        await reconnected(gateway, link, clock)
        assert await heard(frames) == told(issued)


@pytest.mark.parametrize("moment", ["stored", "begun"])
async def test_killed_while_greeting_it_is_told_at_most_once(
    gateway: Gateway, store: FaultyStore, path: Path, clock: VirtualClock, moment: str
) -> None:
    issued = pair_anew(gateway, path)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(PROGRAM), gateway.ws_url, str(path), moment
    )
    assert await soon(process.wait()) == -signal.SIGKILL
    async with link_to(gateway, store, clock) as link:
        frames = link.inbound()
        if moment == "begun":
            assert await heard(frames) == told(issued)
        await says(gateway, issued, frames, "alive")
