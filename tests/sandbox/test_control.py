"""Scripting over HTTP, as a program in any language would."""

import base64
import json

import httpx
import pytest

from holdfast.sandbox import Gateway

from .conftest import Clock
from .kit import dial, live, message_frame, pair, script

pytestmark = pytest.mark.anyio


async def state(http: httpx.AsyncClient) -> dict[str, object]:
    found: dict[str, object] = (await http.get("/_sandbox/state")).json()
    return found


async def test_issue_and_state(gateway: Gateway, http: httpx.AsyncClient) -> None:
    issued = await script(http, "issue", device_id="dev-a", access_lifetime_s=60)
    assert issued["ok"] is True
    async with dial(gateway) as peer:
        assert (await peer.greet(issued["access_token"]))["event"] == "hello-ok"
        await peer.until("replay.done")
        await peer.send(message_frame(issued["conversation_id"]))
        assert (await peer.receive())["event"] == "message.ack"
        found = (await http.get("/_sandbox/state")).json()
        assert found["ws_url"] == gateway.ws_url
        assert found["sessions"] == [
            {"state": "live", "user_id": issued["user_id"], "device_id": "dev-a", "silent": False}
        ]
        assert found["counters"]["hellos"] == 1
        (account,) = found["accounts"]
        assert account["messages_stored"] == 1
        assert account["devices"][0]["refresh"].startswith("sha256:")
    text = json.dumps(found)
    assert issued["access_token"] not in text
    assert issued["refresh_token"] not in text
    again = await script(http, "issue", user_id=issued["user_id"], device_id="dev-b")
    assert again["user_id"] == issued["user_id"]
    listed = (await http.get("/_sandbox/messages", params={"user_id": issued["user_id"]})).json()["messages"]
    assert [message["text"] for message in listed] == ["hello"]


async def test_pairing_code(http: httpx.AsyncClient) -> None:
    code = (await script(http, "pairing-code"))["code"]
    assert (await state(http))["unused_pairing_codes"] == 1
    assert (await pair(http, code))["code"] == 0
    assert (await script(http, "pairing-code", code="MY-OWN"))["code"] == "MY-OWN"
    assert (await pair(http, "MY-OWN"))["code"] == 0
    assert "MY-OWN" not in json.dumps(await state(http))


async def test_faults_outage_and_release(gateway: Gateway, http: httpx.AsyncClient) -> None:
    await script(http, "fault", point="rest", kind="status", status=500, times=None)
    assert (await http.get("/v1/users/me")).status_code == 500
    await script(http, "clear", point="rest")
    assert (await http.get("/v1/users/me")).status_code == 401
    await script(http, "outage")
    assert (await state(http))["outage"] is True
    await script(http, "outage", down=False)
    assert (await state(http))["outage"] is False
    assert (await script(http, "release", point="hello"))["released"] == 0
    await script(http, "clear")


async def test_sessions_over_http(gateway: Gateway, http: httpx.AsyncClient) -> None:
    issued = gateway.issue()
    async with live(gateway, issued) as peer:
        message_id = (await script(http, "push-message", user_id=issued.user_id, text="hi", mentions=None))[
            "message_id"
        ]
        assert (await peer.receive())["payload"]["message_id"] == message_id
        signal = await script(http, "push-signal", user_id=issued.user_id, type="conversation.updated", entity_id="c")
        assert (await peer.receive())["payload"]["event_id"] == signal["event_id"]
        await script(http, "push-frame", user_id=issued.user_id, event="x.y", payload={"a": 1}, fields={"dseq": 1})
        assert (await peer.receive())["dseq"] == 1
        assert (await script(http, "push-raw", user_id=issued.user_id, text="raw"))["sessions"] == 1
        assert await peer.socket.recv() == "raw"
        await script(http, "push-raw", user_id=issued.user_id, binary=base64.b64encode(b"\x00").decode())
        assert await peer.socket.recv() == b"\x00"
        assert (await script(http, "kick", code=4001, reason="go"))["sessions"] == 1
        assert await peer.closed() == 4001
    async with live(gateway, issued) as peer:
        assert (await script(http, "drop", user_id=issued.user_id))["sessions"] == 1
        assert await peer.closed() == 1006
    async with live(gateway, issued):
        assert (await script(http, "silence"))["sessions"] == 1


async def test_accounts_over_http(gateway: Gateway, http: httpx.AsyncClient, clock: Clock) -> None:
    issued = gateway.issue()
    chat_id = (await script(http, "conversation", user_id=issued.user_id))["chat_id"]
    assert (await script(http, "conversation", user_id=issued.user_id, chat_id="cnv_mine"))["chat_id"] == "cnv_mine"
    await script(http, "conversation", user_id=issued.user_id, chat_id=chat_id, leave=True)
    await script(http, "resolve", user_id=issued.user_id, device_id="dev-r")
    async with dial(gateway) as peer:
        assert (await peer.greet(issued.access_token))["payload"]["device_id"] == "dev-r"
    await script(http, "resolve", user_id=issued.user_id)
    await script(http, "advance", seconds=24 * 3600)
    assert (await state(http))["now"] == clock.now + 24 * 3600
    async with dial(gateway) as peer:
        assert (await peer.greet(issued.access_token))["payload"] == {"reason": "authentication failed"}
    await script(http, "revoke", user_id=issued.user_id, access=False)
    await script(http, "forget", user_id=issued.user_id)
    assert (await state(http))["accounts"] == []


async def test_metadata_over_http(gateway: Gateway, http: httpx.AsyncClient) -> None:
    issued = gateway.issue()
    chat_id = issued.conversation_id
    changed = await script(http, "set-conversation", chat_id=chat_id, title="Plans", kind="group")
    assert changed["version"] == 2
    assert (await script(http, "set-behavior", user_id=issued.user_id, text="Be brief."))["version"] == 2
    async with live(gateway, issued) as peer:
        await script(http, "push-invalidation", user_id=issued.user_id, chat_id=chat_id)
        frame = await peer.receive()
        assert (frame["event"], frame["chat_id"], frame["chat_type"]) == (
            "chat.metadata.invalidated", chat_id, "direct",
        )  # fmt: skip
        assert frame["payload"].keys() == {"updated_at"}
        await script(
            http, "push-invalidation", user_id=issued.user_id, chat_id=chat_id, scope=["title"], version=2,
            chat_type="group",
        )  # fmt: skip
        frame = await peer.receive()
        assert (frame["payload"]["scope"], frame["payload"]["version"], frame["chat_type"]) == (["title"], 2, "group")
        await script(http, "push-message", user_id=issued.user_id, text="hi")
        assert (await peer.receive())["chat_type"] == "group"
    headers = {"Authorization": f"Bearer {issued.access_token}"}
    assert (await http.get(f"/v1/conversations/{chat_id}", headers=headers)).json()["data"]["title"] == "Plans"
    assert (await state(http))["rest_reads"] == {f"/v1/conversations/{chat_id}": 1}


async def test_wait(gateway: Gateway, http: httpx.AsyncClient) -> None:
    assert (await script(http, "wait", counter="hellos", at_least=1, timeout_s=0.01))["reached"] is False
    async with live(gateway, gateway.issue()):
        waited = await script(http, "wait", counter="hellos", at_least=1)
        assert (waited["reached"], waited["value"]) == (True, 1)


@pytest.mark.parametrize(
    ("action", "body", "status"),
    [
        ("nonsense", b"{}", 404),
        ("forget", b'{"user_id":"nobody"}', 404),
        ("forget", b"{}", 400),
        ("fault", b'{"point":"rest","kind":"refuse"}', 400),
        ("fault", b'{"point":"rest","kind":"status","tiems":3}', 400),
        ("fault", b'{"point":"rest","kind":"status","status":99}', 400),
        ("fault", b'{"point":"rest","kind":"delay","seconds":-1}', 400),
        ("kick", b'{"code":1006}', 400),
        ("wait", b'{"counter":"nonsense","at_least":1}', 400),
        ("wait", b"[", 400),
        ("push-raw", b'{"user_id":"x"}', 400),
        ("conversation", b'{"user_id":"x","leave":true}', 400),
        ("conversation", b'{"user_id":"x","chat_id":"room"}', 400),
        ("set-conversation", b'{"chat_id":"cnv_nowhere","title":"x"}', 404),
        ("set-conversation", b'{"chat_id":"cnv_nowhere","kind":"crowd"}', 400),
        ("set-behavior", b'{"user_id":"nobody","text":"x"}', 404),
        ("push-invalidation", b'{"user_id":"nobody","chat_id":"room"}', 400),
        ("fault", b'{"point":"frame","kind":"drop"}', 400),
        ("issue", b"\xff", 400),
        ("issue", b"[" * 100_000, 400),
    ],
)
async def test_mistakes_are_told(http: httpx.AsyncClient, action: str, body: bytes, status: int) -> None:
    answer = await http.post(f"/_sandbox/{action}", content=body)
    assert answer.status_code == status
    assert answer.json()["ok"] is False
    assert answer.json()["error"]


@pytest.mark.parametrize("kind", ["explode", "refuse"])
async def test_a_fault_that_a_point_does_not_have_is_answered_with_those_it_has(
    http: httpx.AsyncClient, kind: str
) -> None:
    answer = await http.post("/_sandbox/fault", json={"point": "rest", "kind": kind})
    assert answer.status_code == 400
    assert answer.json()["error"] == (
        f"rest has no fault {kind!r}; it has: drop, never, code, status, garbage, delay, hold"
    )


async def test_web_pages_may_not_script(http: httpx.AsyncClient) -> None:
    assert (await http.get("/_sandbox/state", headers={"Origin": "http://example.org"})).status_code == 403
    assert (await http.get("/_sandbox/state", headers={"Host": "rebound.example.org"})).status_code == 403
    assert (await http.get("/_sandbox/nothing")).status_code == 404
    assert (await http.get("/_sandbox/messages", params={"user_id": "nobody"})).status_code == 404
