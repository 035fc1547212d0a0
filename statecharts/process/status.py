"""What a person sees of a gateway process: a pure projection of its snapshot (P37)."""

from enum import StrEnum

import msgspec

from holdfast.engine import Snapshot, Stamp

from .context import Process


class ProcessState(StrEnum):
    """The one word for what a gateway process is doing."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    RECONNECTING = "reconnecting"  # it was lost, and is waited for
    ERROR = "error"  # a person is waited for
    STOPPING = "stopping"


class ProcessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A typed picture of a gateway process.

    ``owns_process``: a child of ours lives, and ``pid`` is its; a gateway that was there before is used and not owned.
    ``connected_at`` and ``retry_at`` are epoch seconds, ``uptime_s`` seconds since it runs, None where there is nothing
    to tell. ``attempts``: reconnects since the last run that lasted.
    """

    state: ProcessState
    pid: int | None = None
    owns_process: bool = False
    connected_at: float | None = None
    uptime_s: float | None = None
    attempts: int = 0
    retry_at: float | None = None
    last_error: str = ""


# Tried top to bottom: the first state that is active gives the word.
_WORDS: tuple[tuple[str, ProcessState], ...] = (
    ("life/stopped", ProcessState.STOPPED),
    ("life/running", ProcessState.RUNNING),
    ("life/reconnecting", ProcessState.RECONNECTING),
    ("life/error", ProcessState.ERROR),
    ("life/stopping", ProcessState.STOPPING),
)


def project_process(snapshot: Snapshot, stamp: Stamp) -> ProcessStatus:
    """The status of a gateway process at a moment."""
    process: Process = snapshot.context
    due = next((armed.due for armed in snapshot.timers if armed.timer in ("reconnect", "start_retry")), None)
    since = process.running_since
    return ProcessStatus(
        state=next((word for path, word in _WORDS if snapshot.matches(path)), ProcessState.STARTING),
        pid=process.pid,
        owns_process=process.pid is not None,
        connected_at=process.connected_at,
        uptime_s=None if since is None else round(max(0.0, stamp.now - since), 3),
        attempts=process.attempts,
        # Rounded: the two clocks are not read at one instant, and noise is no news.
        retry_at=None if due is None else round(stamp.wall + due - stamp.now, 3),
        last_error=process.last_error,
    )
