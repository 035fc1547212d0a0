"""What a wire dialect is: a pure codec between a service's frames and requests, and the account's events.

To connect to another service, write a class with the members of :class:`Dialect`. None of its methods does I/O or keeps
state between calls, and ``decode`` and the ``read_`` methods never raise, whatever the peer sends.
"""

from typing import Literal, Protocol

import httpx
import msgspec

from holdfast.engine import Event

from .inbound import Inbound
from .vault import TokenPair


class Decoded(msgspec.Struct, frozen=True):
    """What a frame means: the account's event, what the user gets if the chart says Deliver, and its numbers, if any.

    ``seq`` and ``dseq`` are positive. They are there for every frame that has them, also one that was rejected: it
    counts all the same.
    """

    event: Event
    inbound: Inbound | None = None
    seq: int | None = None
    dseq: int | None = None


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it goes out. A resend repeats ``frame`` byte for byte."""

    trace_id: str
    message_id: str
    chat_id: str
    frame: str


class Rotated(msgspec.Struct, frozen=True):
    """The refresh gave a new pair. An answer without refresh token keeps the old one (P08)."""

    pair: TokenPair


class NotRotated(msgspec.Struct, frozen=True):
    """The refresh gave no pair. ``code`` is the service's, empty where none could be read; ``error`` is for people;
    ``retry_after_s`` is what the service asked for, if anything.
    """

    code: str
    error: str
    retry_after_s: float = 0.0


RefreshAnswer = Rotated | NotRotated


class PairingGranted(msgspec.Struct, frozen=True, kw_only=True):
    """The code was good: these are the account's first tokens, and who it is, as far as the service says."""

    pair: TokenPair
    user_id: str | None = None
    owner_id: str | None = None
    agent_id: str | None = None
    conversation_id: str | None = None


class PairingDenied(msgspec.Struct, frozen=True, kw_only=True):
    """No tokens. ``code`` is None where none could be read; ``reason`` does not repeat it, and may be empty.

    ``user_is_gone``: only the user id was wrong, so that the same pairing code may be posted once more without one.
    """

    code: int | None
    reason: str
    user_is_gone: bool = False


PairingAnswer = PairingGranted | PairingDenied


class Dialect(Protocol):
    """How a service talks. ``socket`` is the connection's id, which every event of a frame echoes."""

    @property
    def name(self) -> str:
        """For logs and error messages."""
        ...

    @property
    def default_device_id(self) -> str:
        """The device id of an account that was stored without one (S0-08)."""
        ...

    def decode(self, socket: int, data: str | bytes) -> Decoded:
        """The event a frame means, what the user gets of it, and its numbers. Never raises.

        The events are ``Challenged``, ``HelloAccepted``, ``HelloRefused`` (with a reason made fit by
        :func:`clean_text`), ``ReplayFinished``, ``MessageAcked`` and ``MessageRefused`` (with an :class:`Ack` or
        :class:`Nack` beside), ``FrameReceived`` (always with an :class:`Inbound`) and, for what cannot be understood,
        ``FrameRejected`` with an error that quotes nothing of the frame.
        """
        ...

    def authenticate(self, *, token: str, nonce: str, device_id: str) -> str:
        """The frame that answers a challenge."""
        ...

    def message(self, *, chat_id: str, text: str, message_id: str | None = None) -> Outgoing:
        """A text message, with a new id unless one is given. Its frame is new in any case.

        Raises:
            SendRefused: the service would refuse it.
        """
        ...

    def typing(self, *, chat_id: str, is_typing: bool) -> str:
        """The frame that says that we begin to write, or stopped.

        Raises:
            NotSupported: the service knows no such thing.
            SendRefused: the service would refuse it.
        """
        ...

    def receipt(self, *, kind: Literal["seq", "dseq"], number: int, epoch: str | int = "") -> str | None:
        """The frame that acknowledges everything up to ``number``, for ``dseq`` within the ``ack_epoch`` of the hello.

        None where the service knows no receipts: not an error, since a chart asks for one whenever a number was seen.
        """
        ...

    def refresh_request(
        self, client: httpx.AsyncClient, base_url: str, refresh_token: str, device_id: str
    ) -> httpx.Request:
        """The request that rotates the tokens, built with ``client.build_request``."""
        ...

    def read_refresh(self, response: httpx.Response) -> RefreshAnswer:
        """What the answer means. Which codes are final is the chart's to say, not the dialect's. Never raises."""
        ...

    def pair_request(
        self, client: httpx.AsyncClient, base_url: str, code: str, *, device_id: str, user_id: str | None
    ) -> httpx.Request:
        """The request that trades a pairing code for tokens."""
        ...

    def read_pairing(self, response: httpx.Response) -> PairingAnswer:
        """What the answer means. Never raises."""
        ...
