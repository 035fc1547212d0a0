"""The refresh exchange: nothing comes between an answer's last byte and the store, whatever happens around it."""

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import partial
from typing import Any

import httpx
import pytest

from holdfast.adapters import ClawChat, Exchange, Identity, MemoryStore, StoreUnavailable, TokenPair, Vault, http_client
from holdfast.engine import Event
from holdfast.statecharts import (
    PostRefresh,
    RefreshFailed,
    RefreshSucceeded,
    RefreshSuperseded,
    RotationHeld,
    RotationStored,
    RotationUnstored,
    StoreRotation,
)

pytestmark = pytest.mark.anyio

LIMIT_S = 30
OLD = TokenPair("access-of-the-old-pair", "refresh-of-the-old-pair")
NEW = TokenPair("access-of-the-new-pair", "refresh-of-the-new-pair")
ANSWER = json.dumps(
    {"code": 0, "message": "ok", "data": {"access_token": NEW.access, "refresh_token": NEW.refresh}}
).encode()


class Body(httpx.AsyncByteStream):
    """An answer in pieces. Marks the loop's first turn after the last piece, and closes only when it may."""

    def __init__(self, log: list[str], chunks: list[bytes], may_close: asyncio.Event) -> None:
        self.log = log
        self.chunks = chunks
        self.may_close = may_close

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        for chunk in self.chunks:
            await asyncio.sleep(0)
            if chunk is self.chunks[-1]:
                self.log.append("last byte")
                asyncio.get_running_loop().call_soon(self.log.append, "loop turned")
            yield chunk

    async def aclose(self) -> None:
        self.log.append("closing")
        await self.may_close.wait()


class Server(httpx.AsyncBaseTransport):
    """Answers each POST with the same body, and never closes it before it is told to."""

    def __init__(self, log: list[str], content: bytes = ANSWER, headers: dict[str, str] | None = None) -> None:
        self.log = log
        self.content = content
        self.headers = headers or {}
        self.may_close = asyncio.Event()
        self.may_close.set()
        self.posted = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        self.log.append("posted")
        self.posted.set()
        middle = len(self.content) // 2
        chunks = [self.content[:middle], self.content[middle:]]
        return httpx.Response(200, headers=self.headers, stream=Body(self.log, chunks, self.may_close))


class Store(MemoryStore):
    """Notes what is written, and fails when told to."""

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log = log
        self.broken = False

    def rotate(self, account: str, generation: int, pair: TokenPair, now_wall: float) -> int | None:
        self.log.append("rotate")
        if self.broken:
            raise StoreUnavailable(None, "the disk is full")
        return super().rotate(account, generation, pair, now_wall)


class Rig:
    """An exchange for a paired account (generation 1)."""

    def __init__(self, **answer: Any) -> None:
        self.log: list[str] = []
        self.events: list[Event] = []
        self.store = Store(self.log)
        self.store.activate("a", OLD, Identity(device_id="dev"), 5.0)
        self.vault = Vault()
        self.vault.load(1, OLD)
        self.server = Server(self.log, **answer)
        self.exchange = Exchange(
            account="a",
            store=self.store,
            vault=self.vault,
            dialect=ClawChat(),
            base_url="http://127.0.0.1",
            client=http_client(self.server),
            device_id=lambda: "dev",
            wall=lambda: 7.0,
        )

    async def post(self, deadline_s: float = LIMIT_S) -> None:
        await self.exchange.post(PostRefresh(1, 1, "test", deadline_s), self.report)

    def report(self, event: Event) -> None:
        self.log.append("reported")
        self.events.append(event)

    @property
    def stored(self) -> TokenPair | None:
        return self.store.read("a").pair


@pytest.mark.rule("P06", "S1-12", "S1-14")
@pytest.mark.parametrize("headers", [{"Content-Length": str(len(ANSWER))}, {"Transfer-Encoding": "chunked"}])
async def test_the_loop_does_not_turn_between_the_last_byte_and_the_store(headers: dict[str, str]) -> None:
    rig = Rig(headers=headers)
    await rig.post()
    assert rig.log == ["posted", "last byte", "rotate", "reported", "closing", "loop turned"]
    assert rig.stored == NEW
    (event,) = rig.events
    assert isinstance(event, RefreshSucceeded)
    assert (event.credential.generation, event.credential.obtained_at, event.changed) == (2, 7.0, True)


@pytest.mark.rule("P06", "P10")
async def test_a_deadline_that_passes_after_the_last_byte_loses_nothing_and_is_no_second_answer() -> None:
    rig = Rig()
    rig.server.may_close.clear()
    await rig.post(deadline_s=0.01)
    assert [type(event) for event in rig.events] == [RefreshSucceeded]
    assert rig.stored == NEW
    rig.server.may_close.set()


class Counted:
    """Runs a coroutine and acts at its n-th suspension."""

    def __init__(self, work: Awaitable[None], at: int, act: Callable[[], object]) -> None:
        self.work = work
        self.at = at
        self.act = act
        self.suspensions = 0

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self.work.__await__()
        resume: Callable[[], Any] = partial(next, steps)
        while True:
            try:
                waited_for = resume()
            except StopIteration:
                return
            self.suspensions += 1
            if self.suspensions == self.at:
                self.act()
            try:
                resume = partial(steps.send, (yield waited_for))
            except BaseException as error:
                resume = partial(steps.throw, error)

    async def run(self) -> None:
        await self


@pytest.mark.rule("P06", "P09", "P47")
async def test_cancelled_at_any_await_an_answer_that_was_read_is_stored_and_one_that_was_not_never_is() -> None:
    at = 0
    while True:
        at += 1
        rig = Rig()
        tasks: list[asyncio.Task[None]] = []
        counted = Counted(rig.post(), at, lambda: asyncio.get_running_loop().call_soon(tasks[-1].cancel))  # noqa: B023
        task = asyncio.create_task(counted.run())
        tasks.append(task)
        await asyncio.wait((task,), timeout=LIMIT_S)
        for _ in range(50):  # whatever is still under way comes to its end
            await asyncio.sleep(0)
        was_stored = rig.stored == NEW
        assert was_stored == ("rotate" in rig.log)
        assert len(rig.events) == was_stored
        if counted.suspensions < at:
            break
    assert at > 1
    assert was_stored


@pytest.mark.rule("P06")
@pytest.mark.parametrize("turns", range(1, 12))
async def test_cancelled_after_any_number_of_turns_of_the_loop_it_is_all_or_nothing(turns: int) -> None:
    rig = Rig()
    task = asyncio.create_task(rig.post())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait((task,), timeout=LIMIT_S)
    for _ in range(50):
        await asyncio.sleep(0)
    assert (rig.stored == NEW) == ("rotate" in rig.log) == bool(rig.events)


async def test_without_an_answer_within_the_deadline_it_failed_and_the_intent_stays() -> None:
    rig = Rig()

    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    rig.server.handle_async_request = never  # type: ignore[method-assign]
    await rig.post(deadline_s=0.01)
    assert rig.events == [RefreshFailed(1, "", "no answer within 0.01 s")]
    assert rig.store.read("a").interrupted == 1
    pending = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in pending:
        if "_fetch" in repr(task.get_coro()):
            task.cancel()


@pytest.mark.rule("S1-13", "S1-18", "S1-40", "P12")
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'{"code": 10003, "message": "dead"}', "10003"),
        (b'{"code": 1, "message": "internal"}', "1"),
        (b"<html>", ""),
        (b'{"code": 0, "data": {}}', ""),
    ],
)
async def test_a_refusal_settles_the_intent_and_what_cannot_be_read_does_not(content: bytes, code: str) -> None:
    rig = Rig(content=content)
    await rig.post()
    (event,) = rig.events
    assert isinstance(event, RefreshFailed)
    assert event.code == code
    assert rig.stored == OLD
    assert rig.store.read("a").interrupted == (None if code else 1)


@pytest.mark.rule("V01", "V02", "S0-17", "S0-18", "S1-15", "P07")
async def test_a_pair_that_the_store_refused_is_held_unused_and_its_token_never_posted_again() -> None:
    rig = Rig()
    rig.store.broken = True
    await rig.post()
    (event,) = rig.events
    assert isinstance(event, RotationHeld)
    assert rig.vault.access(1) == OLD.access
    await rig.post()
    assert rig.events[1] == RefreshSuperseded(1)
    assert rig.log.count("posted") == 1
    assert isinstance(rig.exchange.store(StoreRotation(1, 1)), RotationUnstored)
    rig.store.broken = False
    stored = rig.exchange.store(StoreRotation(1, 1))
    assert isinstance(stored, RotationStored)
    assert stored.credential.obtained_at == 7.0
    assert rig.stored == NEW


@pytest.mark.rule("V06", "P04", "P11")
async def test_an_answer_that_comes_after_a_logout_is_neither_stored_nor_held() -> None:
    rig = Rig()
    posting = asyncio.create_task(rig.post())
    await rig.server.posted.wait()
    rig.store.clear("a")
    rig.vault.forget()
    async with asyncio.timeout(LIMIT_S):
        await posting
    assert rig.events == [RefreshSuperseded(1)]
    assert rig.stored is None
    assert rig.vault.pair(2) is None
    assert NEW.access not in rig.vault.redact(f"it was {NEW.access}")


@pytest.mark.rule("P04", "P05")
async def test_a_late_answer_does_not_take_the_place_of_a_pair_that_somebody_else_stored() -> None:
    rig = Rig()
    other = TokenPair("access-of-another-pair", "refresh-of-another-pair")
    posting = asyncio.create_task(rig.post())
    await rig.server.posted.wait()
    rig.store.activate("a", other, Identity(), 6.0)
    rig.vault.load(2, other)
    async with asyncio.timeout(LIMIT_S):
        await posting
    assert rig.events == [RefreshSuperseded(1)]
    assert rig.stored == other
    assert rig.vault.pair(2) == other
    assert rig.vault.refresh(2) == other.refresh


@pytest.mark.rule("P04", "P05", "V06")
@pytest.mark.parametrize("other", [TokenPair("access-of-another-pair", "refresh-of-another-pair"), None])
async def test_nor_is_it_held_against_one_when_the_store_fails(other: TokenPair | None) -> None:
    rig = Rig()
    posting = asyncio.create_task(rig.post())
    await rig.server.posted.wait()
    rig.vault.load(2, other)
    rig.store.broken = True
    async with asyncio.timeout(LIMIT_S):
        await posting
    assert rig.events == [RefreshSuperseded(1)]
    assert rig.vault.pair(2) == other
    assert NEW.access not in rig.vault.redact(f"it was {NEW.access}")


@pytest.mark.rule("P08")
async def test_an_answer_without_a_refresh_token_keeps_the_one_that_was_posted() -> None:
    rig = Rig(content=json.dumps({"code": 0, "data": {"access_token": NEW.access}}).encode())
    await rig.post()
    assert rig.stored == TokenPair(NEW.access, OLD.refresh)
    assert rig.vault.pair(2) == TokenPair(NEW.access, OLD.refresh)


async def test_a_compressed_answer_is_read_all_the_same_and_a_broken_one_tells_nothing() -> None:
    rig = Rig(content=gzip.compress(ANSWER), headers={"Content-Encoding": "gzip"})
    await rig.post()
    assert rig.stored == NEW
    broken = Rig(content=ANSWER, headers={"Content-Encoding": "gzip"})
    await broken.post()
    assert isinstance(broken.events[0], RefreshFailed)
    assert broken.store.read("a").interrupted == 1


async def test_an_answer_that_is_too_long_is_not_read_to_its_end() -> None:
    rig = Rig(content=b" " * (4 * 1024 * 1024))
    await rig.post()
    assert isinstance(rig.events[0], RefreshFailed)
    assert rig.stored == OLD
