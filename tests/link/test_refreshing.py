"""A link's tokens: one exchange at a time, whoever asks for it and whatever happens meanwhile."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from holdfast import (
    AccountState,
    BodyNotReplayable,
    ClawChat,
    ConfigMirror,
    Identity,
    Link,
    MemoryStore,
    NotPaired,
    PairingFailed,
    RefreshOutcome,
    TokenPair,
)
from holdfast.adapters import DEFAULT_ACCOUNT, NotRotated, Rotated
from holdfast.sandbox import Gateway
from holdfast.statecharts import STRICT
from holdfast.testing import VirtualClock

from .kit import (
    DEVICE,
    LIMIT_S,
    FaultyStore,
    event,
    held,
    history,
    link_to,
    pair,
    ready,
    seen,
    soon,
    state_of,
    status_of,
    stored_pair,
    until,
)

pytestmark = pytest.mark.anyio

EXPIRED = "token expired — re-pair required"
RE_PAIR = "ClawChat token expired and could not be refreshed. Re-pair with `/clawchat-activate <code>`."


def once(gateway: Gateway) -> bool:
    """No refresh token was posted twice."""
    return set(gateway.refresh_posts_by_token.values()) <= {1}


@pytest.mark.rule("S1-02", "P01", "S0-23")
async def test_three_callers_one_post_and_the_same_outcome(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    gateway.inject("refresh", "hold")
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        asked = [asyncio.create_task(link.refresh()) for _ in range(3)]
        await held(gateway, "refresh")
        gateway.release()
        outcomes = [await soon(_of(task)) for task in asked]
        assert outcomes[0] is outcomes[1] is outcomes[2]
        assert outcomes[0] == RefreshOutcome("success")
        assert gateway.counters.refresh_posts == 1
        assert link.status.connected  # a token is only checked at the handshake
        assert (await link.rest.get("/v1/users/me")).status_code == 200
    assert stored_pair(store.path) == store.read(DEFAULT_ACCOUNT).pair


async def _of(task: "asyncio.Task[Any]") -> Any:
    return await task


@pytest.mark.rule("P09")
@pytest.mark.parametrize("all_of_them", [True, False])
async def test_cancelled_callers_do_not_cancel_the_exchange(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, all_of_them: bool
) -> None:
    issued = pair(gateway, store, clock)
    gateway.inject("refresh", "hold")
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        asked = [asyncio.create_task(link.refresh()) for _ in range(3)]
        await held(gateway, "refresh")
        cancelled = asked if all_of_them else asked[:2]
        for task in cancelled:
            task.cancel()
        await asyncio.wait(cancelled)
        gateway.release()
        await until(lambda: store.read(DEFAULT_ACCOUNT).generation == 2)
        assert stored_pair(store.path) != TokenPair(issued.access_token, issued.refresh_token)
        for task in asked:
            assert task.cancelled() if task in cancelled else (await soon(_of(task))).outcome == "success"
        assert (await link.rest.get("/v1/users/me")).status_code == 200
    assert once(gateway)


@pytest.mark.rule("S0-55", "S0-25", "S0-49", "P01")
async def test_two_rest_401_and_a_refused_hello_at_once_are_one_post(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        gateway.revoke(issued.user_id, refresh=False)
        gateway.inject("refresh", "hold")
        gateway.drop()
        await state_of(link, AccountState.BACKOFF)
        clock.advance(STRICT.drop_floor_s)
        calls = [asyncio.create_task(link.rest.get("/v1/users/me")) for _ in range(2)]
        await event(gateway, "hello-fail")
        await event(gateway, "rest-unauthorized", 2)
        await held(gateway, "refresh")
        gateway.release()
        assert [(await soon(_of(call))).status_code for call in calls] == [200, 200]
        await ready(link)
        assert gateway.counters.refresh_posts == 1
        assert gateway.counters.hellos == 2
        assert gateway.counters.rest_requests == 4


@pytest.mark.rule("S0-49", "S0-50", "S0-51", "S0-52", "P14")
async def test_a_refused_rest_call_is_retried_once_after_a_refresh(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        rest = link.rest
        gateway.inject("rest", "status", status=401)
        assert (await soon(rest.get("/v1/users/me"))).status_code == 200
        assert gateway.counters.refresh_posts == 1
        clock.advance(STRICT.refresh_interval_s)
        gateway.inject("rest", "status", status=403, times=2)
        assert (await soon(rest.get("/v1/users/me"))).status_code == 403
        assert gateway.counters.refresh_posts == 2
        gateway.inject("rest", "status", status=500)
        assert (await soon(rest.get("/v1/users/me"))).status_code == 500
        assert (await soon(rest.get("/nowhere"))).status_code == 404
        assert gateway.counters.refresh_posts == 2
        clock.advance(STRICT.refresh_interval_s)
        gateway.inject("refresh", "status")
        gateway.inject("rest", "status", status=401)
        assert (await soon(rest.get("/v1/users/me"))).status_code == 401  # the refresh came to nothing
        assert gateway.counters.refresh_posts == 3
        assert link.status.configured
        gateway.inject("rest", "drop")
        with pytest.raises(httpx.TransportError):
            await soon(rest.get("/v1/users/me"))


async def test_a_body_that_can_be_read_once_is_not_sent_twice(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)

    async def body() -> AsyncGenerator[bytes, None]:
        yield b"once"

    async with link_to(gateway, store, clock) as link:
        await ready(link)
        gateway.inject("rest", "status", status=401)
        with pytest.raises(BodyNotReplayable):
            await soon(link.rest.post("/v1/users/me", content=body()))


async def test_rest_calls_that_are_cancelled_do_not_ruin_the_pool(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        gateway.inject("rest", "hold", times=20)
        calls = [asyncio.create_task(link.rest.get("/v1/users/me")) for _ in range(20)]
        await held(gateway, "rest", 20)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        gateway.release()
        assert (await soon(link.rest.get("/v1/users/me"))).status_code == 200
        assert (await soon(link.refresh())).outcome == "success"


@pytest.mark.rule("V06", "P11", "S0-45")
async def test_a_logout_during_the_post_leaves_every_store_blank(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, tmp_path: Path
) -> None:
    issued = pair(gateway, store, clock)
    mirror = ConfigMirror(tmp_path / "config.json", ("channel",))
    gateway.inject("refresh", "hold")
    async with link_to(gateway, store, clock, mirror=mirror) as link:
        await ready(link)
        assert mirror.read() == TokenPair(issued.access_token, issued.refresh_token)
        asked = asyncio.create_task(link.refresh())
        await held(gateway, "refresh")
        await soon(link.logout())
        assert (await soon(_of(asked))).outcome == "permanent"
        gateway.release()
        await event(gateway, "refreshed")
        await until(lambda: not _matches(link, "refresh/draining"))
        assert link.status.state is AccountState.LOGGED_OUT
        assert stored_pair(store.path) is None
        assert mirror.read() is None
        with pytest.raises(NotPaired):
            await link.rest.get("/v1/users/me")
        assert store.read(DEFAULT_ACCOUNT).device_id == DEVICE  # who it is stays known
        await soon(link.activate(gateway.pairing_code()))
        await ready(link)
        assert (await soon(link.rest.get("/v1/users/me"))).status_code == 200
        assert mirror.read() == stored_pair(store.path)
    files = b"".join(file.read_bytes() for file in (*tmp_path.glob("*.db*"), *tmp_path.glob("*.json")))  # noqa: ASYNC240
    assert issued.access_token.encode() not in files
    assert issued.refresh_token.encode() not in files


def _matches(link: Link, path: str) -> bool:
    assert link._runner is not None
    return link._runner.driver.snapshot.matches(path)


@pytest.mark.rule("S0-13", "S1-23", "V06", "P19")
@pytest.mark.parametrize("when", ["startup", "live"])
async def test_a_stop_during_the_post_lets_the_pair_be_stored(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, when: str
) -> None:
    pair(gateway, store, clock)
    gateway.inject("refresh", "hold")
    if when == "startup":
        clock.advance(23 * 3_600)
    async with link_to(gateway, store, clock) as link:
        asked: list[asyncio.Task[RefreshOutcome]] = []
        if when == "live":
            await ready(link)
            asked.append(asyncio.create_task(link.refresh()))
        await held(gateway, "refresh")
        stopping = asyncio.create_task(link.stop())
        await until(lambda: _matches(link, "refresh/finishing"))
        for task in asked:
            assert (await soon(_of(task))).reason == "stopped"
        gateway.release()
        await soon(_of(stopping))
    assert store.read(DEFAULT_ACCOUNT).generation == 2
    dials = gateway.counters.connects
    assert dials == (when == "live")
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        assert gateway.counters.refresh_posts == 1
    assert once(gateway)


@pytest.mark.rule("V06", "P50", "P06")
async def test_an_exchange_that_outlasts_the_stop_is_abandoned_with_its_intent_kept(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    gateway.inject("refresh", "hold")
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        asked = asyncio.create_task(link.refresh())
        await held(gateway, "refresh")
        stopping = asyncio.create_task(link.stop())
        await until(lambda: _matches(link, "refresh/finishing"))
        clock.advance(STRICT.stop_s)
        await soon(_of(stopping))
        await soon(_of(asked))
    assert store.read(DEFAULT_ACCOUNT).interrupted == 1
    gateway.clear()
    async with link_to(gateway, store, clock) as link:
        # The gateway had rotated, and nobody has the answer: one POST finds out, and says what to do.
        status = await state_of(link, AccountState.LOGGED_OUT)
        assert status.last_error == EXPIRED
        clock.advance(3_600)
    assert gateway.counters.refresh_posts == 2
    assert gateway.counters.connects == 1


@pytest.mark.rule("S0-09", "S0-10", "S0-11", "S0-12", "S0-45", "S0-46", "S0-48")
async def test_a_token_that_is_dead_for_good_logs_out_and_tells_the_user(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    gateway.revoke(issued.user_id)
    clock.advance(23 * 3_600)
    told: list[tuple[str, str]] = []

    def hook(level: str, text: str) -> None:
        told.append((level, text))

    async with link_to(gateway, store, clock, notify=hook) as link:
        status = await state_of(link, AccountState.LOGGED_OUT)
        assert (status.connected, status.configured, status.running) == (False, False, False)
        assert status.last_error == EXPIRED
        await until(lambda: bool(told))
        assert told == [("error", RE_PAIR)]
        assert gateway.counters.dials == gateway.counters.refresh_posts == 1  # no WebSocket at all
        assert stored_pair(store.path) is None
        clock.advance(3_600)
        assert gateway.counters.refresh_posts == 1
    assert [row.kind for row in history(store)] == ["refresh", "logout"]


@pytest.mark.rule("P23", "S0-48")
@pytest.mark.parametrize("call", ["refresh", "stop", "logout", "raise", "hang"])
async def test_a_hook_may_call_the_link_and_may_fail(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, call: str
) -> None:
    issued = pair(gateway, store, clock)
    gateway.revoke(issued.user_id)
    clock.advance(23 * 3_600)
    called, done = asyncio.Event(), asyncio.Event()
    link: Link

    async def hook(level: str, text: str) -> None:
        called.set()
        if call == "raise":
            raise RuntimeError("the hook is broken")
        await {"refresh": link.refresh, "stop": link.stop, "logout": link.logout, "hang": asyncio.Event().wait}[call]()
        done.set()

    link = link_to(gateway, store, clock, notify=hook)
    async with link:
        await soon(_of(asyncio.create_task(_waited(called))))
        if call in ("refresh", "logout"):
            await soon(_waited(done))
        if call != "stop":
            assert link.status.state is AccountState.LOGGED_OUT
            await soon(link.activate(gateway.pairing_code()))
            await ready(link)
    assert link.status.state is AccountState.STOPPED


async def _waited(flag: asyncio.Event) -> None:
    await flag.wait()


@pytest.mark.rule("P50")
async def test_a_hook_that_cannot_be_ended_does_not_hold_the_stop(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    issued = pair(gateway, store, clock)
    gateway.revoke(issued.user_id)
    clock.advance(23 * 3_600)
    let_go = asyncio.Event()
    mine: list[asyncio.Task[Any] | None] = []

    async def hook(level: str, text: str) -> None:
        mine.append(asyncio.current_task())
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    async with link_to(gateway, store, clock, notify=hook, policy=STRICT.scaled(0.01)) as link:
        await until(lambda: bool(mine))
    assert link.status.state is AccountState.STOPPED
    assert "left behind a notification hook" in caplog.text
    let_go.set()
    await until(lambda: all(task is None or task.done() for task in mine))
    assert link._task is not None
    await asyncio.wait((link._task,), timeout=LIMIT_S)


@pytest.mark.rule("P10", "S0-25")
async def test_no_deadline_of_the_handshake_runs_while_a_refresh_is_awaited(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    gateway.inject("hello", "refuse")
    gateway.inject("refresh", "hold")
    async with link_to(gateway, store, clock) as link:
        await held(gateway, "refresh")
        assert link.status.state is AccountState.REFRESHING
        clock.advance(STRICT.handshake_s * 10)
        assert link.status.state is AccountState.REFRESHING
        gateway.release()
        await ready(link)
    assert gateway.counters.connects == 2
    assert gateway.counters.refresh_posts == 1


@pytest.mark.rule("S1-20", "S1-25", "S0-24", "S0-15", "V15")
async def test_a_token_is_renewed_before_it_expires_and_the_session_moves_to_it(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock, policy=_deaf()) as link:
        await ready(link)
        clock.advance(21.5 * 3_600)
        assert gateway.counters.refresh_posts == 0
        clock.advance(1 * 3_600)
        await seen(gateway, lambda found: found.counters.hellos == 2)
        await ready(link)
        assert gateway.counters.refresh_posts == 1
        assert link.status.token_expires_at == pytest.approx(clock.wall + 86_400, abs=60)


def _deaf() -> Any:
    """A policy without heartbeat, so that a day can go by at once."""
    return msgspec.structs.replace(STRICT, ping_s=10 * 86_400.0)


@pytest.mark.rule("S1-22", "V22", "P13", "P12")
async def test_a_failed_renewal_leaves_the_session_alone_and_is_tried_again(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    gateway.outage()
    async with link_to(gateway, store, clock, policy=_deaf()) as link:
        gateway.outage(down=False)
        await ready(link) if not link.status.connected else None
        gateway.inject("refresh", "status", times=2)
        clock.advance(22.5 * 3_600)
        await status_of(link, lambda status: "HTTP 503" in status.last_error or "503" in status.last_error)
        assert link.status.connected
        clock.advance(60)
        await seen(gateway, lambda found: found.counters.refresh_posts == 2)
        await until(lambda: _matches(link, "refresh/waiting"))
        clock.advance(120)
        await seen(gateway, lambda found: found.counters.refreshes == 1)
        await until(lambda: store.read(DEFAULT_ACCOUNT).generation == 2)


# -- stores that fail ------------------------------------------------------------------------------------------


@pytest.mark.rule("V01", "V02", "P07", "S0-17", "S0-18", "S1-15")
async def test_a_pair_that_the_store_refuses_is_held_and_stored_later(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    store.broken = {"rotate"}
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        outcome = await soon(link.refresh())
        assert outcome.outcome == "transient"
        assert "cannot be stored" in link.status.reason
        assert (await soon(link.refresh())).outcome == "transient"
        assert (await link.rest.get("/v1/users/me")).status_code == 200  # with the old pair
        for _ in range(5):
            clock.advance(STRICT.store_retry_cap_s)
        assert store.failures >= 5
        assert gateway.counters.refresh_posts == 1
        store.broken = set()
        clock.advance(STRICT.store_retry_cap_s)
        assert link.status.reason == ""
        assert stored_pair(store.path) == store.read(DEFAULT_ACCOUNT).pair
        assert (await link.rest.get("/v1/users/me")).status_code == 200
        clock.advance(STRICT.refresh_interval_s)
        assert (await soon(link.refresh())).outcome == "success"
    assert once(gateway)


@pytest.mark.rule("V02", "P06")
async def test_an_intent_that_cannot_be_noted_is_not_posted(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    store.broken = {"begin_refresh"}
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        assert (await soon(link.refresh())).outcome == "transient"
        assert gateway.counters.refresh_posts == 0
        store.broken = set()
        clock.advance(2 * STRICT.refresh_retry_cap_s)
        await seen(gateway, lambda found: found.counters.refreshes == 1)
        await until(lambda: store.read(DEFAULT_ACCOUNT).generation == 2)


@pytest.mark.rule("S0-45", "S0-47")
async def test_a_logout_that_cannot_be_stored_is_told_and_tried_again(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        store.broken = {"clear"}
        await soon(link.logout())
        assert link.status.state is AccountState.LOGGED_OUT
        assert "could not be blanked" in link.status.reason
        with pytest.raises(NotPaired):
            await link.rest.get("/v1/users/me")
        assert stored_pair(store.path) is not None
        store.broken = set()
        clock.advance(STRICT.store_retry_cap_s)
        assert stored_pair(store.path) is None


async def test_a_store_that_cannot_be_read_is_tried_again(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    store.broken = {"read"}
    async with link_to(gateway, store, clock) as link:
        assert "cannot be read" in link.status.reason
        store.broken = set()
        clock.advance(STRICT.store_retry_base_s)
        await ready(link)


async def test_a_history_that_cannot_be_written_stops_nothing(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    store.broken = {"record"}
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        assert (await soon(link.refresh())).outcome == "success"
    assert store.failures > 0


# -- the mirror ------------------------------------------------------------------------------------------------


@pytest.mark.rule("S0-20", "S0-22", "V01", "P07")
async def test_a_mirror_that_fails_stops_nothing_and_is_written_later(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, tmp_path: Path
) -> None:
    pair(gateway, store, clock)
    file = tmp_path / "config.json"
    file.write_text('{"mine": 1, "channel": {"token": "", "color": "red"}}')
    mirror = ConfigMirror(file, ("channel",))
    async with link_to(gateway, store, clock, mirror=mirror) as link:
        await ready(link)
        assert mirror.read() == store.read(DEFAULT_ACCOUNT).pair
        file.write_text("{ broken")
        assert (await soon(link.refresh())).outcome == "success"
        assert link.status.connected
        assert file.read_text() == "{ broken"
        file.write_text('{"mine": 1, "channel": {"token": "", "color": "red"}}')
        clock.advance(STRICT.mirror_retry_cap_s)
        assert mirror.read() == store.read(DEFAULT_ACCOUNT).pair
        assert '"color": "red"' in file.read_text()
        file.write_text("{ broken")
        await soon(link.logout())
        assert link.status.state is AccountState.LOGGED_OUT
        file.write_text('{"channel": {"token": "stale-token", "refreshToken": "stale-refresh"}}')
        clock.advance(STRICT.mirror_retry_cap_s)
        assert mirror.read() is None


@pytest.mark.rule("P08", "S0-22")
async def test_the_mirror_has_the_refresh_token_of_its_pair_or_none(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_refresh = ClawChat.read_refresh

    def without_refresh_token(self: ClawChat, response: httpx.Response) -> NotRotated | Rotated:
        answer = read_refresh(self, response)
        return Rotated(TokenPair(answer.pair.access)) if isinstance(answer, Rotated) else answer

    monkeypatch.setattr(ClawChat, "read_refresh", without_refresh_token)
    issued = pair(gateway, store, clock)
    mirror = ConfigMirror(tmp_path / "config.json", ())
    async with link_to(gateway, store, clock, mirror=mirror) as link:
        await ready(link)
        assert (await soon(link.refresh())).outcome == "success"
        kept = mirror.read()
        assert kept is not None
        assert (kept.access != issued.access_token, kept.refresh) == (True, issued.refresh_token)
        store.activate(DEFAULT_ACCOUNT, TokenPair("access-of-another-pairing"), Identity(device_id=DEVICE), clock.wall)
        link._running().look()
        await until(lambda: mirror.read() == TokenPair("access-of-another-pairing", None))


@pytest.mark.rule("V03", "V04", "P22", "S0-06", "S0-07")
async def test_an_account_from_a_configuration_survives_two_refreshes_in_a_row(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, tmp_path: Path
) -> None:
    issued = gateway.issue(device_id="clawchat-plugin-openclaw")
    mirror = ConfigMirror(tmp_path / "config.toml", ("channel",))
    mirror.write(TokenPair(issued.access_token, issued.refresh_token))
    async with link_to(gateway, store, clock, mirror=mirror) as link:
        await ready(link)
        assert store.read(DEFAULT_ACCOUNT).obtained_at is None
        for _ in range(3):
            assert (await soon(link.refresh())).outcome == "success"
            clock.advance(STRICT.refresh_interval_s)
            gateway.drop()
            await state_of(link, AccountState.BACKOFF)
            clock.advance(STRICT.drop_floor_s)
            await ready(link)
        assert mirror.read() == store.read(DEFAULT_ACCOUNT).pair
    assert gateway.counters.refresh_posts == 3
    assert once(gateway)


# -- devices ---------------------------------------------------------------------------------------------------


@pytest.mark.rule("S0-14")
async def test_the_device_that_the_gateway_resolved_is_presented_from_the_next_dial_on(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    gateway.resolve_device(issued.user_id, "dev-resolved")
    moving = msgspec.structs.replace(STRICT, refresh_causes_reconnecting=("user",))
    async with link_to(gateway, store, clock, policy=moving) as link:
        await ready(link)
        assert link.status.device_id == "dev-resolved"
        gateway.resolve_device(issued.user_id, None)
        assert (await soon(link.refresh())).outcome == "success"  # which names the pairing's, and dials again at once
        await seen(gateway, lambda found: found.counters.hellos == 2)
        assert gateway.sessions == ((issued.user_id, "dev-resolved"),)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        assert gateway.sessions == ((issued.user_id, "dev-resolved"),)


@pytest.mark.rule("S0-08", "S1-39")
async def test_a_row_without_a_device_uses_the_constant(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock, device_id="clawchat-plugin-openclaw")
    store.activate(DEFAULT_ACCOUNT, TokenPair(issued.access_token, issued.refresh_token), Identity(), clock.wall)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        assert gateway.sessions == ((issued.user_id, "clawchat-plugin-openclaw"),)
        assert (await soon(link.refresh())).outcome == "success"


async def test_a_configured_device_is_used_verbatim_for_everything(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    async with link_to(gateway, store, clock, device_id="Mein Gerät") as link:
        await soon(link.activate(gateway.pairing_code()))
        await ready(link)
        assert link.status.device_id == "Mein Gerät"
        assert (await soon(link.refresh())).outcome == "success"
        assert (await link.rest.get("/v1/users/me")).status_code == 200
    assert store.read(DEFAULT_ACCOUNT).device_id == "Mein Gerät"


# -- pairing ---------------------------------------------------------------------------------------------------


async def test_a_code_that_is_refused_changes_nothing(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        with pytest.raises(PairingFailed) as failed:
            await soon(link.activate("no-such-code"))
        assert failed.value.code == 16000
        assert link.status.connected
        code = gateway.pairing_code()
        await soon(link.activate(code))
        await seen(gateway, lambda found: found.counters.hellos == 2)
        with pytest.raises(PairingFailed):
            await soon(link.activate(code))


async def test_a_memory_store_does_as_well(gateway: Gateway, clock: VirtualClock) -> None:
    store = MemoryStore()
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        assert (await soon(link.refresh())).outcome == "success"
        await soon(link.logout())
    assert store.read(DEFAULT_ACCOUNT).pair is None
