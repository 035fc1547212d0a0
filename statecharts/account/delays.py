"""How long the account chart's timers run, in seconds. The context is that after the state was entered."""

from holdfast.engine import Stamp

from ..durations import jittered, ladder, upward_jitter
from . import queue
from .context import Account
from .timing import remaining, until


def backoff(a: Account, at: Stamp) -> float:
    """The ladder, or the floor after a close that asks for one; jittered after the cap (S0-38, V13). What the server
    asked for comes before that, so that no jitter undercuts it (P39).
    """
    step = ladder(a.policy.backoff_base_s, a.policy.backoff_cap_s, a.rung)
    asked = remaining(a.dial_pause.since, a.dial_pause.length, at) if a.dial_pause else 0.0
    return asked + jittered(max(step, a.floor), a.policy.backoff_jitter, at.chance)


def next_look(a: Account, at: Stamp) -> float | None:
    """Until the refresh is due, in slices, so that a wall clock set meanwhile is noticed (V21, P15)."""
    if a.schedule is None:
        return None
    return min(a.policy.slice_s, until(a.schedule, a.schedule.refresh_at, at))


def refresh_retry(a: Account, at: Stamp) -> float:
    """The refresh's own ladder, and never within the interval of the same refresh token (V11, V17), nor before the
    server wants it (P39).
    """
    policy = a.policy
    step = ladder(policy.refresh_retry_base_s, policy.refresh_retry_cap_s, max(0, a.tries - 1))
    rest = 0.0 if a.attempted_at is None else remaining(a.attempted_at, policy.refresh_interval_s, at)
    asked = remaining(a.post_pause.since, a.post_pause.length, at) if a.post_pause else 0.0
    return max(upward_jitter(step, at.chance), rest, asked + upward_jitter(step, at.chance) - step)


def store_retry(a: Account, at: Stamp) -> float:
    """Between attempts to read or write the own store."""
    return ladder(a.policy.store_retry_base_s, a.policy.store_retry_cap_s, max(0, a.store_tries - 1))


def mirror_retry(a: Account, at: Stamp) -> float:
    """Between attempts to write the mirror, which is best effort (V01)."""
    return ladder(a.policy.mirror_retry_base_s, a.policy.mirror_retry_cap_s, max(0, a.mirror_tries - 1))


def outbox_look(a: Account, at: Stamp) -> float | None:
    """Until a message, its answer, or the silence towards a chat is overdue."""
    moment = queue.next_look(a)
    return None if moment is None else max(0.0, moment - at.now)


def receipt_again(a: Account, at: Stamp) -> float | None:
    """Until a receipt is told once more, if there was one."""
    return a.policy.receipt_again_s if a.acked else None
