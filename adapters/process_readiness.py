"""Has a gateway shown itself? An open port is none: only a word from it counts (S3-22)."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from .about import USER_AGENT
from .logs import quiet_logger

Readiness = Callable[[int], Awaitable[None]]
"""Called with the port; returns once a gateway has shown itself there, and raises if none does."""
FIRST_FRAME_BYTES_MAX: Final = 1024 * 1024
GOODBYE_S: Final = 0.2
"""For the gateway to answer our closing: it has said what we wanted to know, and the probe's time is short."""


async def first_frame(port: int) -> None:
    """A WebSocket on loopback whose server speaks first.

    Raises:
        NotReady: nobody listens, or it closed without a word.
    """
    await _first_text(port)


async def connect_challenge(port: int) -> None:
    """The same, and its first word is OpenClaw's ``connect.challenge``.

    Raises:
        NotReady: nobody listens, or it says something else.
    """
    text = await _first_text(port)
    try:
        frame: Any = json.loads(text)
        challenged = frame["event"] == "connect.challenge" and bool(frame["payload"]["nonce"])
    except (ValueError, TypeError, KeyError):
        challenged = False
    if not challenged:
        raise NotReady("the first frame is no connect.challenge")


class NotReady(Exception):
    """No gateway has shown itself. The text may name what a profile's ``failures`` know."""


async def _first_text(port: int) -> str:
    try:
        # No deadline here: whoever asks has one. No proxy: this is loopback.
        async with connect(
            f"ws://127.0.0.1:{port}/",
            proxy=None,
            open_timeout=None,
            ping_interval=None,
            close_timeout=GOODBYE_S,
            max_size=FIRST_FRAME_BYTES_MAX,
            user_agent_header=USER_AGENT,
            logger=quiet_logger(),
        ) as socket:
            return await socket.recv(decode=True)
    except ConnectionRefusedError:
        raise NotReady("ECONNREFUSED") from None
    except ConnectionClosed as error:
        reason = error.rcvd.reason if error.rcvd is not None else ""
        raise NotReady(f"WebSocket closed before handshake: {reason}") from None
    except (InvalidHandshake, InvalidMessage, EOFError, ConnectionError) as error:
        raise NotReady(f"WebSocket closed before handshake: {error}") from None
