"""What the process chart's rows do."""

from typing import Any

from holdfast.engine import Command, Event, Stamp, effect

from .classify import Fault, faults_of, telling_line
from .commands import (
    AskToStop,
    CheckPort,
    ClaimPort,
    KillChild,
    ProbeGateway,
    ReleasePort,
    RepairConfig,
    RequestOutcome,
    SettleRequest,
    SpawnChild,
    TerminateChild,
    WarnUser,
)
from .context import Process
from .events import (
    ChildExited,
    ChildStarted,
    ClaimFailed,
    DebouncedRestartRequested,
    GatewayLost,
    GatewaySilent,
    ProcessRestartRequested,
    ProcessStartRequested,
    ProcessStopRequested,
    SpawnFailed,
)

Out = tuple[Process, tuple[Command | Event, ...]]

_FRESH = {"tries": 1, "repaired": False, "mended": False, "config_fault": False, "passing_fault": False}


def _settled(requests: tuple[int, ...], outcome: RequestOutcome, error: str = "") -> tuple[Command, ...]:
    return tuple(SettleRequest(request, outcome, error) for request in requests)


# -- what is wanted ----------------------------------------------------------------------------------------------


@effect()
def begin(p: Process, e: ProcessStartRequested, at: Stamp) -> Out:
    """A person's start begins a new streak (S3-04, V32)."""
    return p.but(wanted=True, starts=(*p.starts, e.request), attempts=0, proven=False, last_error="", **_FRESH), ()


@effect()
def begin_again(p: Process, e: Event, at: Stamp) -> Out:
    """After a stop that a restart, or a start in the midst of it, made a beginning of."""
    return p.but(wanted=True, restarting=p.restarting + p.restarts, restarts=(), proven=False, **_FRESH), ()


@effect()
def begin_restart(p: Process, e: Event, at: Stamp) -> Out:
    """A person's restart of what rests begins a new streak, too."""
    begun = p.but(wanted=True, restarting=p.restarting + p.restarts, restarts=(), attempts=0, proven=False, **_FRESH)
    return begun.but(last_error=""), ()


@effect()
def join_start(p: Process, e: ProcessStartRequested, at: Stamp) -> Out:
    """It waits for the start that is under way, or follows the stop that is (V35)."""
    return p.but(wanted=True, starts=(*p.starts, e.request)), ()


@effect(SettleRequest)
def confirm_start(p: Process, e: ProcessStartRequested, at: Stamp) -> Out:
    return p, _settled((e.request,), "running")


@effect(SettleRequest)
def give_way(p: Process, e: ProcessStopRequested, at: Stamp) -> Out:
    """A stop supersedes whatever was asked for before it, deferred restarts included (S3-48)."""
    superseded = _settled(p.starts + p.restarting + p.restarts + p.debounced, "superseded")
    nothing: dict[str, Any] = {"starts": (), "restarting": (), "restarts": (), "debounced": ()}
    return p.but(wanted=False, stops=(*p.stops, e.request), **nothing), superseded


@effect()
def line_up(p: Process, e: ProcessRestartRequested, at: Stamp) -> Out:
    return p.but(restarts=(*p.restarts, e.request)), ()


@effect()
def hold_back(p: Process, e: DebouncedRestartRequested, at: Stamp) -> Out:
    return p.but(debounced=(*p.debounced, e.request)), ()


@effect()
def release_debounced(p: Process, e: Event, at: Stamp) -> Out:
    return p.but(restarts=p.restarts + p.debounced, debounced=()), ()


@effect()
def take_restarts(p: Process, e: Event, at: Stamp) -> Out:
    """One restart for all who asked for one (P52)."""
    return p.but(wanted=True, restarting=p.restarting + p.restarts, restarts=()), ()


# -- steps -------------------------------------------------------------------------------------------------------


@effect(ProbeGateway)
def probe(p: Process, e: Event, at: Stamp) -> Out:
    return p.but(step=p.step + 1), (ProbeGateway(p.step + 1),)


@effect(ClaimPort)
def claim(p: Process, e: Event, at: Stamp) -> Out:
    return p.but(step=p.step + 1), (ClaimPort(p.step + 1),)


@effect(CheckPort)
def check_port(p: Process, e: Event, at: Stamp) -> Out:
    return p.but(step=p.step + 1), (CheckPort(p.step + 1),)


@effect(RepairConfig)
def repair(p: Process, e: Event, at: Stamp) -> Out:
    return p.but(step=p.step + 1, repaired=True), (RepairConfig(p.step + 1),)


@effect(AskToStop)
def ask(p: Process, e: Event, at: Stamp) -> Out:
    return p.but(step=p.step + 1), (AskToStop(p.step + 1),)


@effect()
def meet(p: Process, e: Event, at: Stamp) -> Out:
    """A gateway is there: our own child, or somebody else's (S3-08)."""
    return p.but(attached=not p.has_child), ()


# -- the child ---------------------------------------------------------------------------------------------------


@effect(SpawnChild)
def spawn(p: Process, e: Event, at: Stamp) -> Out:
    return p.but(child=p.child + 1, has_child=True, pid=None), (SpawnChild(p.child + 1),)


@effect()
def note_pid(p: Process, e: ChildStarted, at: Stamp) -> Out:
    return p.but(pid=e.pid), ()


@effect(TerminateChild)
def terminate(p: Process, e: Event, at: Stamp) -> Out:
    return p, (TerminateChild(p.child),)


@effect(KillChild)
def kill(p: Process, e: Event, at: Stamp) -> Out:
    return p, (KillChild(p.child),)


@effect()
def forget_child(p: Process, e: Event, at: Stamp) -> Out:
    return p.but(has_child=False, pid=None), ()


@effect(WarnUser)
def abandon_child(p: Process, e: Event, at: Stamp) -> Out:
    """Not even the system can end it now. What it still says is stale, since the next child has another id."""
    error = f"the gateway process {p.pid or ''} could not be killed".replace("  ", " ")
    return p.but(has_child=False, pid=None, child=p.child + 1, last_error=error), (WarnUser(error),)


@effect(ReleasePort)
def release_port(p: Process, e: Event, at: Stamp) -> Out:
    """Without a child of ours, another manager may start one."""
    return p.but(attached=False), (() if p.has_child else (ReleasePort(),))


# -- what went wrong ---------------------------------------------------------------------------------------------


def _faulty(p: Process, error: str, tail: str = "") -> Process:
    faults = faults_of(p.failures, f"{error}\n{tail}")
    return p.but(last_error=error, config_fault=Fault.CONFIG in faults, passing_fault=Fault.PASSING in faults)


@effect()
def note_failure(p: Process, e: GatewaySilent | ClaimFailed, at: Stamp) -> Out:
    return _faulty(p, e.error), ()


@effect()
def note_unspawned(p: Process, e: SpawnFailed, at: Stamp) -> Out:
    return _faulty(p.but(has_child=False, pid=None), e.error, e.tail), ()


@effect()
def note_early_exit(p: Process, e: ChildExited, at: Stamp) -> Out:
    """The last words of the child say why."""
    words = telling_line(p.failures, e.tail)
    error = f"gateway process exited before becoming ready (code={e.code})" + (f": {words}" if words else "")
    return _faulty(p.but(has_child=False, pid=None), error, e.tail), ()


def failing(error: str) -> Any:
    """An effect that notes what ran out of time."""

    @effect()
    def note_deadline(p: Process, e: Event, at: Stamp) -> Out:
        return _faulty(p, error), ()

    return note_deadline


note_unfound = failing("another manager holds the port and shows no gateway")
note_port_taken = failing("something that is no gateway listens on the port")
note_unspawned_in_time = failing("the gateway process could not be started in time")
note_unready = failing("the gateway process did not become ready in time")
note_no_challenge = failing("timed out waiting for connect.challenge")
note_deaf_child = failing("the gateway process runs and does not answer")


@effect()
def note_crash(p: Process, e: ChildExited, at: Stamp) -> Out:
    return p.but(has_child=False, pid=None, last_error=f"gateway process exited (code={e.code})"), ()


@effect()
def note_loss(p: Process, e: GatewayLost, at: Stamp) -> Out:
    return p.but(last_error=e.error), ()


@effect()
def note_vanished(p: Process, e: Event, at: Stamp) -> Out:
    return p.but(last_error="the gateway does not answer any more"), ()


@effect(WarnUser)
def note_unhealthy(p: Process, e: Event, at: Stamp) -> Out:
    """Told, and nothing else: it is busy, or will exit (S3-64)."""
    error = "the gateway process does not answer the health check"
    return p.but(last_error=error), (WarnUser(error),)


@effect()
def note_healthy(p: Process, e: Event, at: Stamp) -> Out:
    return p.but(last_error=""), ()


@effect()
def note_exhausted(p: Process, e: Event, at: Stamp) -> Out:
    return p.but(last_error=f"failed to reconnect after {p.attempts} attempts: {p.last_error}"), ()


@effect(WarnUser)
def note_unasked(p: Process, e: Event, at: Stamp) -> Out:
    return p, (WarnUser("the gateway was asked to stop and did not answer"),)


# -- where that leads --------------------------------------------------------------------------------------------


@effect()
def note_mended(p: Process, e: Event, at: Stamp) -> Out:
    """The attempt that failed counts all the same (S3-15)."""
    return p.but(mended=True, tries=p.tries + 1, last_error="", config_fault=False, passing_fault=False), ()


@effect()
def count_try(p: Process, e: Event, at: Stamp) -> Out:
    return p.but(tries=p.tries + 1), ()


@effect(ReleasePort)
def climb(p: Process, e: Event, at: Stamp) -> Out:
    """This wait is one more attempt of the streak (V32)."""
    lost = p.but(attempts=p.attempts + 1, attached=False)
    return lost, (() if p.has_child else (ReleasePort(),))


@effect()
def try_anew(p: Process, e: Event, at: Stamp) -> Out:
    """A reconnect is a start of its own, with its own tries and its own repair (S3-40)."""
    return p.but(**_FRESH), ()


@effect(SettleRequest)
def arrive(p: Process, e: Event, at: Stamp) -> Out:
    """It runs: who waited for that is told (V42)."""
    running = p.but(proven=True, connected_at=round(at.wall, 3), running_since=at.now, last_error="", **_FRESH)
    return running.but(starts=(), restarting=()), _settled(p.starts + p.restarting, "running")


@effect()
def leave(p: Process, e: Event, at: Stamp) -> Out:
    return p.but(connected_at=None, running_since=None), ()


@effect()
def settle_down(p: Process, e: Event, at: Stamp) -> Out:
    """A run that lasted clears the streak (V32)."""
    return p.but(attempts=0), ()


@effect(SettleRequest)
def give_up(p: Process, e: Event, at: Stamp) -> Out:
    """A person is needed; who waits is told why."""
    ended = p.but(wanted=False, starts=(), restarting=())
    return ended, _settled(p.starts + p.restarting, "failed", p.last_error)


@effect(ReleasePort, SettleRequest)
def finish(p: Process, e: Event, at: Stamp) -> Out:
    """Nothing of it is left. Only then is a stop done (S3-48)."""
    goes_on = bool(p.restarting or p.restarts)
    ended = p.but(stops=(), attached=False, last_error="", attempts=p.attempts if goes_on else 0)
    return ended, (ReleasePort(), *_settled(p.stops, "stopped"))
