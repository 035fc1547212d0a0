"""Messages both ways: what a sender is told, and what a slow reader does to the socket."""

import asyncio
import json

import pytest

from holdfast import (
    AccountState,
    Ack,
    AckTimeout,
    ConnectionLost,
    Message,
    NotConnected,
    NotPaired,
    NotSupported,
    Other,
    SendRefused,
    Signal,
)
from holdfast.adapters import WebSocketTransport
from holdfast.sandbox import Gateway
from holdfast.statecharts import STRICT
from holdfast.testing import VirtualClock

from .kit import FaultyStore, event, history, link_to, pair, ready, seen, soon, state_of, until

pytestmark = pytest.mark.anyio


async def test_a_message_is_acknowledged(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        ack = await soon(link.send(issued.conversation_id, "hello"))  # waits for the connection by itself
        assert isinstance(ack, Ack)
        (stored,) = gateway.messages(issued.user_id)
        assert (stored.message_id, stored.text) == (ack.message_id, "hello")
        with pytest.raises(NotSupported):
            await link.request("anything")


@pytest.mark.rule("S1-43")
async def test_a_refusal_is_told_with_its_code(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        with pytest.raises(SendRefused) as refused:
            await soon(link.send("cnv_nowhere", "hello"))
        assert refused.value.code == "chat_not_found"
        with pytest.raises(SendRefused):
            await soon(link.send("no chat id", "hello"))


@pytest.mark.rule("P56")
@pytest.mark.parametrize(("kind", "stored"), [("drop", 0), ("lose", 1)])
async def test_what_had_no_answer_is_sent_again_after_the_connection_was_lost_and_stored_once(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, kind: str, stored: int
) -> None:
    issued = pair(gateway, store, clock)
    gateway.inject("send", kind)  # type: ignore[arg-type]
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        sending = asyncio.create_task(link.send(issued.conversation_id, "hello"))
        await state_of(link, AccountState.BACKOFF)
        assert len(gateway.messages(issued.user_id)) == stored
        clock.advance(STRICT.drop_floor_s)
        ack = await soon(sending)
        (message,) = gateway.messages(issued.user_id)
        assert message.message_id == ack.message_id
        assert gateway.counters.messages_received == 2


@pytest.mark.rule("P56")
async def test_without_an_answer_in_time_nobody_knows_whether_it_arrived(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    gateway.inject("send", "never")
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        sending = asyncio.create_task(link.send(issued.conversation_id, "hello", timeout=3))
        await event(gateway, "fault")
        clock.advance(3)
        with pytest.raises(AckTimeout) as late:
            await soon(sending)
        assert late.value.sent == "unknown"
        await soon(link.send(issued.conversation_id, "again"))


async def test_without_a_connection_in_time_it_never_left(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    gateway.inject("hello", "never")
    async with link_to(gateway, store, clock) as link:
        await event(gateway, "fault")
        sending = asyncio.create_task(link.send(issued.conversation_id, "hello", timeout=3))
        await asyncio.sleep(0)
        clock.advance(3)
        with pytest.raises(NotConnected) as late:
            await soon(sending)
        assert late.value.sent == "no"
    assert gateway.counters.messages_received == 0


@pytest.mark.rule("P56", "V39")
@pytest.mark.parametrize("how", ["stop", "logout"])
async def test_what_waits_is_settled_when_the_link_ends(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, how: str
) -> None:
    issued = pair(gateway, store, clock)
    gateway.inject("send", "never", times=None)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        sends = [asyncio.create_task(link.send(issued.conversation_id, f"no {n}")) for n in range(10)]
        await seen(gateway, lambda found: found.counters.messages_received == 1)  # the others wait for its answer
        await soon(link.stop() if how == "stop" else link.logout())
        done, pending = await asyncio.wait(sends, timeout=30)
        assert not pending
        errors = [task.exception() for task in done]
        kind = ConnectionLost if how == "stop" else NotPaired
        told = sorted((type(error).__name__, getattr(error, "sent", "")) for error in errors)
        assert told == [*[(kind.__name__, "no")] * 9, (kind.__name__, "unknown")]


@pytest.mark.rule("P56")
async def test_a_sender_that_waits_for_a_connection_is_told_when_the_link_stops(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    gateway.inject("hello", "never")
    async with link_to(gateway, store, clock) as link:
        sending = asyncio.create_task(link.send(issued.conversation_id, "hello"))
        await event(gateway, "fault")
        await soon(link.stop())
        with pytest.raises(ConnectionLost) as lost:
            await sending
        assert lost.value.sent == "no"


async def test_a_send_may_be_cancelled_and_its_late_ack_is_nobodys(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    gateway.inject("send", "never")
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        sending = asyncio.create_task(link.send(issued.conversation_id, "hello"))
        await event(gateway, "fault")
        sending.cancel()
        await asyncio.wait((sending,))
        assert sending.cancelled()
        following = asyncio.create_task(link.send(issued.conversation_id, "next", timeout=60))
        await asyncio.sleep(0)
        clock.advance(STRICT.ack_s)  # so long it holds its place: it may have arrived
        assert (await soon(following)).message_id


@pytest.mark.rule("P58")
async def test_everything_after_the_hello_is_delivered_in_order(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    for number in range(5):
        gateway.push_message(issued.user_id, text=f"before {number}")
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        gateway.push_signal(issued.user_id, "chat.updated", "cnv_1")
        gateway.push_frame(issued.user_id, "something.new", {"a": 1})
        gateway.push_message(issued.user_id, text="after")
        got: list[object] = []
        async with asyncio.timeout(30):
            async for frame in link.inbound():
                got.append(frame)
                if len(got) == 8:
                    break
        assert [frame.text for frame in got if isinstance(frame, Message)] == [
            *(f"before {number}" for number in range(5)), "after",
        ]  # fmt: skip
        assert isinstance(got[5], Signal)
        assert isinstance(got[6], Other)
        gateway.push_message(issued.user_id, text="iterated")
        async for message in link:
            assert message.text == "iterated"
            break


@pytest.mark.rule("S0-57")
async def test_a_signal_that_comes_again_is_told_once(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        for event_id in ("evt_1", "evt_1", "evt_2"):
            gateway.push_signal(issued.user_id, "chat.updated", "cnv_1", event_id=event_id)
        told: list[str] = []
        async with asyncio.timeout(30):
            async for frame in link.inbound():
                if isinstance(frame, Signal):
                    told.append(frame.event_id)
                if "evt_2" in told:
                    break
        assert told == ["evt_1", "evt_2"]


async def test_frames_that_make_no_sense_are_survived_and_counted(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    gateway.inject("challenge", "garbage")
    async with link_to(gateway, store, clock) as link:
        await until(lambda: link.bad_frames == 1)
        clock.advance(STRICT.challenge_s)
        await state_of(link, AccountState.BACKOFF)
        clock.advance(STRICT.backoff_base_s)
        await ready(link)
        for junk in ("{", "[]", '{"event": 7}', b"\xff\x00", '{"event": "message.send", "payload": 1}'):
            assert gateway.push_raw(issued.user_id, junk) == 1
        gateway.push_message(issued.user_id, text="after the junk")
        async for message in link:
            assert message.text == "after the junk"
            break
        assert link.bad_frames == 6
        assert link.status.connected


async def test_a_frame_that_is_too_big_ends_the_connection_with_1009_and_the_link_goes_on(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock, transport=WebSocketTransport(max_size=10_000)) as link:
        await ready(link)
        gateway.push_raw(issued.user_id, json.dumps({"event": "x", "payload": "y" * 20_000}))
        status = await state_of(link, AccountState.BACKOFF)
        assert "1009" in status.last_error
        clock.advance(STRICT.backoff_base_s)
        await ready(link)
    assert 1009 in [row.code for row in history(store, "connection")]


FLOOD = 3_000
BULK = "x" * 4_000


@pytest.mark.rule("P43", "P57")
async def test_a_slow_reader_slows_the_socket_and_is_not_taken_for_a_dead_peer(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        for number in range(FLOOD):
            gateway.push_message(issued.user_id, text=f"{number} {BULK}")
        await until(lambda: link._reading._paused is not None)
        waiting = len(link._receiving._inbox._frames)
        assert waiting < FLOOD / 2  # the rest waits on the far side
        assert gateway.counters.frames_delivered < FLOOD
        for _ in range(10):
            clock.advance(STRICT.ping_s)  # it has a look
            await until(lambda: link._reading._paused is not None)
        clock.advance(STRICT.ping_s - 1)
        assert link.status.connected
        assert len(link._receiving._inbox._frames) < FLOOD
        got = 0
        async with asyncio.timeout(60):
            async for message in link:
                assert message.text.split()[0] == str(got)
                got += 1
                if got == FLOOD:
                    break
        assert gateway.counters.hellos == 1


@pytest.mark.rule("P57")
async def test_a_reader_that_is_stuck_over_a_reconnect_slows_the_new_socket_too(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        for number in range(FLOOD):
            gateway.push_message(issued.user_id, text=f"{number} {BULK}")
        await until(lambda: link._reading._paused is not None)
        first = link._reading._paused
        assert first is not None
        first.abort()
        await state_of(link, AccountState.BACKOFF)
        clock.advance(STRICT.drop_floor_s)
        await ready(link)
        await until(lambda: link._reading._paused is not first)
        bound = len(link._receiving._inbox._frames)
        assert bound < FLOOD / 2
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(link._receiving._inbox._frames) <= bound + 256
        got = 0
        async with asyncio.timeout(60):
            async for _ in link:
                got += 1
                if got >= bound:
                    break
