"""A clock, a gateway that shares it, a store on disk; and the proof that a test leaves nothing behind."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from holdfast.sandbox import Gateway, GatewaySettings, serve
from holdfast.testing import VirtualClock

from .kit import LIMIT_S, FaultyStore, open_sockets

TURNS = 100


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def nothing_left(clock: VirtualClock) -> AsyncGenerator[None, None]:
    """No task, no socket, no timer (P33)."""
    tasks, sockets = _tasks(), open_sockets()
    yield
    for _ in range(TURNS):
        if not open_sockets() - sockets:
            break
        await asyncio.sleep(0)  # a closed transport gives its socket back in one of the loop's next turns
    assert _tasks() - tasks == set()
    assert open_sockets() - sockets == set()
    assert clock.pending == 0


def _tasks() -> set[str]:
    """What runs, apart from the test runner's own."""
    return {repr(task) for task in asyncio.all_tasks() if "TestRunner" not in repr(task)}


@pytest.fixture
async def gateway(clock: VirtualClock, nothing_left: None) -> AsyncGenerator[Gateway, None]:
    settings = GatewaySettings(ping_interval_s=0, connect_limit_s=10 * LIMIT_S)
    async with serve(settings=settings, wall=lambda: clock.wall) as running:
        yield running
        assert [event for event in running.events if event.event == "internal-error"] == []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Generator[FaultyStore, None, None]:
    made = FaultyStore(path)
    yield made
    made.close()
