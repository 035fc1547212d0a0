"""The state file: a sandbox that is killed and started again still knows everything."""

import asyncio
import json
import sys
from pathlib import Path

import httpx
import pytest

from holdfast.sandbox import GatewaySettings, StateFileError, serve

from .conftest import Clock
from .kit import LIMIT_S, dial, live, message_frame, pair, refresh

pytestmark = pytest.mark.anyio

CHILD = """
import asyncio, sys
from holdfast.sandbox import serve
async def main():
    async with serve(port=int(sys.argv[2]), state_file=sys.argv[1]) as gateway:
        print(gateway.port, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def spawn(state_file: Path, port: int) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, str(state_file), str(port), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(LIMIT_S):
        return process, f"http://127.0.0.1:{int(await process.stdout.readline())}"


async def kill(process: asyncio.subprocess.Process) -> None:
    process.kill()
    await process.communicate()


async def test_a_killed_sandbox_goes_on_where_it_was(tmp_path: Path) -> None:
    state_file = tmp_path / "sandbox.json"
    process, base_url = await spawn(state_file, 0)
    try:
        async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=LIMIT_S) as http:
            code, unused = [(await http.post("/_sandbox/pairing-code")).json()["code"] for _ in range(2)]
            paired = (await pair(http, code))["data"]
            renewed = (await refresh(http, paired["refresh_token"])).json()["data"]
        await kill(process)
        process, again = await spawn(state_file, httpx.URL(base_url).port or 0)
        assert again == base_url
        async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=LIMIT_S) as http:
            assert (await refresh(http, paired["refresh_token"])).json()["code"] == 10003
            headers = {"Authorization": f"Bearer {renewed['access_token']}"}
            assert (await http.get("/v1/users/me", headers=headers)).status_code == 200
            assert (await refresh(http, renewed["refresh_token"])).json()["code"] == 0
            assert (await pair(http, code))["code"] != 0
            assert (await pair(http, unused))["code"] == 0
    finally:
        if process.returncode is None:
            await kill(process)
    kept = state_file.read_text()
    for secret in (code, unused, paired["refresh_token"], renewed["refresh_token"], renewed["access_token"]):
        assert secret not in kept
    assert state_file.stat().st_mode & 0o777 == 0o600


async def test_messages_queues_and_the_clock_survive(tmp_path: Path, clock: Clock) -> None:
    state_file = tmp_path / "sandbox.json"
    async with serve(state_file=state_file, wall=clock) as gateway:
        issued = gateway.issue()
        async with live(gateway, issued) as peer:
            await peer.send(message_frame(issued.conversation_id))
            assert (await peer.receive())["event"] == "message.ack"
            gateway.push_message(issued.user_id, None, "seen")
            await peer.receive()
        gateway.advance(3600)
        gateway.drop_all()
        missed = gateway.push_message(issued.user_id, None, "missed")
    async with serve(state_file=state_file, wall=clock) as gateway:
        assert gateway.now == clock.now + 3600
        assert len(gateway.messages(issued.user_id)) == 1
        async with dial(gateway) as peer:
            await peer.greet(issued.access_token)
            frame, _done = await peer.until("replay.done")
            assert frame["payload"]["message_id"] == missed
            await peer.send(message_frame(issued.conversation_id))
            assert (await peer.receive())["event"] == "message.ack"
        assert gateway.counters.duplicates == 1


async def test_what_things_are_called_survives(tmp_path: Path) -> None:
    async with serve(state_file=tmp_path / "s.json") as gateway:
        issued = gateway.issue()
        assert gateway.set_conversation(issued.conversation_id, title="Plans") == 2
        assert gateway.set_behavior(issued.user_id, "Be brief.") == 2
    async with serve(state_file=tmp_path / "s.json") as gateway:
        assert gateway.set_conversation(issued.conversation_id, title="Plans") == 3
        assert gateway.set_behavior(issued.user_id, "Be brief.") == 3


async def test_a_file_of_an_older_sandbox_is_read(tmp_path: Path) -> None:
    state_file = tmp_path / "s.json"
    async with serve(state_file=state_file) as gateway:
        issued = gateway.issue()
        missed = gateway.push_message(issued.user_id, None, "missed")
    kept = json.loads(state_file.read_text())
    del kept["pages"]["about"], kept["mail"][issued.user_id]["origins"]
    for account in kept["pages"]["accounts"].values():
        del account["behavior"], account["behavior_version"]
    state_file.write_text(json.dumps(kept))
    async with serve(state_file=state_file) as gateway, dial(gateway) as peer:
        await peer.greet(issued.access_token)
        frame, _done = await peer.until("replay.done")
        assert frame["payload"]["message_id"] == missed


async def test_a_used_demo_code_stays_used(tmp_path: Path) -> None:
    settings = GatewaySettings(pairing_code="DEMO")
    for expected in (0, 16000):
        async with (
            serve(state_file=tmp_path / "s.json", settings=settings) as gateway,
            httpx.AsyncClient(base_url=gateway.base_url, trust_env=False) as http,
        ):
            assert (await pair(http, "DEMO"))["code"] == expected


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b'{"format":99}', b'{"pages":7}', b"\xff"])
async def test_a_file_that_is_no_state(tmp_path: Path, content: bytes) -> None:
    state_file = tmp_path / "s.json"
    state_file.write_bytes(content)
    with pytest.raises(StateFileError, match=r"s\.json"):
        async with serve(state_file=state_file):
            pass
    assert state_file.read_bytes() == content


async def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"s\.json"):
        async with serve(state_file=tmp_path / "nowhere" / "s.json"):
            pass


async def test_a_disk_that_fails_costs_the_connection_and_not_the_gateway(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    async with serve(state_file=folder / "s.json") as gateway:
        issued = gateway.issue(device_id="dev-a")
        (folder / "s.json").unlink()
        folder.rmdir()
        async with httpx.AsyncClient(base_url=gateway.base_url, trust_env=False) as http:
            with pytest.raises(httpx.TransportError):
                await refresh(http, issued.refresh_token)
            assert (await http.get("/_sandbox/state")).status_code == 200
        with pytest.raises(OSError, match=r"s\.json"):
            gateway.issue()
        folder.mkdir()
        assert gateway.issue().user_id
