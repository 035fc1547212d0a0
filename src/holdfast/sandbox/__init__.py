"""A small real gateway on loopback, WebSocket and HTTP on one port, that can be scripted to misbehave.

It speaks the service's side of the ClawChat dialect with strict single-use token rotation, and shares no code with the
client's, so that a misreading of the protocol shows up. Use it to test your own code::

    async with sandbox.serve() as gateway:
        code = gateway.pairing_code()
        gateway.inject("hello", "refuse", reason="authentication failed", times=2)
        ...
        await gateway.wait(lambda seen: seen.counters.hellos == 1)

A client that asks for reliable delivery gets it, and its frames again until it has acked them::

    async with sandbox.serve() as gateway:
        ...
        gateway.inject("frame", "skip")
        gateway.push_message(user_id, text="after a gap")
        ...
        await gateway.wait(lambda seen: seen.unconfirmed(user_id) == {"my-device": 0})

Other processes script it by ``POST /_sandbox/<action>`` and look at ``GET /_sandbox/state``.
"""

from .book import BookFull, ChatKind
from .faults import KINDS, Fault, Kind, Point
from .gateway import Gateway
from .journal import Counters, Event
from .mail import StoredMessage
from .persist import StateFileError
from .serving import serve
from .settings import AccessFormat, GatewaySettings, Reliable
from .tokens import Credentials

__all__ = [
    "KINDS",
    "AccessFormat",
    "BookFull",
    "ChatKind",
    "Counters",
    "Credentials",
    "Event",
    "Fault",
    "Gateway",
    "GatewaySettings",
    "Kind",
    "Point",
    "Reliable",
    "StateFileError",
    "StoredMessage",
    "serve",
]
