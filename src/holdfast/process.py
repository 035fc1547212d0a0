"""A gateway process, kept running."""

import asyncio
import os
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import anyio
import msgspec

from .adapters import (
    Clock,
    ConfigError,
    NotEntered,
    ProcessFailed,
    ProcessProfile,
    ProcessRunner,
    ProcessSettings,
    Stopped,
    SystemClock,
    default_lock_folder,
)
from .statecharts import (
    PROCESS_STRICT,
    DebouncedRestartRequested,
    ProcessPolicy,
    ProcessRestartRequested,
    ProcessStartRequested,
    ProcessState,
    ProcessStatus,
    ProcessStopRequested,
    SettleRequest,
)
from .statuses import Feed
from .undisturbed import undisturbed

GRACE_S: Final = 2.0
"""For what has to end, beyond the time that the policy gives it."""

_ENDED: Final = "this gateway manager has ended; make a new `GatewayProcess`"


class Handle:
    """What was asked for, to be awaited by whoever wants to know its end (V42). It happens without being awaited, too,
    and who is cancelled while waiting calls nothing off.

    It gives ``running`` or ``stopped`` once that is true, or ``superseded`` when a later command was to the contrary.

    Raises (when awaited):
        ProcessFailed: it could not be started.
        Stopped: the manager ended first.
    """

    def __init__(self, ending: "asyncio.Future[SettleRequest]") -> None:
        self._ending = ending

    @property
    def done(self) -> bool:
        """True once it has ended, one way or another."""
        return self._ending.done()

    def __await__(self) -> Generator[Any, None, str]:
        return self._wait().__await__()

    async def _wait(self) -> str:
        await asyncio.wait((self._ending,))
        if self._ending.cancelled():
            raise Stopped(_ENDED)
        settled = self._ending.result()
        if settled.outcome == "failed":
            raise ProcessFailed(settled.error)
        return settled.outcome


class GatewayProcess:
    """Keeps one gateway running on a port of this machine: starts it, or uses the one that is there; watches it, brings
    it back when it dies, and ends it with its whole process group.

    ``argv`` is the command line, in which ``{port}`` stands for the port; by default the profile's. ``env`` is added to
    the profile's. Of several managers with one ``lock_folder``, in this process or in others, one starts the gateway,
    and the others use it. Usable inside its ``async with`` block: else :class:`NotEntered`. Entering starts nothing.
    Leaving stops what was started.

        async with GatewayProcess(["my-gateway", "--port", "{port}"], port=18789) as gateway:
            await gateway.start()

    Raises:
        ConfigError: there is no command line, or no such port, or the system is none of POSIX.
    """

    def __init__(
        self,
        argv: Sequence[str] = (),
        *,
        port: int,
        env: Mapping[str, str] | None = None,
        cwd: str | PathLike[str] | None = None,
        profile: ProcessProfile | None = None,
        policy: ProcessPolicy = PROCESS_STRICT,
        clock: Clock | None = None,
        lock_folder: str | PathLike[str] | None = None,
    ) -> None:
        profile = profile or ProcessProfile()
        if os.name != "posix":
            raise ConfigError("platform", "gateway processes need process groups, which only POSIX systems have")
        if not (argv or profile.argv) or isinstance(argv, str):
            raise ConfigError("argv", "name the gateway's command as a list of arguments, or use a profile that has it")
        if not 0 < port < 65_536:
            raise ConfigError("port", f"{port} is no port; use one from 1 to 65535")
        self._settings = ProcessSettings(
            argv=tuple(argv) or profile.argv,
            port=port,
            env=dict(env or {}),
            cwd=None if cwd is None else os.fspath(cwd),
            profile=profile,
            policy=policy,
            clock=clock or SystemClock(),
            lock_folder=default_lock_folder() if lock_folder is None else Path(lock_folder),
        )
        self._feed = Feed(ProcessStatus(state=ProcessState.STOPPED))
        self._runner: ProcessRunner | None = None
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<GatewayProcess port={self._settings.port} {self.status.state}>"

    # -- life ------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> "GatewayProcess":
        if self._task is not None:
            raise Stopped(_ENDED)
        self._runner = ProcessRunner(self._settings, self._feed.put)
        self._task = asyncio.create_task(self._runner.run())
        self._task.add_done_callback(lambda task: self._end_feed())  # also when a bug of ours ended it
        try:
            await self._runner.begun.wait()
        except BaseException:
            await undisturbed(asyncio.create_task(self._close(self._runner, self._task)))
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, runner = self._task, self._runner
        if task is None or runner is None:
            return
        # Bounded, so that whoever is cancelled here may wait for it: nothing is to be left behind (P33).
        await undisturbed(asyncio.create_task(self._close(runner, task)))
        if task.done() and not task.cancelled():
            task.result()

    async def _close(self, runner: ProcessRunner, task: "asyncio.Task[None]") -> None:
        if not task.done() and runner.begun.is_set():
            stopped = runner.request(ProcessStopRequested)
            await asyncio.wait((task, stopped), timeout=self._patience_s, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        await asyncio.wait((task,), timeout=self._patience_s)
        self._end_feed()

    def _end_feed(self) -> None:
        if self._feed.newest.state is not ProcessState.STOPPED:
            self._feed.put(ProcessStatus(state=ProcessState.STOPPED))
        self._feed.finish()

    @property
    def _patience_s(self) -> float:
        policy = self._settings.policy
        return max(policy.ask_s, policy.terminate_s + policy.kill_s) + GRACE_S

    def start(self) -> Handle:
        """The gateway is to run. What runs already is left alone."""
        return Handle(self._running().request(ProcessStartRequested))

    def stop(self) -> Handle:
        """It is to end, and nothing is to be left of it. Bounded. A later :meth:`start` is possible, and wins."""
        return Handle(self._running().request(ProcessStopRequested))

    def restart(self, *, debounced: bool = False) -> Handle:
        """It is to end and to run again: at once, or after the start that is under way. Several are one.

        ``debounced``: only once nobody has asked so for ``ProcessPolicy.debounce_s`` seconds.
        """
        return Handle(self._running().request(DebouncedRestartRequested if debounced else ProcessRestartRequested))

    def lost(self, error: str) -> None:
        """Tell that the connection to the gateway broke, and is to be mended: by a restart, if it does not answer."""
        self._running().lost(error)

    def _running(self) -> ProcessRunner:
        if self._runner is None or self._task is None:
            raise NotEntered("gateway")
        if self._task.done():
            raise Stopped(_ENDED)
        return self._runner

    # -- what it is doing ------------------------------------------------------------------------------------

    @property
    def status(self) -> ProcessStatus:
        """The present status."""
        runner = self._runner
        return self._feed.newest if runner is None or self._task is None or self._task.done() else runner.status

    async def statuses(self) -> AsyncIterator[ProcessStatus]:
        """The present status, then each change, to the end. ``uptime_s`` is that of the moment."""
        async for status in self._feed.stream():
            yield status

    async def wait_running(self, timeout: float | None = None) -> ProcessStatus:
        """Wait until it runs.

        Raises:
            ProcessFailed: it needs a person, or does not run within ``timeout`` seconds.
            Stopped: the manager has ended.
        """
        self._running()
        try:
            with anyio.fail_after(timeout):
                found = await self._feed.wait(lambda status: status.state in _SETTLED)
        except TimeoutError:
            raise ProcessFailed(f"not running after {timeout:g} s, but {self.status.state}") from None
        if found is None:
            raise Stopped(_ENDED)
        if found.state is ProcessState.ERROR:
            raise ProcessFailed(found.last_error)
        return msgspec.structs.replace(found, uptime_s=self.status.uptime_s)


_SETTLED: Final = (ProcessState.RUNNING, ProcessState.ERROR)
