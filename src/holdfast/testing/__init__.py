"""The testing kit: what Holdfast tests itself with, for those who write charts, stores or dialects of their own.

Needs the extra ``testing``.
"""

from .charts import Counted, Counters, Features, Noted, events, mended, stamps, statecharts, strict
from .clock import VirtualClock

__all__ = [
    "Counted",
    "Counters",
    "Features",
    "Noted",
    "VirtualClock",
    "events",
    "mended",
    "stamps",
    "statecharts",
    "strict",
]
