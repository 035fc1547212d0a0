"""Whatever a gateway sends, the link goes on: each frame is delivered, used, or reported, and none is lost."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from holdfast import CredentialStore, MessageStore, SqliteMessages, SqliteStore
from holdfast.testing import VirtualClock

from .gateway import MemoryGateway
from .harness import DIALECT, Fuzz, fuzzed_link

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("settled")]

SEED = 20260101


async def fuzz(
    clock: VirtualClock,
    cases: int,
    *,
    dense: bool,
    heavy_every: int = 0,
    store: CredentialStore | None = None,
    messages: MessageStore | None = None,
) -> None:
    gateway = MemoryGateway()
    async with fuzzed_link(gateway, clock, store, messages) as books:
        made = Fuzz(books, gateway, seed=SEED + dense, dense=dense, heavy_every=heavy_every)
        await made.run(cases)
        for fate in ("rejected", "dropped", "consumed", "delivered"):
            assert books.fates[fate] > cases // 100, books.fates
        assert books.fates["had"]
        assert gateway.dials > 1
        assert gateway.receipts


@pytest.mark.rule("P58", "P59", "P60", "P33")
@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
async def test_a_few_thousand_frames(clock: VirtualClock, dense: bool) -> None:
    await fuzz(clock, 1_200, dense=dense)


@pytest.mark.slow
@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
async def test_tens_of_thousands_of_frames(clock: VirtualClock, dense: bool) -> None:
    await fuzz(clock, 46_000, dense=dense, heavy_every=1_000)


async def test_what_frames_leave_on_the_disk_can_be_stored(clock: VirtualClock, tmp_path: Path) -> None:
    store, messages = SqliteStore(tmp_path / "store.db"), SqliteMessages(tmp_path / "messages.db")
    await fuzz(clock, 600, dense=True, store=store, messages=messages)


SHAPES: Final[dict[str, Callable[[int], str]]] = {
    "nested": lambda size: '{"event":"x","dseq":4,"payload":' + "[" * size + "]" * size + "}",
    "nested objects": lambda size: '{"event":"x","payload":' + '{"a":' * size + "1" + "}" * size + "}",
    "never closed": lambda size: '{"event":"message.send","payload":' + "[" * size,
    "fragments": lambda size: _message('"body":{"fragments":[' + '7,{"kind":[]},' * size + "7]}"),
    "mentions": lambda size: _message('"context":{"mentions":[' + '7,"u",{},' * size + "7]}"),
    "names": lambda size: '{"event":7' + ',"a":1' * size + "}",
    "one name": lambda size: '{"event":"x"' + ',"payload":[{}]' * size + "}",
}


def _message(content: str) -> str:
    return '{"event":"message.send","payload":{"message_id":"m","message":{' + content + "}}}"


def _calls(data: str) -> int:
    """How many calls it takes to understand this."""
    count = 0

    def see(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(see)
    try:
        DIALECT.decode(1, data)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("shape", SHAPES)
async def test_twice_as_much_takes_twice_the_work(shape: str) -> None:
    make = SHAPES[shape]
    assert _calls(make(20_000)) < 2.1 * _calls(make(10_000))
