"""Links over real sockets, real HTTP and real SQLite against the sandbox, on a clock that the test moves."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from holdfast import (
    AccountState,
    ClawChat,
    CredentialStore,
    Identity,
    Link,
    SqliteStore,
    Status,
    StoreUnavailable,
    TokenPair,
    connect,
)
from holdfast.adapters import DEFAULT_ACCOUNT, HistoryRow
from holdfast.sandbox import Credentials, Gateway
from holdfast.testing import VirtualClock

LIMIT_S = 30  # For what should take milliseconds: a broken test ends, a slow machine breaks none.
DEVICE = "dev-paired"

T = TypeVar("T")


async def soon(work: Awaitable[T]) -> T:
    """Its result, or a failed test."""
    async with asyncio.timeout(LIMIT_S):
        return await work


def link_to(gateway: Gateway, store: CredentialStore, clock: VirtualClock, **options: Any) -> Link:
    return connect(gateway.ws_url, dialect=ClawChat(), store=store, clock=clock, **options)


def pair(gateway: Gateway, store: CredentialStore, clock: VirtualClock, *, device_id: str = DEVICE) -> Credentials:
    """Credentials as of now, stored, of a pairing that had its first session."""
    issued = gateway.issue(device_id=device_id)
    identity = Identity(
        device_id=device_id, user_id=issued.user_id, owner_id=issued.owner_id, conversation_id=issued.conversation_id
    )
    tokens = TokenPair(issued.access_token, issued.refresh_token)
    store.greet(DEFAULT_ACCOUNT, store.activate(DEFAULT_ACCOUNT, tokens, identity, clock.wall))
    return issued


async def status_of(link: Link, wanted: Callable[[Status], bool]) -> Status:
    """The first status, from now on, that is wanted."""
    async with asyncio.timeout(LIMIT_S):
        async for status in link.statuses():
            if wanted(status):
                return status
    raise AssertionError(f"the link stopped as {link.status}")


async def state_of(link: Link, state: AccountState) -> Status:
    return await status_of(link, lambda status: status.state is state)


async def ready(link: Link) -> Link:
    await link.wait_ready(LIMIT_S)
    return link


async def seen(gateway: Gateway, wanted: Callable[[Gateway], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        await gateway.wait(wanted)


def retry_now(link: Link, clock: VirtualClock) -> None:
    """Let just so much time go by that the link dials again: more would be a handshake that takes long."""
    assert link.status.retry_at is not None
    clock.advance(link.status.retry_at - clock.wall + 0.001)


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop turn until something holds that nobody is told of."""
    async with asyncio.timeout(LIMIT_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def event(gateway: Gateway, name: str, times: int = 1) -> None:
    """Wait until the gateway has noted it so often."""
    await seen(gateway, lambda found: sum(entry.event == name for entry in found.events) >= times)


async def held(gateway: Gateway, point: str, times: int = 1) -> None:
    """Wait until so many answers were held back."""
    await seen(gateway, lambda found: [entry.detail for entry in found.events].count(f"{point}: hold") >= times)


def history(store: CredentialStore, kind: str | None = None) -> list[HistoryRow]:
    """Oldest first."""
    return [row for row in reversed(store.history(DEFAULT_ACCOUNT)) if kind in (None, row.kind)]


def stored_pair(path: Path) -> TokenPair | None:
    """What another process would find on the disk."""
    other = SqliteStore(path)
    try:
        return other.read(DEFAULT_ACCOUNT).pair
    finally:
        other.close()


def open_sockets() -> set[str]:
    """The sockets of this process, where the system tells."""
    found: set[str] = set()
    folder = Path("/proc/self/fd")
    for name in os.listdir(folder) if folder.exists() else ():  # noqa: PTH208  # names, not paths
        try:
            target = os.readlink(folder / name)  # noqa: PTH115  # no file, a name of the kernel's
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


class FaultyStore(SqliteStore):
    """A store whose named methods fail."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self.broken: set[str] = set()
        self.failures = 0

    def _check(self, name: str) -> None:
        if name in self.broken:
            self.failures += 1
            raise StoreUnavailable(self.path, "the disk is full")

    def rotate(self, account: str, generation: int, pair: TokenPair, now_wall: float) -> int | None:
        self._check("rotate")
        return super().rotate(account, generation, pair, now_wall)

    def clear(self, account: str, generation: int | None = None) -> int | None:
        self._check("clear")
        return super().clear(account, generation)

    def greet(self, account: str, generation: int) -> bool:
        self._check("greet")
        return super().greet(account, generation)

    def begin_refresh(self, account: str, generation: int, now_wall: float) -> bool:
        self._check("begin_refresh")
        return super().begin_refresh(account, generation, now_wall)

    def read(self, account: str) -> Any:
        self._check("read")
        return super().read(account)

    def record(self, account: str, row: HistoryRow) -> None:
        self._check("record")
        super().record(account, row)
