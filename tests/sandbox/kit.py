"""A raw client for the gateway's tests: `websockets` and `httpx` only, so that no misreading of ours is shared."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from holdfast.sandbox import Credentials, Gateway

LIMIT_S = 30  # For what should take milliseconds: a broken test ends, a slow machine breaks none.
MESSAGE_ID = "msg-01JD3X5V8Q9WZK4T7M2N6P0RHB"


class Peer:
    """One raw WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.hello: dict[str, Any] = {}

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(LIMIT_S):
            frame: dict[str, Any] = json.loads(await self.socket.recv())
            return frame

    async def until(self, event: str) -> list[dict[str, Any]]:
        """The frames up to and with the first of this event."""
        frames = [await self.receive()]
        while frames[-1]["event"] != event:
            frames.append(await self.receive())
        return frames

    async def send(self, frame: object) -> None:
        await self.socket.send(json.dumps(frame))

    async def closed(self) -> int:
        """The close code, once the connection is over; frames before are dropped."""
        try:
            async with asyncio.timeout(LIMIT_S):
                while True:
                    await self.socket.recv()
        except ConnectionClosed:
            assert self.socket.close_code is not None
            return self.socket.close_code

    async def greet(self, token: str, device_id: str = "dev-a", /, **changes: Any) -> dict[str, Any]:
        """Answer the challenge; returns the gateway's answer."""
        challenge = await self.receive()
        await self.send(connect_frame(token, challenge["payload"]["nonce"], device_id, **changes))
        self.hello = await self.receive()
        return self.hello


def connect_frame(token: str, nonce: str, device_id: str = "dev-a", /, **changes: Any) -> dict[str, Any]:
    payload = {
        "token": token, "nonce": nonce, "device_id": device_id, "client_version": "test/1", "protocol_version": 2,
        "capabilities": {"device_replay": True},
    }  # fmt: skip
    return {"version": "2", "event": "connect", "trace_id": "t-1", "emitted_at": 1, "payload": {**payload, **changes}}


def message_frame(chat: str, text: str = "hello", *, message_id: str = MESSAGE_ID, **changes: Any) -> dict[str, Any]:
    body = {"fragments": [{"kind": "text", "text": text}]}
    content: dict[str, Any] = {"body": body, "context": {"mentions": [], "reply": None}}
    payload: dict[str, Any] = {"message_id": message_id, "message_mode": "normal", "message": content}
    frame: dict[str, Any] = {
        "version": "2", "event": "message.send", "trace_id": "t-2", "emitted_at": 1, "chat_id": chat,
        "payload": payload,
    }  # fmt: skip
    return {**frame, **changes}


@asynccontextmanager
async def dial(gateway: Gateway) -> AsyncGenerator[Peer, None]:
    """A raw socket, with the library's own pings off."""
    async with asyncio.timeout(LIMIT_S):
        socket = await connect(gateway.ws_url, ping_interval=None, proxy=None, close_timeout=1, max_size=None)
    try:
        yield Peer(socket)
    finally:
        socket.transport.abort()
        await socket.wait_closed()


@asynccontextmanager
async def live(gateway: Gateway, issued: Credentials, device_id: str = "dev-a") -> AsyncGenerator[Peer, None]:
    """A session after its replay.done."""
    async with dial(gateway) as peer:
        assert (await peer.greet(issued.access_token, device_id))["event"] == "hello-ok"
        await peer.until("replay.done")
        yield peer


async def refresh(http: httpx.AsyncClient, token: str, device_id: str = "dev-a") -> httpx.Response:
    return await http.post("/v1/auth/refresh", json={"refresh_token": token}, headers={"X-Device-Id": device_id})


async def pair(http: httpx.AsyncClient, code: str, device_id: str = "dev-a", **more: Any) -> dict[str, Any]:
    body = {"code": code, "platform": "holdfast", "type": "clawbot", "plugin_version": "1", **more}
    answer = await http.post("/v1/agents/connect", json=body, headers={"X-Device-Id": device_id})
    assert answer.status_code == 200
    envelope: dict[str, Any] = answer.json()
    return envelope


async def script(http: httpx.AsyncClient, action: str, **fields: Any) -> dict[str, Any]:
    answer = await http.post(f"/_sandbox/{action}", json=fields)
    result: dict[str, Any] = answer.json()
    assert answer.status_code == 200, result
    return result


async def seen(gateway: Gateway, event: str, times: int = 1) -> None:
    """Wait until the log has the event so many times."""
    async with asyncio.timeout(LIMIT_S):
        await gateway.wait(lambda found: sum(entry.event == event for entry in found.events) >= times)


async def answer_to(peer: Peer, frame: dict[str, Any]) -> dict[str, Any]:
    await peer.send(frame)
    return await peer.receive()


async def still_serves(peer: Peer) -> None:
    """The next frame is the pong: nothing else was sent."""
    assert (await answer_to(peer, {"event": "ping", "trace_id": "alive"}))["trace_id"] == "alive"
