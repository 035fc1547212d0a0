"""Pushes frames into a link and keeps the books: what became of each one."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar

from holdfast import ClawChat, CredentialStore, Identity, Link, MemoryStore, MessageStore, TokenPair, connect
from holdfast.adapters import DEFAULT_ACCOUNT, Inbound, Message, Runner, Signal
from holdfast.statecharts import FrameRejected
from holdfast.testing import VirtualClock

from ..link.kit import soon
from .corpus import AFTERWARDS, HANDSHAKE, SECRET, frame
from .gateway import MemoryGateway, Wire, said
from .mutation import Data, heavy, mutated, rng, shown
from .peer import http_server, ok

DIALECT: Final = ClawChat()
BATCH: Final = 64
TURNS: Final = 50_000
CONTROLS: Final = ("Challenged", "HelloAccepted", "HelloRefused", "ReplayFinished")
FRAMES: Final = (*CONTROLS, "FrameReceived", "FrameRejected", "MessageAcked", "MessageRefused")
FRAGMENT: Final = SECRET[:12]


class LogWatch(logging.Handler):
    """Counts the reports of bad frames, and refuses to see a secret."""

    def __init__(self) -> None:
        super().__init__()
        self.reports = 0
        self.leaks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        self.reports += "a frame could not be understood" in text
        if FRAGMENT in text:
            self.leaks.append(text[:200])


@contextmanager
def watched_logs() -> Generator[LogWatch]:
    watch, root = LogWatch(), logging.getLogger()
    former = root.level
    root.addHandler(watch)
    root.setLevel(logging.INFO)
    try:
        yield watch
    finally:
        root.removeHandler(watch)
        root.setLevel(former)


@asynccontextmanager
async def rotating() -> AsyncGenerator[str, None]:
    """A service that always gives a new pair, which holds the secret."""
    count = 0

    def answer(head: bytes) -> bytes:
        nonlocal count
        count += 1
        pair = f'"access_token":"{SECRET}-{count}","refresh_token":"refresh-of-{SECRET}-{count}"'
        return ok(f'{{"code":0,"data":{{{pair}}}}}'.encode())

    async with http_server(answer) as url:
        yield url


Store = TypeVar("Store", bound=CredentialStore)


def paired(store: Store) -> Store:
    """The store, with a pair to dial with."""
    store.activate(DEFAULT_ACCOUNT, TokenPair(SECRET, f"refresh-of-{SECRET}"), Identity(device_id="dev-9"), 1.8e9)
    return store


class Books:
    """Of one link: each frame that was pushed is in exactly one place."""

    def __init__(self, link: Link, clock: VirtualClock, logs: LogWatch) -> None:
        self.link = link
        self.clock = clock
        self.logs = logs
        self.pushed = 0
        self.fates: Counter[str] = Counter()
        self._frames = link.inbound()
        self._pending: list[tuple[Data, Inbound]] = []
        self._had: set[int] = set()
        self._valid = 0

    @property
    def runner(self) -> Runner:
        found = self.link._runner
        assert found is not None
        return found

    def push(self, wire: Callable[[Data], None], data: Data) -> None:
        """One frame: rejected and reported, of no use at this moment, taken by the chart, or for the user."""
        decoded = DIALECT.decode(0, data)
        was_connected, bad, dropped = self.link.status.connected, self.link.bad_frames, self._dropped()
        self.pushed += 1
        wire(data)
        assert self.runner.driver.failed is None, self.runner.driver.failed
        rejected, dropped = self.link.bad_frames - bad, self._dropped() - dropped
        assert rejected + dropped <= 1
        if rejected:
            assert isinstance(decoded.event, FrameRejected) or SECRET in _text(data)
            self.fates["rejected"] += 1
        elif dropped:
            is_control = type(decoded.event).__name__ in CONTROLS
            assert is_control or not (was_connected and self.link.status.connected), "a frame got lost"
            self.fates["dropped"] += 1
        elif decoded.inbound is None:
            assert type(decoded.event).__name__ in CONTROLS
            self.fates["consumed"] += 1
        else:
            self._pending.append((data, decoded.inbound))

    def _dropped(self) -> int:
        """Frames that the chart has no use for, such as a second challenge, or anything after the end of a session."""
        found = self.runner.driver.unhandled
        return sum(found[name] + found[f"{name} (stale)"] for name in FRAMES)

    async def ready(self) -> None:
        """Wait until the link is connected, and let the time go by that it waits."""
        for turn in range(1, TURNS):
            status = self.link.status
            if status.connected:
                return
            if status.retry_at is not None:
                self.clock.advance(max(0.0, status.retry_at - self.clock.wall) + 0.001)
            elif turn % 500 == 0:
                self.clock.advance(5)
            await asyncio.sleep(0)
        raise AssertionError(f"the link does not connect any more: {self.link.status}")

    async def settle(self, wire: Callable[[], Wire]) -> None:
        """A message as it should be arrives; and so did all that was for the user, in order."""
        for _ in range(5):
            await self.ready()
            self._valid += 1
            data = said("message.send", {"message_id": f"valid-{self._valid}", "message": {}}, chat_id="cnv_1")
            wire().push(data)
            if self.link.status.connected:
                break
        else:
            raise AssertionError("no session lasts for one message")
        await self._take_until(data)
        self.clock.advance(0.25)  # marks are stored, and receipts go out
        await asyncio.sleep(0)
        self._check()

    async def _take_until(self, last: Data) -> None:
        waiting = iter(self._pending)
        while (taken := await soon(self._next())).raw is not last:
            if not taken.raw:
                continue  # not said by the gateway
            while (expected := next(waiting, None)) is not None and expected[0] is not taken.raw:
                self._skip(*expected)
            assert expected is not None, f"not pushed, or not in order: {shown(taken.raw)}"
            self.fates["delivered"] += 1
            self._note(taken)
        for expected in waiting:
            self._skip(*expected)
        self._pending.clear()

    async def _next(self) -> Inbound:
        return await anext(self._frames)

    def _skip(self, data: Data, inbound: Inbound) -> None:
        assert _identity(inbound) in self._had, f"neither delivered nor reported: {shown(data)}"
        self.fates["had"] += 1

    def _note(self, inbound: Inbound) -> None:
        if isinstance(inbound, Message | Signal):
            self._had.add(_identity(inbound))

    def _check(self) -> None:
        assert self.fates.total() == self.pushed
        assert self.fates["rejected"] == self.link.bad_frames == self.logs.reports
        assert self.logs.leaks == []
        assert FRAGMENT not in repr((self.link, self.link.status, self.runner.driver.snapshot, self.runner.vault))
        assert FRAGMENT not in repr(self.link.history(10))
        assert self.link.status.configured


def _identity(inbound: Inbound) -> int:
    named = getattr(inbound, "message_id", None) if isinstance(inbound, Message) else getattr(inbound, "event_id", None)
    return hash((type(inbound).__name__, named))


def _text(data: Data) -> str:
    return data if isinstance(data, str) else data.decode("utf-8", "replace")


class Fuzz:
    """Makes case after case of one seed, in the handshake and after it, and numbers the frames as a gateway would."""

    def __init__(
        self, books: Books, gateway: MemoryGateway, *, seed: int, dense: bool, heavy_every: int = 0, padding: int = 0
    ) -> None:
        self.books = books
        self.cases = 0
        self._gateway = gateway
        self._seed = seed
        self._dense = dense
        self._heavy_every = heavy_every
        self._padding = "x" * padding
        self._number = 0
        self._recent: deque[Data] = deque(maxlen=50)
        gateway.greet = self._greet
        gateway.welcome = self._welcome

    async def run(self, cases: int) -> None:
        """So many cases; between batches, whether all is well."""
        while self.cases < cases:
            for _ in range(BATCH):
                await self.books.ready()
                self._push(self._wire(), AFTERWARDS if self.cases % 100 else ("hello-fail",))
            await self.books.settle(self._wire)
            if self.cases // BATCH % 8 == 0:
                await soon(self.books.link.send("cnv_1", "still there?"))

    def _wire(self) -> Wire:
        return self._gateway.wires[-1]

    def _push(self, wire: Wire, events: tuple[str, ...]) -> None:
        self.cases += 1
        chance = rng(self._seed, self.cases)
        self._number += 1
        numbers = {"dseq": self._number, "seq": 100 + self._number} if self._dense else {"seq": self._number}
        document = frame(chance.choice(events), self.cases, padding=self._padding, **numbers)
        if self._heavy_every and self.cases % self._heavy_every == 0:
            data = heavy(chance, document, self.cases // self._heavy_every)
        elif self._recent and chance.random() < 0.1:
            data = chance.choice(self._recent)  # once more
        else:
            data = mutated(chance, document)
            self._recent.append(data)
        try:
            self.books.push(wire.push, data)
        except BaseException as error:
            error.add_note(f"seed {self._seed}, case {self.cases}: {shown(data)}")
            raise

    def _greet(self, wire: Wire) -> None:
        self._meddle(wire)
        self._sure(wire, "connect.challenge", {"nonce": "n" * 24})

    def _welcome(self, wire: Wire) -> None:
        self._meddle(wire)
        self._number = 0
        granted: dict[str, Any] = {"ack_mode": "dseq", "ack_epoch": "01JX"} if self._dense else {}
        self._sure(wire, "hello-ok", {"device_id": "dev-9", **granted})
        self._sure(wire, "replay.done", {})

    def _meddle(self, wire: Wire) -> None:
        for _ in range(self.cases % 3):
            if wire.is_open:
                self._push(wire, HANDSHAKE if self.cases % 2 else AFTERWARDS)

    def _sure(self, wire: Wire, event: str, payload: dict[str, Any]) -> None:
        if wire.is_open:
            self.books.push(wire.push, said(event, payload))


@asynccontextmanager
async def fuzzed_link(
    gateway: MemoryGateway,
    clock: VirtualClock,
    store: CredentialStore | None = None,
    messages: MessageStore | None = None,
) -> AsyncGenerator[Books, None]:
    """A link to a gateway in memory, and its books."""
    async with rotating() as url:
        link = connect(
            "ws://127.0.0.1:9/ws", base_url=url, dialect=DIALECT, clock=clock, transport=gateway,
            store=paired(store or MemoryStore()), messages=messages,
        )  # fmt: skip
        with watched_logs() as logs:
            async with link:
                yield Books(link, clock, logs)
