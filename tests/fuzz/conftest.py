"""What a fuzz test has in common with a link's test: a clock, and the proof that nothing is left behind."""

import asyncio
import gc
from collections.abc import AsyncGenerator

import pytest

from ..link.conftest import clock, nothing_left

__all__ = ["clock", "nothing_left"]


@pytest.fixture
async def settled(nothing_left: None) -> AsyncGenerator[None, None]:
    """Nothing left, once httpx's half-read generators are closed, which after a broken encoding is the loop's work."""
    yield
    gc.collect()
    for _ in range(10):
        await asyncio.sleep(0)
