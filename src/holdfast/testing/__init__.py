"""The testing kit: what Holdfast tests itself with, for those who write charts, stores or dialects of their own.

Needs the extra ``testing``.
"""

from .account import (
    AccountMachine,
    Gateway,
    Greeting,
    Ledger,
    Properties,
    Refreshing,
    Taken,
    World,
    account_events,
    credentials,
    policies,
)
from .charts import Counted, Counters, Features, Noted, events, mended, stamps, statecharts, strict
from .clock import VirtualClock

__all__ = [
    "AccountMachine",
    "Counted",
    "Counters",
    "Features",
    "Gateway",
    "Greeting",
    "Ledger",
    "Noted",
    "Properties",
    "Refreshing",
    "Taken",
    "VirtualClock",
    "World",
    "account_events",
    "credentials",
    "events",
    "mended",
    "policies",
    "stamps",
    "statecharts",
    "strict",
]
