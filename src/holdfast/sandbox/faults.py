"""Scripted misbehaviour: which answer goes wrong next, how, and how often."""

import asyncio
from collections.abc import Callable
from typing import Literal

import msgspec

Point = Literal[
    "accept", "upgrade", "challenge", "hello", "replay", "frame", "ping", "send", "refresh", "pairing", "rest"
]
Kind = Literal[
    "drop", "never", "lose", "swallow", "refuse", "status", "code", "garbage", "no_refresh_token", "same_token",
    "delay", "hold", "skip",
]  # fmt: skip

KINDS: dict[Point, tuple[Kind, ...]] = {
    "accept": ("drop",),
    "upgrade": ("drop", "never", "status"),
    "challenge": ("drop", "never", "garbage"),
    "hello": ("drop", "never", "refuse", "garbage", "delay", "hold"),
    "replay": ("never",),
    "frame": ("skip",),
    "ping": ("never",),
    "send": ("drop", "never", "lose", "swallow", "refuse"),
    "refresh": (
        "drop", "never", "lose", "swallow", "code", "status", "garbage", "no_refresh_token", "same_token", "delay",
        "hold",
    ),
    "pairing": ("drop", "never", "lose", "swallow", "code", "status", "garbage", "no_refresh_token", "delay", "hold"),
    "rest": ("drop", "never", "code", "status", "garbage", "delay", "hold"),
}  # fmt: skip
FAULTS_MAX = 1_000
HELD_MAX = 1_000


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One kind of misbehaviour at one point.

    - ``drop``: the connection is aborted and the request is not carried out. ``lose``: it *is* carried out (a token
      is rotated, a message stored), but the connection is aborted instead of the answer.
    - ``never``: not carried out and never answered. ``swallow``: carried out and never answered.
    - ``refuse``: hello-fail with ``reason`` (unless given, "authentication failed"), or message.error with ``reason``
      as its code ("bad_request").
    - ``status``: an HTTP status with a body that says nothing. ``code``: HTTP 200 with this envelope code.
    - ``garbage``: an unreadable body, or a frame that is not JSON.
    - ``no_refresh_token``: success without a refresh token. ``same_token``: success with the refresh token that was
      presented. In both the presented one stays good.
    - ``delay``: carried out at once, answered after ``seconds``. ``hold``: answered when :meth:`Faults.release` is
      called.
    - ``skip``: the next frame that gets a ``dseq``, on whatever session, gets one more than is its turn.
    """

    point: Point
    kind: Kind
    times: int | None = 1
    """How often; None is until cleared."""
    reason: str = ""
    status: int = 503
    code: int = 1
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Raises:
        ValueError: the point has no such kind, or a value is out of range.
        """
        check_kind(self.point, self.kind)
        if self.times is not None and self.times < 1:
            raise ValueError("times must be 1 or more, or null for 'until cleared'")
        if not 200 <= self.status <= 599:
            raise ValueError("status must be an HTTP status from 200 to 599")
        if self.seconds < 0:
            raise ValueError("seconds must not be negative")


def check_kind(point: Point, kind: str) -> None:
    """Raises:
    ValueError: the point has no such kind; the message lists those that it has.
    """
    if kind not in KINDS[point]:
        raise ValueError(f"{point} has no fault {kind!r}; it has: {', '.join(KINDS[point])}")


class Faults:
    """The faults that are still to come, in the order in which they were injected."""

    def __init__(self) -> None:
        self.pending: list[Fault] = []
        self._held: dict[Point, list[Callable[[], None]]] = {}

    def inject(self, fault: Fault) -> None:
        """Raises:
        ValueError: :data:`FAULTS_MAX` faults are pending.
        """
        if len(self.pending) >= FAULTS_MAX:
            raise ValueError(f"{FAULTS_MAX} faults are pending, the limit; clear some")
        self.pending.append(fault)

    def clear(self, point: Point | None = None) -> None:
        """Behave again, at one point or at all. Held answers go out."""
        self.pending = [fault for fault in self.pending if point is not None and fault.point != point]
        self.release(point)

    def release(self, point: Point | None = None) -> int:
        """Send the answers that are held, at one point or at all; returns how many there were."""
        points: list[Point] = list(self._held) if point is None else [point]
        held = [answer for name in points for answer in self._held.pop(name, [])]
        for answer in held:
            answer()
        return len(held)

    def take(self, point: Point) -> Fault | None:
        """The fault for what happens at this point now, if any; it is one time fewer afterwards."""
        for place, fault in enumerate(self.pending):
            if fault.point != point:
                continue
            if fault.times == 1:
                del self.pending[place]
            elif fault.times is not None:
                self.pending[place] = msgspec.structs.replace(fault, times=fault.times - 1)
            return fault
        return None

    def postpone(self, fault: Fault, answer: Callable[[], None]) -> None:
        """Run ``answer`` when a ``delay`` has passed or a ``hold`` is released."""
        if fault.kind == "delay":
            asyncio.get_running_loop().call_later(fault.seconds, answer)
            return
        held = self._held.setdefault(fault.point, [])
        if len(held) < HELD_MAX:  # Beyond it the caller gets no answer, which a client must survive anyway.
            held.append(answer)

    def held(self, point: Point) -> int:
        """How many answers wait to be released."""
        return len(self._held.get(point, ()))
