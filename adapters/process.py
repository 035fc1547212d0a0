"""One gateway process, run: its chart, its driver, and the ports that carry out its commands."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec

from holdfast.engine import Command, Event, Snapshot, Stamp
from holdfast.statecharts import (
    AskToStop,
    CheckPort,
    ClaimFailed,
    ClaimPort,
    ConfigRepaired,
    DebouncedRestartRequested,
    DropStep,
    GatewayAnswered,
    GatewayLost,
    GatewaySilent,
    KillChild,
    PortClaimed,
    PortFree,
    PortHeld,
    PortTaken,
    ProbeGateway,
    Process,
    ProcessPolicy,
    ProcessRestartRequested,
    ProcessStartRequested,
    ProcessStatus,
    ProcessStopRequested,
    ReleasePort,
    RepairConfig,
    RepairFailed,
    SettleRequest,
    SpawnChild,
    StopAsked,
    TerminateChild,
    WarnUser,
    process_chart,
    project_process,
)

from .clock import Clock
from .driver import Driver, Port
from .logs import RedactingLogger
from .process_child import Child, Launch
from .process_output import hide_secrets
from .process_port import PortLock, is_free
from .process_profile import PORT, ProcessProfile, call, child_env
from .text import clean_text
from .vault import Vault

UNWIND_S: Final = 1.0
"""For a step that was given up to end, before a stop is called done. A hook may take its time; it is not waited for."""

Request = (
    type[ProcessStartRequested]
    | type[ProcessStopRequested]
    | type[ProcessRestartRequested]
    | type[DebouncedRestartRequested]
)


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway process is run with."""

    argv: tuple[str, ...]
    port: int
    env: Mapping[str, str]
    cwd: str | None
    profile: ProcessProfile
    policy: ProcessPolicy
    clock: Clock
    lock_folder: Path

    def __repr__(self) -> str:
        return f"<ProcessSettings port={self.port}>"


class ProcessRunner:
    """Runs one gateway process until it is cancelled. :meth:`run` owns every task, child and lock of it."""

    def __init__(self, settings: ProcessSettings, on_status: Callable[[ProcessStatus], None]) -> None:
        self.settings = settings
        self._vault = Vault()
        self.log = RedactingLogger("holdfast.process", self._vault)
        self._on_status = on_status
        self._tasks = anyio.create_task_group()
        self._lock = PortLock(settings.lock_folder, settings.port)
        self._launch = _launch_of(settings)
        hide_secrets(
            self._vault, self._launch.argv, {**settings.profile.env, **settings.env}, settings.profile.secret_flags
        )
        self._child: Child | None = None
        self._step: anyio.CancelScope | None = None
        self._unwinding: set[anyio.Event] = set()
        self._asked = 0
        self._requests: dict[int, asyncio.Future[SettleRequest]] = {}
        self._failed = anyio.Event()
        self.begun = anyio.Event()
        profile = settings.profile
        repairable = profile.repair is not None
        context = Process(policy=settings.policy, failures=profile.failures, repairable=repairable)
        self.driver = Driver(process_chart, context, settings.clock, self._ports(), self._on_change)
        self._told = self.status

    def _ports(self) -> dict[type[Command], Port]:
        return {
            ProbeGateway: partial(self._begin_step, self._probe),
            RepairConfig: partial(self._begin_step, self._repair),
            AskToStop: partial(self._begin_step, self._ask_to_stop),
            DropStep: self._drop_step,
            ClaimPort: self._claim,
            CheckPort: self._check_port,
            ReleasePort: lambda command: self._lock.release(),
            SpawnChild: self._spawn,
            TerminateChild: self._terminate,
            KillChild: self._kill,
            SettleRequest: self._settle,
            WarnUser: lambda command: self.log.warning("%s", command.text),
        }

    # -- life ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until cancelled. Then everything is dropped at once, and the child killed.

        Raises:
            Exception: a bug of ours, out of a port or the chart.
        """
        try:
            async with self._tasks:
                self.driver.begin()
                self.begun.set()
                await self._failed.wait()
                self._tasks.cancel_scope.cancel()
        finally:
            self.driver.close()
            self._lock.release()
            for waiter in self._requests.values():
                waiter.cancel()
        if self.driver.failed is not None:
            raise self.driver.failed

    def report(self, event: Event) -> None:
        """Take an event in. It is safe to call at any time from the event loop."""
        self.driver.dispatch(event)

    def request(self, kind: Request) -> "asyncio.Future[SettleRequest]":
        """Ask for something; the future has its end, and is cancelled with the runner."""
        waiter: asyncio.Future[SettleRequest] = asyncio.get_running_loop().create_future()
        self._asked += 1
        self._requests[self._asked] = waiter
        self.report(kind(self._asked))
        return waiter

    def lost(self, error: str) -> None:
        """Whoever talks to the gateway has lost it."""
        self.report(GatewayLost(self._said(error)))

    @property
    def status(self) -> ProcessStatus:
        return project_process(self.driver.snapshot, self.settings.clock.stamp())

    def _on_change(self, before: Snapshot, after: Snapshot, stamp: Stamp) -> None:
        status = project_process(after, stamp)
        # That time goes by is no news.
        if msgspec.structs.replace(status, uptime_s=self._told.uptime_s) != self._told:
            self._told = status
            self._on_status(status)
        if self.driver.failed is not None:
            self._failed.set()

    def _settle(self, command: SettleRequest) -> None:
        self._tasks.start_soon(self._settle_when_unwound, command, tuple(self._unwinding))

    async def _settle_when_unwound(self, command: SettleRequest, unwinding: tuple[anyio.Event, ...]) -> None:
        with anyio.move_on_after(UNWIND_S):
            for ended in unwinding:
                await ended.wait()
        waiter = self._requests.pop(command.request)
        if not waiter.done():
            waiter.set_result(command)

    # -- steps: one at a time; what is given up reports nothing ----------------------------------------------

    def _begin_step(self, work: Callable[[Any], Awaitable[Event]], command: Any) -> None:
        self._step = anyio.CancelScope()
        self._tasks.start_soon(self._run_step, self._step, work, command)

    async def _run_step(self, scope: anyio.CancelScope, work: Callable[[Any], Awaitable[Event]], command: Any) -> None:
        ended = anyio.Event()
        self._unwinding.add(ended)
        outcome: Event | None = None
        try:
            with scope:
                outcome = await work(command)
        finally:
            self._unwinding.discard(ended)
            ended.set()
        if outcome is not None and not scope.cancel_called:
            self.report(outcome)

    def _drop_step(self, command: DropStep) -> None:
        if self._step is not None:
            self._step.cancel()

    async def _probe(self, command: ProbeGateway) -> Event:
        try:
            await call(self.settings.profile.readiness, self.settings.port)
        except Exception as error:
            return GatewaySilent(command.step, self._said(_problem_of(error)))
        return GatewayAnswered(command.step)

    async def _repair(self, command: RepairConfig) -> Event:
        repair = self.settings.profile.repair
        try:
            if repair is not None and await call(repair, self.settings.port):
                return ConfigRepaired(command.step)
        except Exception as error:
            self.log.warning("the repair of the gateway's configuration failed: %r", error)
        return RepairFailed(command.step)

    async def _ask_to_stop(self, command: AskToStop) -> Event:
        ask = self.settings.profile.ask_to_stop
        try:
            if ask is not None:
                await call(ask, self.settings.port)
        except Exception as error:
            self.log.warning("the gateway could not be asked to stop: %r", error)
        return StopAsked(command.step)

    def _claim(self, command: ClaimPort) -> None:
        try:
            claimed = self._lock.claim()
        except OSError as error:
            self.report(ClaimFailed(command.step, self._said(str(error))))
        else:
            self.report(PortClaimed(command.step) if claimed else PortHeld(command.step))

    def _check_port(self, command: CheckPort) -> None:
        free = is_free(self.settings.port)
        self.report(PortFree(command.step) if free else PortTaken(command.step))

    # -- the child -------------------------------------------------------------------------------------------

    def _spawn(self, command: SpawnChild) -> None:
        self._child = Child(command.child, self._launch, self._vault, self.log, self.report)
        self._tasks.start_soon(self._child.run)

    def _terminate(self, command: TerminateChild) -> None:
        if self._child is not None:
            self._child.terminate()

    def _kill(self, command: KillChild) -> None:
        if self._child is not None:
            self._child.kill()

    def _said(self, text: str) -> str:
        return clean_text(self._vault.redact(text))


def _launch_of(settings: ProcessSettings) -> Launch:
    profile = settings.profile
    return Launch(
        argv=tuple(argument.replace(PORT, str(settings.port)) for argument in settings.argv),
        env=child_env(profile, settings.env),
        cwd=settings.cwd,
        port=settings.port,
        secret_flags=profile.secret_flags,
        noise=profile.noise,
        prepare=profile.prepare,
    )


def _problem_of(error: Exception) -> str:
    # asyncio's own text does not tell that the connection was refused.
    return "ECONNREFUSED" if isinstance(error, ConnectionRefusedError) else str(error) or type(error).__name__
