"""The sockets of one account: dials, speaks and closes as commanded, and reports what arrives."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

import anyio
import msgspec
from anyio.abc import TaskGroup

from holdfast.engine import Event
from holdfast.statecharts import (
    Authenticate,
    Challenged,
    CloseSocket,
    FrameNumbered,
    FrameReceived,
    FrameRejected,
    HelloAccepted,
    HelloRefused,
    MessageAcked,
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

CLEAN_MAX: Final = 1024
"""Texts that are known to quote no token."""


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
        arrived: Callable[[], None],
    ) -> None:
        self._url = url
        self._transport = transport
        self._dialect = dialect
        self._vault = vault
        self._tasks = tasks
        self._report = report
        self._device_id = device_id
        self._arrived = arrived
        self._clean: set[str] = {""}
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
            self.write(command.socket, frame)

    def write(self, socket: int, frame: str) -> None:
        """Send a frame, if that connection is still open. Whether it arrives, only an answer tells."""
        connection = self._open.get(socket)
        if connection is not None:
            self._tasks.start_soon(self._send, connection, frame)

    def say(self, frame: str) -> None:
        """Send a frame on the newest connection, if there is one."""
        if self._open:
            self.write(max(self._open), frame)

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
        numbered = decoded.seq is not None or decoded.dseq is not None
        if numbered:
            self._report(FrameNumbered(socket, decoded.seq, decoded.dseq))
        if isinstance(inbound, Nack):  # becomes the text of an exception
            reason = None if inbound.reason is None else self._vault.redact(inbound.reason)
            code = self._vault.redact(inbound.code, codes=False)
            inbound = msgspec.structs.replace(inbound, code=code, reason=reason)
        self._report(self._scrubbed(decoded.event, numbered), inbound)
        self._arrived()

    def ponged(self, socket: int) -> None:
        """A pong arrived."""
        self._report(Ponged(socket))

    def closed(self, socket: int, code: int, reason: str, ours: bool) -> None:
        """The socket is gone."""
        self._open.pop(socket, None)
        self._report(SocketClosed(socket, code, self._vault.redact(reason), ours))

    def _scrubbed(self, event: Event, numbered: bool) -> Event:
        """A peer may echo a token in what it says."""
        if isinstance(event, FrameReceived):
            return event if self._is_clean(event.chat) else FrameReceived(event.socket)
        if isinstance(event, HelloRefused):
            return HelloRefused(event.socket, self._vault.redact(event.reason, codes=False))
        if isinstance(event, FrameRejected):
            return FrameRejected(event.socket, self._vault.redact(event.error), numbered)
        if isinstance(event, Challenged) and self._quotes_a_token(event.nonce):
            return FrameRejected(event.socket, "the challenge's nonce quotes a token", numbered)
        if isinstance(event, HelloAccepted):
            return self._scrubbed_hello(event)
        if isinstance(event, MessageAcked | MessageRefused) and not self._is_clean(event.trace):
            return FrameReceived(event.socket)
        if isinstance(event, MessageRefused):
            return msgspec.structs.replace(event, code=self._vault.redact(event.code, codes=False))
        return event

    def _scrubbed_hello(self, event: HelloAccepted) -> HelloAccepted:
        device_id = "" if self._quotes_a_token(event.device_id) else event.device_id
        if not isinstance(event.ack_epoch, str) or not self._quotes_a_token(event.ack_epoch):
            return msgspec.structs.replace(event, device_id=device_id)
        return HelloAccepted(event.socket, device_id)

    def _is_clean(self, text: str) -> bool:
        """As :meth:`_quotes_a_token` has it, remembered: chats and traces come again with each frame."""
        if text in self._clean:
            return True
        if self._quotes_a_token(text):
            return False
        if len(self._clean) >= CLEAN_MAX:
            self._clean.clear()
        self._clean.add(text)
        return True

    def _quotes_a_token(self, text: str) -> bool:
        return self._vault.redact(text, len(text), codes=False) != text


class _SocketSink:
    """Tells a socket's events apart from another's."""

    def __init__(self, sockets: Sockets, socket: int) -> None:
        self.on_frame = partial(sockets.heard, socket)
        self.on_pong = partial(sockets.ponged, socket)
        self.on_closed = partial(sockets.closed, socket)
