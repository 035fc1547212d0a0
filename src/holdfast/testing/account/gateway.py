"""The far side of the modelled world: a gateway with strict single-use refresh tokens, which can misbehave."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

MARK = "secret-"
"""Every token of the model begins with it, so that one that leaks is found (P60)."""


class Tokens(NamedTuple):
    """A token pair. The times are epoch seconds, None where the token does not say."""

    access: str
    refresh: str | None
    issued_at: float | None
    expires_at: float | None


class Refreshing(StrEnum):
    """What the gateway does with a refresh POST."""

    ROTATES = "rotates"
    LOSES = "rotates, and the answer is lost"
    STALLS = "rotates the refresh token only"
    KEEPS = "gives an access token and no refresh token, and consumes nothing"
    BUSY = "answers code 1"
    DOWN = "is not reached"
    GARBAGE = "answers rubbish"
    DENIES = "revokes the token: code 10003"
    DENIES_OLDLY = "revokes the token: code 400"


class Greeting(StrEnum):
    """What the gateway does with a hello."""

    JUDGES = "judges the token"
    OUTAGE = "cannot reach its auth service"
    REJECTS = "rejects even a good token"
    GRUMBLES = "refuses and does not say why"
    SLAMS = "accepts, then closes"
    SILENT = "does not answer"


REASONS = {
    Greeting.OUTAGE: "Auth service unavailable",
    Greeting.REJECTS: "authentication failed",
    Greeting.GRUMBLES: "server busy",
}


class Gateway:
    """Issues tokens, rotates them strictly, and judges them at the hello. Its clock is the true one."""

    def __init__(self, rejection: str = "token expired") -> None:
        self.rejection = rejection
        self.serial = 0
        self.unspent: dict[str, Tokens] = {}
        self.expiry: dict[str, float] = {}

    def pair(self, now: float, life: float, *, refreshable: bool = True, readable: bool = True) -> Tokens:
        """A new pair that lives ``life`` seconds. ``readable``: the token says so itself."""
        self.serial += 1
        access, refresh = f"{MARK}access-{self.serial}", f"{MARK}refresh-{self.serial}"
        tokens = Tokens(access, refresh, now, now + life) if readable else Tokens(access, refresh, None, None)
        self.expiry[access] = now + life
        if not refreshable:
            return tokens._replace(refresh=None)
        self.unspent[refresh] = tokens
        return tokens

    def post(self, token: str, does: Refreshing, now: float, life: float) -> tuple[Tokens | None, str]:
        """The answer to a refresh: a pair, or none and the code that the client reads (empty: it reads none)."""
        if does in (Refreshing.DOWN, Refreshing.GARBAGE):
            return None, ""
        if does is Refreshing.BUSY:
            return None, "1"
        spent = self.unspent.pop(token, None)
        if spent is None or does is Refreshing.DENIES:
            return None, "10003"
        if does is Refreshing.DENIES_OLDLY:
            return None, "400"
        fresh = self.pair(now, life, readable=spent.expires_at is not None)
        if does is Refreshing.KEEPS:
            del self.unspent[fresh.refresh or ""]
            self.unspent[token] = spent
            return fresh._replace(refresh=None), "0"
        if does is Refreshing.STALLS:
            stalled = spent._replace(refresh=fresh.refresh)
            self.unspent[fresh.refresh or ""] = stalled
            return stalled, "0"
        return (None, "") if does is Refreshing.LOSES else (fresh, "0")

    def revoke(self, tokens: Iterable[str]) -> None:
        """Refresh tokens that are good no more."""
        for token in tokens:
            self.unspent.pop(token, None)

    def refusal(self, access: str | None, does: Greeting, now: float) -> str | None:
        """Why this hello is refused, or None where it is accepted."""
        if does in REASONS:
            return REASONS[does]
        if access is None or access not in self.expiry:
            return self.rejection
        return self.rejection if now >= self.expiry[access] else None
