"""One child: started in a process group of its own, listened to, and gone with the whole of it."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from typing import Final

import anyio
import msgspec
from anyio.abc import Process

from holdfast.engine import Event
from holdfast.statecharts import ChildExited, ChildStarted, NoiseRule, SpawnFailed

from .logs import RedactingLogger
from .process_output import LINE_CHARS_MAX, Tail, read_lines, shown
from .process_profile import Hook, call
from .text import clean_text
from .vault import Vault

LAST_WORDS_S: Final = 1.0
"""For the rest of a dead child's group to be gone, and for what it wrote to be read. All of it is needed only where
somebody outside of the group holds the pipes, or a container has nobody to reap orphans.
"""
LOOK_S: Final = 0.005
REAP_S: Final = 5.0
"""For a killed child to be gone, when everything is dropped at once."""


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """How a child is started."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str | None
    port: int
    secret_flags: tuple[str, ...]
    noise: tuple[NoiseRule, ...]
    prepare: Hook | None

    def __repr__(self) -> str:
        return f"<Launch port={self.port}>"  # neither arguments nor variables: both may hold a token (P60)


class Child:
    """Child number ``number`` of a manager. :meth:`run` owns everything of it."""

    def __init__(
        self, number: int, launch: Launch, vault: Vault, log: RedactingLogger, report: Callable[[Event], None]
    ) -> None:
        self._number = number
        self._launch = launch
        self._vault = vault
        self._log = log
        self._report = report
        self._tail = Tail(launch.noise, vault, log)
        self._before = anyio.CancelScope()
        self._doomed = False
        self._process: Process | None = None
        self._swept = False  # its number may be somebody else's by now

    async def run(self) -> None:
        """From the hook before the spawn to the end of the process group. Cancelled, it kills that first."""
        with self._before:
            await self._prepare()
        if self._doomed:
            self._report(ChildExited(self._number, None))
            return
        try:
            pipes = _Pipes()
        except OSError as error:
            self._refuse(error)
            return
        try:
            await self._live(pipes)
        finally:
            pipes.close()

    async def _prepare(self) -> None:
        if self._launch.prepare is None:
            return
        try:
            await call(self._launch.prepare, self._launch.port)
        except Exception as error:
            self._log.warning("the hook before the gateway's start failed: %r", error)

    async def _live(self, pipes: "_Pipes") -> None:
        try:
            process = self._process = await self._open(pipes)
        except (OSError, ValueError) as error:
            self._refuse(error)
            return
        code = None
        try:
            pipes.close_ends()
            code = await self._watch(process, pipes)
        finally:
            await self._bury(process)
        self._report(ChildExited(self._number, code, self._tail.text()))

    def _refuse(self, error: Exception) -> None:
        text = self._vault.redact(f"{type(error).__name__}: {error}")
        self._report(SpawnFailed(self._number, clean_text(text)))

    async def _open(self, pipes: "_Pipes") -> Process:
        # Not to be cancelled halfway: a child is either never made, or known.
        opening = asyncio.ensure_future(
            anyio.open_process(
                self._launch.argv,
                stdin=subprocess.DEVNULL,
                stdout=pipes.out[1],
                stderr=pipes.err[1],
                cwd=self._launch.cwd,
                env=self._launch.env,
                start_new_session=True,
            )
        )
        with anyio.CancelScope(shield=True):
            await asyncio.wait((opening,))
        return opening.result()

    async def _watch(self, process: Process, pipes: "_Pipes") -> int | None:
        command = clean_text(shown(self._launch.argv, self._launch.secret_flags), LINE_CHARS_MAX)
        self._log.info("gateway process %d: %s", process.pid, command)
        self._report(ChildStarted(self._number, process.pid))
        if self._doomed:
            self.kill()
        code: int | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read_lines, pipes.hand_over(pipes.out), self._note)
            tasks.start_soon(read_lines, pipes.hand_over(pipes.err), self._tail.take)
            code = await process.wait()
            self._sweep()
            tasks.cancel_scope.deadline = anyio.current_time() + LAST_WORDS_S
            await _until_gone(process)
        return code

    async def _bury(self, process: Process) -> None:
        if self._swept:
            return
        self._sweep()
        with anyio.move_on_after(REAP_S, shield=True):
            await process.wait()
            await _until_gone(process)

    def _sweep(self) -> None:
        """What it left behind in its group goes with it."""
        self.kill()
        self._swept = True

    def _note(self, line: str) -> None:
        self._log.debug("gateway: %s", line)

    def terminate(self) -> None:
        """Ask the group to end; if it is not there yet, it never will be."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the group."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        self._doomed = True
        self._before.cancel()
        if self._process is not None and not self._swept:
            _signal_group(self._process, how)


def _signal_group(process: Process, how: signal.Signals) -> None:
    # The child leads its group, so the group has its number, also after its end.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, how)


async def _until_gone(process: Process) -> None:
    """The system takes a moment to end a killed group, and to give its ports free."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while True:
            os.killpg(process.pid, 0)
            await anyio.sleep(LOOK_S)


class _Pipes:
    """Pipes of our own: with asyncio's, some Pythons wait for a child as long as anybody holds them (gh-119710)."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self.out = self._pair()
        self.err = self._pair()

    def _pair(self) -> tuple[int, int]:
        try:
            pair = os.pipe()
        except OSError:
            self.close()
            raise
        self._open.update(pair)
        return pair

    def close_ends(self) -> None:
        """The writing ends are the child's alone."""
        self._close({self.out[1], self.err[1]})

    def hand_over(self, pair: tuple[int, int]) -> int:
        """The reading end, whose new owner closes it."""
        self._open.discard(pair[0])
        return pair[0]

    def close(self) -> None:
        self._close(set(self._open))

    def _close(self, descriptors: set[int]) -> None:
        for descriptor in descriptors & self._open:
            os.close(descriptor)
        self._open -= descriptors
