"""How many sockets an account may have, whatever its peer does with the old ones."""

import asyncio

import anyio
import pytest

from holdfast.adapters import ClawChat, Inbound, Sink, Sockets, Vault
from holdfast.engine import Event
from holdfast.statecharts import CloseSocket, OpenSocket, SocketClosed, SocketOpened

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
            asyncio.get_running_loop().call_soon(self._sink.on_closed, 1006, "")


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
