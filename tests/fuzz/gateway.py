"""A gateway without a network: it says what it is told to, to a link that cannot tell the difference."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from holdfast.adapters import Connection, NotConnected, Sink

Say = Callable[["Wire"], None]


class Wire:
    """The link's end of a connection, as :class:`holdfast.adapters.Connection` has it."""

    def __init__(self, gateway: "MemoryGateway", sink: Sink) -> None:
        self._gateway = gateway
        self._sink = sink
        self.is_open = True

    async def send(self, text: str) -> None:
        if not self.is_open:
            raise NotConnected
        asyncio.get_running_loop().call_soon(self._gateway.heard, self, json.loads(text))

    async def ping(self) -> None:
        if self.is_open:
            asyncio.get_running_loop().call_soon(self._sink.on_pong)

    async def close(self, code: int, reason: str, deadline_s: float) -> None:
        self.end(code, reason)

    def pause(self) -> None:
        raise AssertionError("less than an inbox was pushed at a time")

    def resume(self) -> None:
        """Nothing was paused."""

    def abort(self) -> None:
        asyncio.get_running_loop().call_soon(self.end, 1006, "")

    def end(self, code: int, reason: str) -> None:
        if self.is_open:
            self.is_open = False
            self._sink.on_closed(code, reason, False)

    def push(self, data: str | bytes) -> None:
        """A frame arrives."""
        if self.is_open:
            self._sink.on_frame(data)


class MemoryGateway:
    """Lets everybody in and acknowledges everything. ``greet`` and ``welcome`` say what it says at those moments."""

    def __init__(self) -> None:
        self.greet: Say = lambda wire: wire.push(said("connect.challenge", {"nonce": "n" * 24}))
        self.welcome: Say = lambda wire: wire.push(said("hello-ok", {"device_id": "dev-9"}))
        self.wires: list[Wire] = []
        self.dials = 0
        self.receipts = 0

    async def open(self, url: str, sink: Sink) -> Connection:
        """See :class:`holdfast.adapters.Transport`."""
        self.dials += 1
        self.wires = [wire for wire in self.wires if wire.is_open]
        wire = Wire(self, sink)
        self.wires.append(wire)
        asyncio.get_running_loop().call_soon(self._greet, wire)
        return wire

    def _greet(self, wire: Wire) -> None:
        if wire.is_open:
            asyncio.get_running_loop().call_soon(self.greet, wire)

    def heard(self, wire: Wire, frame: dict[str, Any]) -> None:
        """A frame of the link's."""
        if frame["event"] == "connect":
            self.welcome(wire)
        elif frame["event"] == "message.send":
            answer = {"message_id": frame["payload"]["message_id"], "accepted_at": 5}
            wire.push(said("message.ack", answer, trace_id=frame["trace_id"]))
        else:
            assert frame["event"] in ("message.cursor_ack", "message.sync_ack")
            self.receipts += 1


def said(event: str, payload: dict[str, Any], **fields: object) -> str:
    """A frame as it should be."""
    return json.dumps({"version": "2", "event": event, "emitted_at": 1, **fields, "payload": payload})
