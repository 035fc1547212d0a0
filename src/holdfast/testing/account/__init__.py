"""The account chart's state machine for Hypothesis: a world that misbehaves, and what must hold all the same."""

from .gateway import Gateway, Greeting, Refreshing
from .ledger import Ledger, Taken
from .mail import Letter, Mailbox, Treatment
from .messaging import AccountMachine
from .properties import Properties
from .strategies import account_events, credentials, policies
from .world import World

__all__ = [
    "AccountMachine",
    "Gateway",
    "Greeting",
    "Ledger",
    "Letter",
    "Mailbox",
    "Properties",
    "Refreshing",
    "Taken",
    "Treatment",
    "World",
    "account_events",
    "credentials",
    "policies",
]
