"""Fixtures: a gateway on a free loopback port, and an HTTP client for it."""

from collections.abc import AsyncGenerator

import httpx
import pytest

from holdfast.sandbox import Gateway, serve


class Clock:
    """A wall clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def gateway(clock: Clock) -> AsyncGenerator[Gateway, None]:
    async with serve(wall=clock) as running:
        yield running
        assert [event for event in running.events if event.event == "internal-error"] == []


@pytest.fixture
async def http(gateway: Gateway) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with httpx.AsyncClient(base_url=gateway.base_url, trust_env=False, timeout=10) as client:
        yield client
