"""What the account chart remembers: numbers and names, never a token."""

from typing import Any

import msgspec

from .policy import STRICT, Policy


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A token pair as the chart knows it: which one it is and how long it lasts.

    ``generation`` is bumped by every write of the pair (pairing, rotation, logout), so that a higher one is
    newer. Times are epoch seconds: ``issued_at`` and ``expires_at`` as the access token says, if it can be
    read; ``obtained_at`` by the own clock when the pair was received (None for a pair that was configured).
    """

    generation: int
    issued_at: float | None = None
    expires_at: float | None = None
    obtained_at: float | None = None
    refreshable: bool = False


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """When a credential is due, in epoch seconds, and ``offset`` (wall - now at the time it was planned).

    A moment is reached when either clock says so: a wall clock set back cannot block a refresh, and a
    process that slept under a stopped monotonic clock is not late (V18, P17).
    """

    near_at: float
    refresh_at: float
    expires_at: float
    offset: float


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """A message on its way, named by its ``trace``. The body is elsewhere, and has ``size`` characters.

    ``due`` is when sending it is no longer worth anything, ``answer_by`` when its missing answer counts as lost, both
    monotonic. ``lasting``: it outlives a logout, for the same user. ``sent_on`` is the socket it was written to last,
    0 if it never left.
    """

    trace: str
    chat: str
    size: int
    due: float | None
    lasting: bool = False
    kept: bool = False
    sent_on: int = 0
    misses: int = 0
    answer_by: float | None = None


class DeadChat(msgspec.Struct, frozen=True, kw_only=True):
    """A chat that the gateway has said ``code`` about: nothing is sent to it until then, unless it proves alive."""

    chat: str
    code: str
    until: float


class Pause(msgspec.Struct, frozen=True):
    """The server asked, at ``since`` (monotonic), not to be bothered for ``length`` seconds."""

    since: float
    length: float


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The context of the account chart."""

    policy: Policy = STRICT

    # credentials
    credential: Credential | None = None
    pending: Credential | None = None  # rotated by the server, not yet in the store
    schedule: Schedule | None = None
    generation: int = 0  # the newest that was seen, blank ones included: older news are no news
    fence: int | None = None  # what a logout blanks: this generation, or whatever there is
    interrupted: bool = False  # a former process died between a refresh POST and its answer
    user_id: str | None = None  # whose tokens these are, if that is known
    greeted: bool = True  # this pairing's first session was told to the user

    # refresh
    refresh: int = 0  # id of the current exchange
    cause: str = ""
    tries: int = 0  # transient failures in a row
    attempted_at: float | None = None  # monotonic; None before the first attempt (V17)
    attempted: int | None = None  # the generation of that attempt
    latched: int | None = None  # the generation that was refused for good
    rotations: int = 0  # new tokens dialled after a refused hello, within the window; or all of the one streak
    rotations_since: float | None = None
    post_pause: Pause | None = None
    refusal: str = ""

    # connection
    socket: int = 0  # id of the current connection attempt
    depth: int = 0  # place on the backoff ladder
    rung: int = 0  # the place that the present wait has
    dial_pause: Pause | None = None
    evicted_at: tuple[float, ...] = ()  # when other clients took the session over, lately
    presented: int | None = None  # the generation that this connection was opened with
    floor: float = 0.0  # seconds that the next retry waits at least, before jitter
    rejected: int | None = None  # the generation that the gateway refused last
    beat_due: float | None = None  # when the heartbeat's timer is due
    beat_offset: float = 0.0  # wall - now when that was armed
    welcomed: bool = False  # a hello-ok came since these credentials were adopted
    device_id: str = ""

    # outbox
    queue: tuple[Queued, ...] = ()
    crowd: tuple[Queued, ...] = ()  # waits for a place in the queue
    dead_chats: tuple[DeadChat, ...] = ()
    deaf: bool = False  # nothing is read, so that no answer is missed
    reload_at: float | None = None  # the message store could not be read: when to try again, monotonic

    # receipts: what we tell the gateway that was handled
    ack_mode: str = ""
    ack_epoch: str | int = ""
    numbered: int = 0  # the last number that was read on this connection
    gap_allowed: int = 0  # numbers that frames which could not be read may have had
    handled: int = 0
    acked: int = 0

    # what a person wants to know
    attempts: int = 0  # dials since the last stable session
    last_error: str = ""

    # retries of the own disk
    store_tries: int = 0
    mirror_tries: int = 0

    def but(self, **changes: Any) -> "Account":
        """A copy with some fields changed."""
        return msgspec.structs.replace(self, **changes)
