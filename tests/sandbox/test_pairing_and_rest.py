"""Pairing with single-use codes, and the REST routes of a paired client."""

from typing import Any

import httpx
import pytest

from holdfast.sandbox import Gateway, GatewaySettings, serve

from .conftest import Clock
from .kit import dial, pair, refresh

pytestmark = pytest.mark.anyio


async def test_a_code_pairs_once(gateway: Gateway, http: httpx.AsyncClient) -> None:
    code = gateway.pairing_code()
    answer = await pair(http, code, "dev-p")
    assert answer["code"] == 0
    data = answer["data"]
    assert sorted(data) == ["access_token", "agent", "conversation", "refresh_token"]
    assert sorted(data["agent"]) == ["id", "owner_id", "user_id"]
    assert data["conversation"]["id"].startswith("cnv_")
    assert (await pair(http, code))["code"] not in (0, 16001)
    async with dial(gateway) as peer:
        assert (await peer.greet(data["access_token"]))["event"] == "hello-ok"
    # The request's device id is the pairing's: refreshes are bound to it.
    assert (await refresh(http, data["refresh_token"], "dev-other")).json()["code"] == 10003
    assert (await refresh(http, data["refresh_token"], "dev-p")).json()["code"] == 0


async def test_pairing_again_keeps_the_user_and_voids_the_devices_old_tokens(
    gateway: Gateway, http: httpx.AsyncClient
) -> None:
    first = (await pair(http, gateway.pairing_code()))["data"]
    user_id = first["agent"]["user_id"]
    second = (await pair(http, gateway.pairing_code(), user_id=user_id))["data"]
    assert (second["agent"], second["conversation"]) == (first["agent"], first["conversation"])
    assert (await refresh(http, first["refresh_token"])).json()["code"] == 10003
    assert (await refresh(http, second["refresh_token"])).json()["code"] == 0
    async with dial(gateway) as peer:
        assert (await peer.greet(first["access_token"]))["event"] == "hello-fail"


async def test_a_stale_user_id_is_16001_and_the_code_stays_good(gateway: Gateway, http: httpx.AsyncClient) -> None:
    gone = (await pair(http, gateway.pairing_code()))["data"]["agent"]["user_id"]
    gateway.forget(gone)
    code = gateway.pairing_code()
    assert (await pair(http, code, user_id=gone))["code"] == 16001
    assert (await pair(http, code))["code"] == 0


async def test_forgetting_a_user_drops_its_sessions_and_tokens(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with dial(gateway) as peer:
        await peer.greet(issued.access_token)
        gateway.forget(issued.user_id)
        assert await peer.closed() == 1006
    async with dial(gateway) as peer:
        assert (await peer.greet(issued.access_token))["payload"]["reason"] == "authentication failed"
    with pytest.raises(LookupError):
        gateway.forget(issued.user_id)


async def test_unknown_and_malformed_pairings(gateway: Gateway, http: httpx.AsyncClient) -> None:
    assert (await pair(http, "NO-SUCH-CODE"))["code"] not in (0, 1, 16001)
    code = gateway.pairing_code()
    assert (await pair(http, code, type="human"))["code"] == 400
    assert (await pair(http, code, platform=None))["code"] == 400
    assert (await pair(http, code, "d" * 129))["code"] == 400
    assert (await pair(http, ""))["code"] == 400
    assert (await http.post("/v1/agents/connect", content=b"[]", headers={"X-Device-Id": "d"})).json()["code"] == 400
    assert (await pair(http, code))["code"] == 0


async def test_scripted_pairing_faults(gateway: Gateway, http: httpx.AsyncClient) -> None:
    code = gateway.pairing_code()
    gateway.inject("pairing", "status", status=503)
    answer = await http.post("/v1/agents/connect", json={})
    assert answer.status_code == 503
    gateway.inject("pairing", "code", code=16001)
    assert (await pair(http, code))["code"] == 16001
    gateway.inject("pairing", "no_refresh_token")
    assert "refresh_token" not in (await pair(http, code))["data"]
    lost = gateway.pairing_code()
    gateway.inject("pairing", "lose")
    with pytest.raises(httpx.TransportError):
        await pair(http, lost)
    assert (await pair(http, lost))["code"] != 0


async def test_a_code_from_the_settings(clock: Clock) -> None:
    async with serve(settings=GatewaySettings(pairing_code="DEMO-CODE"), wall=clock) as gateway:
        assert "DEMO-CODE" not in repr(gateway.settings)
        async with httpx.AsyncClient(base_url=gateway.base_url, trust_env=False) as http:
            assert (await pair(http, "DEMO-CODE"))["code"] == 0
            assert (await pair(http, "DEMO-CODE"))["code"] != 0


async def test_rest_routes(gateway: Gateway, http: httpx.AsyncClient, clock: Clock) -> None:
    issued = gateway.issue()
    headers = {"Authorization": f"Bearer {issued.access_token}", "X-Device-Id": issued.device_id}
    me = await http.get("/v1/users/me", headers=headers)
    assert (me.status_code, me.json()["code"], me.json()["data"]["user_id"]) == (200, 0, issued.user_id)
    chat = await http.get(f"/v1/conversations/{issued.conversation_id}", headers=headers)
    assert chat.json()["data"]["id"] == issued.conversation_id
    agent = await http.get(f"/v1/agents/{issued.agent_id}", headers=headers)
    assert agent.json()["data"]["id"] == issued.agent_id
    others = gateway.issue().conversation_id
    for path in (f"/v1/conversations/{others}", "/v1/agents/nobody", "/v1/users/nobody", "/v2/else", "/"):
        answer = await http.get(path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (404, 404)
    assert (await http.post("/v1/users/me", headers=headers)).status_code == 405
    clock.now += 24 * 3600
    expired = await http.get("/v1/users/me", headers=headers)
    assert (expired.status_code, expired.json()["code"]) == (401, 401)


async def test_what_a_conversation_and_an_agent_are_called(
    gateway: Gateway, http: httpx.AsyncClient, clock: Clock
) -> None:
    issued = gateway.issue()
    headers = {"Authorization": f"Bearer {issued.access_token}"}

    async def read(path: str) -> dict[str, Any]:
        data: dict[str, Any] = (await http.get(path, headers=headers)).json()["data"]
        return data

    chat, agent = f"/v1/conversations/{issued.conversation_id}", f"/v1/agents/{issued.agent_id}"
    assert await read(chat) == {
        "id": issued.conversation_id, "type": "direct", "title": "", "description": "",
        "members": [issued.user_id, issued.owner_id], "version": 1, "updated_at": 0,
    }  # fmt: skip
    assert gateway.set_conversation(issued.conversation_id, title="Plans") == 2
    assert gateway.set_conversation(issued.conversation_id, description="For June", kind="group") == 3
    changed = await read(chat)
    assert (changed["type"], changed["title"], changed["description"]) == ("group", "Plans", "For June")
    assert (changed["version"], changed["updated_at"]) == (3, clock.now * 1000)
    assert gateway.set_behavior(issued.user_id, "Be brief.") == 2
    found = await read(agent)
    assert (found["behavior"], found["version"], found["name"]) == ("Be brief.", 2, "Agent")
    me = await read("/v1/users/me")
    assert (me["nick_name"], me["avatar_url"], me["agent_id"]) == ("Agent", "", issued.agent_id)
    with pytest.raises(LookupError):
        gateway.set_conversation("cnv_nowhere", title="x")
    with pytest.raises(LookupError):
        gateway.set_behavior("nobody", "x")
    gateway.leave_conversation(issued.user_id, issued.conversation_id)
    gateway.leave_conversation(issued.owner_id, issued.conversation_id)
    gateway.add_conversation(issued.user_id, issued.conversation_id)
    assert (await read(chat))["title"] == ""  # What nobody is in any more is gone.


async def test_reads_are_counted_by_path(gateway: Gateway, http: httpx.AsyncClient) -> None:
    issued = gateway.issue()
    headers = {"Authorization": f"Bearer {issued.access_token}"}
    gateway.inject("rest", "status")
    for _ in range(3):
        await http.get("/v1/users/me", headers=headers)
    await http.get("/v1/users/me")
    await http.get(f"/v1/agents/{issued.agent_id}?x=1", headers=headers)
    await http.post("/v1/users/me", headers=headers)
    assert gateway.rest_reads == {"/v1/users/me": 4, f"/v1/agents/{issued.agent_id}": 1}
    assert gateway.state()["rest_reads"] == gateway.rest_reads


@pytest.mark.parametrize("authorization", [None, "Bearer nobody's", "Bearer", "Basic dTpw", ""])
async def test_rest_without_a_good_token(http: httpx.AsyncClient, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    assert (await http.get("/v1/users/me", headers=headers)).status_code == 401


async def test_revoked_access_and_scripted_rest_faults(gateway: Gateway, http: httpx.AsyncClient) -> None:
    issued = gateway.issue(device_id="dev-a")
    headers = {"Authorization": f"Bearer {issued.access_token}"}
    gateway.inject("rest", "status", status=403, times=None)
    for _ in range(3):
        assert (await http.get("/v1/users/me", headers=headers)).status_code == 403
    gateway.clear("rest")
    assert (await http.get("/v1/users/me", headers=headers)).status_code == 200
    gateway.inject("rest", "code", code=7)
    assert (await http.get("/v1/users/me", headers=headers)).json()["code"] == 7
    gateway.inject("rest", "drop")
    with pytest.raises(httpx.TransportError):
        await http.get("/v1/users/me", headers=headers)
    gateway.revoke(issued.user_id, refresh=False)
    assert (await http.get("/v1/users/me", headers=headers)).status_code == 401
    assert (await refresh(http, issued.refresh_token)).json()["code"] == 0
