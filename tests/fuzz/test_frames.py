"""Whatever a gateway sends, the link goes on: each frame is delivered, used, or reported, and none is lost."""

import pytest

from holdfast.testing import VirtualClock

from .gateway import MemoryGateway
from .harness import Fuzz, fuzzed_link

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("settled")]

SEED = 20260101


async def fuzz(clock: VirtualClock, cases: int, *, dense: bool, heavy_every: int) -> Fuzz:
    gateway = MemoryGateway()
    async with fuzzed_link(gateway, clock) as books:
        made = Fuzz(books, gateway, seed=SEED + dense, dense=dense, heavy_every=heavy_every)
        await made.run(cases)
        for fate in ("rejected", "dropped", "consumed", "delivered"):
            assert books.fates[fate] > cases // 100, books.fates
        assert gateway.dials > 1
        return made


@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
async def test_a_few_thousand_frames(clock: VirtualClock, dense: bool) -> None:
    await fuzz(clock, 1_200, dense=dense, heavy_every=0)


@pytest.mark.slow
@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
async def test_tens_of_thousands_of_frames(clock: VirtualClock, dense: bool) -> None:
    await fuzz(clock, 46_000, dense=dense, heavy_every=1_000)
