"""Iterating over what comes in: who has handled what, how it may be interrupted, and when it cannot begin."""

import asyncio
from collections.abc import Callable

import pytest

from holdfast import Ack, MemoryMessages, Message, NotEntered, Other, StreamPart
from holdfast.adapters import DEFAULT_ACCOUNT, SystemClock, WebSocketTransport, owner_of
from holdfast.reading import INBOX_MAX
from holdfast.sandbox import Credentials, Gateway
from holdfast.statecharts import STRICT
from holdfast.testing import VirtualClock

from .kit import DEVICE, FaultyStore, link_to, pair, ready, soon, until
from .mailkit import Consumer, frames_of, message_id, texts_of, turns

pytestmark = pytest.mark.anyio


def push(gateway: Gateway, issued: Credentials, *texts: str) -> list[str]:
    """Their ids."""
    ids = [message_id() for _ in texts]
    for text, chosen in zip(texts, ids, strict=True):
        gateway.push_message(issued.user_id, text=text, message_id=chosen)
    return ids


def known(messages: MemoryMessages, issued: Credentials, ids: list[str]) -> list[bool]:
    return [messages.seen(owner_of(DEFAULT_ACCOUNT, issued.user_id), each) is not None for each in ids]


# -- whose a frame is ----------------------------------------------------------------------------------------------


@pytest.mark.rule("P59")
async def test_a_second_iteration_does_not_handle_what_the_first_is_at_work_on(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    messages = MemoryMessages()
    ids = push(gateway, issued, *"abcd")
    async with link_to(gateway, store, clock, messages=messages) as link:
        await ready(link)
        first, second = link.inbound(), link.inbound()
        steps = ((first, "a", ""), (second, "b", ""), (second, "c", "b"), (first, "d", "ab"))
        for frames, text, handled in steps:
            assert texts_of([await soon(anext(frames))]) == [text]
            clock.advance(STRICT.receipt_s)
            await turns()
            assert known(messages, issued, ids) == [each in handled for each in "abcd"]


@pytest.mark.rule("P59")
async def test_a_new_loop_goes_on_where_the_last_one_broke_off(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    messages = MemoryMessages()
    ids = push(gateway, issued, *"abc")
    async with link_to(gateway, store, clock, messages=messages) as link:
        await ready(link)
        assert [await soon(_first(link)), await soon(_first(link))] == ["a", "b"]
        clock.advance(STRICT.receipt_s)
        await turns()
        assert known(messages, issued, ids) == [True, False, False]
        await frames_of(link, 1, by_hand=True)
        clock.advance(STRICT.receipt_s)
        await turns()
        assert known(messages, issued, ids) == [True, True, False]


async def _first(link: object) -> str:
    async for message in link:  # type: ignore[attr-defined]
        return message.text  # type: ignore[no-any-return]
    raise AssertionError("the link has stopped")


async def test_what_wants_no_receipt_takes_no_room_once_it_was_taken(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        consumer = Consumer(link, by_hand=True)
        for number in range(INBOX_MAX + 10):
            await soon(link.post(issued.conversation_id, str(number)))
        await consumer.until(lambda found: len(found.frames) == INBOX_MAX + 10)
        assert {type(frame) for frame in consumer.frames} == {Ack}
        assert link._reading._paused is None
        link.handled(consumer.frames[0])  # harmless
        push(gateway, issued, "still read")
        await consumer.until(lambda found: found.texts() == ["still read"])
        consumer.task.cancel()
        await asyncio.wait((consumer.task,))


# -- how it is interrupted -----------------------------------------------------------------------------------------


@pytest.mark.rule("P47")
@pytest.mark.parametrize("kind", ["inbound", "by hand", "messages"])
async def test_a_wait_for_the_next_one_may_time_out_and_the_iteration_goes_on(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, kind: str
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        frames = aiter(link) if kind == "messages" else link.inbound(by_hand=kind == "by hand")
        for text in "ab":
            for _ in range(2):
                waiting = asyncio.ensure_future(anext(frames))
                await turns()
                waiting.cancel()
                await asyncio.wait((waiting,))
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(frames), 0)
            push(gateway, issued, text)
            assert texts_of([await soon(anext(frames))]) == [text]
        await soon(link.stop())
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await soon(anext(frames))


@pytest.mark.rule("P47", "P58")
async def test_a_frame_that_comes_as_the_wait_is_cancelled_is_had_by_the_next(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        frames = link.inbound()
        waiting = asyncio.ensure_future(anext(frames))
        await turns()
        push(gateway, issued, "a")
        await until(lambda: len(link._receiving._inbox) == 1)
        waiting.cancel()
        await asyncio.wait((waiting,))
        frame = await waiting if not waiting.cancelled() else await soon(anext(frames))
        assert texts_of([frame]) == ["a"]


# -- what does not come ----------------------------------------------------------------------------------------------


async def test_our_own_words_do_not_come_back_while_we_stream_them_either(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        for device_id in (DEVICE, "dev-other"):
            for event in ("message.add", "message.done", "message.send"):
                gateway.push_frame(
                    issued.user_id, event, {"message_id": message_id(), "sequence": 0}, chat_id="cnv_1",
                    sender={"id": issued.user_id}, origin_device_id=device_id,
                )  # fmt: skip
        found = await frames_of(link, 3)
        assert [type(frame) for frame in found] == [StreamPart, StreamPart, Message]
        assert {getattr(frame, "origin_device_id", None) for frame in found} == {"dev-other"}


# -- when it cannot begin --------------------------------------------------------------------------------------------


async def test_before_the_block_there_is_nothing_to_iterate_over(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    pair(gateway, store, clock)
    link = link_to(gateway, store, clock)
    begin: tuple[Callable[[], object], ...] = (link.inbound, lambda: aiter(link))
    for each in begin:
        with pytest.raises(NotEntered, match="async with"):
            each()
    link.handled(Other(event="x", raw=""))
    async with link:
        await ready(link)


async def test_a_store_a_transport_and_a_clock_are_used_also_if_they_are_falsy(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    class Messages(MemoryMessages):
        def __len__(self) -> int:
            return 0

    class Transport(WebSocketTransport):
        def __len__(self) -> int:
            return 0

    class Clock(SystemClock):
        def __len__(self) -> int:
            return 0

    messages, transport, ours = Messages(), Transport(), Clock()
    link = link_to(gateway, store, clock, messages=messages, transport=transport)
    assert link._settings.messages is messages
    assert link._settings.transport is transport
    assert link_to(gateway, store, ours)._settings.clock is ours  # type: ignore[arg-type]
