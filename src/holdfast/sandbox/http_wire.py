"""HTTP/1.1 over an asyncio transport, by the sans-I/O core of `h11`, with the ways to misbehave."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qsl, urlsplit

import h11
import msgspec

BODY_BYTES_MAX = 2 * 1024 * 1024  # A pushed frame of the largest size, escaped, with room around it.
IDLE_LIMIT_S = 75.0  # Longer than the keep-alive of common clients, so that it is they who close.


class Fate(Enum):
    """What can happen instead of an answer."""

    NEVER = "never"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A whole request. Header names are lower-case. Its repr shows neither headers nor body: both hold tokens."""

    method: str
    path: str
    query: dict[str, str] = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"


Answer = Reply | Fate
Respond = Callable[[Answer], None]
Handler = Callable[[HttpRequest, Respond], None]


def json_reply(status: int, value: object) -> Reply:
    """An answer with a JSON body."""
    return Reply(status, msgspec.json.encode(value))


def _text(value: bytes) -> str:
    try:
        return value.decode()  # Device ids are UTF-8 in frames, so they are read alike here.
    except UnicodeDecodeError:
        return value.decode("latin-1")


class HttpWire:
    """Serves one connection: one request at a time, each answered (or not) by a call of ``respond``."""

    def __init__(self, transport: asyncio.Transport, handler: Handler) -> None:
        self._transport = transport
        self._handler = handler
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=32 * 1024)
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._answering = 0  # Serial of the request that is being answered; an answer to another one is too late.
        self._requests = 0
        self._waiting_bytes = 0  # Of requests behind the one that is being answered.
        self._ignoring = False  # After a request that is never answered: only the client's end matters.
        self._idle: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._ignoring:
            return
        # Reading goes on while an answer is due, or the end of a client that gave up would go unnoticed.
        self._waiting_bytes = self._waiting_bytes + len(data) if self._answering else 0
        if self._waiting_bytes > BODY_BYTES_MAX:
            self._transport.abort()
            return
        self._h11.receive_data(data)
        self._pump()

    def eof_received(self) -> bool:
        """The client sent its last byte, and counts as gone: False lets the transport close."""
        return False

    def connection_lost(self) -> None:
        """The transport is gone; an answer that is still to come goes nowhere."""
        self._answering = 0
        self._cancel_idle()

    def _pump(self) -> None:
        self._cancel_idle()
        try:
            while not self._answering and not self._transport.is_closing():
                event = self._h11.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    self._ask_for_more()
                    return
                self._take(event)
        except h11.RemoteProtocolError as error:
            self._fail(error.error_status_hint)

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Request):
            self._head, self._body = event, bytearray()
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > BODY_BYTES_MAX:
                self._fail(413)
        elif isinstance(event, h11.EndOfMessage):
            self._dispatch()
        else:  # ConnectionClosed
            self._transport.close()

    def _ask_for_more(self) -> None:
        if self._h11.they_are_waiting_for_100_continue:
            self._transport.write(self._h11.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        self._idle = asyncio.get_running_loop().call_later(IDLE_LIMIT_S, self._transport.close)

    def _dispatch(self) -> None:
        assert self._head is not None
        try:
            target = urlsplit(self._head.target.decode("latin-1"))
        except ValueError:  # Such as an unclosed bracket of an IPv6 address.
            self._fail(400)
            return
        request = HttpRequest(
            method=self._head.method.decode("latin-1"),
            path=target.path,
            query=dict(parse_qsl(target.query, keep_blank_values=True)),
            headers={name.decode("latin-1"): _text(value) for name, value in self._head.headers},
            body=bytes(self._body),
        )
        self._requests += 1
        serial = self._answering = self._requests
        self._handler(request, lambda answer: self._respond(serial, answer))

    def _respond(self, serial: int, answer: Answer) -> None:
        if serial != self._answering:
            return  # The client has gone, or a second answer to one request.
        if answer is Fate.NEVER:
            self._ignoring = True
            return
        if isinstance(answer, Reply):
            self._answering = 0
            self._send(answer)
            if not self._transport.is_closing():
                # Not at once: with many requests on their way, one answer would nest in the other.
                asyncio.get_running_loop().call_soon(self._pump)
        else:
            self._transport.abort()

    def _send(self, reply: Reply) -> None:
        headers = [("Content-Type", reply.content_type), ("Content-Length", str(len(reply.body)))]
        parts = [self._h11.send(h11.Response(status_code=reply.status, headers=headers))]
        if self._head is None or self._head.method != b"HEAD":
            parts.append(self._h11.send(h11.Data(data=reply.body)))
        parts.append(self._h11.send(h11.EndOfMessage()))
        self._transport.write(b"".join(part for part in parts if part))
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
        else:
            self._transport.close()

    def _fail(self, status: int) -> None:
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._send(json_reply(status, {"code": status, "message": "malformed request", "data": None}))
        self._transport.close()

    def _cancel_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
