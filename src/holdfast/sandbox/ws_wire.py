"""One WebSocket over an asyncio transport, by the sans-I/O core of `websockets`, with the ways to misbehave."""

import asyncio
import logging
from typing import Protocol as Interface

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

WRITE_BUFFER_MAX = 16 * 1024 * 1024  # A client that doesn't read is dropped here, before it fills the memory.
HANG_UP_LIMIT_S = 2.0  # For a client to notice that the connection ends. Then it is aborted.
SENDABLE_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
CLOSE_REASON_BYTES_MAX = 123  # A control frame carries 125, two are the code.

# The library logs whole frames at DEBUG, and a connect frame holds a token. This logger is nobody's child, so that no
# configuration can switch it on.
_SILENT = logging.Logger("holdfast.sandbox.wire")
_SILENT.disabled = True


class Dialect(Interface):
    """What a :class:`WebSocketWire` calls. Nothing is called after :meth:`closed`."""

    wire: "WebSocketWire"
    """Set before the first call."""

    def opened(self) -> None:
        """The upgrade succeeded."""

    def text(self, text: str) -> None:
        """A whole text message arrived."""

    def pong(self) -> None:
        """A WebSocket pong arrived."""

    def writable(self) -> None:
        """The client reads again after a pause."""

    def closed(self, detail: str) -> None:
        """The connection is over."""


def check_close(code: int | None, reason: str) -> None:
    """See whether a close frame can say this.

    Raises:
        ValueError: it can't.
    """
    if code is None:
        if reason:
            raise ValueError("a close frame without a code has no reason either")
    elif not (code in SENDABLE_CLOSE_CODES or 3000 <= code <= 4999):
        raise ValueError(f"{code} is no close code that may be sent (1006 is what a client sees of a drop)")
    elif len(reason.encode()) > CLOSE_REASON_BYTES_MAX:
        raise ValueError(f"a close reason has at most {CLOSE_REASON_BYTES_MAX} bytes")


class WebSocketWire:
    """Feeds bytes in, gets frames out. Text frames only; fragments are put together; UTF-8 is checked."""

    def __init__(self, transport: asyncio.Transport, dialect: Dialect, frame_bytes_max: int) -> None:
        self._transport = transport
        self._dialect = dialect
        dialect.wire = self
        self._protocol = ServerProtocol(max_size=frame_bytes_max, logger=_SILENT)
        self._partial: bytearray | None = None
        self._open = False
        self._over = False
        self._hanging_up: asyncio.TimerHandle | None = None
        self.frozen = False
        """Nothing is answered any more, not even pings, but the connection stays."""
        self.paused = False
        """The client reads too slowly: what can wait should."""

    @property
    def is_open(self) -> bool:
        """True while frames can be sent (a frozen wire swallows them)."""
        return self._open and not self._over and self._protocol.state is State.OPEN

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self.frozen or self._over:
            return
        self._protocol.receive_data(data)
        self._take_events()

    def eof_received(self) -> bool:
        """The client sent its last byte; False lets the transport close."""
        if not self.frozen and not self._over:
            self._protocol.receive_eof()
            self._flush()
        return False

    def connection_lost(self) -> None:
        """The transport is gone."""
        if self._over:
            return
        self._over = True
        if self._hanging_up is not None:
            self._hanging_up.cancel()
        received, sent = self._protocol.close_rcvd, self._protocol.close_sent
        code = received.code if received is not None else sent.code if sent is not None else None
        if self._open:
            self._dialect.closed("no close frame" if code is None else f"code {code:d}")

    def set_paused(self, paused: bool) -> None:
        """The transport's write buffer is above (below) its mark."""
        self.paused = paused
        if not paused and self.is_open:
            self._dialect.writable()

    def send(self, text: str | bytes) -> None:
        """Send a text frame (bytes: a text frame of whatever they are). Nothing happens when it is not open."""
        if self.is_open and not self.frozen:
            self._protocol.send_text(text.encode() if isinstance(text, str) else text)
            self._flush()

    def send_binary(self, data: bytes) -> None:
        """Send a binary frame, which the dialect never does by itself."""
        if self.is_open and not self.frozen:
            self._protocol.send_binary(data)
            self._flush()

    def ping(self) -> None:
        """Send a WebSocket ping."""
        if self.is_open and not self.frozen:
            self._protocol.send_ping(b"sandbox")
            self._flush()

    def close(self, code: int | None, reason: str = "") -> None:
        """Send a close frame (None: one without a code, which the client sees as 1005) and end."""
        if self.is_open and not self.frozen:
            self._protocol.send_close(code, reason)
            self._flush()
        self.hang_up()

    def hang_up(self) -> None:
        """End after what was written, without a close frame unless one was sent (the client sees 1006)."""
        if self._over or self._hanging_up is not None or self._transport.is_closing():
            return
        self.frozen = True  # What still arrives is read and dropped: unread bytes would turn the end into a reset.
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._hanging_up = asyncio.get_running_loop().call_later(HANG_UP_LIMIT_S, self._transport.abort)

    def abort(self) -> None:
        """Drop the connection now, whatever is on its way."""
        self.frozen = True
        self._transport.abort()

    def _take_events(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._accept(event)
            elif not self.frozen:
                self._take_frame(event)
        self._flush()

    def _accept(self, request: Request) -> None:
        self._protocol.send_response(self._protocol.accept(request))
        self._flush()
        if self._protocol.state is State.OPEN:
            self._open = True
            self._dialect.opened()

    def _take_frame(self, frame: object) -> None:
        assert isinstance(frame, Frame)
        if frame.opcode is Opcode.PONG:
            self._dialect.pong()
        elif frame.opcode is Opcode.BINARY:
            self.close(1003, "text frames only")
        elif frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self._take_text(frame)

    def _take_text(self, frame: Frame) -> None:
        if self._partial is None:
            self._partial = bytearray()
        self._partial += frame.data
        if not frame.fin:
            return
        data, self._partial = self._partial, None
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.close(1007, "not UTF-8")
            return
        self._dialect.text(text)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if self._transport.is_closing():
                return
            if data:
                self._transport.write(data)
            else:
                self.hang_up()
        if self._transport.get_write_buffer_size() > WRITE_BUFFER_MAX:
            self.abort()
