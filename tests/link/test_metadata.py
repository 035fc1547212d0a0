"""What a link fetches of its conversations, seen from the service: once, by each session, and after each change."""

from collections.abc import Sequence

import pytest

from holdfast import Identity, Link, MetadataInvalidated, NotPaired, RestFailed
from holdfast.adapters import DEFAULT_ACCOUNT
from holdfast.sandbox import Gateway
from holdfast.testing import VirtualClock

from .kit import FaultyStore, link_to, pair, ready, retry_now, seen, soon, status_of

pytestmark = pytest.mark.anyio


async def paired(gateway: Gateway, store: FaultyStore, link: Link) -> Identity:
    """The account in a session, having asked for its conversation, its agent and its profile."""
    await link.activate(gateway.pairing_code())
    await ready(link)
    me: Identity = store.read(DEFAULT_ACCOUNT)
    await asked(link, me)
    await soon(link.conversations.profile())
    assert gateway.rest_reads == reads(me)
    return me


async def asked(link: Link, me: Identity) -> tuple[str | None, str | None]:
    """The conversation's title and the agent's behaviour."""
    assert me.conversation_id is not None
    conversation = await soon(link.conversations.get(me.conversation_id))
    agent = await soon(link.conversations.agent())
    assert agent is not None
    return conversation.title, agent.behavior


def reads(me: Identity, conversation: int = 1, agent: int = 1, profile: int = 1) -> dict[str, int]:
    return {
        f"/v1/conversations/{me.conversation_id}": conversation,
        f"/v1/agents/{me.agent_id}": agent,
        "/v1/users/me": profile,
    }


async def invalidate(
    gateway: Gateway, link: Link, me: Identity, scope: Sequence[str] = (), version: int | None = None,
    chat_type: str = "direct",
) -> None:  # fmt: skip
    """The service says so, and the link has heard it."""
    assert me.user_id is not None
    assert me.conversation_id is not None
    gateway.push_invalidation(me.user_id, me.conversation_id, scope, version, chat_type)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async for frame in link.inbound():
        if isinstance(frame, MetadataInvalidated):
            return


@pytest.mark.rule("S0-62")
async def test_each_session_fetches_anew_what_was_asked_for(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    async with link_to(gateway, store, clock) as link:
        me = await paired(gateway, store, link)
        for sessions in (2, 3):
            gateway.drop_all()
            await status_of(link, lambda status: status.retry_at is not None)
            retry_now(link, clock)
            await ready(link)
            await asked(link, me)
            await soon(link.conversations.profile())
            assert gateway.rest_reads == reads(me, sessions, sessions, sessions)


@pytest.mark.rule("S0-59")
async def test_an_invalidation_without_scope_fetches_conversation_and_agent(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    async with link_to(gateway, store, clock) as link:
        me = await paired(gateway, store, link)
        assert me.conversation_id is not None
        assert me.user_id is not None
        version = gateway.set_conversation(me.conversation_id, title="Another title")
        gateway.set_behavior(me.user_id, "Be brief.")
        await soon(invalidate(gateway, link, me, version=version))
        await seen(gateway, lambda found: found.rest_reads == reads(me, 2, 2))
        assert await asked(link, me) == ("Another title", "Be brief.")
        assert gateway.rest_reads == reads(me, 2, 2)


@pytest.mark.rule("S0-60")
@pytest.mark.parametrize(
    ("scope", "chat_type", "conversation", "agent"),
    [
        (("title",), "direct", 2, 1),
        (("description",), "group", 2, 1),
        (("behavior",), "direct", 1, 2),
        (("who knows",), "direct", 1, 2),
        (("behavior",), "group", 1, 1),
        (("who knows", "title"), "group", 2, 1),
    ],
)
async def test_a_scope_fetches_what_it_names(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock,
    scope: tuple[str, ...], chat_type: str, conversation: int, agent: int,
) -> None:  # fmt: skip
    async with link_to(gateway, store, clock) as link:
        me = await paired(gateway, store, link)
        await soon(invalidate(gateway, link, me, scope, chat_type=chat_type))
        await seen(gateway, lambda found: found.rest_reads == reads(me, conversation, agent))
        await asked(link, me)  # Of what is out of date, this would be another fetch.
        assert gateway.rest_reads == reads(me, conversation, agent)


@pytest.mark.rule("S0-64")
async def test_an_invalidation_that_is_not_newer_fetches_nothing(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    async with link_to(gateway, store, clock) as link:
        me = await paired(gateway, store, link)
        assert me.conversation_id is not None
        version = gateway.set_conversation(me.conversation_id, title="Another title")
        await soon(invalidate(gateway, link, me, version=version))
        await seen(gateway, lambda found: found.rest_reads == reads(me, 2, 2))
        await asked(link, me)
        for older in (version, version - 1, 0):
            await soon(invalidate(gateway, link, me, version=older))
        await asked(link, me)
        assert gateway.rest_reads == reads(me, 2, 2)


async def test_nothing_is_kept_after_a_logout(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    async with link_to(gateway, store, clock) as link:
        me = await paired(gateway, store, link)
        await link.logout()
        with pytest.raises(NotPaired):
            await asked(link, me)
        await link.activate(gateway.pairing_code())
        await ready(link)
        assert gateway.rest_reads == reads(me)  # Nobody has asked since.
        await asked(link, me)
        assert gateway.rest_reads == reads(me, 2, 2)


async def test_nothing_is_kept_of_another_user(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    async with link_to(gateway, store, clock) as link:
        me = await paired(gateway, store, link)
        assert me.conversation_id is not None
        pair(gateway, store, clock)
        clock.advance(1.0)
        with pytest.raises(RestFailed):
            await soon(link.conversations.get(me.conversation_id))
