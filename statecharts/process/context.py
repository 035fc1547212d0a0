"""What the process chart remembers: numbers, and what went wrong in scrubbed words."""

from typing import Any

import msgspec

from .classify import FAILURES, FailureRule
from .policy import PROCESS_STRICT, ProcessPolicy


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """The context of the process chart. ``starts`` and the like are the numbers of requests that wait for their end."""

    policy: ProcessPolicy = PROCESS_STRICT
    failures: tuple[FailureRule, ...] = FAILURES
    repairable: bool = True  # there is something that repairs a refused configuration

    # what is wanted: the last of start, stop and restart (V35)
    wanted: bool = False
    starts: tuple[int, ...] = ()
    stops: tuple[int, ...] = ()
    debounced: tuple[int, ...] = ()  # restarts that wait for the last of their kind
    restarts: tuple[int, ...] = ()  # restarts that were not begun
    restarting: tuple[int, ...] = ()  # restarts that are being carried out

    # what is under way
    step: int = 0  # id of the last probe, look at the port, repair and the like
    child: int = 0  # id of the last child
    has_child: bool = False  # it is alive, or about to be
    pid: int | None = None
    attached: bool = False  # the gateway was there before us

    # this start
    tries: int = 0
    repaired: bool = False  # a repair was tried
    mended: bool = False  # and it said that it changed something
    config_fault: bool = False  # what the last failure was
    passing_fault: bool = False

    # this streak
    proven: bool = False  # it has run since a person asked for it
    attempts: int = 0  # reconnects since the last stable run
    connected_at: float | None = None  # epoch seconds, while it runs
    running_since: float | None = None  # the same, monotonic

    last_error: str = ""

    def but(self, **changes: Any) -> "Process":
        """A copy with some fields changed."""
        return msgspec.structs.replace(self, **changes)
