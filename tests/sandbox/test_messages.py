"""After hello-ok: messages both ways, replay, pings."""

import asyncio
import json
from typing import Any

import pytest

from holdfast.sandbox import Gateway, GatewaySettings, Kind, serve

from .kit import LIMIT_S, MESSAGE_ID, answer_to, dial, live, message_frame, seen, still_serves

pytestmark = pytest.mark.anyio


async def test_a_message_is_stored_and_acked(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with live(gateway, issued) as peer:
        ack = await answer_to(peer, message_frame(issued.conversation_id, "hello"))
        assert (ack["event"], ack["trace_id"], ack["version"]) == ("message.ack", "t-2", "2")
        assert ack["payload"]["message_id"] == MESSAGE_ID
        assert isinstance(ack["payload"]["accepted_at"], int)
    (stored,) = gateway.messages(issued.user_id)
    assert (stored.text, stored.chat_id, stored.device_id) == ("hello", issued.conversation_id, "dev-a")


async def test_a_duplicate_is_acked_again_and_stored_once(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with live(gateway, issued) as peer:
        first = await answer_to(peer, message_frame(issued.conversation_id))
        again = await answer_to(peer, message_frame(issued.conversation_id, trace_id="t-3"))
        assert again["trace_id"] == "t-3"
        assert again["payload"] == first["payload"]
    assert len(gateway.messages(issued.user_id)) == 1
    assert (gateway.counters.messages_stored, gateway.counters.duplicates) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"chat_id": "room-1"}, "chat_not_found"),
        ({"chat_id": "cnv_nowhere"}, "chat_not_found"),
        ({"chat_id": None}, "bad_request"),
        ({"version": "1"}, "unsupported_version"),
        ({"emitted_at": "now"}, "bad_request"),
        ({"trace_id": None}, "bad_request"),
        ({"sender": {"id": "me"}}, "bad_request"),
        ({"chat_type": "direct"}, "bad_request"),
        ({"origin_device_id": "dev-a"}, "bad_request"),
        ({"payload": None}, "bad_request"),
        ({"payload": {"message_id": MESSAGE_ID}}, "bad_request"),
    ],
)
async def test_a_wrong_envelope_is_a_message_error(gateway: Gateway, changes: dict[str, Any], code: str) -> None:
    issued = gateway.issue()
    async with live(gateway, issued) as peer:
        error = await answer_to(peer, message_frame(issued.conversation_id, **changes))
        assert (error["event"], error["payload"]["code"]) == ("message.error", code)
        assert error["trace_id"] == ("t-2" if "trace_id" not in changes else "")
        await still_serves(peer)
    assert gateway.messages(issued.user_id) == ()


def content(*fragments: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"body": {"fragments": list(fragments)}, "context": {"mentions": [], "reply": None}, **more}


TEXT = {"kind": "text", "text": "x"}
WRONG_PAYLOADS: list[tuple[dict[str, Any], str]] = [
    ({"message_id": "msg-short"}, "bad_request"),
    ({"message_id": MESSAGE_ID.lower()}, "bad_request"),
    ({"message_id": "m" * 129}, "message_id_too_long"),
    ({"message_mode": "loud"}, "bad_request"),
    ({"message": content()}, "bad_request"),
    ({"message": content({})}, "bad_request"),
    ({"message": content({"kind": "text"})}, "bad_request"),
    ({"message": content(TEXT, context={"mentions": None})}, "bad_request"),
    ({"message": content(TEXT, streaming={})}, "bad_request"),
]


@pytest.mark.parametrize(("changes", "code"), WRONG_PAYLOADS)
async def test_a_wrong_payload_is_a_message_error(gateway: Gateway, changes: dict[str, Any], code: str) -> None:
    issued = gateway.issue()
    async with live(gateway, issued) as peer:
        frame = message_frame(issued.conversation_id)
        frame["payload"].update(changes)
        error = await answer_to(peer, frame)
        assert (error["event"], error["trace_id"], error["payload"]["code"]) == ("message.error", "t-2", code)


async def test_membership(gateway: Gateway) -> None:
    issued, other = gateway.issue(), gateway.issue()
    async with live(gateway, issued) as peer:
        error = await answer_to(peer, message_frame(other.conversation_id))
        assert error["payload"]["code"] == "not_member"
        assert error["payload"]["message_id"] == MESSAGE_ID
        gateway.add_conversation(issued.user_id, other.conversation_id)
        assert (await answer_to(peer, message_frame(other.conversation_id)))["event"] == "message.ack"
        gateway.leave_conversation(issued.user_id, other.conversation_id)
        later = message_frame(other.conversation_id, message_id=MESSAGE_ID[:-1] + "Z")
        assert (await answer_to(peer, later))["payload"]["code"] == "not_member"


async def test_too_large_messages(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with live(gateway, issued) as peer:
        overhead = len(json.dumps(message_frame(issued.conversation_id, "")))
        limit = gateway.settings.frame_bytes_max
        error = await answer_to(peer, message_frame(issued.conversation_id, "x" * (limit - overhead)))
        assert error["payload"]["code"] == "message_too_large"
        ack = await answer_to(peer, message_frame(issued.conversation_id, "x" * (1_000_000 - overhead)))
        assert ack["event"] == "message.ack"
        await peer.send(message_frame(issued.conversation_id, "x" * limit))
        assert await peer.closed() == 1009


async def test_scripted_refusals_and_silences(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with live(gateway, issued) as peer:
        gateway.inject("send", "refuse", reason="capability_missing")
        error = await answer_to(peer, message_frame(issued.conversation_id))
        assert error["payload"]["code"] == "capability_missing"
        gateway.inject("send", "never")
        await peer.send(message_frame(issued.conversation_id))
        await still_serves(peer)
        assert gateway.messages(issued.user_id) == ()
        gateway.inject("send", "swallow")
        await peer.send(message_frame(issued.conversation_id))
        await still_serves(peer)
        assert len(gateway.messages(issued.user_id)) == 1


@pytest.mark.parametrize(("kind", "stored"), [("drop", 0), ("lose", 1)])
async def test_scripted_drops_of_a_send(gateway: Gateway, kind: Kind, stored: int) -> None:
    issued = gateway.issue()
    gateway.inject("send", kind)
    async with live(gateway, issued) as peer:
        await peer.send(message_frame(issued.conversation_id))
        assert await peer.closed() == 1006
    assert len(gateway.messages(issued.user_id)) == stored


async def test_json_ping(gateway: Gateway) -> None:
    async with live(gateway, gateway.issue()) as peer:
        pong = await answer_to(peer, {"event": "ping", "trace_id": "p-1"})
        assert (pong["event"], pong["trace_id"]) == ("pong", "p-1")
        assert (await answer_to(peer, {"event": "ping"}))["event"] == "pong"
        gateway.inject("ping", "never")
        await peer.send({"event": "ping", "trace_id": "p-2"})
        await still_serves(peer)


async def test_typing_is_counted(gateway: Gateway) -> None:
    async with live(gateway, gateway.issue()) as peer:
        for payload in ({"is_typing": True}, {"is_typing": "yes"}, None, {"is_typing": False}):
            await peer.send({"version": "2", "event": "typing.update", "chat_id": "cnv_1", "payload": payload})
        await still_serves(peer)
    assert (gateway.counters.typing_updates, gateway.counters.json_pings) == (2, 1)
    noted = [event.detail for event in gateway.events if event.event == "typing"]
    assert noted == ["cnv_1: on", "cnv_1: off"]


async def test_unknown_events_are_tolerated(gateway: Gateway) -> None:
    async with live(gateway, gateway.issue()) as peer:
        for event in ("typing.update", "message.cursor_ack", "message.sync_ack", "something.new"):
            await peer.send({"version": "2", "event": event, "trace_id": "t", "payload": {}})
        await still_serves(peer)


async def test_websocket_pings() -> None:
    async with serve(settings=GatewaySettings(ping_interval_s=0.01)) as gateway:
        async with live(gateway, gateway.issue()):
            async with asyncio.timeout(LIMIT_S):
                await gateway.wait(lambda found: found.counters.pongs_received >= 2)
        assert gateway.counters.pings_sent >= 2


async def test_a_push_reaches_each_device(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with live(gateway, issued, "dev-a") as one, live(gateway, issued, "dev-b") as other:
        message_id = gateway.push_message(issued.user_id, None, "good morning")
        for peer in (one, other):
            frame = await peer.receive()
            assert frame["event"] == "message.send"
            assert frame["chat_id"] == issued.conversation_id
            assert frame["chat_type"] == "direct"
            assert frame["sender"]["id"] == issued.owner_id
            assert frame["payload"]["message_id"] == message_id
            assert frame["payload"]["message"]["body"]["fragments"] == [{"kind": "text", "text": "good morning"}]


async def test_missed_frames_are_replayed_in_order_then_one_replay_done(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with live(gateway, issued):
        pass
    await seen(gateway, "closed")
    missed = [gateway.push_message(issued.user_id, None, str(number)) for number in range(3)]
    async with dial(gateway) as peer:
        await peer.greet(issued.access_token)
        *replayed, done = await peer.until("replay.done")
        assert [frame["payload"]["message_id"] for frame in replayed] == missed
        assert done["event"] == "replay.done"
        after = gateway.push_message(issued.user_id, None, "live")
        assert (await peer.receive())["payload"]["message_id"] == after
    async with dial(gateway) as peer:
        await peer.greet(issued.access_token)
        assert len(await peer.until("replay.done")) == 1


async def test_a_new_device_gets_everything(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with live(gateway, issued, "dev-a"):
        gateway.push_message(issued.user_id, None, "one")
    async with dial(gateway) as peer:
        await peer.greet(issued.access_token, "dev-new")
        assert len(await peer.until("replay.done")) == 2


async def test_a_large_replay_waits_for_a_slow_reader(gateway: Gateway) -> None:
    issued = gateway.issue()
    for _ in range(40):
        gateway.push_message(issued.user_id, None, "x" * 900_000)
    async with dial(gateway) as peer:
        await peer.greet(issued.access_token)
        assert len(await peer.until("replay.done")) == 41


async def test_the_queue_is_bounded() -> None:
    async with serve(settings=GatewaySettings(messages_max=3)) as gateway:
        issued = gateway.issue()
        ids = [gateway.push_message(issued.user_id, None, "x") for _ in range(5)]
        async with dial(gateway) as peer:
            await peer.greet(issued.access_token)
            *replayed, _ = await peer.until("replay.done")
            assert [frame["payload"]["message_id"] for frame in replayed] == ids[-3:]
            for last in "ABCDE":
                frame = message_frame(issued.conversation_id, message_id=MESSAGE_ID[:-1] + last)
                assert (await answer_to(peer, frame))["event"] == "message.ack"
        assert [stored.message_id[-1] for stored in gateway.messages(issued.user_id)] == ["C", "D", "E"]


async def test_without_a_replay_done(gateway: Gateway) -> None:
    issued = gateway.issue()
    gateway.inject("replay", "never")
    async with dial(gateway) as peer:
        await peer.greet(issued.access_token)
        await still_serves(peer)


async def test_signals_frames_and_raw_data(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with live(gateway, issued) as peer:
        event_id = gateway.push_signal(issued.user_id, "conversation.updated", "cnv_1", version=4)
        assert (await peer.receive())["payload"] == {
            "type": "conversation.updated",
            "entity_id": "cnv_1",
            "version": 4,
            "event_id": event_id,
            "message_id": "notify:conversation.updated:cnv_1",
        }
        gateway.push_frame(issued.user_id, "presence.changed", {"online": True}, chat_id="cnv_1", seq=9)
        frame = await peer.receive()
        assert (frame["event"], frame["chat_id"], frame["seq"]) == ("presence.changed", "cnv_1", 9)
        assert gateway.push_raw(issued.user_id, "{nonsense") == 1
        assert await peer.socket.recv() == "{nonsense"
        gateway.push_raw(issued.user_id, b"\x00\xff")
        assert await peer.socket.recv() == b"\x00\xff"


async def test_mistakes_of_the_script_are_told(gateway: Gateway) -> None:
    issued = gateway.issue()
    with pytest.raises(ValueError, match="cnv_"):
        gateway.push_message(issued.user_id, "room", "x")
    with pytest.raises(LookupError):
        gateway.push_message("nobody", None, "x")
    with pytest.raises(LookupError):
        gateway.messages("nobody")
    with pytest.raises(ValueError, match="bytes"):
        gateway.push_message(issued.user_id, None, "x" * 2_000_000)
    with pytest.raises(ValueError, match="it has"):
        gateway.inject("ping", "garbage")
    with pytest.raises(ValueError, match="times"):
        gateway.inject("ping", "never", times=0)
    with pytest.raises(ValueError, match="above 0"):
        GatewaySettings(access_lifetime_s=0)
    with pytest.raises(ValueError, match="no pings"):
        GatewaySettings(ping_interval_s=-1)
