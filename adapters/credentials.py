"""What a token says of itself. Nothing is verified: the server does that, the client only wants to refresh in time."""

import math

import jwt

from holdfast.statecharts import Credential

from .vault import TokenPair


def read_lifetime(access_token: object) -> tuple[float | None, float | None]:
    """``(issued_at, expires_at)`` in epoch seconds, each None where the token does not tell (S1-38). Never raises."""
    if not isinstance(access_token, str):
        return None, None
    # Two segments, without a signature, tell as much; PyJWT wants three.
    token = access_token if access_token.count(".") != 1 else f"{access_token}."
    try:
        claims = jwt.decode(token, options={"verify_signature": False})  # pyright: ignore[reportUnknownMemberType]
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None, None
    return _seconds(claims.get("iat")), _seconds(claims.get("exp"))


def _seconds(claim: object) -> float | None:
    if isinstance(claim, bool) or not isinstance(claim, int | float):
        return None
    try:
        seconds = float(claim)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None


def credential_of(generation: int, pair: TokenPair | None, obtained_at: float | None) -> Credential:
    """What the chart may know of a pair."""
    issued_at, expires_at = read_lifetime(pair.access if pair is not None else None)
    return Credential(
        generation=generation,
        issued_at=issued_at,
        expires_at=expires_at,
        obtained_at=obtained_at,
        refreshable=pair is not None and pair.refresh is not None,
    )
