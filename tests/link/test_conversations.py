"""What a link knows of its conversations: fetched once, fetched anew after changes, and never more than that."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import Identity, NotPaired, Stopped
from holdfast.adapters import Conversation, Profile, RedactingLogger, RestFailed, Vault
from holdfast.conversations import CONCURRENT_MAX, CONVERSATIONS_MAX, Conversations
from holdfast.sandbox import Gateway
from holdfast.statecharts import Invalidation
from holdfast.testing import VirtualClock

from .kit import LIMIT_S, FaultyStore, link_to, pair, ready, soon, until

pytestmark = pytest.mark.anyio

TURNS = 40  # More turns of the loop than a request takes through httpx here.
AGENT = "agt_1"


class Service(httpx.AsyncBaseTransport):
    """Answers when it is told, with what was true when it was asked."""

    def __init__(self, *, at_once: bool = False) -> None:
        self.at_once = at_once
        self.versions: dict[str, int] = defaultdict(lambda: 1)
        self.waiting: list[tuple[str, asyncio.Future[int]]] = []
        self.asked: Counter[str] = Counter()
        self.most_at_once = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.split("/")[-1]
        assert name not in self.names, "one fetch of each at a time"
        self.asked[name] += 1
        version = self.versions[name]
        if not self.at_once:
            answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self.waiting.append((name, answer))
            self.most_at_once = max(self.most_at_once, len(self.waiting))
            try:
                status = await answer
            finally:
                self.waiting.remove((name, answer))
            if status != 200:
                return httpx.Response(status)
        data = {"id": name, "title": f"v{version}", "behavior": f"v{version}", "version": version}
        return httpx.Response(200, json={"code": 0, "data": data})

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.waiting]

    async def answer(self, at: int = 0, status: int = 200) -> None:
        await turns()
        self.waiting[at][1].set_result(status)
        await turns()

    async def answer_all(self) -> None:
        await turns()
        while self.waiting:
            await self.answer()


class World:
    """Conversations over such a service."""

    def __init__(self, *, at_once: bool = False) -> None:
        self.service = Service(at_once=at_once)
        self.agent_id: str | None = AGENT
        self.user_id = "usr_1"
        client = httpx.AsyncClient(transport=self.service, base_url="https://gateway.example")
        log = RedactingLogger("holdfast.test", Vault())
        self.conversations = Conversations(lambda: client, self.who, lambda: log)

    def who(self) -> Identity:
        return Identity(user_id=self.user_id, agent_id=self.agent_id)

    async def known(self, *names: str) -> None:
        for name in names:
            asking = asyncio.create_task(self.conversations.get(name))
            await self.service.answer()
            await asking

    def change(self, name: str, *scope: str, numbered: bool = True, chat_type: str = "direct") -> None:
        """Something changes, and the service says so."""
        self.service.versions[name] += 1
        version = self.service.versions[name] if numbered else None
        self.tell(name, *scope, version=version, chat_type=chat_type)

    def tell(self, name: str, *scope: str, version: int | None = None, chat_type: str = "direct") -> None:
        told = Invalidation(chat_id=name, chat_type=chat_type, scope=scope, version=version)
        self.conversations.invalidated(told)


async def turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


@pytest.fixture
async def world(nothing_left: None) -> AsyncGenerator[World, None]:
    made = World()
    yield made
    await made.conversations.end()


# -- asked for ---------------------------------------------------------------------------------------------------------


async def test_it_is_fetched_once_however_many_ask(world: World) -> None:
    asking = [asyncio.create_task(world.conversations.get("cnv_1")) for _ in range(5)]
    await world.service.answer()
    found = [await each for each in asking]
    assert found == [await world.conversations.get("cnv_1")] * 5
    assert found[0].title == "v1"
    assert world.service.asked == {"cnv_1": 1}


async def test_a_cancelled_caller_harms_nobody(world: World) -> None:
    asking = [asyncio.create_task(world.conversations.get("cnv_1")) for _ in range(3)]
    await turns()
    asking[0].cancel()
    await world.service.answer()
    assert [each.cancelled() for each in asking] == [True, False, False]
    assert (await asking[1]).version == 1
    alone = asyncio.create_task(world.conversations.get("cnv_2"))
    await turns()
    alone.cancel()
    await world.service.answer()
    assert (await world.conversations.get("cnv_2")).version == 1
    assert world.service.asked == {"cnv_1": 1, "cnv_2": 1}


async def test_a_failure_is_everybodys_who_asked_and_is_not_kept(world: World) -> None:
    asking = [asyncio.create_task(world.conversations.get("cnv_1")) for _ in range(3)]
    await world.service.answer(status=503)
    for each in asking:
        with pytest.raises(RestFailed) as failed:
            await each
        assert failed.value.status == 503
    world.conversations.on_ready()
    await turns()
    assert world.service.waiting == []
    await world.known("cnv_1")


async def test_the_one_asked_for_longest_ago_gives_way() -> None:
    world = World(at_once=True)
    names = [f"cnv_{number}" for number in range(CONVERSATIONS_MAX)]
    for name in [*names, names[0], "cnv_more", names[0]]:
        await world.conversations.get(name)
    assert set(world.service.asked.values()) == {1}
    await world.conversations.get(names[1])
    assert world.service.asked[names[1]] == 2
    await world.conversations.end()


async def test_what_is_under_way_does_not_give_way(nothing_left: None) -> None:
    world = World()
    first = asyncio.create_task(world.conversations.get("cnv_first"))
    await turns()
    world.service.at_once = True
    for number in range(CONVERSATIONS_MAX + 1):
        await world.conversations.get(f"cnv_{number}")
    second = asyncio.create_task(world.conversations.get("cnv_first"))
    await world.service.answer()
    assert await first == await second
    await world.conversations.end()


async def test_what_gave_way_is_not_fetched_anew(nothing_left: None) -> None:
    world = World(at_once=True)
    names = [f"cnv_{number}" for number in range(CONVERSATIONS_MAX)]
    for name in names:
        await world.conversations.get(name)
    world.service.at_once = False
    world.conversations.on_ready()
    await turns()
    world.service.at_once = True
    await world.conversations.get("cnv_more")
    await world.service.answer_all()
    await until(lambda: sum(world.service.asked.values()) == 2 * CONVERSATIONS_MAX)
    assert (world.service.asked[names[0]], world.service.asked[names[1]]) == (1, 2)
    await world.conversations.end()


# -- changes -----------------------------------------------------------------------------------------------------------


@pytest.mark.rule("S0-59")
async def test_a_change_of_everything_fetches_conversation_and_agent_anew(world: World) -> None:
    await world.known("cnv_1")
    asking = asyncio.create_task(world.conversations.agent())
    await world.service.answer()
    assert (await asking) is not None
    world.service.versions[AGENT] += 1
    world.change("cnv_1")
    await world.service.answer_all()
    assert world.service.asked == {"cnv_1": 2, AGENT: 2}
    agent = await world.conversations.agent()
    assert agent is not None
    assert (agent.behavior, (await world.conversations.get("cnv_1")).title) == ("v2", "v2")


@pytest.mark.rule("S0-60")
@pytest.mark.parametrize(
    ("scope", "chat_type", "fetched"),
    [
        ("title", "direct", {"cnv_1"}),
        ("description", "group", {"cnv_1"}),
        ("behavior", "direct", {AGENT}),
        ("who knows", "direct", {AGENT}),
        ("behavior", "group", set[str]()),
        ("who knows", "group", set[str]()),
    ],
)
async def test_a_scope_says_what_is_fetched_anew(world: World, scope: str, chat_type: str, fetched: set[str]) -> None:
    await world.known("cnv_1")
    asking = asyncio.create_task(world.conversations.agent())
    await world.service.answer()
    await asking
    world.change("cnv_1", scope, chat_type=chat_type)
    await turns()
    assert set(world.service.names) == fetched
    await world.service.answer_all()


@pytest.mark.rule("S0-64")
async def test_an_older_invalidation_is_ignored(world: World) -> None:
    await world.known("cnv_1", "cnv_2")
    world.change("cnv_1")
    await world.service.answer_all()
    for version in (2, 1, 2, 0, 1):
        world.tell("cnv_1", version=version)
    await turns()
    assert world.service.waiting == []
    world.tell("cnv_2", version=2)  # Each chat counts on its own.
    world.tell("cnv_1")  # Without a version it is never old.
    await turns()
    assert world.service.names == ["cnv_2", "cnv_1"]
    await world.service.answer_all()


@pytest.mark.rule("S0-64")
async def test_the_version_of_a_chat_that_was_long_silent_is_forgotten(world: World) -> None:
    await world.known("cnv_1")
    for name in ("cnv_1", *(f"cnv_other_{number}" for number in range(CONVERSATIONS_MAX)), "cnv_1"):
        world.tell(name, version=1)
        await world.service.answer_all()
    assert world.service.asked == {"cnv_1": 3}


async def test_what_nobody_asked_for_is_not_fetched(world: World) -> None:
    world.change("cnv_1")
    world.conversations.on_ready()
    await turns()
    assert world.service.asked == {}


async def test_changes_during_a_fetch_cost_exactly_one_more(world: World) -> None:
    await world.known("cnv_1")
    for numbered in (True, False):
        before = world.service.asked["cnv_1"]
        world.change("cnv_1", numbered=numbered)
        await turns()
        for _ in range(10):
            world.change("cnv_1", numbered=numbered)
        await world.service.answer_all()
        assert world.service.asked["cnv_1"] == before + 2
        newest = world.service.versions["cnv_1"]
        assert (await world.conversations.get("cnv_1")).version == newest


async def test_who_asks_after_a_change_never_gets_what_was_before(world: World) -> None:
    early = asyncio.create_task(world.conversations.get("cnv_1"))
    await turns()
    world.change("cnv_1", numbered=False)
    late = asyncio.create_task(world.conversations.get("cnv_1"))
    await world.service.answer()
    assert (await early).version == 1
    await world.service.answer()
    assert (await late).version == 2
    assert world.service.asked == {"cnv_1": 2}


async def test_an_answer_older_than_announced_is_asked_for_once_more_and_then_kept(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.known("cnv_1")
    world.tell("cnv_1", version=5)
    await world.service.answer()
    assert world.service.names == ["cnv_1"]
    await world.service.answer()
    assert world.service.asked == {"cnv_1": 3}
    assert "older version" in caplog.text
    assert (await world.conversations.get("cnv_1")).version == 1
    assert world.service.asked == {"cnv_1": 3}


# -- sessions ----------------------------------------------------------------------------------------------------------


@pytest.mark.rule("S0-62")
async def test_a_new_session_fetches_all_that_is_known_a_few_at_a_time(world: World) -> None:
    names = [f"cnv_{number}" for number in range(10)]
    await world.known(*names)
    world.service.most_at_once = 0
    world.conversations.on_ready()
    world.conversations.on_ready()
    await turns()
    assert world.service.names == names[:-5:-1]
    await world.service.answer_all()
    # What was under way when the second session began is fetched once more.
    assert world.service.asked == {name: 3 if name in names[-4:] else 2 for name in names}
    assert world.service.most_at_once == CONCURRENT_MAX


async def test_who_asks_does_not_queue_behind_what_nobody_waits_for(world: World) -> None:
    names = [f"cnv_{number}" for number in range(10)]
    await world.known(*names)
    world.conversations.on_ready()
    asking = asyncio.create_task(world.conversations.get("cnv_0"))
    await turns()
    assert world.service.names[-1] == "cnv_0"
    await world.service.answer(at=-1)
    assert (await asking).version == 1
    await world.service.answer_all()
    assert set(world.service.asked.values()) == {2}


async def test_a_failure_that_nobody_waits_for_is_logged_and_left(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.known("cnv_1")
    world.change("cnv_1")
    await world.service.answer(status=503)
    assert world.service.waiting == []
    assert "conversation cnv_1 could not be fetched anew" in caplog.text
    await world.known("cnv_1")  # It is stale, and fetched when it is asked for,
    world.conversations.on_ready()  # and by each session.
    await world.service.answer(status=503)
    world.conversations.on_ready()
    await world.service.answer()
    assert world.service.asked == {"cnv_1": 5}


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_was_refused_is_not_fetched_unasked_again(world: World, status: int) -> None:
    """A refused token is refreshed, which begins a session: that must not go round and round."""
    await world.known("cnv_1")
    world.conversations.on_ready()
    await world.service.answer(status=status)
    world.conversations.on_ready()
    world.change("cnv_1")
    await turns()
    assert world.service.waiting == []
    await world.known("cnv_1")
    assert (await world.conversations.get("cnv_1")).version == 2


# -- the agent and the profile -----------------------------------------------------------------------------------------


async def test_the_agent_is_the_one_that_the_account_has_now(world: World) -> None:
    world.agent_id = None
    assert await world.conversations.agent() is None
    world.tell("cnv_1")
    for agent_id in ("agt_1", "agt_2"):
        world.agent_id = agent_id
        asking = asyncio.create_task(world.conversations.agent())
        await world.service.answer()
        assert (await asking) == await world.conversations.agent()
    assert world.service.asked == {"agt_1": 1, "agt_2": 1}


async def test_the_profile_is_fetched_once_and_by_each_session(world: World) -> None:
    asking = asyncio.create_task(world.conversations.profile())
    await world.service.answer()
    assert isinstance(await asking, Profile)
    world.tell("cnv_1")
    await turns()
    assert await world.conversations.profile() == await asking
    world.conversations.on_ready()
    await world.service.answer()
    assert world.service.asked == {"me": 2}


# -- another user ------------------------------------------------------------------------------------------------------


@pytest.mark.rule("S0-62")
async def test_what_was_known_of_another_user_is_fetched_again(world: World) -> None:
    await world.known("cnv_1")
    world.tell("cnv_1", version=5)
    await world.service.answer_all()
    world.service.asked.clear()
    world.user_id = "usr_2"
    world.conversations.on_ready()
    world.tell("cnv_1")
    await turns()
    assert world.service.asked == {}
    await world.known("cnv_1")
    assert world.service.asked == {"cnv_1": 1}  # Version 5 was told to somebody else.


async def test_who_waits_while_everything_is_forgotten_gets_what_is_fetched_afterwards(world: World) -> None:
    asking = [asyncio.create_task(world.conversations.get(f"cnv_{number}")) for number in range(CONCURRENT_MAX)]
    await turns()
    world.conversations.forget()
    for name in world.service.names:
        world.service.versions[name] = 2
    await world.service.answer_all()
    assert [(await each).version for each in asking] == [2] * CONCURRENT_MAX


async def test_an_answer_that_comes_as_everything_is_forgotten_is_not_kept(world: World) -> None:
    for status in (200, 503):
        for moment in range(TURNS):
            await world.known("cnv_1")
            world.change("cnv_1", numbered=False)
            await turns()
            world.service.waiting[0][1].set_result(status)
            for _ in range(moment):
                await asyncio.sleep(0)
            world.conversations.forget()
            await turns()
            world.conversations.on_ready()
            await turns()
            assert world.service.waiting == []


# -- the end -----------------------------------------------------------------------------------------------------------


async def test_the_end_leaves_nothing_behind_and_tells_who_waits(world: World) -> None:
    await world.known(*[f"cnv_{number}" for number in range(6)])
    world.conversations.on_ready()
    asking = asyncio.create_task(world.conversations.get("cnv_9"))
    await turns()
    await soon(world.conversations.end())
    with pytest.raises(Stopped):
        await asking
    assert world.service.waiting == []
    world.conversations.on_ready()
    world.tell("cnv_1")
    with pytest.raises(Stopped):
        await world.conversations.get("cnv_1")
    await turns()
    assert world.service.waiting == []


async def test_the_end_is_one_at_any_moment_of_a_fetch(nothing_left: None) -> None:
    for moment in range(TURNS):
        world = World()
        await world.known("cnv_1")
        for _ in range(2):
            world.change("cnv_1", numbered=False)
            await turns()
        world.service.waiting[0][1].set_result(200)
        for _ in range(moment):
            await asyncio.sleep(0)
        await world.conversations.end()
        asked = world.service.asked.copy()
        await turns()
        assert (world.service.asked, world.service.waiting) == (asked, [])


# -- any order of things -----------------------------------------------------------------------------------------------

NAMES = ("cnv_1", "cnv_2")
NAME = st.sampled_from(NAMES)
STEPS = st.lists(
    st.tuples(st.just("get"), NAME)
    | st.tuples(st.just("change"), NAME, st.sampled_from([(), ("title",)]), st.booleans())
    | st.tuples(st.just("ready"))
    | st.tuples(st.just("answer"), st.integers(0, 1), st.sampled_from([200, 200, 200, 503]))
    | st.tuples(st.just("cancel"), st.integers(0, 5)),
    min_size=8,
    max_size=30,
)


class Walk:
    """Any steps, and what must hold after them. ``told`` is the newest version that was told of each chat."""

    def __init__(self) -> None:
        self.world = World()
        self.told: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.asking: list[tuple[asyncio.Task[Conversation], int]] = []
        self.failed = False

    async def get(self, name: str) -> None:
        if name not in self.world.service.names and (self.failed or not self.world.service.asked[name]):
            self.reasons[name] += 1
        self.asking.append((asyncio.create_task(self.world.conversations.get(name)), self.told[name]))

    async def change(self, name: str, scope: tuple[str, ...], numbered: bool) -> None:
        self.reasons[name] += bool(self.world.service.asked[name])
        self.world.change(name, *scope, numbered=numbered)
        self.told[name] = self.world.service.versions[name]

    async def ready(self) -> None:
        self.reasons.update(set(self.world.service.asked) & set(NAMES))
        self.world.conversations.on_ready()

    async def answer(self, at: int, status: int) -> None:
        if at < len(self.world.service.waiting):
            self.failed |= status != 200
            await self.world.service.answer(at, status)

    async def cancel(self, at: int) -> None:
        for task, _ in self.asking[at : at + 1]:
            task.cancel()

    async def check(self) -> None:
        service, conversations = self.world.service, self.world.conversations
        await service.answer_all()
        for task, floor in self.asking:
            if not task.cancelled():
                assert self.failed if task.exception() else (task.result().version or 0) >= floor
        assert all(service.asked[name] <= self.reasons[name] for name in NAMES)
        before = service.asked.copy()
        for name in list(service.asked):
            last = asyncio.create_task(conversations.get(name))
            await service.answer_all()
            assert (await last).version == service.versions[name]
        assert self.failed or service.asked == before


@pytest.mark.rule("S0-62", "S0-64")
@given(STEPS)
def test_in_any_order_the_newest_is_known_in_the_end_for_no_more_fetches_than_reasons(
    steps: list[tuple[str, *tuple[Any, ...]]],
) -> None:
    """And whoever asked got nothing older than what had been told by then."""

    async def run() -> None:
        walk = Walk()
        for name, *details in steps:
            await getattr(walk, name)(*details)
            await turns()
        await walk.check()
        await walk.world.conversations.end()

    asyncio.run(run())


# -- over real HTTP ----------------------------------------------------------------------------------------------------


async def test_over_a_real_link(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        log = RedactingLogger("holdfast.test", Vault())
        conversations = Conversations(lambda: link.rest, lambda: Identity(agent_id=issued.agent_id), lambda: log)
        gateway.inject("rest", "hold", times=None)
        asking = [asyncio.create_task(conversations.get(issued.conversation_id)) for _ in range(3)]
        await until(lambda: gateway.counters.rest_requests == 1)
        asking.pop().cancel()
        gateway.clear("rest")
        async with asyncio.timeout(LIMIT_S):
            found = [await each for each in asking]
        assert [each.id for each in found] == [issued.conversation_id] * 2
        assert (await soon(conversations.profile())).user_id == issued.user_id
        agent = await soon(conversations.agent())
        assert agent is not None
        assert agent.id == issued.agent_id
        assert gateway.counters.rest_requests == 3
        conversations.on_ready()
        await until(lambda: gateway.counters.rest_requests == 6)
        with pytest.raises(RestFailed):
            await soon(conversations.get("cnv_nowhere"))
        gateway.inject("rest", "never")
        asking = [asyncio.create_task(conversations.get("cnv_silent"))]
        await until(lambda: gateway.counters.rest_requests == 8)
        await soon(conversations.end())
        with pytest.raises(Stopped):
            await asking[0]


async def test_an_unpaired_account_says_so(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    async with link_to(gateway, store, clock) as link:
        conversations = Conversations(lambda: link.rest, Identity, lambda: RedactingLogger("holdfast.test", Vault()))
        with pytest.raises(NotPaired):
            await soon(conversations.profile())
        await conversations.end()
