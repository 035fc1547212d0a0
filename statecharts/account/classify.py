"""Why a hello was refused, as tables: which phrase of the reason means what (S0-02 to S0-05, V14)."""

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """What a refused hello says about the token."""

    AUTH_UNAVAILABLE = "auth-unavailable"  # the far end's auth service is down: back off, do not refresh
    TOKEN_REJECTED = "token-rejected"
    GENERIC = "generic"  # says nothing about the token


class Rule(msgspec.Struct, frozen=True):
    """A reason (lower-cased) that contains ``phrase``, or equals it if ``exact``, gives ``verdict``."""

    phrase: str
    verdict: Verdict
    exact: bool = False


_OUTAGES = tuple(
    Rule(phrase, Verdict.AUTH_UNAVAILABLE) for phrase in ("auth service unavailable", "temporarily unavailable")
)

# Tried top to bottom, so an outage wins over a rejection that the same reason names (S0-04).
SEED: tuple[Rule, ...] = (
    *_OUTAGES,
    *(
        Rule(phrase, Verdict.TOKEN_REJECTED)
        for phrase in (
            "authentication failed",
            "invalid token",
            "token expired",
            "unauthorized",
            "auth failed",
            "invalid credentials",
        )
    ),
)

# The newer wire contract: one string is terminal for the token, everything else is transient (V14).
EXACT: tuple[Rule, ...] = (*_OUTAGES, Rule("authentication failed", Verdict.TOKEN_REJECTED, exact=True))


def classify(rules: tuple[Rule, ...], reason: str | None) -> Verdict:
    """The verdict of the first rule that matches; a missing reason is ``generic`` (S0-05)."""
    text = (reason or "").lower()
    for rule in rules:
        if text == rule.phrase if rule.exact else rule.phrase in text:
            return rule.verdict
    return Verdict.GENERIC
