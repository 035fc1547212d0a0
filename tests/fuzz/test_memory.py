"""A peer that says a lot is not remembered: what is kept does not grow with what came."""

import gc
import gzip
import json
import tracemalloc
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from holdfast.testing import VirtualClock

from ..link.kit import soon
from .corpus import frame
from .gateway import MemoryGateway
from .harness import Books, Fuzz, fuzzed_link
from .peer import ok
from .requests import REQUESTS, Server, asking

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("settled")]

ID_CHARS = 64 * 1024


@contextmanager
def growth(bytes_max: int) -> Generator[None]:
    """No more than this is kept of what comes meanwhile."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < bytes_max
    finally:
        tracemalloc.stop()


async def test_no_frame_is_kept_once_it_was_handled(clock: VirtualClock) -> None:
    gateway = MemoryGateway()
    async with fuzzed_link(gateway, clock) as books:
        made = Fuzz(books, gateway, seed=7, dense=False, padding=64_000)
        await made.run(64)
        with growth(4_000_000):
            await made.run(made.cases + 192)  # 20 MB in all


@pytest.mark.parametrize("event", ["notify.signal", "chat.metadata.invalidated", "message.send", "message.error"])
async def test_ids_without_end_are_not_kept(clock: VirtualClock, event: str) -> None:
    gateway = MemoryGateway()
    async with fuzzed_link(gateway, clock) as books:
        await _say(books, gateway, event, range(10))
        with growth(4_000_000):
            await _say(books, gateway, event, range(10, 210))  # 13 MB of each id


async def _say(books: Books, gateway: MemoryGateway, event: str, numbers: range) -> None:
    for number in numbers:
        await books.ready()
        long = f"{number}-" + "x" * ID_CHARS
        said = frame(event, number, chat_id=f"cnv_{long}", trace_id=long)
        said["payload"] |= {"message_id": long, "event_id": long, "entity_id": long}
        books.push(gateway.wires[-1].push, json.dumps(said))
        if number % 50 == 0:
            await books.settle(lambda: gateway.wires[-1])
    await books.settle(lambda: gateway.wires[-1])


def _bomb(layers: int) -> bytes:
    """A few kilobytes that are 64 MiB in the end."""
    packed = bytes(64 * 1024 * 1024)
    for _ in range(layers):
        packed = gzip.compress(packed, 1)
    return packed


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("request_", REQUESTS)
async def test_a_bomb_is_never_unpacked(request_: str, layers: int) -> None:
    server = Server()
    server.next = ok(_bomb(layers), b"Content-Encoding: " + b", ".join([b"gzip"] * layers))
    async with asking(server) as (client, rest, url):
        gc.collect()
        tracemalloc.start()
        try:
            assert await soon(REQUESTS[request_](client, rest, url)) in ("PairingFailed", "RestFailed")
            assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
        finally:
            tracemalloc.stop()
