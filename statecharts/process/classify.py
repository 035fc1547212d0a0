"""What a gateway's words mean, as tables: why a start failed, and what of its output is noise."""

from enum import StrEnum

import msgspec


class Fault(StrEnum):
    """What a failed start says about the next one."""

    CONFIG = "config"  # the gateway refuses its configuration: repair it, and never try blindly (P55)
    PASSING = "passing"  # may well work in a second (S3-13)


class FailureRule(msgspec.Struct, frozen=True):
    """An error or a line of stderr (lower-cased) that contains ``phrase`` is this kind of fault."""

    phrase: str
    fault: Fault


PASSING_PHRASES = (
    "websocket closed before handshake",
    "econnrefused",
    "connection refused",
    "exited before becoming ready",
    "timed out waiting for connect.challenge",
    "connect handshake timeout",
)

FAILURES: tuple[FailureRule, ...] = tuple(FailureRule(phrase, Fault.PASSING) for phrase in PASSING_PHRASES)
"""What any gateway may fail with (S3-13). A profile adds the phrases of its own gateway."""


def faults_of(rules: tuple[FailureRule, ...], text: str) -> frozenset[Fault]:
    """Every kind of fault that a text names: a gateway that refuses its configuration exits early, too."""
    lowered = text.lower()
    return frozenset(rule.fault for rule in rules if rule.phrase in lowered)


def telling_line(rules: tuple[FailureRule, ...], text: str) -> str:
    """The line that says most of why it ended: the last about the configuration, else the last of all."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    about_config = [line for line in lines if Fault.CONFIG in faults_of(rules, line)]
    return (about_config or lines or [""])[-1]


class NoiseRule(msgspec.Struct, frozen=True):
    """A line of stderr (lower-cased) with all these phrases is dropped, or told at DEBUG only (S3-69)."""

    phrases: tuple[str, ...]
    drop: bool


NOISE: tuple[NoiseRule, ...] = (
    NoiseRule(("openclaw-control-ui", "token_mismatch"), drop=True),
    NoiseRule(("closed before connect", "token mismatch"), drop=True),
    NoiseRule(("deprecationwarning",), drop=False),
    NoiseRule(("experimentalwarning",), drop=False),
    NoiseRule(("--trace-deprecation",), drop=False),
    NoiseRule(("--trace-warnings",), drop=False),
    NoiseRule(("debugger attached",), drop=False),
)


def noise_of(rules: tuple[NoiseRule, ...], line: str) -> NoiseRule | None:
    """The first rule that calls a line noise."""
    lowered = line.lower()
    return next((rule for rule in rules if all(phrase in lowered for phrase in rule.phrases)), None)
