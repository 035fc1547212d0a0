"""What the process chart wants done. Each docstring names the events that answer the command.

Steps have no deadline of their own: the chart has one, and says DropStep.
"""

from typing import Literal

from holdfast.engine import Command

RequestOutcome = Literal["running", "stopped", "superseded", "failed"]


class ProbeGateway(Command, frozen=True):
    """See whether a gateway shows itself on the port. Answered by GatewayAnswered or GatewaySilent."""

    step: int


class ClaimPort(Command, frozen=True):
    """Take the port's lock, which the system frees with the process. Answered by PortClaimed, PortHeld or
    ClaimFailed.
    """

    step: int


class ReleasePort(Command, frozen=True):
    """Give the port's lock free, if we have it."""


class CheckPort(Command, frozen=True):
    """See whether the port is free. Answered by PortFree or PortTaken."""

    step: int


class RepairConfig(Command, frozen=True):
    """Let the profile repair the gateway's configuration. Answered by ConfigRepaired or RepairFailed."""

    step: int


class AskToStop(Command, frozen=True):
    """Ask a gateway that is not ours to stop, by its protocol (S3-44). Answered by StopAsked."""

    step: int


class DropStep(Command, frozen=True):
    """Give the step up that is under way, if one is. It leaves nothing behind."""


class SpawnChild(Command, frozen=True):
    """Run the profile's hook, and start the process. Answered by ChildStarted or SpawnFailed, or, if it is to end
    before it runs, by ChildExited.
    """

    child: int


class TerminateChild(Command, frozen=True):
    """Ask the process group to end. ChildExited follows, if it does."""

    child: int


class KillChild(Command, frozen=True):
    """Kill the process group. Answered by ChildExited."""

    child: int


class SettleRequest(Command, frozen=True):
    """Tell who asked how it ended."""

    request: int
    outcome: RequestOutcome
    error: str = ""


class WarnUser(Command, frozen=True):
    """Log what is wrong and not acted upon."""

    text: str
