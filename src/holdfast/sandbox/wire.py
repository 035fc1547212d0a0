"""The one port: looks at a connection's first bytes and gives it to the WebSocket or to the HTTP side."""

import asyncio
from collections.abc import Callable

from .faults import Fault
from .http_wire import Handler, HttpWire
from .world import World
from .ws_wire import Dialect, WebSocketWire

HEAD_BYTES_MAX = 16 * 1024
HEAD_LIMIT_S = 10.0
HEAD_END = b"\r\n\r\n"
SOCKET_PATH = "/ws"


class Connection(asyncio.Protocol):
    """One accepted TCP connection."""

    def __init__(
        self,
        world: World,
        connections: "set[Connection]",
        handler: Handler,
        new_dialect: Callable[[], Dialect],
    ) -> None:
        self._world = world
        self._connections = connections
        self._handler = handler
        self._new_dialect = new_dialect
        self._transport: asyncio.Transport
        self._head = bytearray()
        self._wire: WebSocketWire | HttpWire | None = None
        self._ignoring = False
        self._limit: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept, or drop at once if told to, or if there are too many."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)
        self._limit = asyncio.get_running_loop().call_later(HEAD_LIMIT_S, transport.abort)
        self._world.journal.counters.dials += 1
        self._world.journal.note("dial")
        if self._world.fault("accept") is not None or len(self._connections) > self._world.settings.connections_max:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client. What goes wrong in here ends this connection and nothing else."""
        try:
            self._receive(data)
        except Exception as error:
            # Only the type: the text might quote what the client sent.
            self._world.journal.note("internal-error", detail=type(error).__name__)
            self._transport.abort()

    def eof_received(self) -> bool:
        """The client sent its last byte; True keeps our side open."""
        return self._wire.eof_received() if self._wire is not None else False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._limit.cancel()
        self._connections.discard(self)
        if self._wire is not None:
            self._wire.connection_lost()
        self._world.journal.note("disconnect")

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        if isinstance(self._wire, WebSocketWire):
            self._wire.set_paused(True)

    def resume_writing(self) -> None:
        """The client reads again."""
        if isinstance(self._wire, WebSocketWire):
            self._wire.set_paused(False)

    def end(self) -> None:
        """The gateway stops: say so on a WebSocket, drop the rest."""
        if isinstance(self._wire, WebSocketWire):
            self._wire.close(1001, "the sandbox stops")
        self._transport.close()

    def abort(self) -> None:
        """Drop the connection now."""
        self._transport.abort()

    def _receive(self, data: bytes) -> None:
        if self._ignoring:
            return
        if self._wire is None:
            self._head += data
            if HEAD_END not in self._head and len(self._head) <= HEAD_BYTES_MAX:
                return
            self._limit.cancel()
            data = bytes(self._head)
            self._wire = self._choose(data)
            if isinstance(self._wire, WebSocketWire):
                # Frames behind the head must wait for the answer: the library would parse them before it is open.
                head, end, data = data.partition(HEAD_END)
                self._wire.data_received(head + end)
        if self._wire is not None:
            self._wire.data_received(data)

    def _choose(self, data: bytes) -> WebSocketWire | HttpWire | None:
        if not _wants_websocket(data[:HEAD_BYTES_MAX]):
            return HttpWire(self._transport, self._handler)
        fault = self._world.fault("upgrade")
        if fault is not None:
            self._refuse_upgrade(fault)
            return None
        return WebSocketWire(self._transport, self._new_dialect(), self._world.settings.frame_bytes_max)

    def _refuse_upgrade(self, fault: Fault) -> None:
        self._ignoring = True
        if fault.kind == "status":
            head = f"HTTP/1.1 {fault.status} Scripted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            self._transport.write(head.encode())
            self._transport.close()
        elif fault.kind == "drop":
            self._transport.abort()


def _wants_websocket(data: bytes) -> bool:
    """A head for the socket's path with ``Upgrade: websocket``. Anything else is for the HTTP side to answer."""
    request_line, *lines = data.partition(HEAD_END)[0].split(b"\r\n")
    target = request_line.split(b" ")[1:2]
    if target != [SOCKET_PATH.encode()]:
        return False
    headers = [line.partition(b":") for line in lines]
    return any(name.strip().lower() == b"upgrade" and b"websocket" in value.lower() for name, _, value in headers)
