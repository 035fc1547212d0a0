"""Receipts over real sockets: acknowledged is what was handled and stored, and nothing else; the rest comes again."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast import AccountState, Ack, Identity, Inbound, Link, Message, Signal, SqliteMessages, TokenPair
from holdfast.adapters import DEFAULT_ACCOUNT, owner_of
from holdfast.reading import INBOX_HARD_MAX, INBOX_MAX
from holdfast.sandbox import Credentials, Gateway, GatewaySettings, Reliable, serve
from holdfast.sandbox.delivery import IN_FLIGHT_MAX
from holdfast.statecharts import STRICT
from holdfast.testing import VirtualClock

from .kit import DEVICE, LIMIT_S, FaultyStore, history, link_to, pair, ready, retry_now, seen, soon, state_of, until
from .mailkit import Consumer, FaultyMessages, again, frames_of, message_id, texts_of, turns

pytestmark = pytest.mark.anyio

Serving = Callable[[Reliable], AbstractAsyncContextManager[Gateway]]


@pytest.fixture
def messages(tmp_path: Path) -> Generator[FaultyMessages, None, None]:
    made = FaultyMessages(tmp_path / "messages.db")
    yield made
    made.close()


@pytest.fixture
async def gateway(serving: Serving) -> AsyncGenerator[Gateway, None]:
    async with serving("v2") as running:
        yield running


@pytest.fixture
def serving(clock: VirtualClock, nothing_left: None) -> Serving:
    """A gateway, and the proof that no receipt was ever wrong."""

    @asynccontextmanager
    async def run(level: Reliable) -> AsyncGenerator[Gateway, None]:
        settings = GatewaySettings(ping_interval_s=0, connect_limit_s=10 * LIMIT_S, reliable=level)
        async with serve(settings=settings, wall=lambda: clock.wall) as running:
            yield running
            assert (running.counters.bad_acks, running.counters.stale_acks) == (0, 0)
            assert [event for event in running.events if event.event == "internal-error"] == []

    return run


def push(gateway: Gateway, issued: Credentials, *texts: str) -> None:
    for text in texts:
        gateway.push_message(issued.user_id, text=text)


def open_frames(gateway: Gateway, issued: Credentials) -> int:
    """How many the gateway would send again."""
    return gateway.unconfirmed(issued.user_id)[DEVICE]


async def acked(gateway: Gateway, issued: Credentials, left: int = 0) -> None:
    await seen(gateway, lambda found: open_frames(found, issued) == left)


# -- when --------------------------------------------------------------------------------------------------------


@pytest.mark.rule("P59")
async def test_a_frame_is_acknowledged_once_the_consumer_has_gone_on(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        push(gateway, issued, "one", "two")
        frames = link.inbound()
        async with asyncio.timeout(LIMIT_S):
            assert texts_of([await anext(frames)]) == ["one"]
            clock.advance(STRICT.receipt_s)
            await turns()
            assert open_frames(gateway, issued) == 2
            assert texts_of([await anext(frames)]) == ["two"]
            clock.advance(STRICT.receipt_s)
            await acked(gateway, issued, 1)
            waiting = asyncio.ensure_future(anext(frames))
            await turns()
            clock.advance(STRICT.receipt_s)
            await acked(gateway, issued)
            push(gateway, issued, "three")
            assert texts_of([await waiting]) == ["three"]


@pytest.mark.rule("P59")
async def test_by_hand_only_what_has_no_hole_is_acknowledged(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        push(gateway, issued, *"abcd")
        a, b, c, d = await frames_of(link, 4, by_hand=True)
        for frame, left in ((c, 4), (a, 3), (a, 3), (d, 3), (b, 0)):
            link.handled(frame)
            clock.advance(STRICT.receipt_s)
            await turns()
            await acked(gateway, issued, left)


@pytest.mark.rule("P59")
async def test_receipts_are_told_a_fifth_of_a_second_later_and_together(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        clock.advance(STRICT.receipt_s)
        await seen(gateway, lambda found: found.counters.acks == 1)  # of replay.done
        consumer = Consumer(link)
        push(gateway, issued, *map(str, range(20)))
        await consumer.until(lambda found: len(found.frames) == 20)
        await turns()
        clock.advance(STRICT.receipt_s * 0.9)
        await turns()
        assert (gateway.counters.acks, open_frames(gateway, issued)) == (1, 20)
        clock.advance(STRICT.receipt_s * 0.11)
        await acked(gateway, issued)
        assert gateway.counters.acks == 2
        clock.advance(STRICT.receipt_again_s - 1)
        await turns()
        assert gateway.counters.acks == 2
        clock.advance(1)
        await seen(gateway, lambda found: found.counters.acks == 3)
        assert gateway.counters.highest_ack == 21


@pytest.mark.rule("P59")
async def test_at_the_end_of_the_replay_they_are_told_at_once(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    push(gateway, issued, "one", "two")
    gateway.inject("replay", "never")
    async with link_to(gateway, store, clock) as link:
        consumer = Consumer(link)
        await consumer.until(lambda found: len(found.frames) == 2)
        await turns()
        assert gateway.counters.acks == 0
        gateway.push_frame(issued.user_id, "replay.done", {})
        await acked(gateway, issued, 1)  # no time went by


@pytest.mark.rule("P59")
@pytest.mark.parametrize("how", ["stop", "logout", "leave"])
async def test_before_the_link_closes_they_are_told(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, how: str
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        consumer = Consumer(link)
        push(gateway, issued, "one", "two")
        await consumer.until(lambda found: len(found.frames) == 2)
        await turns()
        assert open_frames(gateway, issued) == 2
        if how == "stop":
            await soon(link.stop())
        elif how == "logout":
            await soon(link.logout())
    await acked(gateway, issued)


# -- what --------------------------------------------------------------------------------------------------------


@pytest.mark.rule("P58", "P59")
async def test_a_gap_ends_the_connection_and_nothing_is_lost(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        consumer = Consumer(link)
        push(gateway, issued, "before")
        await consumer.until(lambda found: found.texts() == ["before"])
        gateway.inject("frame", "skip")
        push(gateway, issued, "after the gap", "and more")
        await state_of(link, AccountState.BACKOFF)
        assert link.status.last_error == "frames were missing"
        assert consumer.texts() == ["before"]
        retry_now(link, clock)
        await consumer.until(lambda found: len(found.frames) == 3)
        assert consumer.texts() == ["before", "after the gap", "and more"]
        await turns()
        clock.advance(STRICT.receipt_s)
        await acked(gateway, issued)
    assert "delivery gap" in [row.reason for row in history(store, "connection")]
    assert gateway.counters.hellos == 2


@pytest.mark.rule("P58", "P59")
async def test_a_frame_that_cannot_be_understood_is_reported_and_holds_up_nothing(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        consumer = Consumer(link)
        push(gateway, issued, "before")
        gateway.push_frame(issued.user_id, "message.send", {"message_id": 7})
        gateway.push_raw(issued.user_id, "{no frame at all")
        push(gateway, issued, "after")
        await consumer.until(lambda found: "after" in found.texts())
        assert consumer.texts() == ["before", "after"]
        await turns()
        clock.advance(STRICT.receipt_s)
        await acked(gateway, issued)
        assert link.bad_frames == 2
        assert len(consumer.frames) == 2
        assert link.status.connected
    assert gateway.counters.hellos == 1


@pytest.mark.rule("P59")
async def test_after_a_crash_what_was_handled_does_not_come_again_and_the_rest_does(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock, messages=messages) as link:
        await ready(link)
        push(gateway, issued, *"abcd")
        a, _, c, _ = await frames_of(link, 4, by_hand=True)
        link.handled(a)
        link.handled(c)
        gateway.drop()  # so that no receipt gets through any more
        await state_of(link, AccountState.BACKOFF)
        clock.advance(STRICT.receipt_s)  # the marks are stored all the same
    assert open_frames(gateway, issued) == 4
    async with link_to(gateway, store, clock, messages=SqliteMessages(messages.path)) as link:
        consumer = Consumer(link)
        await consumer.until(lambda found: len(found.frames) == 2)
        await ready(link)
        await turns()
        assert consumer.texts() == ["b", "d"]
        clock.advance(STRICT.receipt_s)
        await acked(gateway, issued)


@pytest.mark.rule("P59")
async def test_a_copy_that_comes_while_the_first_waits_is_handed_over_once(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        push(gateway, issued, "a")
        gateway.push_signal(issued.user_id, "chat.updated", "cnv_1", event_id="evt_1")
        push(gateway, issued, "b")
        a, signal, b = await frames_of(link, 3, by_hand=True)
        gateway.drop()
        await again(link, clock)
        await turns()
        assert open_frames(gateway, issued) == 3  # all of it came again, and is still not handled
        clock.advance(STRICT.receipt_s)
        await turns()
        assert open_frames(gateway, issued) == 3
        for frame, left in ((a, 2), (signal, 1), (b, 0)):
            link.handled(frame)
            clock.advance(STRICT.receipt_s)
            await acked(gateway, issued, left)
        push(gateway, issued, "c")
        (last,) = await frames_of(link, 1, by_hand=True)
        assert texts_of([last]) == ["c"]


@pytest.mark.rule("P59", "S0-57")
async def test_a_signal_that_nobody_has_handled_comes_again_after_a_crash(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock, messages=messages) as link:
        await ready(link)
        gateway.push_signal(issued.user_id, "chat.updated", "cnv_1", event_id="evt_1")
        await until(lambda: len(link._receiving._inbox._frames) == 1)
        gateway.drop()
        await again(link, clock)
        await turns()
        clock.advance(STRICT.receipt_s)
        await turns()
        assert len(link._receiving._inbox._frames) == 1
    assert open_frames(gateway, issued) == 1
    async with link_to(gateway, store, clock, messages=messages) as link:
        (signal,) = await frames_of(link, 1)
        assert isinstance(signal, Signal)
        assert signal.event_id == "evt_1"


@pytest.mark.rule("P59")
async def test_a_merged_reply_never_replaces_a_whole_one(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    issued = pair(gateway, store, clock)
    streamed, whole_first = message_id(), message_id()

    def say(text: str, chosen: str) -> None:
        content: dict[str, Any] = {"body": {"fragments": [{"kind": "text", "text": text}]}, "context": {}}
        payload = {"message_id": chosen, "message_mode": "normal", "message": content}
        gateway.push_frame(
            issued.user_id, "message.reply", {**payload, "stream_merged": text.startswith("merged")},
            chat_id=issued.conversation_id, sender={"id": issued.owner_id, "type": "user", "nick_name": "Owner"},
        )  # fmt: skip

    async with link_to(gateway, store, clock, messages=messages) as link:
        await ready(link)
        say("merged", streamed)
        say("whole", streamed)
        say("whole too", whole_first)
        say("merged too late", whole_first)
        consumer = Consumer(link)
        await consumer.until(lambda found: len(found.frames) >= 3)
        await turns()
        clock.advance(STRICT.receipt_s)
        await acked(gateway, issued)
        say("merged again", streamed)
        say("whole", streamed)
        say("edited", streamed)
        await consumer.until(lambda found: "edited" in found.texts())
        assert consumer.texts() == ["merged", "whole", "whole too", "edited"]
        assert [frame.merged for frame in consumer.frames if isinstance(frame, Message)] == [True, False, False, False]


@pytest.mark.rule("P59")
@pytest.mark.parametrize("new_first", [True, False])
async def test_whichever_version_is_handled_first_the_newest_is_known(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages, new_first: bool
) -> None:
    issued = pair(gateway, store, clock)
    edited = message_id()
    async with link_to(gateway, store, clock, messages=messages) as link:
        await ready(link)
        for text in ("oldest", "old", "new"):
            gateway.push_message(issued.user_id, text=text, message_id=edited)
        versions = await frames_of(link, 3, by_hand=True)
        for frame in reversed(versions) if new_first else versions:
            link.handled(frame)
            clock.advance(STRICT.receipt_s)
            await turns()
        await acked(gateway, issued)
        gateway.push_message(issued.user_id, text="new", message_id=edited)
        push(gateway, issued, "end")
        assert texts_of(await frames_of(link, 1)) == ["end"]


@pytest.mark.rule("P59")
async def test_what_one_user_has_handled_is_no_mark_of_the_next_ones(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    one = pair(gateway, store, clock)
    chosen = [message_id(), message_id()]
    other = gateway.issue(device_id=DEVICE)
    owners = [owner_of(DEFAULT_ACCOUNT, issued.user_id) for issued in (one, other)]

    def say(issued: Credentials) -> None:
        for each in chosen:
            gateway.push_message(issued.user_id, "cnv_group", text="hello all", sender_id="usr_z", message_id=each)

    def marked() -> list[list[bool]]:
        return [[messages.seen(owner, each) is not None for each in chosen] for owner in owners]

    async with link_to(gateway, store, clock, messages=messages) as link:
        await ready(link)
        say(one)
        first, second = await frames_of(link, 2, by_hand=True)
        link.handled(first)  # and not stored yet
        identity = Identity(device_id=DEVICE, user_id=other.user_id)
        tokens = TokenPair(other.access_token, other.refresh_token)
        store.greet(DEFAULT_ACCOUNT, store.activate(DEFAULT_ACCOUNT, tokens, identity, clock.wall))
        clock.advance(1)
        await until(lambda: link._running().keeper.stored.user_id == other.user_id)
        await ready(link)
        say(other)
        handed = await frames_of(link, 2, by_hand=True)
        assert texts_of(handed) == ["hello all"] * 2  # though each was told to the first user
        link.handled(second)
        clock.advance(STRICT.receipt_s)
        await turns()
        assert marked() == [[True, True], [False, False]]
        link.handled(handed[1])
        clock.advance(STRICT.receipt_s)
        await turns()
        assert marked() == [[True, True], [False, True]]


# -- after the end -----------------------------------------------------------------------------------------------


@pytest.mark.rule("P59")
@pytest.mark.parametrize("by_hand", [True, False])
async def test_what_is_handled_after_the_end_is_stored_at_once(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages, by_hand: bool
) -> None:
    issued = pair(gateway, store, clock)
    push(gateway, issued, *"abc")
    taken: list[Inbound] = []
    async with link_to(gateway, store, clock, messages=messages) as link:
        await ready(link)
        await until(lambda: len(link._receiving._inbox) == 3)
        async for frame in link.inbound(by_hand=by_hand):
            taken.append(frame)
            if not link._ending:
                await soon(link.stop())
    if by_hand:
        for frame in taken:
            link.handled(frame)
    assert texts_of(taken) == ["a", "b", "c"]
    assert messages._connection is None
    owner = owner_of(DEFAULT_ACCOUNT, issued.user_id)
    assert all(messages.seen(owner, _id_of(frame)) for frame in taken)
    async with link_to(gateway, store, clock, messages=messages) as link:
        push(gateway, issued, "d")
        assert texts_of(await frames_of(link, 1)) == ["d"]


@pytest.mark.rule("P59")
async def test_what_cannot_be_stored_after_the_end_is_with_the_next(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    issued = pair(gateway, store, clock)
    push(gateway, issued, *"ab")
    async with link_to(gateway, store, clock, messages=messages) as link:
        a, b = await frames_of(link, 2, by_hand=True)
    messages.broken = {"handled"}
    link.handled(a)
    messages.broken = set()
    link.handled(b)
    owner = owner_of(DEFAULT_ACCOUNT, issued.user_id)
    assert all(messages.seen(owner, _id_of(frame)) for frame in (a, b))


# -- other ways of delivery --------------------------------------------------------------------------------------


@pytest.mark.rule("P59")
async def test_sparse_numbers_are_acknowledged_too(
    serving: Serving, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    async with serving("v1") as gateway:
        issued = pair(gateway, store, clock)
        push(gateway, issued, "a", "b")
        async with link_to(gateway, store, clock, messages=messages) as link:
            await ready(link)
            push(gateway, issued, "c")
            await soon(link.send(issued.conversation_id, "an answer has no number"))
            a, b, c = await frames_of(link, 3, by_hand=True)
            for frame, left in ((b, 3), (a, 1), (c, 0)):
                link.handled(frame)
                clock.advance(STRICT.receipt_s)
                await turns()
                await acked(gateway, issued, left)
            push(gateway, issued, "d", "e")
            d, _ = await frames_of(link, 2, by_hand=True)
            link.handled(d)
        await acked(gateway, issued, 1)
        async with link_to(gateway, store, clock, messages=messages) as link:
            assert texts_of(await frames_of(link, 1)) == ["e"]


@pytest.mark.rule("P58", "P59")
async def test_without_reliable_delivery_nothing_is_acknowledged_and_what_was_handled_is_known(
    serving: Serving, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    async with serving("off") as gateway:
        issued = pair(gateway, store, clock)
        chosen = message_id()
        texts: list[str] = []
        for _ in range(2):
            gateway.push_message(issued.user_id, text="once", message_id=chosen)
            gateway.push_message(issued.user_id, text="end")
            async with link_to(gateway, store, clock, messages=messages) as link:
                consumer = Consumer(link)
                await consumer.until(lambda found: "end" in found.texts())
                await turns()
                clock.advance(STRICT.receipt_s)
                texts = consumer.texts()
        assert texts == ["end"]
        assert gateway.counters.acks == 0


# -- who does not handle, and where it cannot be stored ----------------------------------------------------------


@pytest.mark.rule("P57", "P59")
async def test_a_consumer_that_stops_stops_the_gateway_before_its_window_is_full(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        for number in range(2 * IN_FLIGHT_MAX):
            push(gateway, issued, f"{number} {'x' * 300}")
        await until(lambda: link._reading._paused is not None)
        for _ in range(3 * INBOX_HARD_MAX // 256):
            clock.advance(STRICT.ping_s)  # it has a look
            await until(lambda: link._reading._paused is not None)
            await turns()
        waiting = len(link._receiving._inbox._frames)
        assert INBOX_HARD_MAX <= waiting < IN_FLIGHT_MAX
        assert link._reading._paused is not None
        assert link.status.connected
        (session,) = gateway._sessions.live()
        consumer = Consumer(link)
        async with asyncio.timeout(120):
            while len(consumer.frames) < 2 * IN_FLIGHT_MAX:
                await turns()
                clock.advance(STRICT.receipt_s)
                await asyncio.sleep(0)
        await turns()
        clock.advance(STRICT.receipt_s)
        await acked(gateway, issued)
        assert [text.split()[0] for text in consumer.texts()] == [str(n) for n in range(2 * IN_FLIGHT_MAX)]
        assert session.delivery.in_flight < IN_FLIGHT_MAX
    assert gateway.counters.hellos == 1


@pytest.mark.rule("P57", "P59")
@pytest.mark.parametrize("level", ["v1", "v2"])
async def test_one_frame_that_is_forgotten_stops_the_reading_until_it_is_handled(
    serving: Serving, store: FaultyStore, clock: VirtualClock, level: Reliable
) -> None:
    async with serving(level) as gateway:
        issued = pair(gateway, store, clock)
        async with link_to(gateway, store, clock) as link:
            await ready(link)
            got: list[Inbound] = []

            async def forget_the_first() -> None:
                async for frame in link.inbound(by_hand=True):
                    got.append(frame)
                    if frame is not got[0]:
                        link.handled(frame)

            forgetting = asyncio.create_task(forget_the_first())
            for number in range(INBOX_HARD_MAX):
                push(gateway, issued, f"{number} {'x' * 300}")
            await until(lambda: link._reading._paused is not None)
            await turns()
            assert INBOX_MAX <= len(got) < INBOX_HARD_MAX / 2
            assert link._reading._paused is not None
            link.handled(got[0])
            assert link._reading._paused is None
            await until(lambda: len(got) == INBOX_HARD_MAX)
            assert link._reading._paused is None
            forgetting.cancel()
            await asyncio.wait((forgetting,))
            clock.advance(STRICT.receipt_s)
            await acked(gateway, issued)
        assert gateway.counters.hellos == 1


@pytest.mark.rule("P57")
async def test_answers_behind_a_frame_at_work_do_not_stop_the_reading(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        push(gateway, issued, "to all")
        (at_work,) = await frames_of(link, 1, by_hand=True)
        for number in range(INBOX_MAX + 10):
            await soon(link.send(issued.conversation_id, str(number)))
        assert link._reading._paused is None
        link.handled(at_work)


@pytest.mark.rule("P59")
async def test_an_error_in_the_consumers_loop_leaves_the_frame_unhandled(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    issued = pair(gateway, store, clock)
    push(gateway, issued, "good", "bad", "never seen")
    async with link_to(gateway, store, clock, messages=messages) as link:
        with pytest.raises(ZeroDivisionError):
            await soon(_fails_at(link, "bad"))
    assert open_frames(gateway, issued) == 2
    async with link_to(gateway, store, clock, messages=messages) as link:
        assert texts_of(await frames_of(link, 2)) == ["bad", "never seen"]


async def _fails_at(link: Link, text: str) -> None:
    async for message in link:
        if message.text == text:
            raise ZeroDivisionError


@pytest.mark.rule("P59")
async def test_what_cannot_be_remembered_is_not_acknowledged(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock, messages=messages) as link:
        await ready(link)
        consumer = Consumer(link)
        messages.broken = {"handled"}
        push(gateway, issued, "one", "two")
        await consumer.until(lambda found: len(found.frames) == 2)
        await turns()
        for _ in range(4):
            clock.advance(STRICT.store_retry_cap_s / 2)
            await turns()
        assert open_frames(gateway, issued) == 2
        assert messages.failures >= 2
        messages.broken = set()
        clock.advance(STRICT.store_retry_cap_s)
        await acked(gateway, issued)
        assert messages.seen(owner_of("default", issued.user_id), _id_of(consumer.frames[0])) is not None


def _id_of(frame: Inbound) -> str:
    assert isinstance(frame, Message)
    return frame.message_id


@pytest.mark.rule("P58", "P59")
async def test_marks_that_cannot_be_read_hand_a_message_over_twice_rather_than_never(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    issued = pair(gateway, store, clock)
    chosen = message_id()
    async with link_to(gateway, store, clock, messages=messages) as link:
        await ready(link)
        consumer = Consumer(link)
        gateway.push_message(issued.user_id, text="once", message_id=chosen)
        await consumer.until(lambda found: len(found.frames) == 1)
        await turns()
        clock.advance(STRICT.receipt_s)
        await acked(gateway, issued)
        messages.broken = {"seen"}
        gateway.push_message(issued.user_id, text="once", message_id=chosen)
        await consumer.until(lambda found: found.texts() == ["once", "once"])


@pytest.mark.rule("P56", "P58", "P59")
async def test_receipts_and_answers_do_not_hold_each_other_up(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        push(gateway, issued, *map(str, range(50)))
        posted = [await soon(link.post(issued.conversation_id, f"post {n}")) for n in range(20)]
        consumer = Consumer(link)
        await consumer.until(lambda found: len(found.frames) == 70)
        acks = [frame.message_id for frame in consumer.frames if isinstance(frame, Ack)]
        assert (acks, consumer.texts()) == (posted, [str(n) for n in range(50)])
        await turns()
        clock.advance(STRICT.receipt_s)
        await acked(gateway, issued)
