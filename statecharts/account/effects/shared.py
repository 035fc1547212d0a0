"""What the effects of several regions need."""

from holdfast.engine import Command, Event, Stamp

from ..context import Account, Credential, Pause
from ..timing import plan

Out = tuple[Account, tuple[Command | Event, ...]]


def asked(a: Account, seconds: float, at: Stamp) -> Pause | None:
    """What the server asked for, within reason; None if it asked for nothing (P39)."""
    return Pause(at.now, min(seconds, a.policy.retry_after_max_s)) if seconds > 0 else None


def adopted(a: Account, credential: Credential, at: Stamp) -> Account:
    """The account with a pair that is in the store, and its renewal planned."""
    return a.but(
        credential=credential,
        pending=None,
        schedule=plan(a.policy, credential, at),
        generation=max(a.generation, credential.generation),
        interrupted=False,
        tries=0,
        store_tries=0,
        mirror_tries=0,
    )
