"""Reliable delivery: numbered frames, acks that move the device's cursor, and everything unacked once more."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast.sandbox import Credentials, Gateway, GatewaySettings, Reliable, serve
from holdfast.sandbox.delivery import ANSWERS_MAX, IN_FLIGHT_MAX

from .conftest import Clock
from .kit import Peer, answer_to, dial, message_frame, seen, still_serves

pytestmark = pytest.mark.anyio

V1 = {"reliable_delivery": True}
V2 = {"reliable_delivery": True, "reliable_delivery_v2": True}


@asynccontextmanager
async def session(
    gateway: Gateway, issued: Credentials, capabilities: dict[str, bool] = V2, device_id: str = "dev-a"
) -> AsyncGenerator[Peer, None]:
    """A session just after its hello-ok."""
    async with dial(gateway) as peer:
        hello = await peer.greet(issued.access_token, device_id, capabilities=capabilities)
        assert hello["event"] == "hello-ok"
        yield peer


async def sync_ack(peer: Peer, dseq: object, epoch: object = None) -> None:
    chosen = peer.hello["payload"]["ack_epoch"] if epoch is None else epoch
    await peer.send(
        {"version": "2", "event": "message.sync_ack", "trace_id": "a", "payload": {"dseq": dseq, "epoch": chosen}}
    )


async def cursor_ack(peer: Peer, seq: object) -> None:
    await peer.send({"version": "2", "event": "message.cursor_ack", "trace_id": "a", "payload": {"seq": seq}})


def texts(frames: list[dict[str, Any]]) -> list[str]:
    """What the messages among the frames say."""
    return [
        frame["payload"]["message"]["body"]["fragments"][0]["text"]
        for frame in frames
        if frame["event"] == "message.send"
    ]


def push(gateway: Gateway, issued: Credentials, *said: str) -> None:
    for text in said:
        gateway.push_message(issued.user_id, None, text)


@pytest.mark.parametrize(
    ("highest", "asked", "numbered"),
    [
        ("v2", V2, "dseq"),
        ("v2", V1, "seq"),
        ("v2", {}, None),
        ("v1", V2, "seq"),
        ("v1", V1, "seq"),
        ("off", V2, None),
        ("off", V1, None),
    ],
)
async def test_what_is_granted(highest: Reliable, asked: dict[str, bool], numbered: str | None) -> None:
    async with serve(settings=GatewaySettings(reliable=highest)) as gateway:
        issued = gateway.issue()
        push(gateway, issued, "one")
        async with session(gateway, issued, asked) as peer:
            assert ("ack_mode" in peer.hello["payload"]) is (numbered == "dseq")
            frame = await peer.receive()
            assert {"seq", "dseq"} & frame.keys() == ({numbered} if numbered else set())
            left = 0 if numbered is None else 1
            assert gateway.unconfirmed(issued.user_id) == {"dev-a": left}


async def test_every_frame_after_hello_is_numbered_but_pong(gateway: Gateway) -> None:
    issued = gateway.issue()
    push(gateway, issued, "one", "two")
    async with session(gateway, issued) as peer:
        assert peer.hello["payload"]["ack_mode"] == "dseq"
        assert "dseq" not in peer.hello
        frames = await peer.until("replay.done")
        await peer.send(message_frame(issued.conversation_id))
        await peer.send(message_frame("cnv_nowhere"))
        frames += await peer.until("message.error")
        await peer.send({"event": "ping", "trace_id": "p"})
        pong = await peer.receive()
        assert (pong["event"], pong["trace_id"], "dseq" in pong) == ("pong", "p", False)
        gateway.push_frame(issued.user_id, "sync.mark", {"at": 7})
        gateway.push_frame(issued.user_id, "something.new", {}, dseq=99)  # The script's number gives way.
        frames += await peer.until("something.new")
    assert [frame["event"] for frame in frames] == [
        "message.send", "message.send", "replay.done", "message.ack", "message.error", "sync.mark", "something.new",
    ]  # fmt: skip
    assert [frame["dseq"] for frame in frames] == [1, 2, 3, 4, 5, 6, 7]


async def test_what_was_not_acked_comes_again_under_new_numbers(gateway: Gateway) -> None:
    issued = gateway.issue()
    push(gateway, issued, "one", "two", "three")
    async with session(gateway, issued) as peer:
        frames = await peer.until("replay.done")
        await sync_ack(peer, 2)
        await seen(gateway, "ack")
        assert gateway.unconfirmed(issued.user_id) == {"dev-a": 1}
        push(gateway, issued, "four")
        await peer.receive()
        first_epoch = peer.hello["payload"]["ack_epoch"]
    async with session(gateway, issued) as peer:
        assert peer.hello["payload"]["ack_epoch"] != first_epoch
        again = await peer.until("replay.done")
        assert [frame["dseq"] for frame in again] == [1, 2, 3]
        assert texts(again) == ["three", "four"]
        assert again[0]["payload"] == frames[2]["payload"]
        await sync_ack(peer, 3)
        await seen(gateway, "ack", 2)
    async with session(gateway, issued) as peer:
        assert len(await peer.until("replay.done")) == 1
    assert (gateway.counters.acks, gateway.counters.highest_ack, gateway.counters.bad_acks) == (2, 3, 0)


async def test_an_answer_moves_the_cursor_past_the_messages_before_it_only(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with session(gateway, issued) as peer:
        await peer.until("replay.done")
        push(gateway, issued, "one")
        await peer.receive()
        await peer.send(message_frame(issued.conversation_id))
        ack = (await peer.until("message.ack"))[-1]
        push(gateway, issued, "two")
        await peer.receive()
        await sync_ack(peer, ack["dseq"])
        await seen(gateway, "ack")
    async with session(gateway, issued) as peer:
        assert texts(await peer.until("replay.done")) == ["two"]


async def test_each_device_has_its_own_cursor(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with session(gateway, issued) as one, session(gateway, issued, device_id="dev-b") as other:
        await one.until("replay.done")
        await other.until("replay.done")
        push(gateway, issued, "one")
        assert (await one.receive())["dseq"] == (await other.receive())["dseq"] == 2
        await sync_ack(one, 2)
        await seen(gateway, "ack")
        assert gateway.unconfirmed(issued.user_id) == {"dev-a": 0, "dev-b": 1}


async def test_acks_of_another_epoch_or_of_nothing_are_noted_and_do_nothing(gateway: Gateway) -> None:
    issued = gateway.issue()
    push(gateway, issued, "one")
    async with session(gateway, issued) as peer:
        await peer.until("replay.done")
        await sync_ack(peer, 2, "another")
        await sync_ack(peer, 3)
        await sync_ack(peer, "2")
        await sync_ack(peer, 0)
        await cursor_ack(peer, 1000)
        await still_serves(peer)
        assert gateway.unconfirmed(issued.user_id) == {"dev-a": 1}
        counters = gateway.counters
        assert (counters.acks, counters.stale_acks, counters.bad_acks) == (0, 1, 4)
        noted = [(event.event, event.detail) for event in gateway.events if event.event.endswith("-ack")]
        assert noted[:2] == [("stale-ack", "2"), ("bad-ack", "3")]
        await sync_ack(peer, 2)
        await sync_ack(peer, 2)  # As clients repeat it every now and then.
        await sync_ack(peer, 1)
        await seen(gateway, "ack", 3)
        assert (gateway.counters.acks, gateway.counters.highest_ack) == (3, 2)
        assert gateway.unconfirmed(issued.user_id) == {"dev-a": 0}


async def test_acks_where_nothing_was_granted(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with session(gateway, issued, {}) as peer:
        await peer.until("replay.done")
        await sync_ack(peer, 1, "epoch")
        await cursor_ack(peer, 1)
        await still_serves(peer)
    assert gateway.counters.bad_acks == 2


async def test_a_full_window_holds_everything_but_pongs_back(gateway: Gateway) -> None:
    issued = gateway.issue()
    for number in range(IN_FLIGHT_MAX + 2):
        gateway.push_frame(issued.user_id, "x", {"n": number})
    async with session(gateway, issued) as peer:
        frames = [await peer.receive() for _ in range(IN_FLIGHT_MAX)]
        assert frames[-1]["dseq"] == IN_FLIGHT_MAX
        await peer.send(message_frame(issued.conversation_id))
        await still_serves(peer)  # The next frame is the pong.
        await sync_ack(peer, 1)
        assert (await peer.receive())["event"] == "message.ack"
        await still_serves(peer)
        await sync_ack(peer, IN_FLIGHT_MAX)
        *rest, done = await peer.until("replay.done")
        assert [frame["payload"]["n"] for frame in rest] == [IN_FLIGHT_MAX, IN_FLIGHT_MAX + 1]
        assert done["dseq"] == IN_FLIGHT_MAX + 4


async def test_answers_that_a_full_window_holds_back_are_bounded(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ANSWERS_MAX > 2
    monkeypatch.setattr("holdfast.sandbox.delivery.ANSWERS_MAX", 2)
    monkeypatch.setattr("holdfast.sandbox.delivery.IN_FLIGHT_MAX", 1)
    issued = gateway.issue()
    async with session(gateway, issued) as peer:
        assert (await peer.receive())["event"] == "replay.done"
        for _ in range(3):
            await peer.send(message_frame(issued.conversation_id))
        await seen(gateway, "answer-dropped")
        await sync_ack(peer, 1)
        assert (await peer.receive())["event"] == "message.ack"
        await sync_ack(peer, 2)
        assert (await peer.receive())["event"] == "message.ack"
        await sync_ack(peer, 3)
        await still_serves(peer)


async def test_a_gap_and_what_it_costs(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with session(gateway, issued) as peer:
        await peer.until("replay.done")
        gateway.inject("frame", "skip")
        push(gateway, issued, "behind the gap", "next")
        assert [(await peer.receive())["dseq"] for _ in range(2)] == [3, 4]
        await sync_ack(peer, 2)  # A number that no frame had.
        await sync_ack(peer, 1)
        await seen(gateway, "ack")
        assert gateway.counters.bad_acks == 1
    async with session(gateway, issued) as peer:
        frames = await peer.until("replay.done")
        assert texts(frames) == ["behind the gap", "next"]
        assert [frame["dseq"] for frame in frames] == [1, 2, 3]


async def test_a_gap_in_the_replay_waits_for_a_session_with_numbers(gateway: Gateway) -> None:
    issued = gateway.issue()
    gateway.inject("frame", "skip")
    push(gateway, issued, "one")
    async with session(gateway, issued, {}) as peer:
        await peer.until("replay.done")
    await seen(gateway, "closed")
    push(gateway, issued, "two")
    async with session(gateway, issued) as peer:
        assert [frame["dseq"] for frame in await peer.until("replay.done")] == [2, 3]


async def test_a_takeover_gets_what_the_older_session_had_in_flight(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with session(gateway, issued) as older:
        await older.until("replay.done")
        push(gateway, issued, "one")
        await older.receive()
        async with session(gateway, issued) as newer:
            assert texts(await newer.until("replay.done")) == ["one"]
            assert await older.closed() == 4001


async def test_seq_is_sparse_and_stays_with_its_frame(gateway: Gateway) -> None:
    issued = gateway.issue()
    push(gateway, issued, "one", "two", "three")
    async with session(gateway, issued, V1) as peer:
        *frames, done = await peer.until("replay.done")
        numbers = [frame["seq"] for frame in frames]
        assert numbers == sorted(set(numbers))
        assert numbers[-1] - numbers[0] > 2
        assert "seq" not in done
        await cursor_ack(peer, numbers[1] + 1)  # One that is in a gap.
        await cursor_ack(peer, numbers[-1] + 100)
        await still_serves(peer)
        assert (gateway.counters.bad_acks, gateway.counters.acks) == (2, 0)
        await cursor_ack(peer, numbers[0])
        await seen(gateway, "ack")
        assert gateway.unconfirmed(issued.user_id) == {"dev-a": 2}
    async with session(gateway, issued, V1) as peer:
        *again, _ = await peer.until("replay.done")
        assert [(frame["seq"], texts([frame])) for frame in again] == [(numbers[1], ["two"]), (numbers[2], ["three"])]
        await cursor_ack(peer, numbers[2])  # Without ever acking the one before.
        await seen(gateway, "ack", 2)
        assert gateway.unconfirmed(issued.user_id) == {"dev-a": 0}
        assert gateway.counters.highest_ack == numbers[2]


@pytest.mark.parametrize(("capabilities", "number"), [(V1, "seq"), (V2, "dseq")])
async def test_discarded_frames_are_told_first(capabilities: dict[str, bool], number: str) -> None:
    async with serve(settings=GatewaySettings(messages_max=2)) as gateway:
        issued = gateway.issue()
        async with session(gateway, issued, capabilities) as peer:
            assert len(await peer.until("replay.done")) == 1
        await seen(gateway, "closed")
        push(gateway, issued, "one", "two", "three")
        async with session(gateway, issued, V1, device_id="dev-new") as peer:
            assert texts(await peer.until("replay.done")) == ["two", "three"]  # Nothing was ever kept for it.
            oldest_seq = gateway.state()["sessions"][0]["delivery"]["sent"]
        async with session(gateway, issued, capabilities) as peer:
            truncated, *rest = await peer.until("replay.done")
            assert truncated["event"] == "history.truncated"
            assert 0 < truncated["payload"]["oldest_seq"] < oldest_seq
            assert ("dseq" in truncated) is (number == "dseq")
            assert texts(rest) == ["two", "three"]
            if number == "seq":
                assert rest[0]["seq"] == truncated["payload"]["oldest_seq"]


async def test_the_state_shows_how_far_each_session_is(gateway: Gateway) -> None:
    issued = gateway.issue()
    push(gateway, issued, "one", "two")
    async with session(gateway, issued) as peer:
        await peer.until("replay.done")
        await sync_ack(peer, 1)
        await seen(gateway, "ack")
        state = gateway.state()
        assert state["sessions"][0]["delivery"] == {
            "level": "v2", "epoch": peer.hello["payload"]["ack_epoch"], "sent": 3, "acked": 1, "in_flight": 2,
        }  # fmt: skip
        (account,) = state["accounts"]
        assert (account["delivered_up_to"], account["unconfirmed"]) == ({"dev-a": 1}, {"dev-a": 1})


async def test_acks_outlive_the_gateway_and_so_does_what_lacks_one(tmp_path: Path, clock: Clock) -> None:
    state_file = tmp_path / "sandbox.json"
    async with serve(state_file=state_file, wall=clock) as gateway:
        issued = gateway.issue()
        push(gateway, issued, "one", "two")
        async with session(gateway, issued) as peer:
            await peer.until("replay.done")
            await sync_ack(peer, 1)
            await seen(gateway, "ack")
            kept = json.loads(state_file.read_text())["mail"][issued.user_id]
            assert kept["cursors"] == {"dev-a": 1}
    async with serve(state_file=state_file, wall=clock) as gateway, session(gateway, issued) as peer:
        frames = await peer.until("replay.done")
        assert (frames[0]["dseq"], texts(frames)) == (1, ["two"])


async def test_messages_and_their_order_outlive_the_gateway(tmp_path: Path, clock: Clock) -> None:
    settings, ids = GatewaySettings(messages_max=3), [f"msg-01JD3X5V8Q9WZK4T7M2N6P0RH{last}" for last in "DBCA"]
    state_file = tmp_path / "sandbox.json"
    async with serve(state_file=state_file, wall=clock, settings=settings) as gateway:
        issued = gateway.issue()
        async with session(gateway, issued) as peer:
            await peer.until("replay.done")
            frames = [message_frame(issued.conversation_id, message_id=message_id) for message_id in ids]
            accepted = [(await answer_to(peer, frame))["payload"] for frame in frames]
    async with serve(state_file=state_file, wall=clock, settings=settings) as gateway:
        clock.now += 1
        assert [message.message_id for message in gateway.messages(issued.user_id)] == ids[1:]
        async with session(gateway, issued) as peer:
            await peer.until("replay.done")
            assert (await answer_to(peer, frames[-1]))["payload"] == accepted[-1]
        assert [message.message_id for message in gateway.messages(issued.user_id)] == ids[1:]
        assert gateway.counters.duplicates == 1
