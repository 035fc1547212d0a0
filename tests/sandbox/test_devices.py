"""Several devices of one user: what one says reaches the others, and itself if it wants that."""

from pathlib import Path
from typing import Any

import pytest

from holdfast.sandbox import Credentials, Gateway, serve

from .kit import MESSAGE_ID, Peer, answer_to, dial, live, message_frame, seen, still_serves

pytestmark = pytest.mark.anyio

MULTI = {"multi_device": True}


async def start(peer: Peer, issued: Credentials, device_id: str, capabilities: dict[str, bool]) -> list[dict[str, Any]]:
    """Greet; returns what is replayed."""
    await peer.greet(issued.access_token, device_id, capabilities=capabilities)
    return (await peer.until("replay.done"))[:-1]


async def test_what_one_device_says_reaches_the_others_with_its_origin(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with live(gateway, issued) as one, dial(gateway) as other:
        await start(other, issued, "dev-b", MULTI)
        assert (await answer_to(one, message_frame(issued.conversation_id, "hello")))["event"] == "message.ack"
        relayed = await other.receive()
        assert (relayed["event"], relayed["chat_id"], relayed["chat_type"]) == (
            "message.send", issued.conversation_id, "direct",
        )  # fmt: skip
        assert (relayed["sender"]["id"], relayed["origin_device_id"]) == (issued.user_id, "dev-a")
        assert relayed["payload"]["message_id"] == MESSAGE_ID
        assert relayed["payload"]["message"]["body"]["fragments"] == [{"kind": "text", "text": "hello"}]
        await still_serves(one)
        assert gateway.unconfirmed(issued.user_id) == {"dev-a": 0, "dev-b": 0}


async def test_a_device_that_never_asked_sees_no_origin(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with live(gateway, issued) as one, live(gateway, issued, "dev-b") as other:
        await answer_to(one, message_frame(issued.conversation_id))
        relayed = await other.receive()
        assert relayed["sender"]["id"] == issued.user_id
        assert "origin_device_id" not in relayed


async def test_only_a_device_that_asked_gets_its_own_echo(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with dial(gateway) as peer:
        await start(peer, issued, "dev-a", MULTI)
        assert (await answer_to(peer, message_frame(issued.conversation_id)))["event"] == "message.ack"
        echo = await peer.receive()
        assert (echo["sender"]["id"], echo["origin_device_id"]) == (issued.user_id, "dev-a")
        again = await answer_to(peer, message_frame(issued.conversation_id, trace_id="t-3"))
        assert again["event"] == "message.ack"
        await still_serves(peer)  # A resend is stored once, and relayed once.
    async with dial(gateway) as peer:
        assert await start(peer, issued, "dev-a", {}) == []


async def test_one_device_alone_has_nothing_queued(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with live(gateway, issued) as peer:
        await answer_to(peer, message_frame(issued.conversation_id))
        await still_serves(peer)
    assert gateway.state()["accounts"][0]["frames_queued"] == 0


async def test_a_device_that_was_away_gets_it_in_the_replay(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with live(gateway, issued, "dev-b"):
        pass
    await seen(gateway, "closed")
    async with live(gateway, issued) as one:
        await answer_to(one, message_frame(issued.conversation_id))
    async with dial(gateway) as other:
        (relayed,) = await start(other, issued, "dev-b", {**MULTI, "reliable_delivery": True})
        assert (relayed["payload"]["message_id"], relayed["origin_device_id"]) == (MESSAGE_ID, "dev-a")
        assert "seq" in relayed


async def test_own_messages_leave_no_gap_in_the_numbers_and_nothing_unacked(gateway: Gateway) -> None:
    issued = gateway.issue()
    reliable = {"reliable_delivery": True, "reliable_delivery_v2": True}
    async with live(gateway, issued, "dev-b"), dial(gateway) as one:
        await start(one, issued, "dev-a", reliable)
        gateway.push_message(issued.user_id, None, "one")
        await one.receive()
        ack = await answer_to(one, message_frame(issued.conversation_id))
        assert (ack["event"], ack["dseq"]) == ("message.ack", 3)
        assert gateway.unconfirmed(issued.user_id)["dev-a"] == 2
        payload = {"dseq": 3, "epoch": one.hello["payload"]["ack_epoch"]}
        await one.send({"event": "message.sync_ack", "payload": payload})
        await seen(gateway, "ack")
        assert gateway.unconfirmed(issued.user_id)["dev-a"] == 0
        gateway.push_message(issued.user_id, None, "two")
        assert (await one.receive())["dseq"] == 4


async def test_a_device_is_remembered_from_its_first_hello(tmp_path: Path) -> None:
    async with serve(state_file=tmp_path / "s.json") as gateway:
        issued = gateway.issue()
        async with live(gateway, issued, "dev-b"):
            pass
    async with serve(state_file=tmp_path / "s.json") as gateway:
        async with live(gateway, issued) as one:
            await answer_to(one, message_frame(issued.conversation_id))
        async with dial(gateway) as other:
            assert len(await start(other, issued, "dev-b", {})) == 1
