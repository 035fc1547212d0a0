"""The same over real sockets: what the transport adds are limits, and they hold."""

from collections import Counter
from collections.abc import AsyncGenerator
from typing import Final

import pytest

from holdfast import AccountState, Link, MemoryStore, Message
from holdfast.adapters import Inbound
from holdfast.sandbox import Credentials, Gateway, GatewaySettings, serve
from holdfast.statecharts import FrameRejected
from holdfast.testing import VirtualClock

from ..link.kit import LIMIT_S, link_to, pair, ready, retry_now, soon, state_of
from .corpus import AFTERWARDS, frame
from .harness import CONTROLS, DIALECT, FRAMES
from .mutation import LONG, Data, mutated, rng

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("settled")]

SEED = 20260103
BATCH: Final = 100


@pytest.fixture
async def gateway(clock: VirtualClock, settled: None) -> AsyncGenerator[Gateway, None]:
    settings = GatewaySettings(ping_interval_s=0, connect_limit_s=10 * LIMIT_S)
    async with serve(settings=settings, wall=lambda: clock.wall) as running:
        yield running
        assert [event for event in running.events if event.event == "internal-error"] == []


def _case(number: int) -> Data:
    chance = rng(SEED, number)
    data = mutated(chance, frame(chance.choice(AFTERWARDS), number))
    try:
        data.encode() if isinstance(data, str) else None
    except UnicodeEncodeError:  # no text frame could hold it
        assert isinstance(data, str)
        return data.encode("utf-8", "surrogatepass")
    return data


async def _taken_until(link: Link, message_id: str) -> list[Inbound]:
    found: list[Inbound] = []
    async for inbound in link.inbound():
        if isinstance(inbound, Message) and inbound.message_id == message_id:
            return found
        if inbound.raw:
            found.append(inbound)
    raise AssertionError("the link has ended")


async def push_all(link: Link, gateway: Gateway, issued: Credentials, cases: int) -> Counter[str]:
    """What became of so many frames, batch by batch: each was delivered, reported, or of no use."""
    fates = Counter[str]()
    assert link._runner is not None
    dropped = link._runner.driver.unhandled
    for first in range(0, cases, BATCH):
        pushed = [_case(number) for number in range(first, first + BATCH)]
        bad, former = link.bad_frames, sum(dropped[name] for name in FRAMES)
        for data in pushed:
            assert gateway.push_raw(issued.user_id, data) == 1
        last = gateway.push_message(issued.user_id, text="the last of them")
        taken = await soon(_taken_until(link, last))
        decoded = [DIALECT.decode(0, data) for data in pushed]
        rejected = sum(isinstance(each.event, FrameRejected) for each in decoded)
        controls = Counter(type(each.event).__name__ for each in decoded if type(each.event).__name__ in CONTROLS)
        used = controls.total() - (sum(dropped[name] for name in FRAMES) - former)
        assert link.bad_frames - bad == rejected
        assert 0 <= used <= controls["ReplayFinished"]  # which has receipts sent that are due
        expected = [data for data, each in zip(pushed, decoded, strict=True) if each.inbound is not None]
        assert [inbound.raw for inbound in taken] == expected, f"seed {SEED}, from case {first}"
        fates.update(rejected=rejected, delivered=len(taken), dropped=controls.total() - used, used=used)
        assert await soon(link.send(issued.conversation_id, "still there?"))
    assert fates.total() == cases
    return fates


async def test_some_frames_over_a_socket(gateway: Gateway, clock: VirtualClock) -> None:
    store = MemoryStore()
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        fates = await push_all(await ready(link), gateway, issued, 300)
    assert min(fates[fate] for fate in ("rejected", "delivered", "dropped")) > 0
    assert gateway.counters.hellos == 1


@pytest.mark.slow
async def test_thousands_of_frames_over_a_socket(gateway: Gateway, clock: VirtualClock) -> None:
    store = MemoryStore()
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await push_all(await ready(link), gateway, issued, 4_000)
    assert gateway.counters.hellos == 1


TOO_MUCH: Final[dict[str, tuple[Data, str]]] = {
    "8 MiB of text": ("x" * LONG, "1009"),
    "8 MiB of bytes": (b"\x00" * LONG, "1009"),
    "8 MiB of message": ('{"event":"message.send","payload":{"message_id":"m","a":"' + "x" * LONG + '"}}', "1009"),
}


@pytest.mark.parametrize("what", TOO_MUCH)
async def test_frames_that_are_too_long_end_their_session_and_the_waits_grow(
    gateway: Gateway, clock: VirtualClock, what: str
) -> None:
    store = MemoryStore()
    issued = pair(gateway, store, clock)
    data, code = TOO_MUCH[what]
    waits: list[float] = []
    async with link_to(gateway, store, clock) as link:
        for round_ in range(4):
            await ready(link)
            gateway.push_raw(issued.user_id, data)
            status = await state_of(link, AccountState.BACKOFF)
            assert code in status.last_error
            assert status.retry_at is not None
            waits.append(status.retry_at - clock.wall)
            assert gateway.counters.hellos == round_ + 1  # nobody dials before its time
            retry_now(link, clock)
        await ready(link)
        last = gateway.push_message(issued.user_id, text="the next session is a good one")
        assert await soon(_taken_until(link, last)) == []
        assert link.bad_frames == 0
    assert waits == sorted(waits)
    assert waits[-1] > 2 * waits[0] > 0


async def test_a_frame_just_within_the_limit_is_read(gateway: Gateway, clock: VirtualClock) -> None:
    store = MemoryStore()
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        for data in ("x" * (LONG // 2), b"\xff" * (LONG // 2)):
            gateway.push_raw(issued.user_id, data)
        last = gateway.push_message(issued.user_id)
        assert await soon(_taken_until(link, last)) == []
        assert link.bad_frames == 2
    assert gateway.counters.hellos == 1
