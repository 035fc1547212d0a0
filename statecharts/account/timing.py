"""When things are due: pure arithmetic on policy, stamp and credential. Durations in seconds."""

from holdfast.engine import Stamp

from .context import Credential, Schedule
from .policy import Policy


def lifetime(policy: Policy, credential: Credential) -> float:
    """How long the token is good for from its issue; a day when it does not say (S1-28)."""
    if credential.issued_at is None or credential.expires_at is None:
        return policy.lifetime_s
    return max(0.0, credential.expires_at - credential.issued_at)


def expiry(policy: Policy, credential: Credential) -> float | None:
    """When the token expires by our own clock, or None when nothing is known (S1-29, S1-30).

    A pair that we received is as old as our clock says: where the token's own expiry disagrees by more than a
    tenth of its lifetime, the far clock and ours differ, and ours is the one that timers run on (P17).
    """
    if credential.obtained_at is None:
        return credential.expires_at
    life = lifetime(policy, credential)
    ours = credential.obtained_at + life
    theirs = credential.expires_at
    return ours if theirs is None or theirs - credential.obtained_at < 0.9 * life else min(theirs, ours)


def lead(policy: Policy, life: float) -> float:
    """How long before its expiry a token is renewed (S1-24 to S1-27), at most a share of its lifetime (V19)."""
    usual = max(policy.lead_min_s, min(policy.lead_max_s, policy.lead_share * life))
    return usual if policy.lead_share_max is None else min(usual, policy.lead_share_max * life)


def plan(policy: Policy, credential: Credential, at: Stamp) -> Schedule | None:
    """The moments that matter for a credential, its jitter drawn once; None when its expiry is unknown."""
    expires_at = expiry(policy, credential)
    if expires_at is None:
        return None
    life = lifetime(policy, credential)
    ahead = lead(policy, life)
    earliest = expires_at - (1 - policy.early_share) * life
    if credential.obtained_at is not None:
        earliest = max(earliest, credential.obtained_at + policy.planned_min_s)
    widest = policy.due_jitter_s
    if policy.due_jitter_share is not None:
        widest = min(widest, policy.due_jitter_share * ahead)
    jitter = (2 * at.chance - 1) * widest
    return Schedule(
        near_at=expires_at - ahead,
        refresh_at=max(earliest, expires_at - ahead + jitter),
        expires_at=expires_at,
        offset=at.wall - at.now,
    )


def reached(schedule: Schedule, moment: float, at: Stamp) -> bool:
    """True once either clock says so."""
    return at.wall >= moment or at.now + schedule.offset >= moment


def lasts(since: float, duration: float, at: Stamp) -> bool:
    """True while less than ``duration`` went by. A snapshot restored under an older clock never waits on it (P17)."""
    return 0 <= at.now - since < duration


def remaining(since: float, duration: float, at: Stamp) -> float:
    """Seconds of a duration that are still to come, 0 once it is over."""
    return since + duration - at.now if lasts(since, duration, at) else 0.0


def recent(moments: tuple[float, ...], duration: float, at: Stamp) -> tuple[float, ...]:
    """Those that are less than ``duration`` ago."""
    return tuple(moment for moment in moments if lasts(moment, duration, at))


def until(schedule: Schedule, moment: float, at: Stamp) -> float:
    """Seconds until a moment by the clock that reaches it first, not below zero."""
    return max(0.0, min(moment - at.wall, moment - at.now - schedule.offset))
