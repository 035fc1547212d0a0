"""How long the process chart's timers run, in seconds. The context is that after the state was entered."""

from holdfast.engine import Stamp

from ..durations import jittered, ladder
from .context import Process


def reconnect(p: Process, at: Stamp) -> float:
    """The ladder, jittered after the cap (S3-35, V13). This wait is already counted."""
    policy = p.policy
    step = ladder(policy.reconnect_base_s, policy.reconnect_cap_s, max(0, p.attempts - 1))
    return jittered(step, policy.reconnect_jitter, at.chance)
