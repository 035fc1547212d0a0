"""What a sandbox gateway can be told about lifetimes, limits and formats."""

from dataclasses import dataclass, field
from typing import Literal

AccessFormat = Literal["jwt", "opaque"]
Reliable = Literal["off", "v1", "v2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Lifetimes in seconds, sizes in bytes. The defaults are the service's own numbers where these are known."""

    access_lifetime_s: float = 24 * 3600
    refresh_lifetime_s: float = 60 * 24 * 3600  # Sliding: each rotation starts it anew.
    access_format: AccessFormat = "jwt"
    reliable: Reliable = "v2"
    """The highest level of reliable delivery that is granted to a client that asks for it."""
    connect_limit_s: float = 10.0
    """How long a client may take to answer the challenge before it is dropped."""
    ping_interval_s: float = 30.0
    """Between two WebSocket pings to a live session; 0 switches them off."""
    pairing_code: str | None = field(default=None, repr=False)
    """A code that exists from the start (single-use like every other), for demos."""
    connect_bytes_max: int = 64 * 1024
    frame_bytes_max: int = 1024 * 1024  # The server's own frame: larger than the 1,000,000 a client may send.
    messages_max: int = 10_000
    """Stored uplink messages, and queued downlink frames, per user. The oldest give way."""
    events_max: int = 1_000
    connections_max: int = 1_000  # Below the usual limit of 1,024 open files.

    def __post_init__(self) -> None:
        """Refuse values that could only lead to a puzzle later.

        Raises:
            ValueError: a lifetime, limit or size is not positive.
        """
        for name in ("access_lifetime_s", "refresh_lifetime_s", "connect_limit_s", "connect_bytes_max",
                     "frame_bytes_max", "messages_max", "events_max", "connections_max"):  # fmt: skip
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.ping_interval_s < 0:
            raise ValueError("ping_interval_s must be 0 (no pings) or above")
