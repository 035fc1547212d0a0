"""What happens to a gateway process. Those that answer a command echo its id; the rest of the world just speaks.

Texts (``error``, ``tail``) are scrubbed of secrets and bounded before they get here.
"""

from typing import ClassVar

from holdfast.engine import Event

# -- a person, or the program that embeds us. ``request`` numbers the asking; SettleRequest answers it -----------


class ProcessStartRequested(Event, frozen=True):
    """The gateway is to run."""

    request: int


class ProcessStopRequested(Event, frozen=True):
    """The gateway is to end, and nothing of it is to be left."""

    request: int


class ProcessRestartRequested(Event, frozen=True):
    """The gateway is to end and to run again."""

    request: int


class DebouncedRestartRequested(Event, frozen=True):
    """The same, but only once nobody has asked so for a while (S3-57)."""

    request: int


# -- steps: one at a time, and the answer to a former one is stale ------------------------------------------------


class GatewayAnswered(Event, frozen=True):
    """Answers ProbeGateway: a gateway showed itself on the port."""

    correlates: ClassVar[str | None] = "step"
    step: int


class GatewaySilent(Event, frozen=True):
    """Answers ProbeGateway: none did."""

    correlates: ClassVar[str | None] = "step"
    step: int
    error: str


class PortClaimed(Event, frozen=True):
    """Answers ClaimPort: no other manager starts a gateway on this port now."""

    correlates: ClassVar[str | None] = "step"
    step: int


class PortHeld(Event, frozen=True):
    """Answers ClaimPort: another manager, in this process or another, has the port."""

    correlates: ClassVar[str | None] = "step"
    step: int


class ClaimFailed(Event, frozen=True):
    """Answers ClaimPort: the lock cannot be used."""

    correlates: ClassVar[str | None] = "step"
    step: int
    error: str


class PortFree(Event, frozen=True):
    """Answers CheckPort: somebody may listen on it."""

    correlates: ClassVar[str | None] = "step"
    step: int


class PortTaken(Event, frozen=True):
    """Answers CheckPort: somebody does."""

    correlates: ClassVar[str | None] = "step"
    step: int


class ConfigRepaired(Event, frozen=True):
    """Answers RepairConfig: something was changed."""

    correlates: ClassVar[str | None] = "step"
    step: int


class RepairFailed(Event, frozen=True):
    """Answers RepairConfig: nothing was."""

    correlates: ClassVar[str | None] = "step"
    step: int


class StopAsked(Event, frozen=True):
    """Answers AskToStop: the gateway was asked, or could not be, which is logged."""

    correlates: ClassVar[str | None] = "step"
    step: int


# -- the child ---------------------------------------------------------------------------------------------------


class ChildStarted(Event, frozen=True):
    """Answers SpawnChild: it runs."""

    correlates: ClassVar[str | None] = "child"
    child: int
    pid: int


class SpawnFailed(Event, frozen=True):
    """Answers SpawnChild: there is none (S3-71)."""

    correlates: ClassVar[str | None] = "child"
    child: int
    error: str
    tail: str = ""


class ChildExited(Event, frozen=True):
    """The child is gone, and its whole process group. ``code`` is negative for a signal, None if it never came to be.
    ``tail`` is the end of its stderr.
    """

    correlates: ClassVar[str | None] = "child"
    child: int
    code: int | None
    tail: str = ""


class GatewayLost(Event, frozen=True):
    """Whoever talks to the gateway has lost it (S3-32)."""

    error: str
