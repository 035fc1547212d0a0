"""Managers of real children on a free port, and what those children left behind."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from holdfast import FailureRule, Fault, GatewayProcess, ProcessPolicy, ProcessProfile, ProcessState, ProcessStatus
from holdfast.adapters import connect_challenge
from holdfast.statecharts import FAILURES

SCRIPT = Path(__file__).with_name("gateway.py")
# What a person would wait for is short; what a busy machine may take is long.
QUICK = ProcessPolicy(
    probe_s=20.0, port_poll_s=0.02, yield_poll_s=0.02, ready_poll_s=0.02, ready_s=60.0, connect_s=20.0,
    start_retry_s=0.02, reconnect_base_s=0.02, reconnect_cap_s=0.05, terminate_s=20.0, debounce_s=0.02,
)  # fmt: skip
PROFILE = ProcessProfile(readiness=connect_challenge, failures=(FailureRule("invalid config", Fault.CONFIG), *FAILURES))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Site:
    """A folder, a port, and the runs of the gateway there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.runs = folder / "runs"

    def manager(self, *options: str, **settings: Any) -> GatewayProcess:
        argv = [sys.executable, str(SCRIPT), "--port", "{port}", "--runs", str(self.runs), *options]
        known: dict[str, Any] = {"profile": PROFILE, "policy": QUICK, "lock_folder": self.folder / "locks"}
        return GatewayProcess(argv, port=self.port, **known | settings)

    @property
    def pids(self) -> list[list[int]]:
        """Of each run: the gateway's pid, then its helper's."""
        if not self.runs.exists():
            return []
        return [[int(pid) for pid in line.split()] for line in self.runs.read_text().splitlines()]

    def alive(self) -> list[int]:
        return [pid for run in self.pids for pid in run if is_alive(pid)]

    async def until_run(self, count: int = 1) -> None:
        """Wait until the gateway has been run so often."""
        await eventually(lambda: len(self.pids) >= count)


def is_alive(pid: int) -> bool:
    """True unless it is gone, or dead and only not reaped by its parent."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


async def eventually(true: Callable[[], object]) -> None:
    """Look until it is so. The test's own limit ends the wait."""
    while not true():  # noqa: ASYNC110 - what is waited for happens in other processes
        await asyncio.sleep(0.005)


async def until(gateway: GatewayProcess, wanted: Callable[[ProcessStatus], bool]) -> ProcessStatus:
    """The first status that is a wanted one."""
    async for status in gateway.statuses():
        if wanted(status):
            return status
    raise AssertionError("the manager ended first")


def is_in(*states: ProcessState) -> Callable[[ProcessStatus], bool]:
    return lambda status: status.state in states


@asynccontextmanager
async def nothing_left(site: Site) -> AsyncGenerator[None]:
    """Around a manager: no child, no helper and no task of it outlives it."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before
    assert not site.alive()


def with_policy(**changes: Any) -> ProcessPolicy:
    return msgspec.structs.replace(QUICK, **changes)
