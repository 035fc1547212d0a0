"""How many sockets an account may have, whatever its peer does with the old ones."""

import asyncio
import json

import anyio
import pytest

from holdfast.adapters import ClawChat, Inbound, Sink, Sockets, TokenPair, Vault
from holdfast.engine import Event
from holdfast.statecharts import (
    Challenged,
    CloseSocket,
    FrameRejected,
    HelloAccepted,
    HelloRefused,
    OpenSocket,
    SocketClosed,
    SocketOpened,
)

pytestmark = pytest.mark.anyio


class StubbornConnection:
    """Never answers a close; only a drop ends it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.alive = True

    async def send(self, text: str) -> None:
        raise NotImplementedError

    async def ping(self) -> None:
        raise NotImplementedError

    async def close(self, code: int, reason: str, deadline_s: float) -> None:
        await asyncio.Event().wait()

    def pause(self) -> None:
        raise NotImplementedError

    def resume(self) -> None:
        raise NotImplementedError

    def abort(self) -> None:
        if self.alive:
            self.alive = False
            asyncio.get_running_loop().call_soon(self._sink.on_closed, 1006, "", False)


class StubbornTransport:
    def __init__(self) -> None:
        self.connections: list[StubbornConnection] = []

    async def open(self, url: str, sink: Sink) -> StubbornConnection:
        self.connections.append(StubbornConnection(sink))
        return self.connections[-1]


@pytest.mark.rule("P32", "P41")
async def test_at_most_one_old_socket_may_still_be_closing() -> None:
    transport = StubbornTransport()
    events: asyncio.Queue[Event] = asyncio.Queue()

    def report(event: Event, inbound: Inbound | None = None) -> None:
        events.put_nowait(event)

    async with anyio.create_task_group() as tasks:
        ports = Sockets(
            url="ws://127.0.0.1/ws",
            transport=transport,
            dialect=ClawChat(),
            vault=Vault(),
            tasks=tasks,
            report=report,
            device_id=lambda: "dev",
            arrived=lambda: None,
        )
        ended: list[Event] = []
        for socket in range(1, 6):
            ports.open(OpenSocket(socket))
            while (event := await events.get()) != SocketOpened(socket):
                ended.append(event)
            assert sum(connection.alive for connection in transport.connections) <= 2
            assert transport.connections[-1].alive
            ports.close(CloseSocket(socket, 1000, "", 5.0))
        assert ended == [SocketClosed(socket, 1006) for socket in (1, 2, 3)]
        tasks.cancel_scope.cancel()


TOKEN = "access-s3cret-000000"


@pytest.mark.rule("P60")
@pytest.mark.parametrize(
    ("event", "payload", "reported"),
    [
        ("connect.challenge", {"nonce": "a nonce"}, Challenged(1, "a nonce")),
        ("connect.challenge", {"nonce": TOKEN}, FrameRejected(1, "the challenge's nonce quotes a token")),
        ("hello-ok", {"device_id": "a device"}, HelloAccepted(1, "a device")),
        ("hello-ok", {"device_id": f"of {TOKEN}"}, HelloAccepted(1, "")),
        ("hello-fail", {"reason": "authentication failed"}, HelloRefused(1, "authentication failed")),
        ("hello-fail", {"reason": f"bad {TOKEN}"}, HelloRefused(1, "bad [redacted]")),
    ],
)
@pytest.mark.parametrize("code", ["a", "authentication", "\ud800x"])
async def test_what_is_acted_on_is_searched_for_tokens_and_not_for_a_code(
    event: str, payload: dict[str, str], reported: Event, code: str
) -> None:
    vault = Vault()
    vault.load(1, TokenPair(TOKEN))
    events: list[Event] = []

    def report(event: Event, inbound: Inbound | None = None) -> None:
        events.append(event)

    async with anyio.create_task_group() as tasks:
        ports = Sockets(
            url="ws://127.0.0.1/ws",
            transport=StubbornTransport(),
            dialect=ClawChat(),
            vault=vault,
            tasks=tasks,
            report=report,
            device_id=lambda: "dev",
            arrived=lambda: None,
        )
        with vault.hiding(code):
            ports.heard(1, json.dumps({"event": event, "payload": payload}))
    assert events == [reported]
