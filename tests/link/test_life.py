"""A link from its first moment to its last: nothing is left of it, however and whenever it ends."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from holdfast import (
    AccountBusy,
    AccountState,
    ClawChat,
    ConfigError,
    Link,
    NotConnected,
    NotPaired,
    Stopped,
    StoreUnavailable,
    connect,
)
from holdfast.sandbox import Gateway, Point
from holdfast.statecharts import STRICT
from holdfast.testing import VirtualClock

from .kit import (
    LIMIT_S,
    FaultyStore,
    event,
    held,
    history,
    link_to,
    open_sockets,
    pair,
    ready,
    seen,
    soon,
    state_of,
    stored_pair,
)

pytestmark = pytest.mark.anyio


async def test_it_connects_and_is_gone_when_the_block_ends(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        assert link.status.connected
        assert link.status.configured
        assert len(gateway.sessions) == 1
    assert link.status.state is AccountState.STOPPED
    assert not link.status.connected
    await seen(gateway, lambda found: not found.sessions)
    assert gateway.counters.dials - gateway.counters.rest_requests == 1


@pytest.mark.rule("P37")
async def test_each_change_of_the_status_is_seen_by_each_reader(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)

    async def read(link: Link, found: list[AccountState]) -> None:
        async for status in link.statuses():
            if not found or found[-1] is not status.state:
                found.append(status.state)

    found: list[list[AccountState]] = [[], []]
    async with asyncio.TaskGroup() as readers, link_to(gateway, store, clock) as link:
        for states in found:
            readers.create_task(read(link, states))
        passing = link.statuses()
        await anext(passing)
        await ready(link)
        await passing.aclose()  # type: ignore[attr-defined]
        gateway.drop()
        await state_of(link, AccountState.BACKOFF)
        clock.advance(STRICT.drop_floor_s)
        await ready(link)
    expected = [AccountState.CONNECTING, AccountState.CONNECTED, AccountState.BACKOFF]
    assert found == [[*expected, AccountState.CONNECTING, AccountState.CONNECTED, AccountState.STOPPED]] * 2


async def test_usable_at_once_after_entering(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        assert link.status.configured
        answer = await soon(link.rest.get("/v1/users/me"))
        assert answer.status_code == 200
        assert (await soon(link.refresh())).outcome == "success"


async def test_a_logout_right_after_entering_is_one(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await soon(link.logout())
        assert link.status.state is AccountState.LOGGED_OUT
        assert stored_pair(store.path) is None


async def test_left_at_once(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        pass
    assert link.status.state is AccountState.STOPPED


Stage = Callable[[Gateway], Awaitable[None]]


def _held_at(point: Point) -> Stage:
    return lambda gateway: held(gateway, point)


def _noted(name: str) -> Stage:
    return lambda gateway: event(gateway, name)


STAGES: list[tuple[str, Point | None, str, Stage]] = [
    ("dialling", "upgrade", "never", _noted("fault")),
    ("no challenge", "challenge", "never", _noted("fault")),
    ("no answer to connect", "hello", "never", _noted("fault")),
    ("hello held back", "hello", "hold", _held_at("hello")),
    ("replay not ended", "replay", "never", _noted("hello-ok")),
    ("live", None, "", _noted("live")),
]


@pytest.mark.rule("P33", "S0-56", "V07", "V28", "P47")
@pytest.mark.parametrize("way", ["stop", "leave", "cancel"])
@pytest.mark.parametrize(("point", "kind", "reached"), [stage[1:] for stage in STAGES], ids=[s[0] for s in STAGES])
async def test_ended_at_any_stage_nothing_is_left(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, point: Point | None, kind: str, reached: Stage, way: str
) -> None:
    pair(gateway, store, clock)
    if point is not None:
        gateway.inject(point, kind)  # type: ignore[arg-type]
    quick = STRICT.scaled(0.01)  # the deadlines of a close are real ones
    arrived, ended = asyncio.Event(), asyncio.Event()

    async def use() -> None:
        async with link_to(gateway, store, clock, policy=quick) as link:
            await reached(gateway)
            if way == "stop":
                await link.stop()
                assert link.status.state is AccountState.STOPPED
            elif way == "cancel":
                arrived.set()
                await asyncio.Event().wait()
        ended.set()

    task = asyncio.create_task(use())
    if way == "cancel":
        await soon(arrived.wait())
        task.cancel()
    await asyncio.wait((task,), timeout=LIMIT_S)
    assert task.cancelled() if way == "cancel" else ended.is_set()
    assert store._connection is None
    await seen(gateway, lambda found: not found._connections)


@pytest.mark.rule("P33", "P47")
@pytest.mark.parametrize("turns", [*range(30)])
async def test_cancelled_after_any_number_of_turns_nothing_is_left(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, turns: int
) -> None:
    pair(gateway, store, clock)
    store.close()

    async def use() -> None:
        async with link_to(gateway, store, clock) as link:
            await link.wait_ready()
            await link.send("cnv_none", "hello")

    task = asyncio.create_task(use())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait((task,), timeout=LIMIT_S)
    assert task.cancelled()
    assert store._connection is None


@pytest.mark.rule("P47")
async def test_cancelled_again_while_it_stops_it_stops_all_the_same(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    stopping = asyncio.Event()

    async def use() -> None:
        async with link_to(gateway, store, clock) as link:
            await ready(link)
            gateway.silence()  # the close takes its time
            stopping.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(use())
    await stopping.wait()
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0)
    clock.advance(STRICT.close_s)  # what the chart allows for a close
    await asyncio.wait((task,), timeout=LIMIT_S)
    assert task.cancelled()
    assert store._connection is None


@pytest.mark.rule("P47")
async def test_a_cancel_scope_around_it_ends_it(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    pair(gateway, store, clock)
    link = link_to(gateway, store, clock)
    with anyio.CancelScope() as scope:
        async with link:
            await ready(link)
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert link.status.state is AccountState.STOPPED


@pytest.mark.rule("P47")
@pytest.mark.parametrize("call", ["wait_ready", "send", "refresh", "logout", "activate", "stop", "iterate", "statuses"])
async def test_every_public_wait_can_be_cancelled_and_harms_nothing(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, call: str
) -> None:
    issued = pair(gateway, store, clock)
    gateway.inject("hello", "never")
    gateway.inject("refresh", "hold")
    gateway.inject("pairing", "hold")
    async with link_to(gateway, store, clock) as link:
        await event(gateway, "fault")

        async def iterate() -> None:
            async for _ in link:
                pass

        async def statuses() -> None:
            async for _ in link.statuses():
                pass

        store.broken = {"clear"} if call == "logout" else set()
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "wait_ready": link.wait_ready,
            "send": lambda: link.send(issued.conversation_id, "hello"),
            "refresh": link.refresh,
            "logout": link.logout,
            "activate": lambda: link.activate(gateway.pairing_code()),
            "stop": link.stop,
            "iterate": iterate,
            "statuses": statuses,
        }

        async def run() -> None:
            await calls[call]()

        task = asyncio.create_task(run())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,), timeout=LIMIT_S)
        assert task.cancelled() or call == "logout"  # which needs not wait
        store.broken = set()
        gateway.clear()
    assert link.status.state is AccountState.STOPPED


@pytest.mark.rule("V29", "V30", "P51")
async def test_stopped_twice_at_once_and_then_for_ever(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        await soon(_all(link.stop(), link.stop()))
        await link.stop()
        for call in (
            lambda: link.send(issued.conversation_id, "x"),
            link.refresh,
            link.logout,
            lambda: link.activate("code"),
            lambda: link.wait_ready(),
            lambda: link.rest.get("/v1/users/me"),
        ):
            with pytest.raises((Stopped, RuntimeError)):
                await soon(_call(call))
        assert [frame async for frame in link] == []
        assert [status.state async for status in link.statuses()] == [AccountState.STOPPED]
    with pytest.raises(Stopped):
        await link.__aenter__()
    clock.advance(1_000)
    assert gateway.counters.connects == 1


async def _all(*work: Awaitable[object]) -> None:
    await asyncio.gather(*work)


async def _call(call: Callable[[], Awaitable[object]]) -> None:
    await call()


@pytest.mark.rule("V30", "P51")
async def test_a_store_that_fails_to_close_is_told_and_the_rest_is_closed(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair(gateway, store, clock)
    close = store.close

    def fail() -> None:
        close()
        raise StoreUnavailable(store.path, "gone")

    monkeypatch.setattr(store, "close", fail)

    async def use() -> None:
        async with link_to(gateway, store, clock) as link:
            await ready(link)

    with pytest.raises(StoreUnavailable):
        await use()
    monkeypatch.undo()
    async with link_to(gateway, store, clock) as again:  # the lease is free
        await ready(again)


@pytest.mark.rule("P41")
async def test_a_peer_that_never_answers_a_close_does_not_hold_the_stop(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock, policy=STRICT.scaled(0.01)) as link:
        await ready(link)
        gateway.silence()
        await soon(link.stop())
        assert link.status.state is AccountState.STOPPED


@pytest.mark.rule("P36", "P54")
async def test_a_bug_of_ours_ends_the_link_with_its_error_and_not_in_a_hang(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    link = link_to(gateway, store, clock)

    async def use() -> None:
        async with link:
            await ready(link)
            store.record = fail  # type: ignore[method-assign,assignment]
            gateway.kick(code=1000)
            await state_of(link, AccountState.STOPPED)
            assert not link.status.connected

    with pytest.raises(ZeroDivisionError):
        await use()
    assert link.status.state is AccountState.STOPPED
    assert not link.status.connected


@pytest.mark.rule("S0-32", "S0-63")
async def test_unpaired_it_waits_and_connects_when_it_is_paired(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    async with link_to(gateway, store, clock) as link:
        await state_of(link, AccountState.WAITING)
        assert not link.status.running
        with pytest.raises(NotPaired):
            await link.send("cnv_x", "hello")
        with pytest.raises(NotPaired):
            await link.rest.get("/v1/users/me")
        assert (await soon(link.refresh())).outcome == "skipped"
        assert gateway.counters.dials == 0
        await soon(link.activate(gateway.pairing_code()))
        await ready(link)
        assert (await link.rest.get("/v1/users/me")).status_code == 200
    assert store.read("default").user_id is not None


async def test_wait_ready_gives_up_after_its_time(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    async with link_to(gateway, store, clock) as link:
        with pytest.raises(NotConnected):
            await link.wait_ready(0)


@pytest.mark.rule("S0-09", "S0-63")
async def test_a_pairing_by_another_process_is_noticed_within_a_second(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, path: Path
) -> None:
    async with link_to(gateway, store, clock) as link:
        other = FaultyStore(path)
        pair(gateway, other, clock)
        other.close()
        clock.advance(1.0)
        await ready(link)


@pytest.mark.rule("P05", "P11")
async def test_a_logout_by_another_process_is_noticed_and_a_new_pairing_too(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, path: Path
) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        other = FaultyStore(path)
        other.clear("default")
        clock.advance(1.0)
        await state_of(link, AccountState.LOGGED_OUT)
        await seen(gateway, lambda found: not found.sessions)
        pair(gateway, other, clock)
        other.close()
        clock.advance(1.0)
        await ready(link)
        assert gateway.counters.refresh_posts == 0


async def test_one_live_link_per_account_and_store(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, path: Path
) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        for same in (store, FaultyStore(path)):
            with pytest.raises(AccountBusy):
                async with link_to(gateway, same, clock):
                    pytest.fail("it must not get in")
        script = (
            "import asyncio, sys; from holdfast import *\n"
            "async def main():\n"
            "    async with connect(sys.argv[1], dialect=ClawChat(), store=SqliteStore(sys.argv[2])): pass\n"
            "try: asyncio.run(main())\n"
            "except AccountBusy as busy: print('busy', busy.account)\n"
        )
        run = await anyio.run_process([sys.executable, "-c", script, gateway.ws_url, str(path)])
        assert run.stdout.decode().split() == ["busy", "default"]
        assert (await link.rest.get("/v1/users/me")).status_code == 200  # the owner is none the worse for it
        async with link_to(gateway, store, clock, account="another") as another:
            await state_of(another, AccountState.WAITING)
    async with link_to(gateway, store, clock) as link:
        await ready(link)


async def test_what_cannot_be_used_is_said_on_entering_and_leaves_nothing(
    gateway: Gateway, clock: VirtualClock, tmp_path: Path
) -> None:
    before = open_sockets()
    folder = FaultyStore(tmp_path)
    with pytest.raises(StoreUnavailable):
        async with link_to(gateway, folder, clock):
            pytest.fail("it must not get in")
    assert open_sockets() == before
    for url in ("ws://example.com/ws", "http://127.0.0.1/ws"):
        with pytest.raises(ConfigError):
            connect(url, dialect=ClawChat(), store=folder)


@pytest.mark.rule("S0-33", "S0-61", "V09", "P12")
async def test_a_gateway_that_is_down_is_dialled_again_and_again(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    gateway.inject("upgrade", "status", times=2)
    async with link_to(gateway, store, clock) as link:
        first = await state_of(link, AccountState.BACKOFF)
        assert "503" in first.last_error
        assert first.configured
        assert first.retry_at is not None
        clock.advance(STRICT.backoff_base_s)
        await seen(gateway, lambda found: found.counters.dials >= 2)
        await state_of(link, AccountState.BACKOFF)
        clock.advance(2 * STRICT.backoff_base_s)
        await ready(link)
        assert link.status.attempts == 3
    assert [row.state for row in history(store)][:3] == ["transport_error", "transport_error", "connected"]


SIGINT_SCRIPT = """
import asyncio, sys
from holdfast import *

async def main():
    async with connect(sys.argv[1], dialect=ClawChat(), store=SqliteStore(sys.argv[2])) as link:
        await link.wait_ready(30)
        print("ready", flush=True)
        try:
            await asyncio.sleep(600)
        finally:
            print("leaving", flush=True)
    print("left", flush=True)

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.rule("P47")
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send to one process")
async def test_ctrl_c_closes_the_socket_and_ends_the_process(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, path: Path
) -> None:
    pair(gateway, store, clock)
    store.close()
    command = [sys.executable, "-c", SIGINT_SCRIPT, gateway.ws_url, str(path)]
    async with await anyio.open_process(command, stderr=subprocess.PIPE) as process:
        await seen(gateway, lambda found: bool(found.sessions))
        assert process.stdout is not None
        assert process.stderr is not None
        said = b""
        while b"ready" not in said:
            said += await soon(process.stdout.receive())
        process.send_signal(signal.SIGINT)
        assert await soon(process.wait()) == 0
        said += b"".join([chunk async for chunk in process.stdout])
        assert said.split() == [b"ready", b"leaving", b"interrupted"]
        assert b"".join([chunk async for chunk in process.stderr]) == b""
    closed = [entry for entry in gateway.events if entry.event == "closed"]
    assert "1000" in str(closed[-1].detail)
