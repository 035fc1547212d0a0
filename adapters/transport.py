"""WebSockets: one connection class that pushes what arrives to a sink, without a queue between them.

Pushing instead of ``recv()`` saves a queue, a task switch and a keepalive task per connection. Everything else is the
library's: TLS, proxies, the opening and closing handshakes, fragments, masks and limits.
"""

import asyncio
import os
import ssl
from functools import partial
from typing import Any, Final, Protocol, cast
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidProxy, InvalidStatus, ProxyError, WebSocketException
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Event, State

from .about import USER_AGENT
from .errors import ConnectionLost, HoldfastError, NotConnected
from .logs import quiet_logger
from .retry_after import retry_after_s
from .text import clean_text
from .tls import shared_ssl_context
from .url import _is_loopback

MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of one incoming message. Four times what a client may send: the service's own frame around it is larger, and a limit
that is too tight would meet the same frame again in each replay."""
HANG_UP_LIMIT_S: Final = 5.0
"""For a peer to end the TCP connection after the close frames. RFC 6455 leaves that to the server."""
CLOSE_REASON_BYTES_MAX: Final = 123
"""RFC 6455, 5.5: a control frame holds 125 bytes, and the code takes two."""


class Sink(Protocol):
    """Where a connection's events go. Called in the event loop, in the order in which they happened. Must not raise."""

    def on_frame(self, data: str | bytes) -> None:
        """A whole message arrived: text as ``str``, binary as ``bytes``."""
        ...

    def on_pong(self) -> None:
        """The peer answered a ping, or sent a pong of its own accord, which proves life as well."""
        ...

    def on_closed(self, code: int, reason: str, ours: bool) -> None:
        """The connection is gone; nothing else follows. Called exactly once for each :class:`Connection`.

        ``code`` is that of the close frame that was received, else of the one that was sent (1009, 1007 and 1002 tell
        what we found wrong with the peer), else 1006.
        """
        ...


class Connection(Protocol):
    """An open connection. It reads from the start."""

    async def send(self, text: str) -> None:
        """Send a text message; waits while the peer reads too slowly. Cancelled while waiting, it is sent all the same.

        Raises:
            NotConnected: the connection is closing or closed; nothing was sent.
            ConnectionLost: it was lost before the message had left this process.
        """
        ...

    async def ping(self) -> None:
        """Send a ping, if the connection is still open. Never waits, never raises; the sink hears the pong."""
        ...

    async def close(self, code: int, reason: str, deadline_s: float) -> None:
        """Close, and drop after ``deadline_s`` seconds at the latest. Frames that arrive meanwhile are discarded."""
        ...

    def pause(self) -> None:
        """Read no more for now, so that the peer feels it. What was read already (256 KiB at most) still comes.

        Neither pongs nor a lost connection are noticed while paused.
        """
        ...

    def resume(self) -> None:
        """Read again."""
        ...

    def abort(self) -> None:
        """Drop the connection now. The sink hears of it soon after, not from within this call."""
        ...


class Transport(Protocol):
    """What opens connections."""

    async def open(self, url: str, sink: Sink) -> Connection:
        """Dial. Cancelling it leaves nothing behind; without a deadline it waits as long as the network does.

        The sink hears nothing before ``open`` has returned and its caller has come to its next ``await``, and nothing
        at all if it fails.

        Raises:
            OpenError: it could not be opened.
        """
        ...


class OpenError(HoldfastError):
    """The connection could not be opened. ``problem`` names no secret and no part of the URL. ``retry_after_s``: for so
    many seconds the server wants to be left alone (P39).
    """

    def __init__(self, problem: str, retry_after_s: float = 0.0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.retry_after_s = retry_after_s


class WebSocketTransport:
    """The :class:`Transport` over ``websockets``. One serves any number of connections.

    ``max_size`` bounds an incoming message in bytes (then the connection ends with 1009); ``compression="deflate"``
    offers compression, which costs memory and twice the time per message. Redirects are not followed.
    """

    def __init__(self, *, max_size: int = MESSAGE_BYTES_MAX, compression: str | None = None) -> None:
        self._max_size = max_size
        self._compression = compression

    async def open(self, url: str, sink: Sink) -> Connection:
        """See :meth:`Transport.open`. The URL is one that :func:`check_ws_url` let pass."""
        parts = urlsplit(url)
        options: dict[str, Any] = {"ssl": shared_ssl_context()} if parts.scheme == "wss" else {}
        try:
            ws = await _Dial(
                url,
                create_connection=cast(type[ClientConnection], partial(_PushConnection, sink)),
                # A proxy cannot reach our loopback, and what is unencrypted is nobody else's business.
                proxy=None if _is_loopback(parts.hostname or "") else True,
                compression=self._compression,
                max_size=self._max_size,
                user_agent_header=USER_AGENT,
                logger=quiet_logger(),
                # Deadlines and the heartbeat belong to the chart.
                open_timeout=None,
                close_timeout=None,
                ping_interval=None,
                **options,
            )
        except (OSError, WebSocketException, EOFError, ValueError, ImportError) as error:
            raise OpenError(_problem(error), _asked(error)) from None
        assert isinstance(ws, _PushConnection)
        ws.transport.resume_reading()
        asyncio.get_running_loop().call_soon(ws.start_pushing)
        return _WebSocket(ws)


class _Dial(connect):
    """Follows no redirect: what is dialled is what was checked."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _PushConnection(ClientConnection):
    """The library's connection, with a sink instead of its receive queue."""

    def __init__(self, sink: Sink, protocol: ClientProtocol, **options: Any) -> None:
        super().__init__(protocol, **options)
        self._sink = sink
        # What came before the dialling task has gone on, for example a challenge in the same packet as the upgrade.
        self._early: list[Frame] | None = []
        self._is_over = False
        self._deaf = False
        self._is_text = True
        self._parts: bytearray | None = None  # Of a fragmented message; the library bounds its total by max_size.
        self._hang_up: asyncio.TimerHandle | None = None

    def start_pushing(self) -> None:
        """The sink's owner is ready."""
        early, self._early = self._early or [], None
        for frame in early:
            self._take(frame)
        if self._is_over:
            self._tell_end()

    def ignore_frames(self) -> None:
        """From now on only the end of the connection is reported."""
        self._deaf = True

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._deaf and self.protocol.close_expected():
            self._hang_up_later()

    def process_event(self, event: Event) -> None:
        if self.response is None or not isinstance(event, Frame):
            super().process_event(event)
            self.transport.pause_reading()  # Until open() returns: what is kept for the sink is one read at most.
        elif self._early is None:
            self._take(event)
        else:
            self._early.append(event)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._hang_up is not None:
            self._hang_up.cancel()
        self._is_over = True
        if self._early is None:
            self._tell_end()

    def _tell_end(self) -> None:
        close = self.protocol.close_rcvd or self.protocol.close_sent
        code, reason = (CloseCode.ABNORMAL_CLOSURE, "") if close is None else (close.code, close.reason)
        ours = close is not None and self.protocol.close_rcvd_then_sent is not True
        self._sink.on_closed(int(code), clean_text(reason), ours)

    def _take(self, frame: Frame) -> None:
        if self._deaf:
            return
        if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.BINARY:
            self._is_text = frame.opcode is Opcode.TEXT
            if frame.fin:
                self._push(frame.data)
            else:
                self._parts = bytearray(frame.data)
        elif frame.opcode is Opcode.CONT and self._parts is not None:
            self._parts += frame.data
            if frame.fin:
                data, self._parts = self._parts, None
                self._push(data)
        elif frame.opcode is Opcode.PONG:
            self._sink.on_pong()

    def _push(self, data: bytes | bytearray | memoryview) -> None:
        try:
            message = str(data, "utf-8") if self._is_text else bytes(data)
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, "not UTF-8")
            return
        self._sink.on_frame(message)

    def _fail(self, code: CloseCode, reason: str) -> None:
        self._deaf = True
        if self.protocol.state is State.OPEN:  # Else a close frame came in the same packet, and is answered already.
            self.protocol.fail(code, reason)
            self.send_data()
            self._hang_up_later()

    def _hang_up_later(self) -> None:
        # The library bounds this wait only for who calls its recv(), send() or close().
        if self._hang_up is None:
            self._hang_up = self.loop.call_later(HANG_UP_LIMIT_S, self.transport.abort)


class _WebSocket:
    """See :class:`Connection`."""

    __slots__ = ("_ws",)

    def __init__(self, ws: _PushConnection) -> None:
        self._ws = ws

    async def send(self, text: str) -> None:
        data = text.encode()  # Here, since the library would take an encoding error for a failed connection.
        if self._ws.protocol.state is not State.OPEN:
            raise NotConnected
        try:
            await self._ws.send(data, text=True)
        except ConnectionClosed:
            raise ConnectionLost("unknown") from None

    async def ping(self) -> None:
        if self._ws.protocol.state is State.OPEN:
            self._ws.protocol.send_ping(b"")
            self._ws.send_data()

    async def close(self, code: int, reason: str, deadline_s: float) -> None:
        self._ws.ignore_frames()
        self._ws.transport.resume_reading()  # Paused, it would never see the peer's close frame.
        reason = reason.encode()[:CLOSE_REASON_BYTES_MAX].decode(errors="ignore")
        try:
            async with asyncio.timeout(deadline_s):
                await self._ws.close(code, reason)
        except TimeoutError:
            pass
        finally:
            self._ws.transport.abort()

    def pause(self) -> None:
        self._ws.transport.pause_reading()

    def resume(self) -> None:
        self._ws.transport.resume_reading()

    def abort(self) -> None:
        self._ws.ignore_frames()
        self._ws.transport.abort()


def _asked(error: Exception) -> float:
    if not isinstance(error, InvalidStatus):
        return 0.0
    return retry_after_s(error.response.status_code, error.response.headers.raw_items())


def _wording(error: OSError) -> str:
    """The system's words: asyncio's quote the address as Python writes it. OpenSSL's numbers are no errno."""
    if error.errno and error.errno > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno)
    return error.strerror or str(error)


def _problem(error: Exception) -> str:
    """What went wrong, without the URL, headers or a proxy's password, which some of these errors quote."""
    if isinstance(error, InvalidStatus):
        return f"the server answered HTTP {error.response.status_code} and opened no WebSocket"
    if isinstance(error, InvalidProxy | ProxyError):
        return "the proxy of this environment could not be used"
    if isinstance(error, ssl.SSLCertVerificationError):
        return clean_text(f"the server's certificate is not trusted: {error.verify_message}")
    if isinstance(error, OSError):
        return clean_text(_wording(error)) or type(error).__name__
    return f"the opening handshake failed ({type(error).__name__})"
