"""The process chart without a driver: events in, commands out, and time moved by hand."""

from typing import Any, TypeVar

from holdfast.engine import ArmTimer, CancelTimer, Command, Event, Stamp, TimerFired, Unhandled, start, step
from holdfast.statecharts import (
    FAILURES,
    PROCESS_STRICT,
    ChildExited,
    ChildStarted,
    DebouncedRestartRequested,
    FailureRule,
    Fault,
    GatewayAnswered,
    GatewaySilent,
    PortClaimed,
    PortFree,
    Process,
    ProcessPolicy,
    ProcessRestartRequested,
    ProcessStartRequested,
    ProcessStatus,
    ProcessStopRequested,
    SettleRequest,
    SpawnFailed,
    process_chart,
    project_process,
)

WALL = 1_800_000_000.0
RULES = (*FAILURES, FailureRule("invalid config", Fault.CONFIG))

K = TypeVar("K", bound=Command)


class Bench:
    """One gateway process on a bench. Each event is stepped twice and compared: a step is a pure function."""

    def __init__(self, policy: ProcessPolicy = PROCESS_STRICT, *, chance: float = 0.5, repairable: bool = True) -> None:
        self.now, self.wall, self.chance = 1000.0, WALL, chance
        self.journal: list[Command] = []
        self.requests = 0
        context = Process(policy=policy, failures=RULES, repairable=repairable)
        self.snapshot, commands = start(process_chart, context, self.stamp)
        self.journal += commands

    # -- time ----------------------------------------------------------------------------------------------------

    @property
    def stamp(self) -> Stamp:
        return Stamp(self.now, self.wall, self.chance)

    def pass_time(self, seconds: float) -> None:
        """Time goes by and nothing fires."""
        self.now += seconds
        self.wall += seconds

    def advance(self, seconds: float) -> None:
        """Time goes by, and every timer fires when it is due."""
        end = self.now + seconds
        while (armed := min(self.snapshot.timers, key=lambda one: one.due, default=None)) and armed.due <= end:
            self.pass_time(max(0.0, armed.due - self.now))
            self.send(TimerFired(armed.timer, armed.serial))
        self.pass_time(end - self.now)

    def fire(self, timer: str) -> tuple[Command, ...]:
        """Go to the moment a timer is due, and let only that one fire."""
        armed = next(one for one in self.snapshot.timers if one.timer == timer)
        self.pass_time(max(0.0, armed.due - self.now))
        return self.send(TimerFired(armed.timer, armed.serial))

    def left(self, timer: str) -> float | None:
        """Seconds until a timer is due, None if it is not armed."""
        return next((one.due - self.now for one in self.snapshot.timers if one.timer == timer), None)

    # -- events in, commands out ---------------------------------------------------------------------------------

    def send(self, *events: Event) -> tuple[Command, ...]:
        """Step the events; what was commanded, without the news of timers."""
        commands: tuple[Command, ...] = ()
        for event in events:
            again = step(process_chart, self.snapshot, event, self.stamp)
            self.snapshot, done = step(process_chart, self.snapshot, event, self.stamp)
            assert (self.snapshot, done) == again
            commands += done
        self.journal += commands
        return tuple(one for one in commands if not isinstance(one, ArmTimer | CancelTimer))

    def ignores(self, event: Event) -> bool:
        """The event changes nothing and is reported as unhandled."""
        before = self.snapshot
        commands = self.send(event)
        return self.snapshot == before and [type(one) for one in commands] == [Unhandled]

    def amend(self, **changes: Any) -> None:
        """Put the process where no short way leads."""
        old = self.snapshot
        self.snapshot = type(old)(old.config, self.process.but(**changes), old.timers, old.serial, old.history)

    # -- looking -------------------------------------------------------------------------------------------------

    @property
    def process(self) -> Process:
        process: Process = self.snapshot.context
        return process

    @property
    def status(self) -> ProcessStatus:
        return project_process(self.snapshot, self.stamp)

    @property
    def place(self) -> str:
        """Where its life is."""
        return self.snapshot.states[0].removeprefix("life/")

    def sent(self, kind: type[K]) -> list[K]:
        """All commands of a kind so far."""
        return [one for one in self.journal if isinstance(one, kind)]

    def count(self, kind: type[Command]) -> int:
        return len(self.sent(kind))

    def outcomes(self, request: int) -> list[str]:
        """How a request ended: once, or not yet."""
        return [one.outcome for one in self.sent(SettleRequest) if one.request == request]

    # -- a person ------------------------------------------------------------------------------------------------

    def start(self) -> int:
        return self._ask(ProcessStartRequested)

    def stop(self) -> int:
        return self._ask(ProcessStopRequested)

    def restart(self) -> int:
        return self._ask(ProcessRestartRequested)

    def restart_soon(self) -> int:
        return self._ask(DebouncedRestartRequested)

    def _ask(self, kind: Any) -> int:
        self.requests += 1
        self.send(kind(self.requests))
        return self.requests

    # -- the world -----------------------------------------------------------------------------------------------

    def answer(self) -> tuple[Command, ...]:
        """The gateway shows itself."""
        return self.send(GatewayAnswered(self.process.step))

    def silence(self, error: str = "connection refused") -> tuple[Command, ...]:
        return self.send(GatewaySilent(self.process.step, error))

    def exit(self, code: int | None = 1, tail: str = "") -> tuple[Command, ...]:
        """The child is gone."""
        return self.send(ChildExited(self.process.child, code, tail))

    def refuse_spawn(self, error: str = "no such file") -> tuple[Command, ...]:
        return self.send(SpawnFailed(self.process.child, error))

    # -- shortcuts -----------------------------------------------------------------------------------------------

    def spawning(self) -> "Bench":
        """Started, nothing there, about to spawn."""
        if self.place == "stopped":
            self.start()
        self.silence()
        self.send(PortClaimed(self.process.step))
        self.send(PortFree(self.process.step))
        assert self.place == "starting/spawning"
        return self

    def awaiting(self, pid: int = 4242) -> "Bench":
        """The child runs and is not ready."""
        self.spawning()
        self.send(ChildStarted(self.process.child, pid))
        return self

    def running(self) -> "Bench":
        """With a child of ours."""
        self.awaiting()
        self.answer()
        self.answer()
        assert self.place == "running/well"
        return self

    def attached(self) -> "Bench":
        """With somebody else's gateway."""
        self.start()
        self.answer()
        self.answer()
        assert self.place == "running/well"
        return self
