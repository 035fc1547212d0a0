"""``holdfast gateway``: a gateway process on this machine, kept running."""

import asyncio
import os
import signal
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Final, Literal

import msgspec
import typer
from anyio import create_task_group
from rich.text import Text

from .. import (
    OPENCLAW_PROFILE,
    PROCESS_STRICT,
    ConfigError,
    GatewayProcess,
    ProcessFailed,
    ProcessPolicy,
    ProcessProfile,
    ProcessState,
    ProcessStatus,
)
from . import settings as given
from .show import Screen, clock
from .stopping import CODES, Stop, stop_on_signals
from .terminal import log_to_stderr, visible

PROFILES: Final = {"plain": ProcessProfile(), "openclaw": OPENCLAW_PROFILE}
OPENCLAW_TOKEN: Final = "OPENCLAW_GATEWAY_TOKEN"
STYLES: Final = {
    ProcessState.RUNNING: "green",
    ProcessState.ERROR: "bold red",
    ProcessState.RECONNECTING: "yellow",
}
STATE_CHARS: Final = 13


def gateway(
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", help="Where it listens, on loopback. {port} in COMMAND is this.")
    ],
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[--] COMMAND...", help="The gateway, with its arguments.")
    ] = None,
    profile: Annotated[
        Literal["plain", "openclaw"],
        typer.Option(
            "--profile",
            help="What kind of gateway it is. plain: any that speaks first on a WebSocket. openclaw needs no COMMAND, "
            "and of the variables OPENCLAW_* only OPENCLAW_GATEWAY_TOKEN reaches it.",
        ),
    ] = "plain",
    time_scale: given.TimeScale = 1.0,
    json: Annotated[bool, typer.Option("--json", help="Say each change as one line of JSON.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more, on stderr.")] = False,
) -> None:
    """Keep a gateway process running, until Ctrl-C, SIGTERM or the end of the terminal, which stop it.

    Starts COMMAND unless a gateway listens on the port already, says each change in a line, and brings it back when it
    dies. What follows --token or --password is told nowhere. What it prints to stderr is logged, on stderr.
    """
    log_to_stderr(verbose=verbose)
    kept = GatewayProcess(
        command or (), port=port, env=_env(profile), profile=PROFILES[profile], policy=_policy(time_scale)
    )
    raise typer.Exit(asyncio.run(_supervise(kept, port, json)))


def _env(profile: str) -> dict[str, str]:
    """What the profile would take out, and the gateway needs."""
    names = (OPENCLAW_TOKEN,) if profile == "openclaw" else ()
    return {name: os.environ[name] for name in names if name in os.environ}


def _policy(time_scale: float) -> ProcessPolicy:
    try:
        return PROCESS_STRICT.scaled(time_scale)
    except ValueError as error:
        raise ConfigError("HOLDFAST_TIME_SCALE", str(error)) from None


async def _supervise(kept: GatewayProcess, port: int, json: bool) -> int:
    screen = Screen(highlight=False)
    with stop_on_signals(_codes()) as stop:
        screen.on_gone = stop.ask
        if screen.is_terminal and not json:
            screen.print(f"gateway on port {port}. Ctrl-C ends it.", style="dim")
        last = kept.status
        # The teller is outside: it tells of the stop, too.
        async with create_task_group() as tellers, kept:
            tellers.start_soon(_tell, kept, stop, partial(screen.print, soft_wrap=True), json)
            kept.start()
            await stop.wait()
            last = kept.status
    if last.state is ProcessState.ERROR:
        raise ProcessFailed(last.last_error)
    return stop.code


def _codes() -> Mapping[int, int]:
    """A closed terminal stops it, too: its process group is another one, and nothing else would end it."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # nohup
    return CODES if ignored else {**CODES, signal.SIGHUP: 0}


async def _tell(kept: GatewayProcess, stop: Stop, tell: "partial[None]", json: bool) -> None:
    told = ""
    async for status in kept.statuses():
        line = Text(msgspec.json.encode(status).decode()) if json else status_line(status)
        if line.plain != told:
            tell(line if json else Text.assemble((f"{clock()}  ", "dim"), line))
        told = line.plain
        if status.state is ProcessState.ERROR:
            break
    stop.ask()


def status_line(status: ProcessStatus) -> Text:
    """One status in one line: the state, and whatever there is to say about it."""
    return Text.assemble(
        (f"{status.state:<{STATE_CHARS}}", STYLES.get(status.state, "")), visible("; ".join(_particulars(status)))
    )


def _particulars(status: ProcessStatus) -> list[str]:
    found = [status.last_error] if status.last_error else []
    if status.pid is not None:
        found.append(f"pid {status.pid}")
    elif status.state is ProcessState.RUNNING:
        found.append("was there already")
    if status.retry_at is not None:
        found.append(f"again at {clock(status.retry_at)}")
    return found
