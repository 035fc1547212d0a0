"""What is particular about one kind of gateway, as data and a few hooks."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from holdfast.statecharts import FAILURES, NOISE, FailureRule, Fault, NoiseRule

from .process_readiness import Readiness, connect_challenge, first_frame

T = TypeVar("T")

Hook = Callable[[int], Awaitable[object]]
"""Called with the port. What it raises is logged, and only that."""
RepairHook = Callable[[int], Awaitable[bool]]
"""Called with the port; returns whether it changed anything."""
PORT: Final = "{port}"
"""Stands for the port in a profile's ``argv``."""


@dataclass(frozen=True, kw_only=True, repr=False)
class ProcessProfile:
    """One kind of gateway.

    ``argv`` is its command line, with ``{port}`` for the port, and ``env`` is added to what the child inherits, which
    is our own environment without the variables whose names begin as ``strip_env`` says. ``readiness`` returns once a
    gateway has shown itself on the port, and raises if none does; the policy bounds it. ``failures`` says what a failed
    start means; ``noise`` which lines of stderr are none. What follows one of ``secret_flags`` is never logged.

    ``prepare`` runs before each spawn (to stop an OS service that holds the gateway, say, S3-70), and ``repair`` once
    in a start that failed by :attr:`Fault.CONFIG`. ``ask_to_stop`` asks a gateway that is not ours to stop: when it is
    to be stopped or restarted, and when the manager ends.
    """

    argv: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    strip_env: tuple[str, ...] = ()
    readiness: Readiness = first_frame
    failures: tuple[FailureRule, ...] = FAILURES
    noise: tuple[NoiseRule, ...] = NOISE
    secret_flags: tuple[str, ...] = ("--token", "--password")
    prepare: Hook | None = None
    repair: RepairHook | None = None
    ask_to_stop: Hook | None = None

    def __repr__(self) -> str:
        # Neither arguments nor variables: both may hold a token (P60).
        return f"<ProcessProfile {self.argv[0] if self.argv else 'without a command'}>"


async def call(hook: Callable[[int], Awaitable[T]], port: int) -> T:
    """Await a hook. One that ends in a cancellation which nobody here asked for has failed, and ends nothing of ours.

    Raises:
        Exception: whatever it raises.
    """
    try:
        return await hook(port)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise RuntimeError("it was cancelled") from None


def child_env(profile: ProcessProfile, env: Mapping[str, str]) -> dict[str, str]:
    """What the child's environment is."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(profile.strip_env or ("\0",))}
    return {**inherited, **profile.env, **env}


_CONFIG_PHRASES: Final = ("(code=78)", "invalid config", "config invalid", "unrecognized key", "doctor --fix")

OPENCLAW_PROFILE: Final = ProcessProfile(
    argv=("openclaw", "gateway", "run", "--port", PORT, "--bind", "loopback", "--allow-unconfigured"),
    env={"OPENCLAW_NO_RESPAWN": "1", "NO_COLOR": "1"},
    strip_env=("OPENCLAW_",),
    readiness=connect_challenge,
    # First its own: 78 is how it leaves when it refuses its configuration.
    failures=(*(FailureRule(phrase, Fault.CONFIG) for phrase in _CONFIG_PHRASES), *FAILURES),
    # It warns of each of our probes, which leave without a connect frame.
    noise=(*NOISE, NoiseRule(("closed before connect", "ua=holdfast/", "code=1000"), drop=True)),
)
"""The OpenClaw gateway. Hand its token over in ``env`` as ``OPENCLAW_GATEWAY_TOKEN``."""
