"""What the effects of several regions need."""

from holdfast.engine import Command, Event, Stamp

from ..context import Account, Credential
from ..timing import plan

Out = tuple[Account, tuple[Command | Event, ...]]


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
