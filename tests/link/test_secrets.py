"""A whole life under a gateway that repeats every secret it hears: none is in anything that can be shown (P60)."""

import asyncio
import json
import logging
import traceback
from collections import deque
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
import pytest

from holdfast import AccountState, HoldfastError, Link, PairingFailed, SendRefused
from holdfast.adapters import DEFAULT_ACCOUNT, Driver
from holdfast.engine import Command, Event, dump
from holdfast.sandbox import Gateway
from holdfast.statecharts import STRICT
from holdfast.testing import VirtualClock

from .kit import FaultyStore, history, link_to, ready, retry_now, seen, soon, state_of, until

pytestmark = pytest.mark.anyio

PIECE = 12
LOGGERS = ("", "holdfast", "httpx", "httpcore", "websockets", "asyncio", "anyio")


class Witness(logging.Handler):
    """Takes down everything that can be shown, and looks for pieces of secrets in it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
        self.shown: list[tuple[str, str]] = []
        self.pieces: set[str] = set()

    def hide(self, *secrets: str | None) -> None:
        for secret in secrets:
            if secret:
                self.pieces.update(secret[at : at + PIECE] for at in range(max(1, len(secret) - PIECE + 1)))

    def hide_stored(self, store: FaultyStore) -> None:
        pair = store.read(DEFAULT_ACCOUNT).pair
        if pair is not None:
            self.hide(pair.access, pair.refresh)

    def emit(self, record: logging.LogRecord) -> None:
        self.saw("log", f"{self.format(record)} {record.args!r}")

    def saw(self, where: str, what: object) -> None:
        text = (
            what if isinstance(what, str) else what.decode(errors="replace") if isinstance(what, bytes) else repr(what)
        )
        self.shown.append((where, text))

    def leaks(self) -> list[tuple[str, str]]:
        lengths = {len(piece) for piece in self.pieces}
        return [
            (where, text)
            for where, text in self.shown
            if any(text[at : at + length] in self.pieces for length in lengths for at in range(len(text)))
        ]

    # -- what it looks at ------------------------------------------------------------------------------------

    def look_at(self, link: Link) -> None:
        """The repr of everything of ours, and of the libraries' objects, that can be reached from the link."""
        for thing in reachable(link):
            self.saw(f"repr of {type(thing).__name__}", repr(thing))
        for task in asyncio.all_tasks():
            self.saw("task", repr(task))
        assert link._runner is not None
        driver = link._runner.driver
        self.saw("snapshot", dump(driver.snapshot, link._runner.settings.clock.stamp()))
        self.saw("status", msgspec.json.encode(link.status))

    def caught(self, error: BaseException) -> None:
        self.saw("error", f"{error} {error!r} {error.args!r} {vars(error)!r}")
        self.saw("traceback", "".join(traceback.format_exception(error)))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "/adapters/" in frame.f_code.co_filename or "/src/holdfast/" in frame.f_code.co_filename:
                # The pairing code is the caller's own argument, and used up by then.
                shown = {name: value for name, value in frame.f_locals.items() if name != "code"}
                self.saw(f"locals of {frame.f_code.co_qualname}", repr(shown))


def reachable(root: object) -> Iterator[object]:
    seen_ids: set[int] = set()
    waiting: deque[object] = deque([root])
    while waiting:
        thing = waiting.popleft()
        if id(thing) in seen_ids or isinstance(thing, str | bytes | int | float | None | type):
            continue
        seen_ids.add(id(thing))
        if isinstance(thing, dict):
            waiting.extend(cast(Iterable[Any], thing.values()))
        elif isinstance(thing, list | tuple | set | frozenset | deque):
            waiting.extend(cast(Iterable[Any], thing))
        elif type(thing).__module__.split(".")[0] in ("holdfast", "httpx", "httpcore", "websockets"):
            if type(thing).__module__.startswith("holdfast.engine.tables"):
                continue  # the compiled chart, which is the same for everybody
            yield thing
            waiting.extend(_parts(thing))


def _parts(thing: object) -> Iterator[object]:
    yield from getattr(thing, "__dict__", {}).values()
    for kind in type(thing).__mro__:
        for name in getattr(kind, "__slots__", ()):
            if hasattr(thing, name):
                yield getattr(thing, name)
    for name in getattr(type(thing), "__struct_fields__", ()):
        yield getattr(thing, name)


@pytest.fixture
def witness(monkeypatch: pytest.MonkeyPatch) -> Generator[Witness, None, None]:
    watching = Witness()
    dispatch, execute = Driver.dispatch, Driver._execute

    def dispatched(self: Driver, event: Event, attachment: Any = None) -> None:
        watching.saw("event", event)
        dispatch(self, event, attachment)

    def executed(self: Driver, commands: tuple[Command, ...]) -> None:
        watching.saw("commands", commands)
        execute(self, commands)

    monkeypatch.setattr(Driver, "dispatch", dispatched)
    monkeypatch.setattr(Driver, "_execute", executed)
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger().addHandler(watching)
    yield watching
    logging.getLogger().removeHandler(watching)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


class Parrot:
    """A REST service that answers with what it was told, headers and all. ``form`` has a place for it."""

    def __init__(self) -> None:
        self.form = '{"code": 1, "message": %s}'
        self.status = 200
        self.heard = asyncio.Event()
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lengths = [line.split(":")[1] for line in head.split("\r\n") if line.lower().startswith("content-length")]
        told = head + (await reader.readexactly(int(lengths[0]))).decode() if lengths else head
        body = (self.form % json.dumps(told)).encode()
        writer.write(f"HTTP/1.1 {self.status} OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode())
        writer.write(body)
        await writer.drain()
        writer.close()
        self.heard.set()


@asynccontextmanager
async def parrot() -> AsyncGenerator[Parrot, None]:
    bird = Parrot()
    server = await asyncio.start_server(bird.answer, "127.0.0.1", 0)
    bird.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield bird


async def _failing(witness: Witness, kind: type[BaseException], work: Any) -> None:
    try:
        await soon(work)
    except kind as error:
        witness.caught(error)
    else:
        pytest.fail(f"no {kind.__name__}")


@pytest.mark.rule("P60")
async def test_no_secret_is_shown_anywhere(
    gateway: Gateway,
    store: FaultyStore,
    clock: VirtualClock,
    witness: Witness,
    capfd: pytest.CaptureFixture[str],
) -> None:
    asyncio.get_running_loop().set_debug(True)
    try:
        async with parrot() as bird:
            await _life_with_the_sandbox(gateway, store, clock, witness)
            await _life_with_the_parrot(gateway, store, clock, witness, bird)
    finally:
        asyncio.get_running_loop().set_debug(False)
    witness.saw("stdout and stderr", "".join(capfd.readouterr()))
    for row in history(store):
        witness.saw("history", row)
    assert len(witness.pieces) > 1_000
    assert {"log", "event", "commands", "snapshot", "status", "error", "repr of Vault"} <= {w for w, _ in witness.shown}
    assert witness.leaks() == []


async def _life_with_the_sandbox(gateway: Gateway, store: FaultyStore, clock: VirtualClock, witness: Witness) -> None:
    """Pair, connect, be refused, closed and garbled with the own tokens quoted; refresh; be logged out."""

    def hook(level: str, text: str) -> None:
        raise RuntimeError(f"the hook knows {secret}")

    async with link_to(gateway, store, clock, notify=hook) as link:
        code = gateway.pairing_code()
        witness.hide(code, "no-such-pairing-code")
        await _failing(witness, PairingFailed, link.activate("no-such-pairing-code"))
        await soon(link.activate(code))
        await ready(link)
        witness.hide_stored(store)
        stored = store.read(DEFAULT_ACCOUNT)
        assert stored.pair is not None
        assert stored.pair.refresh is not None
        assert stored.user_id is not None
        user_id, secret = stored.user_id, stored.pair.access
        witness.look_at(link)

        for reason in (secret, stored.pair.refresh, secret[40:60], f"because of {secret[:30]}"):
            gateway.inject("send", "refuse", reason=reason)
            await _failing(witness, SendRefused, link.send(stored.conversation_id or "", "hello"))
        gateway.push_raw(user_id, f"no JSON but {secret}")
        gateway.push_raw(user_id, json.dumps({"event": secret, "payload": {"x": secret}})[:-2])
        await until(lambda: link.bad_frames == 2)

        gateway.resolve_device(user_id, f"device {secret[:100]}")
        for reason in (f"authentication failed {secret}", f"bye {secret[10:50]}"):
            gateway.kick(code=4000, reason=secret[:100])
            await state_of(link, AccountState.BACKOFF)
            gateway.inject("hello", "refuse", reason=reason)
            retry_now(link, clock)
            if reason.startswith("bye"):  # says nothing of the token: no refresh, but a wait
                await until(lambda: link.status.last_error.startswith("bye"))
                witness.look_at(link)
                retry_now(link, clock)
            await seen(gateway, lambda found: bool(found.sessions))
            await ready(link)
            witness.hide_stored(store)
        assert link.status.device_id == ""

        clock.advance(STRICT.refresh_interval_s)
        gateway.inject("rest", "status", status=401)
        assert (await soon(link.rest.get("/v1/users/me"))).status_code == 200
        witness.hide_stored(store)
        gateway.inject("rest", "drop")
        await _failing(witness, Exception, link.rest.get("/v1/users/me"))
        for kind in ("status", "garbage", "drop"):
            clock.advance(STRICT.refresh_interval_s)
            gateway.inject("refresh", kind)
            assert (await soon(link.refresh())).outcome == "transient"
            witness.hide_stored(store)
        store.broken = {"rotate"}
        clock.advance(STRICT.refresh_retry_cap_s)
        witness.saw("outcome", await soon(link.refresh()))
        witness.look_at(link)
        assert link._runner is not None
        if (held := link._runner.vault._pending) is not None:
            witness.hide(held[1].access, held[1].refresh)
        store.broken = set()
        clock.advance(STRICT.refresh_retry_cap_s)
        await soon(link.refresh())
        witness.hide_stored(store)

        gateway.revoke(user_id)
        clock.advance(2 * STRICT.refresh_retry_cap_s)
        witness.saw("outcome", await soon(link.refresh()))
        await state_of(link, AccountState.LOGGED_OUT)
        witness.look_at(link)
        await until(lambda: any("hook failed" in text for _, text in witness.shown))
    witness.look_at(link)
    for call in (link.refresh(), link.logout()):
        await _failing(witness, HoldfastError, call)


async def _life_with_the_parrot(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, witness: Witness, bird: Parrot
) -> None:
    """The REST service quotes whole requests: tokens, pairing codes and headers, in messages and in junk."""
    async with link_to(gateway, store, clock) as link:
        await soon(link.activate(code := gateway.pairing_code()))
        witness.hide(code)
        witness.hide_stored(store)
    async with link_to(gateway, store, clock, base_url=bird.url) as link:
        await ready(link)
        witness.hide("a-code-that-the-parrot-repeats")
        await _failing(witness, PairingFailed, link.activate("a-code-that-the-parrot-repeats"))
        for bird.status, bird.form in ((200, '{"code": 1, "message": %s}'), (200, "junk %s"), (500, "%s"), (401, "%s")):
            clock.advance(STRICT.refresh_interval_s)
            outcome = await soon(link.refresh())
            assert outcome.outcome == "transient"
            witness.saw("outcome", outcome)
            witness.look_at(link)
        answer = await soon(link.rest.get("/v1/users/me"))
        assert answer.status_code == 401
        witness.saw("answer", repr(answer))
        bird.status, bird.form = 200, '{"code": 10003, "message": %s}'
        clock.advance(STRICT.refresh_retry_cap_s)
        witness.saw("outcome", await soon(link.refresh()))
        await state_of(link, AccountState.LOGGED_OUT)
        witness.look_at(link)
    await seen(gateway, lambda found: not found.sessions)


@pytest.mark.parametrize("how", ["log", "repr", "error", "piece"])
def test_the_witness_sees_a_leak(witness: Witness, how: str) -> None:
    token = "eyJhbGciOi.JIUzI1NiIsInR5cCI6.IkpXVCJ9-secret"
    witness.hide(token)
    assert witness.leaks() == []
    if how == "log":
        logging.getLogger("websockets.client").debug("> TEXT %s", token)
    elif how == "repr":
        witness.saw("repr", [token])
    elif how == "error":
        witness.caught(HoldfastError(f"refused: {token}"))
    else:
        witness.saw("piece", f"…{token[15:27]}…")
    assert witness.leaks()
