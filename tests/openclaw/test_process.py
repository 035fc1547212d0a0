"""A real gateway under :class:`GatewayProcess`: started, killed, used by a second manager, restarted, and ended."""

import os
import signal
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from holdfast import OPENCLAW_PROFILE, PROCESS_STRICT, GatewayProcess, ProcessStatus
from holdfast import ProcessState as S

from ..process.kit import eventually, free_port, until
from .conftest import TOKEN
from .real import ENVIRONMENT, Unavailable, find_node, find_package, is_ready, only_one, write_settings

pytestmark = [pytest.mark.anyio, pytest.mark.openclaw, pytest.mark.slow]

POLICY = msgspec.structs.replace(PROCESS_STRICT, health_s=0.5)


class Home:
    """Of a gateway: its settings, its program on a path, its port, and its processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        write_settings(folder, TOKEN)
        program = folder / "bin/openclaw"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{find_node()}" "{find_package()}" "$@"\n')
        program.chmod(0o700)

    def manager(self) -> GatewayProcess:
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        return GatewayProcess(
            port=self.port,
            env={**ENVIRONMENT, "HOME": str(self.folder), "PATH": path},
            cwd=self.folder,
            profile=OPENCLAW_PROFILE,
            policy=POLICY,
            lock_folder=self.folder / "locks",
        )

    @property
    def log(self) -> str:
        return (self.folder / "openclaw.log").read_text()

    def pids(self) -> list[int]:
        """All that run with this home, helpers in whatever process group included."""
        mark = f"HOME={self.folder}".encode()
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def end(self) -> None:
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """Whatever becomes of the test, nothing of its gateway outlives it."""
    try:
        with only_one():
            found = Home(tmp_path)
            try:
                yield found
            finally:
                found.end()
    except Unavailable as error:
        pytest.skip(f"no OpenClaw gateway here: {error}")


@pytest.mark.rule("S3-08", "S3-09", "S3-22", "S3-33", "S3-46", "S3-54", "S3-64", "S3-69", "P33")
async def test_a_real_gateway_is_kept_running(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """One test, because a start takes many seconds, and one gateway goes through it."""
    async with home.manager() as gateway:
        assert await gateway.start() == "running"
        first = gateway.status
        assert first.owns_process
        killed = await be_killed(gateway, first)
        async with attached(home) as guest:
            await restart_inside(home, gateway, guest, killed)
        assert (gateway.status.state, gateway.status.pid) == (S.RUNNING, killed.pid)
        assert await gateway.restart() == "running"
        anew = gateway.status
        assert anew.owns_process
        assert anew.pid not in (first.pid, killed.pid)
        assert await gateway.stop() == "stopped"
        assert home.pids() == []
    assert "closed before connect" not in caplog.text  # of our own probes


async def be_killed(gateway: GatewayProcess, running: ProcessStatus) -> ProcessStatus:
    """It is noticed, and another one runs."""
    assert running.pid is not None
    os.kill(running.pid, signal.SIGKILL)
    lost = await until(gateway, lambda status: status.state is S.RECONNECTING)
    assert "code=-9" in lost.last_error
    return await until(gateway, lambda status: status.state is S.RUNNING and status.pid != running.pid)


@asynccontextmanager
async def attached(home: Home) -> AsyncGenerator[GatewayProcess]:
    """A second manager of the same port, which starts nothing and, leaving, ends nothing."""
    async with home.manager() as guest:
        assert await guest.start() == "running"
        assert (guest.status.pid, guest.status.owns_process) == (None, False)
        yield guest


async def restart_inside(home: Home, gateway: GatewayProcess, guest: GatewayProcess, before: ProcessStatus) -> None:
    """The gateway restarts within its process: both managers see it silent, and neither starts another."""
    assert before.pid is not None
    await eventually(lambda: is_ready(home.port))  # else it may not heed the signal yet
    os.kill(before.pid, signal.SIGUSR2)
    await eventually(lambda: "received SIGUSR2; restarting" in home.log)
    await until(guest, lambda status: status.state is S.RECONNECTING)
    await eventually(lambda: is_ready(home.port))
    await eventually(lambda: guest.status.state is S.RUNNING and not gateway.status.last_error)
    assert (gateway.status.state, gateway.status.pid) == (S.RUNNING, before.pid)
    assert gateway.status.connected_at == before.connected_at
    assert not guest.status.owns_process
