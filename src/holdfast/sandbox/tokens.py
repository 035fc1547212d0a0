"""Mints credentials. Every token is unique; nothing but :class:`Credentials` ever holds one in clear."""

import hashlib
import secrets
from dataclasses import dataclass, field

import jwt

from .settings import GatewaySettings

CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # Nothing that is misread when typed from a screen.
PREFIX_CHARS = 12  # Enough of a SHA-256 to tell tokens apart in a log, useless for anything else.
WHOLE_SECONDS_FROM_S = 60  # Shorter lifetimes need a fraction in `exp`, or they would be off by up to a second.


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a paired client holds. Its repr shows no token. Expiries are epoch seconds."""

    user_id: str
    agent_id: str
    owner_id: str
    conversation_id: str
    device_id: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    access_expires_at: float
    refresh_expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPair:
    """A freshly minted pair; expiries are epoch seconds."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    access_expires_at: float
    refresh_expires_at: float


def digest(token: str) -> str:
    """SHA-256 of a token, hexadecimal. The book knows tokens by it and never in clear."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def short(token_digest: str | None) -> str | None:
    """The part of a digest that may be shown."""
    return None if token_digest is None else f"sha256:{token_digest[:PREFIX_CHARS]}"


def new_code() -> str:
    """A pairing code that can be typed."""
    return "".join(secrets.choice(CODE_ALPHABET) for _ in range(10))


class Mint:
    """Makes tokens in the format and with the lifetimes of the settings."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        # A key of this process: tokens are looked up by digest, never verified by signature, so none needs to be kept.
        self._key = secrets.token_bytes(32)

    def pair(self, user_id: str, device_id: str, now: float, access_lifetime_s: float | None = None) -> TokenPair:
        """A new pair, issued at ``now`` (epoch seconds)."""
        lifetime = self._settings.access_lifetime_s if access_lifetime_s is None else access_lifetime_s
        issued_at, expires_at = _instants(now, lifetime)
        return TokenPair(
            access=self._access(user_id, device_id, issued_at, expires_at),
            refresh=f"rt_{secrets.token_urlsafe(32)}",
            access_expires_at=expires_at,
            refresh_expires_at=now + self._settings.refresh_lifetime_s,
        )

    def _access(self, user_id: str, device_id: str, issued_at: float, expires_at: float) -> str:
        if self._settings.access_format == "opaque":
            return f"at_{secrets.token_urlsafe(32)}"
        claims = {"sub": user_id, "did": device_id, "iat": issued_at, "exp": expires_at, "jti": secrets.token_hex(16)}
        return jwt.encode(claims, self._key, algorithm="HS256")  # pyright: ignore[reportUnknownMemberType]


def _instants(now: float, lifetime: float) -> tuple[float, float]:
    if lifetime >= WHOLE_SECONDS_FROM_S:
        return int(now), int(now) + int(lifetime)
    return round(now, 3), round(now + lifetime, 3)
