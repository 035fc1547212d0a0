"""The sockets of one account: dials, speaks and closes as commanded, and reports what arrives."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import anyio
import msgspec
from anyio.abc import TaskGroup

from holdfast.engine import Event
from holdfast.statecharts import (
    Authenticate,
    Challenged,
    CloseSocket,
    FrameRejected,
    HelloAccepted,
    HelloRefused,
    MessageRefused,
    OpenSocket,
    Ponged,
    SendPing,
    SocketClosed,
    SocketFailed,
    SocketOpened,
)

from .dialect import Dialect
from .errors import ConnectionLost, NotConnected
from .inbound import Nack
from .transport import Connection, OpenError, Transport
from .vault import Vault

Report = Callable[..., None]


class Sockets:
    """Carries out the commands about sockets for one account. At most one is open, besides those that are closing."""

    def __init__(
        self,
        *,
        url: str,
        transport: Transport,
        dialect: Dialect,
        vault: Vault,
        tasks: TaskGroup,
        report: Report,
        device_id: Callable[[], str],
    ) -> None:
        self._url = url
        self._transport = transport
        self._dialect = dialect
        self._vault = vault
        self._tasks = tasks
        self._report = report
        self._device_id = device_id
        self._opening: dict[int, anyio.CancelScope] = {}
        self._open: dict[int, Connection] = {}

    @property
    def current(self) -> Connection | None:
        """The newest open connection."""
        return self._open[max(self._open)] if self._open else None

    def open(self, command: OpenSocket) -> None:
        """Dial in a task of its own. At most one socket may still be closing then: older ones are dropped (P32)."""
        for socket in sorted(self._open)[:-1]:
            self._open[socket].abort()
        scope = self._opening[command.socket] = anyio.CancelScope()  # so that it can be abandoned before it began
        self._tasks.start_soon(self._dial, command.socket, scope)

    async def _dial(self, socket: int, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                self._open[socket] = await self._transport.open(self._url, _SocketSink(self, socket))
            except OpenError as error:
                self._report(SocketFailed(socket, self._vault.redact(str(error)), error.retry_after_s))
                return
            finally:
                del self._opening[socket]
            if scope.cancel_called:  # the cancellation came too late to stop the dial
                self._open[socket].abort()
                return
            self._report(SocketOpened(socket))
        if scope.cancelled_caught:
            self._report(SocketClosed(socket, 1006, "dial abandoned"))

    def authenticate(self, command: Authenticate) -> None:
        """Send the connect frame, with the token read only now."""
        token = self._vault.access(command.generation)
        connection = self._open.get(command.socket)
        if token is not None and connection is not None:
            frame = self._dialect.authenticate(token=token, nonce=command.nonce, device_id=self._device_id())
            self._tasks.start_soon(self._send, connection, frame)

    async def _send(self, connection: Connection, frame: str) -> None:
        with suppress(NotConnected, ConnectionLost):  # its sink reports the loss
            await connection.send(frame)

    def ping(self, command: SendPing) -> None:
        """Send a WebSocket ping."""
        connection = self._open.get(command.socket)
        if connection is not None:
            self._tasks.start_soon(connection.ping)

    def close(self, command: CloseSocket) -> None:
        """Close, or abandon the dial; SocketClosed follows in any case."""
        scope = self._opening.get(command.socket)
        connection = self._open.get(command.socket)
        if scope is not None:
            scope.cancel()
        elif connection is not None:
            self._tasks.start_soon(connection.close, command.code, command.reason, command.deadline_s)
        else:
            self._report(SocketClosed(command.socket, 1006, "already closed"))

    def drop_all(self) -> None:
        """Drop whatever is left, at the end."""
        for connection in list(self._open.values()):
            connection.abort()

    # -- what a sink hears -----------------------------------------------------------------------------------

    def heard(self, socket: int, data: str | bytes) -> None:
        """A frame arrived: as an event, with the body beside it."""
        decoded = self._dialect.decode(socket, data)
        inbound = decoded.inbound
        if isinstance(inbound, Nack):  # becomes the text of an exception
            reason = None if inbound.reason is None else self._vault.redact(inbound.reason)
            code = self._vault.redact(inbound.code, codes=False)
            inbound = msgspec.structs.replace(inbound, code=code, reason=reason)
        self._report(self._scrubbed(decoded.event), inbound)

    def ponged(self, socket: int) -> None:
        """A pong arrived."""
        self._report(Ponged(socket))

    def closed(self, socket: int, code: int, reason: str) -> None:
        """The socket is gone."""
        self._open.pop(socket, None)
        self._report(SocketClosed(socket, code, self._vault.redact(reason)))

    def _scrubbed(self, event: Event) -> Event:
        """A peer may echo a token in what it says."""
        if isinstance(event, HelloRefused):
            return HelloRefused(event.socket, self._vault.redact(event.reason, codes=False))
        if isinstance(event, FrameRejected):
            return FrameRejected(event.socket, self._vault.redact(event.error))
        if isinstance(event, Challenged) and self._quotes_a_token(event.nonce):
            return FrameRejected(event.socket, "the challenge's nonce quotes a token")
        if isinstance(event, HelloAccepted) and self._quotes_a_token(event.device_id):
            return msgspec.structs.replace(event, device_id="")
        if isinstance(event, MessageRefused):
            return msgspec.structs.replace(event, code=self._vault.redact(event.code, codes=False))
        return event

    def _quotes_a_token(self, text: str) -> bool:
        return self._vault.redact(text, len(text), codes=False) != text


class _SocketSink:
    """Tells a socket's events apart from another's."""

    def __init__(self, sockets: Sockets, socket: int) -> None:
        self.on_frame = partial(sockets.heard, socket)
        self.on_pong = partial(sockets.ponged, socket)
        self.on_closed = partial(sockets.closed, socket)
