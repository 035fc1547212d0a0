"""The outbox over real sockets: what was to be sent is sent in order, again after a loss, and its end is told once."""

import asyncio
from collections.abc import Generator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast import (
    AccountState,
    Ack,
    AckTimeout,
    ConnectionLost,
    Identity,
    Link,
    NotConnected,
    NotPaired,
    OutboxFull,
    SendRefused,
    SqliteMessages,
    Stopped,
    StoreUnavailable,
    TokenPair,
    Unsent,
)
from holdfast.adapters import DEFAULT_ACCOUNT, Nack, owner_of
from holdfast.sandbox import Credentials, Gateway
from holdfast.statecharts import STRICT, Policy
from holdfast.testing import VirtualClock

from .kit import FaultyStore, event, link_to, pair, ready, retry_now, seen, soon, state_of, until
from .mailkit import Consumer, FaultyMessages, Tapped, again, frames_of, message_id, parsed, sent_texts, turns

pytestmark = pytest.mark.anyio


@pytest.fixture
def messages(tmp_path: Path) -> Generator[FaultyMessages, None, None]:
    made = FaultyMessages(tmp_path / "messages.db")
    yield made
    made.close()


def chats_of(gateway: Gateway, issued: Credentials, count: int) -> list[str]:
    return [gateway.add_conversation(issued.user_id) for _ in range(count)]


def left_on_disk(path: Path, issued: Credentials) -> list[str]:
    """The trace ids that another process would find."""
    other = SqliteMessages(path)
    try:
        return [item.trace_id for item in other.waiting(owner_of(DEFAULT_ACCOUNT, issued.user_id))]
    finally:
        other.close()


def full(policy: str, most: int) -> Policy:
    return msgspec.structs.replace(STRICT, outbox_full=policy, outbox_max=most)


async def failure(task: "asyncio.Task[Any]") -> BaseException:
    """What a task ended with, which must be an error."""
    done, _ = await asyncio.wait((task,), timeout=30)
    assert done
    error = task.exception()
    assert error is not None
    return error


# -- order ---------------------------------------------------------------------------------------------------


@pytest.mark.rule("P56")
async def test_what_was_posted_while_the_link_was_down_goes_out_in_order_per_chat(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    chats = chats_of(gateway, issued, 3)
    gateway.inject("upgrade", "status")
    async with link_to(gateway, store, clock) as link:
        await state_of(link, AccountState.BACKOFF)
        for number in range(10):
            for chat in chats:
                await soon(link.post(chat, str(number)))
        assert gateway.counters.messages_received == 0
        retry_now(link, clock)
        acks = [frame for frame in await frames_of(link, 30) if isinstance(frame, Ack)]
        for chat in chats:
            assert sent_texts(gateway, issued.user_id, chat) == [str(number) for number in range(10)]
        assert [ack.message_id for ack in acks] == [one.message_id for one in gateway.messages(issued.user_id)]
    assert (gateway.counters.messages_received, gateway.counters.duplicates) == (30, 0)


@pytest.mark.rule("P56")
@pytest.mark.parametrize("how", ["drop", "lose", "kick"])
async def test_it_is_sent_again_byte_for_byte(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, how: str
) -> None:
    issued = pair(gateway, store, clock)
    tap = Tapped()
    gateway.inject("send", "swallow" if how == "kick" else how)  # type: ignore[arg-type]
    async with link_to(gateway, store, clock, transport=tap) as link:
        await ready(link)
        sending = asyncio.create_task(link.send(issued.conversation_id, "é once ✓", timeout=None))
        if how == "kick":
            await event(gateway, "fault")
            gateway.kick(code=1001)
        await again(link, clock)
        ack = await soon(_of(sending))
        first, second = tap.frames("message.send")
        assert first == second
        assert [len(said) for said in tap.said] == [2, 2]
        assert parsed(first)["trace_id"] == ack.trace_id
        assert [one.message_id for one in gateway.messages(issued.user_id)] == [ack.message_id]
    assert gateway.counters.messages_received == 2
    assert gateway.counters.messages_stored == 1


async def _of(task: "asyncio.Task[Any]") -> Any:
    return await task


@pytest.mark.rule("P56")
async def test_the_order_of_a_chat_is_kept_over_lost_connections(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    chats = chats_of(gateway, issued, 3)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        for kind in ("drop", "lose", "drop", "lose", "lose"):
            gateway.inject("send", kind)
        sends = [
            asyncio.create_task(link.send(chat, f"{number}", timeout=None)) for number in range(12) for chat in chats
        ]
        for _ in range(5):
            await again(link, clock)
        for task in sends:
            assert isinstance(await soon(_of(task)), Ack)
        for chat in chats:
            assert sent_texts(gateway, issued.user_id, chat) == [str(number) for number in range(12)]
    assert gateway.counters.messages_stored == 36
    assert gateway.counters.faults == 5


@pytest.mark.rule("P56")
async def test_chats_do_not_wait_for_each_other(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    issued = pair(gateway, store, clock)
    mute, lively = chats_of(gateway, issued, 2)
    gateway.inject("send", "never")
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        waiting = [asyncio.create_task(link.send(mute, str(number), timeout=None)) for number in range(2)]
        await event(gateway, "fault")
        for number in range(3):
            await soon(link.send(lively, str(number)))
        assert not any(task.done() for task in waiting)
        assert sent_texts(gateway, issued.user_id) == ["0", "1", "2"]
        clock.advance(STRICT.ack_s)
        for task in waiting:
            await soon(_of(task))
        assert sent_texts(gateway, issued.user_id, mute) == ["0", "1"]


@pytest.mark.rule("P56", "P57")
async def test_a_thousand_at_once_are_each_acknowledged_and_in_order(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    chats = chats_of(gateway, issued, 10)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            sends = [group.create_task(link.send(chats[n % 10], str(n))) for n in range(1_000)]
        assert len({task.result().message_id for task in sends}) == 1_000
        for place, chat in enumerate(chats):
            assert sent_texts(gateway, issued.user_id, chat) == [str(n) for n in range(place, 1_000, 10)]
    assert gateway.counters.duplicates == 0


# -- what the answer is --------------------------------------------------------------------------------------


@pytest.mark.rule("P56")
async def test_without_an_answer_it_is_sent_three_times_and_given_up(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    tap = Tapped()
    gateway.inject("send", "never", times=STRICT.ack_tries_max)
    async with link_to(gateway, store, clock, transport=tap) as link:
        await ready(link)
        sending = asyncio.create_task(link.send(issued.conversation_id, "hello", timeout=None))
        for attempt in range(1, STRICT.ack_tries_max + 1):
            await event(gateway, "fault", attempt)
            assert not sending.done()
            await _pass(link, clock, STRICT.ack_s)
        error = await failure(sending)
        assert isinstance(error, AckTimeout)
        assert error.sent == "unknown"
        assert len(set(tap.frames("message.send"))) == 1
        assert len(tap.frames("message.send")) == STRICT.ack_tries_max
        assert link.status.connected
        await soon(link.send(issued.conversation_id, "next"))


async def _pass(link: Link, clock: VirtualClock, seconds: float) -> None:
    """Let time go by, with pongs in between."""
    for _ in range(int(seconds)):
        clock.advance(1)
        assert link._runner is not None
        await until(lambda: not link._runner.driver.snapshot.matches("heartbeat/pinging"))  # type: ignore[union-attr]
    clock.advance(seconds % 1)


@pytest.mark.rule("P56")
async def test_a_post_is_told_how_it_ended(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    issued = pair(gateway, store, clock)
    gateway.inject("send", "refuse", reason="too_rude")
    gateway.inject("send", "never", times=STRICT.ack_tries_max)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        consumer = Consumer(link)
        refused = await soon(link.post(issued.conversation_id, "rude"))
        mute = await soon(link.post(issued.conversation_id, "unanswered"))
        good = await soon(link.post(issued.conversation_id, "good"))
        for attempt in range(1, STRICT.ack_tries_max + 1):
            await event(gateway, "fault", 1 + attempt)
            await _pass(link, clock, STRICT.ack_s)
        await consumer.until(lambda found: len(found.frames) == 3)
        nack, unsent, ack = consumer.frames
        assert isinstance(nack, Nack)
        assert isinstance(unsent, Unsent)
        assert isinstance(ack, Ack)
        assert (nack.message_id, nack.code) == (refused, "too_rude")
        assert (unsent.message_id, unsent.outcome, unsent.sent) == (mute, "expired", "unknown")
        assert parsed(unsent.raw)["payload"]["message_id"] == mute
        assert ack.message_id == good


@pytest.mark.rule("P56", "S1-43")
async def test_a_dead_chat_is_not_written_to_until_it_speaks(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    (chat,) = chats_of(gateway, issued, 1)
    gateway.inject("send", "refuse", reason="not_member")
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        Consumer(link)
        sends = [asyncio.create_task(link.send(chat, str(number))) for number in range(5)]
        errors = [await failure(task) for task in sends]
        assert {getattr(error, "code", None) for error in errors} == {"not_member"}
        assert [getattr(error, "sent", None) for error in errors] == ["yes", "no", "no", "no", "no"]
        with pytest.raises(SendRefused):
            await soon(link.send(chat, "still dead"))
        with pytest.raises(SendRefused):
            await soon(link.post(chat, "still dead"))
        assert gateway.counters.messages_received == 1
        await soon(link.send(issued.conversation_id, "another chat"))
        gateway.push_message(issued.user_id, chat, "alive")
        await until(lambda: not link._running().driver.snapshot.context.dead_chats)
        await soon(link.send(chat, "so am I"))
    assert sent_texts(gateway, issued.user_id, chat) == ["so am I"]


@pytest.mark.rule("P56")
async def test_a_message_that_is_too_big_is_refused_and_never_sent_again(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    big, small = chats_of(gateway, issued, 2)
    gateway.inject("send", "never", times=2)
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        sends = [
            asyncio.create_task(link.send(big, "x" * 10_000, timeout=None)),
            asyncio.create_task(link.send(small, "small", timeout=None)),
        ]
        await event(gateway, "fault", 2)
        gateway.kick(code=1009)
        error = await failure(sends[0])
        assert isinstance(error, SendRefused)
        assert (error.code, error.sent) == ("message_too_large", "yes")
        await again(link, clock)
        assert isinstance(await soon(_of(sends[1])), Ack)
        await turns()
    assert sent_texts(gateway, issued.user_id) == ["small"]
    assert gateway.counters.messages_received == 3


# -- one message, asked for twice ----------------------------------------------------------------------------


@pytest.mark.rule("P56")
async def test_two_sends_of_one_id_share_the_answer_and_a_third_is_recognised(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    chosen = message_id()
    gateway.inject("send", "never")
    async with link_to(gateway, store, clock) as link:
        await ready(link)
        sends = [
            asyncio.create_task(link.send(issued.conversation_id, "hello", message_id=chosen, timeout=None))
            for _ in range(2)
        ]
        await event(gateway, "fault")
        clock.advance(STRICT.ack_s)
        acks = [await soon(_of(task)) for task in sends]
        assert acks[0] is acks[1]
        assert gateway.counters.messages_received == 2
        third = await soon(link.send(issued.conversation_id, "hello", message_id=chosen))
        assert third.trace_id != acks[0].trace_id
        assert third.accepted_at == acks[0].accepted_at
    assert (gateway.counters.messages_stored, gateway.counters.duplicates) == (1, 1)


@pytest.mark.rule("P47", "P56")
async def test_who_shares_a_send_may_leave_alone(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    issued = pair(gateway, store, clock)
    chosen = message_id()
    gateway.inject("upgrade", "status")
    async with link_to(gateway, store, clock) as link:
        await state_of(link, AccountState.BACKOFF)
        sends = [
            asyncio.create_task(link.send(issued.conversation_id, "hello", message_id=chosen, timeout=None))
            for _ in range(3)
        ]
        await turns()
        for task in sends[:2]:
            task.cancel()
        await asyncio.wait(sends[:2])
        retry_now(link, clock)
        assert (await soon(_of(sends[2]))).message_id == chosen
    assert gateway.counters.messages_received == 1


@pytest.mark.rule("P47", "P56")
async def test_a_send_that_shares_a_post_is_bounded_and_takes_nothing_with_it(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    chosen = message_id()
    gateway.inject("upgrade", "status", times=2)
    async with link_to(gateway, store, clock) as link:
        await state_of(link, AccountState.BACKOFF)
        assert await soon(link.post(issued.conversation_id, "hello", message_id=chosen)) == chosen
        assert await soon(link.post(issued.conversation_id, "hello", message_id=chosen)) == chosen  # it is kept
        sharing = asyncio.create_task(link.send(issued.conversation_id, "hello", message_id=chosen))
        await turns()
        sharing.cancel()
        await asyncio.wait((sharing,))
        impatient = asyncio.create_task(link.send(issued.conversation_id, "hello", message_id=chosen, timeout=0.1))
        await turns()
        clock.advance(0.1)
        assert isinstance(await failure(impatient), AckTimeout)
        retry_now(link, clock)
        await seen(gateway, lambda found: sum(one.detail == "upgrade: status" for one in found.events) == 2)
        await state_of(link, AccountState.BACKOFF)
        retry_now(link, clock)
        (ack,) = await frames_of(link, 1)
        assert isinstance(ack, Ack)
        assert ack.message_id == chosen
    assert gateway.counters.messages_received == 1


@pytest.mark.rule("P56")
async def test_what_was_refused_before_it_was_queued_may_be_sent_again(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    chosen = message_id()
    async with link_to(gateway, store, clock) as link:
        await state_of(link, AccountState.WAITING)
        with pytest.raises(NotPaired):
            await soon(link.send("cnv_1", "hello", message_id=chosen))
        with pytest.raises(NotPaired):
            await soon(link.post("cnv_1", "hello", message_id=chosen))
        assert link._running().outbox.with_id(chosen) is None
        issued = pair(gateway, store, clock)
        link._running().look()
        assert (await soon(link.send(issued.conversation_id, "hello", message_id=chosen))).message_id == chosen


# -- when it is full -----------------------------------------------------------------------------------------


async def _stuck(link: Link, gateway: Gateway, issued: Credentials, count: int) -> "list[asyncio.Task[Ack]]":
    """So many sends, of which the first left and gets no answer."""
    gateway.inject("send", "never")
    sends = [
        asyncio.create_task(link.send(issued.conversation_id, str(number), timeout=None)) for number in range(count)
    ]
    await event(gateway, "fault")
    await turns()
    return sends


@pytest.mark.rule("P57")
async def test_full_and_told_to_reject(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock, policy=full("reject", 3)) as link:
        await ready(link)
        sends = await _stuck(link, gateway, issued, 4)
        error = await failure(sends.pop())
        assert isinstance(error, OutboxFull)
        assert error.sent == "no"
        with pytest.raises(OutboxFull):
            await soon(link.post(issued.conversation_id, "post"))
        clock.advance(STRICT.ack_s)
        for task in sends:
            await soon(_of(task))
        await soon(link.send(issued.conversation_id, "room again"))
    assert sent_texts(gateway, issued.user_id) == ["0", "1", "2", "room again"]


@pytest.mark.rule("P57")
async def test_full_and_told_to_drop_the_oldest(gateway: Gateway, store: FaultyStore, clock: VirtualClock) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock, policy=full("drop_oldest", 3)) as link:
        await ready(link)
        consumer = Consumer(link)
        sends = await _stuck(link, gateway, issued, 2)
        posted = await soon(link.post(issued.conversation_id, "post"))
        later = [asyncio.create_task(link.send(issued.conversation_id, f"later {n}", timeout=None)) for n in range(2)]
        assert isinstance(await failure(sends[1]), OutboxFull)  # what is under way stays
        await consumer.until(lambda found: bool(found.frames))
        (unsent,) = consumer.frames
        assert isinstance(unsent, Unsent)
        assert (unsent.message_id, unsent.outcome, unsent.sent) == (posted, "dropped", "no")
        clock.advance(STRICT.ack_s)
        for task in (sends[0], *later):
            await soon(_of(task))
    assert sent_texts(gateway, issued.user_id) == ["0", "later 0", "later 1"]


@pytest.mark.rule("P47", "P57")
async def test_full_and_told_to_wait_and_who_is_cancelled_waiting_leaves_nothing(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock, messages=messages, policy=full("wait", 3)) as link:
        await ready(link)
        sends = await _stuck(link, gateway, issued, 8)
        posting = asyncio.create_task(link.post(issued.conversation_id, "post"))
        await turns()
        assert not posting.done()
        assert len(left_on_disk(messages.path, issued)) == 3
        for task in (sends[1], sends[4], sends[7]):
            task.cancel()
        await asyncio.wait((sends[1], sends[4], sends[7]))
        await turns()
        assert len(left_on_disk(messages.path, issued)) == 3  # one that waited came in
        clock.advance(STRICT.ack_s)
        for number in (0, 2, 3, 5, 6):
            await soon(_of(sends[number]))
        await soon(_of(posting))
        await seen(gateway, lambda found: found.counters.messages_stored == 6)
        await until(lambda: not left_on_disk(messages.path, issued))
        context = link._running().driver.snapshot.context
        assert (context.queue, context.crowd) == ((), ())
        assert not link._running().outbox._items
        assert not link._sending._waiters
    assert sent_texts(gateway, issued.user_id) == ["0", "2", "3", "5", "6", "post"]


@pytest.mark.rule("P56", "P57")
async def test_who_waits_for_a_place_runs_out_of_time(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock, policy=full("wait", 1)) as link:
        await ready(link)
        sends = await _stuck(link, gateway, issued, 1)
        late = asyncio.create_task(link.send(issued.conversation_id, "late", timeout=5))
        await turns()
        clock.advance(5)
        assert isinstance(await failure(late), NotConnected)
        clock.advance(STRICT.ack_s)
        await soon(_of(sends[0]))
        await turns()
    assert sent_texts(gateway, issued.user_id) == ["0"]


# -- cancelling ----------------------------------------------------------------------------------------------


@pytest.mark.rule("P47")
@pytest.mark.parametrize("moment", ["at once", "kept"])
async def test_cancelled_before_it_left_it_never_leaves(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages, moment: str
) -> None:
    issued = pair(gateway, store, clock)
    gateway.inject("upgrade", "status")
    async with link_to(gateway, store, clock, messages=messages) as link:
        await state_of(link, AccountState.BACKOFF)
        sending = asyncio.create_task(link.send(issued.conversation_id, "never", timeout=None))
        await asyncio.sleep(0)
        if moment == "kept":
            await until(lambda: len(left_on_disk(messages.path, issued)) == 1)
        sending.cancel()
        await asyncio.wait((sending,))
        await turns()
        assert left_on_disk(messages.path, issued) == []
        retry_now(link, clock)
        await soon(link.send(issued.conversation_id, "only this"))
    async with link_to(gateway, store, clock, messages=messages) as link:
        await ready(link)
        await soon(link.send(issued.conversation_id, "and this"))
    assert sent_texts(gateway, issued.user_id) == ["only this", "and this"]
    assert gateway.counters.messages_received == 2


# -- the message store ---------------------------------------------------------------------------------------


@pytest.mark.rule("P56")
async def test_what_one_link_could_not_send_the_next_one_sends(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    issued = pair(gateway, store, clock)
    chats = chats_of(gateway, issued, 2)
    posted: list[str] = []
    gateway.inject("upgrade", "status")
    async with link_to(gateway, store, clock, messages=messages) as link:
        await state_of(link, AccountState.BACKOFF)
        for number in range(3):
            posted += [await soon(link.post(chat, str(number))) for chat in chats]
        sending = asyncio.create_task(link.send(chats[0], "sent", timeout=3_600))
        await until(lambda: len(left_on_disk(messages.path, issued)) == 7)
    lost = await failure(sending)
    assert isinstance(lost, ConnectionLost)
    assert lost.sent == "no"
    assert len(left_on_disk(messages.path, issued)) == 7
    async with link_to(gateway, store, clock, messages=SqliteMessages(messages.path)) as link:
        acks = await frames_of(link, 7)
        assert {frame.message_id for frame in acks if isinstance(frame, Ack)} > set(posted)
        await until(lambda: not left_on_disk(messages.path, issued))
    assert sent_texts(gateway, issued.user_id, chats[0]) == ["0", "1", "2", "sent"]
    assert sent_texts(gateway, issued.user_id, chats[1]) == ["0", "1", "2"]


@pytest.mark.rule("P56")
async def test_what_had_left_without_an_answer_is_sent_by_the_next_link_as_it_was(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    issued = pair(gateway, store, clock)
    first, second = Tapped(), Tapped()
    gateway.inject("send", "swallow")
    async with link_to(gateway, store, clock, messages=messages, transport=first) as link:
        await ready(link)
        posted = await soon(link.post(issued.conversation_id, "hello"))
        await event(gateway, "fault")
    async with link_to(gateway, store, clock, messages=messages, transport=second) as link:
        (ack,) = await frames_of(link, 1)
        assert isinstance(ack, Ack)
        assert ack.message_id == posted
    assert first.frames("message.send") == second.frames("message.send")
    assert (gateway.counters.messages_stored, gateway.counters.duplicates) == (1, 1)


@pytest.mark.rule("P56")
async def test_what_is_too_late_by_the_next_link_is_told_and_not_sent(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    issued = pair(gateway, store, clock)
    gateway.inject("upgrade", "status")
    async with link_to(gateway, store, clock, messages=messages) as link:
        await state_of(link, AccountState.BACKOFF)
        sending = asyncio.create_task(link.send(issued.conversation_id, "late", timeout=60))
        await until(lambda: len(left_on_disk(messages.path, issued)) == 1)
    assert isinstance(await failure(sending), ConnectionLost)
    clock.advance(61)
    async with link_to(gateway, store, clock, messages=messages) as link:
        clock.advance(0)
        (unsent,) = await frames_of(link, 1)
        assert isinstance(unsent, Unsent)
        assert (unsent.outcome, unsent.sent) == ("expired", "unknown")
        await ready(link)
        await turns()
        assert left_on_disk(messages.path, issued) == []
    assert gateway.counters.messages_received == 0


@pytest.mark.rule("P56")
async def test_what_cannot_be_stored_is_refused_with_the_reason_and_never_leaves(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock, messages=messages) as link:
        await ready(link)
        messages.broken = {"keep"}
        work = (link.send(issued.conversation_id, "a"), link.send(issued.conversation_id, "b"))
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(one) for one in work]
        tasks.append(asyncio.create_task(link.post(issued.conversation_id, "c")))
        errors = [await failure(task) for task in tasks]
        assert [type(error) for error in errors] == [StoreUnavailable] * 3
        assert "the disk is full" in str(errors[0])
        assert len({id(error) for error in errors}) == 3
        assert messages.failures == 1  # one write for all of a turn
        messages.broken = set()
        await soon(link.send(issued.conversation_id, "stored"))
    assert sent_texts(gateway, issued.user_id) == ["stored"]
    assert gateway.counters.messages_received == 1


@pytest.mark.rule("P56")
async def test_what_cannot_be_forgotten_is_sent_once_more_and_recognised(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock, messages=messages) as link:
        await ready(link)
        messages.broken = {"drop"}
        await soon(link.send(issued.conversation_id, "hello", timeout=3_600))
        await until(lambda: messages.failures == 1)
    assert messages.failures > 1  # the last thing that a link does is to try again
    messages.broken = set()
    async with link_to(gateway, store, clock, messages=messages) as link:
        await frames_of(link, 1)
        await until(lambda: not left_on_disk(messages.path, issued))
    assert (gateway.counters.messages_stored, gateway.counters.duplicates) == (1, 1)


@pytest.mark.rule("P47", "P56")
async def test_what_cannot_be_forgotten_at_once_is_forgotten_later(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    issued = pair(gateway, store, clock)
    gateway.inject("upgrade", "status")
    async with link_to(gateway, store, clock, messages=messages) as link:
        await state_of(link, AccountState.BACKOFF)
        sending = asyncio.create_task(link.send(issued.conversation_id, "never to leave", timeout=None))
        await until(lambda: len(left_on_disk(messages.path, issued)) == 1)
        messages.broken = {"drop"}
        sending.cancel()
        await until(lambda: messages.failures == 1)
        messages.broken = set()
    assert left_on_disk(messages.path, issued) == []


@pytest.mark.rule("P11", "P56")
async def test_a_post_outlives_a_logout_by_expiry_for_its_own_user_only(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    issued = pair(gateway, store, clock)
    gateway.inject("upgrade", "status")
    async with link_to(gateway, store, clock, messages=messages) as link:
        await state_of(link, AccountState.BACKOFF)
        await soon(link.post(issued.conversation_id, "for later"))
        waiting = asyncio.create_task(link.send(issued.conversation_id, "now", timeout=None))
        await until(lambda: len(left_on_disk(messages.path, issued)) == 2)
        gateway.revoke(issued.user_id)
        await soon(link.refresh())
        assert type(await failure(waiting)) is NotPaired
        await until(lambda: len(left_on_disk(messages.path, issued)) == 1)
        other = pair(gateway, store, clock)
        clock.advance(1)
        await ready(link)
        await turns()
        assert gateway.counters.messages_received == 0
        assert other.user_id != issued.user_id
        fresh = gateway.issue(issued.user_id, device_id=issued.device_id)
        store.activate(
            DEFAULT_ACCOUNT,
            TokenPair(fresh.access_token, fresh.refresh_token),
            Identity(device_id=fresh.device_id, user_id=issued.user_id),
            clock.wall,
        )
        clock.advance(1)
        await until(lambda: sent_texts(gateway, issued.user_id) == ["for later"])
    assert sent_texts(gateway, other.user_id) == []


@pytest.mark.parametrize("timeout", [float("nan"), 0, -1])
async def test_a_timeout_that_is_none_is_refused_before_anything_is_queued(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, timeout: float
) -> None:
    issued = pair(gateway, store, clock)
    async with link_to(gateway, store, clock) as link:
        with pytest.raises(ValueError, match="above zero"):
            await link.send(issued.conversation_id, "hello", timeout=timeout)
        with pytest.raises(TypeError):
            await link.send(issued.conversation_id, b"hello")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await soon(link.send(issued.conversation_id, "hello", timeout=float("inf")))
    assert sent_texts(gateway, issued.user_id) == ["hello"]


# -- the end -------------------------------------------------------------------------------------------------


@pytest.mark.rule("P56", "P11")
async def test_a_logout_clears_the_outbox_also_on_disk(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, messages: FaultyMessages
) -> None:
    issued = pair(gateway, store, clock)
    gateway.inject("upgrade", "status")
    async with link_to(gateway, store, clock, messages=messages, policy=full("wait", 3)) as link:
        await state_of(link, AccountState.BACKOFF)
        consumer = Consumer(link)
        posted = [await soon(link.post(issued.conversation_id, "post")) for _ in range(2)]
        sends = [asyncio.create_task(link.send(issued.conversation_id, "no", timeout=None)) for _ in range(3)]
        await until(lambda: len(left_on_disk(messages.path, issued)) == 3)
        await soon(link.logout())
        assert {type(await failure(task)) for task in sends} == {NotPaired}
        await consumer.until(lambda found: len(found.frames) == 2)
        told = [(one.message_id, one.outcome) for one in consumer.frames if isinstance(one, Unsent)]
        assert told == [(one, "unpaired") for one in posted]
        await until(lambda: not left_on_disk(messages.path, issued))
        await soon(link.activate(gateway.pairing_code()))
        await ready(link)
        await turns()
    assert gateway.counters.messages_received == 0


@pytest.mark.rule("P56")
@pytest.mark.parametrize("how", ["stop", "leave", "crash"])
async def test_the_end_settles_everybody(gateway: Gateway, store: FaultyStore, clock: VirtualClock, how: str) -> None:
    issued = pair(gateway, store, clock)
    chats = chats_of(gateway, issued, 3)
    gateway.inject("send", "never", times=3)
    tasks: list[asyncio.Task[Any]] = []
    link = link_to(gateway, store, clock, policy=full("wait", 10))
    with pytest.raises(RuntimeError, match="a bug of ours") if how == "crash" else nullcontext():
        async with link:
            await ready(link)
            for number in range(10):
                tasks += [asyncio.create_task(link.send(chat, str(number), timeout=None)) for chat in chats]
                tasks += [asyncio.create_task(link.post(chats[0], "a post that waits for a place"))]
            await event(gateway, "fault", 3)
            if how == "stop":
                await soon(link.stop())
                with pytest.raises(Stopped):
                    await link.send(chats[0], "too late")
            elif how == "crash":
                _break(link)
                tasks.append(asyncio.create_task(link.send(chats[0], "just too late")))
                await state_or_end(link)
    done, pending = await asyncio.wait(tasks, timeout=30)
    assert not pending
    errors = [task.exception() for task in done if task.exception() is not None]
    assert {type(error) for error in errors} <= {ConnectionLost, Stopped}
    assert len(errors) >= 30


def _break(link: Link) -> None:
    """A port fails, as only a bug can make it."""
    runner = link._running()

    def broken(command: object) -> None:
        raise RuntimeError("a bug of ours")

    runner.driver._ports = dict.fromkeys(runner.driver._ports, broken)
    runner.stop()


async def state_or_end(link: Link) -> None:
    async for _ in link.statuses():
        pass
