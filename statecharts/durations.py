"""What the charts' policies and timers have in common: durations in seconds, scaled, jittered, on a ladder."""

from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar

import msgspec

from holdfast.engine import Stamp

IO_FLOOR_S: Final = 0.5
"""Deadlines of real input and output: a scale for tests must not make a busy machine look like a dead peer."""

P = TypeVar("P", bound=msgspec.Struct)


def durations_of(policy: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields of a policy that are durations."""
    return tuple(name for name in policy.__struct_fields__ if name.endswith("_s"))


def scaled(policy: P, factor: float, io_deadlines: Collection[str]) -> P:
    """The policy with every duration multiplied. One that is None stays so; deadlines of I/O keep a floor.

    Raises:
        ValueError: the factor is not a finite number above zero.
    """
    if not 0 < factor < float("inf"):
        raise ValueError(f"time scale {factor}: give a finite number above zero")
    found: dict[str, float | None] = {name: getattr(policy, name) for name in durations_of(type(policy))}
    changes = {name: value * factor for name, value in found.items() if value is not None}
    floors = {name: min(IO_FLOOR_S, value) for name in io_deadlines if (value := found[name]) is not None}
    return msgspec.structs.replace(policy, **changes | {name: max(floors[name], changes[name]) for name in floors})


def fixed(field: str) -> Callable[[Any, Stamp], float | None]:
    """A duration straight from the policy, None where there is none."""

    def duration(context: Any, at: Stamp) -> float | None:
        seconds: float | None = getattr(context.policy, field)
        return seconds

    duration.__name__ = field
    return duration


def jittered(delay: float, share: float, chance: float) -> float:
    """A delay of which this share is left to chance: applied after the cap, so it never vanishes there (V13, P30)."""
    return delay * (1 - share) + chance * delay * share


def upward_jitter(delay: float, chance: float) -> float:
    """d + chance x d/2: for a delay that must not be undercut."""
    return delay + chance * delay / 2


def ladder(base: float, cap: float, depth: int) -> float:
    """base x 2^depth, at most cap (S0-38). The exponent is bounded, so that no depth overflows."""
    return min(cap, base * 2.0 ** min(depth, 64))
