"""Every number the process chart goes by, in one frozen, validated record. Durations are seconds."""

from typing import Literal

import msgspec

from ..durations import durations_of, scaled


class ProcessPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers, and one switch. The defaults are the strict ones.

    ``scaled(f)`` multiplies every duration, for tests and demos (deadlines of I/O keep a floor of half a second).

    Raises:
        ValueError: a number is out of its range.
    """

    # finding a gateway, or a free port
    probe_s: float = 1.5  # for a gateway to show itself (S3-20)
    port_poll_s: float = 0.5
    port_s: float = 30.0  # for a port that something else holds (S3-09)
    yield_poll_s: float = 0.5  # another manager has the port: its gateway is looked for this often
    find_s: float = 480.0  # as long as that manager may wait for it

    # starting
    spawn_s: float = 30.0  # the hook before the spawn included
    ready_poll_s: float = 0.2
    ready_s: float = 480.0  # 2,400 probes (S3-20)
    connect_s: float = 10.0  # for the challenge (S3-23)
    start_attempts_max: int = 3
    start_retry_s: float = 1.0
    repair_s: float = 120.0
    first_failure: Literal["error", "retry"] = "error"  # a start that never reached running: a person, or the ladder

    # running
    health_s: float = 30.0
    stable_s: float = 300.0  # a run this long clears the streak (V32)

    # reconnecting
    reconnect_base_s: float = 1.0
    reconnect_cap_s: float = 30.0
    reconnect_jitter: float = 0.5  # this share of a wait is left to chance
    reconnect_attempts_max: int = 10

    # restarting
    debounce_s: float = 2.0

    # stopping: each step is bounded, and so is their sum
    ask_s: float = 5.0
    terminate_s: float = 5.0
    kill_s: float = 5.0

    def __post_init__(self) -> None:
        wrong = [name for name in _DURATIONS if not 0 <= getattr(self, name) < float("inf")]
        wrong += [name for name in _LOOPS if not getattr(self, name) > 0]
        wrong += [name for name in _COUNTS if getattr(self, name) < 1]
        wrong += [] if 0 <= self.reconnect_jitter <= 1 else ["reconnect_jitter"]
        if wrong:
            raise ValueError(f"{', '.join(dict.fromkeys(wrong))}: out of range")

    def scaled(self, factor: float) -> "ProcessPolicy":
        """The same policy with every duration multiplied.

        Raises:
            ValueError: the factor is not a finite number above zero.
        """
        return scaled(self, factor, _IO_DEADLINES)


# Of real input and output: these keep a floor.
_IO_DEADLINES = (
    "probe_s", "port_s", "find_s", "spawn_s", "ready_s", "connect_s", "repair_s", "ask_s", "terminate_s", "kill_s",
)  # fmt: skip
# What repeats: without a pause it would spin.
_LOOPS = (
    "port_poll_s", "yield_poll_s", "ready_poll_s", "start_retry_s", "health_s", "reconnect_base_s", "reconnect_cap_s",
)  # fmt: skip
_COUNTS = ("start_attempts_max", "reconnect_attempts_max")
_DURATIONS = durations_of(ProcessPolicy)

PROCESS_STRICT = ProcessPolicy()
"""The numbers that protect machine and gateway best."""
