"""How long the process chart's timers run, in seconds. The context is that after the state was entered."""

from collections.abc import Callable

from holdfast.engine import Stamp

from ..account.timing import jittered, ladder
from .context import Process


def fixed(field: str) -> Callable[[Process, Stamp], float]:
    """A duration straight from the policy."""

    def duration(p: Process, at: Stamp) -> float:
        seconds: float = getattr(p.policy, field)
        return seconds

    duration.__name__ = field
    return duration


def reconnect(p: Process, at: Stamp) -> float:
    """The ladder, jittered after the cap (S3-35, V13). This wait is already counted."""
    policy = p.policy
    step = ladder(policy.reconnect_base_s, policy.reconnect_cap_s, max(0, p.attempts - 1))
    return jittered(step, policy.reconnect_jitter, at.chance)
