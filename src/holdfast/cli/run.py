"""``holdfast run``: one account's link, for people or for a program at the other end of a pipe."""

import asyncio
import errno
import sys
from datetime import datetime
from functools import partial
from typing import Annotated

import anyio
import typer
from rich.console import Console
from rich.text import Text

from .. import ConfigError, Identity, Link, Message, Status
from . import settings as given
from .jsonl import converse
from .lines import LineReader, LineWriter
from .show import Screen, clock, status_text
from .stopping import Stop, stop_on_signals
from .telling import notice
from .terminal import log_to_stderr, visible


def run(
    ws_url: given.WsUrl = None,
    base_url: given.BaseUrl = None,
    state_dir: given.StateDir = None,
    user_id: given.UserId = None,
    agent_id: given.AgentId = None,
    device_id: given.DeviceId = None,
    time_scale: given.TimeScale = 1.0,
    config: given.Config = None,
    config_section: given.Section = given.DEFAULT_SECTION,
    insecure_host: given.InsecureHosts = None,
    profile: given.ProfileName = "strict",
    classifier: given.ClassifierName = "seed",
    multi_device: given.MultiDevice = False,
    outbox: given.WhenFull = "wait",
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Talk JSON lines on stdin and stdout, for a program. See docs/jsonl.md.")
    ] = False,
    explicit: Annotated[
        bool,
        typer.Option(
            "--explicit",
            envvar="HOLDFAST_EXPLICIT",
            help="With --jsonl: what comes in is handled when the program says so, and not when its line was written.",
        ),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more, on stderr.")] = False,
) -> None:
    """Keep an account's link to its gateway alive, until Ctrl-C or SIGTERM.

    Shows what the link is doing and what is said to the account. An account without tokens waits to be paired: use
    `holdfast activate CODE` beside it.

    HOLDFAST_ACCESS_TOKEN and HOLDFAST_REFRESH_TOKEN give an empty store its first tokens. They are read from the
    environment only, and ignored once the store has had any.
    """
    if explicit and not jsonl:
        raise ConfigError("--explicit", "needs --jsonl")
    log_to_stderr(verbose=verbose)
    settings = given.LinkSettings(
        ws_url=given.required_ws_url(ws_url),
        base_url=given.base_url_of(ws_url, base_url, insecure_host),
        store=given.store_in(state_dir),
        messages=given.messages_in(state_dir),
        first_pair=given.first_pair(),
        identity=Identity(device_id=given.checked_device_id(device_id), user_id=user_id, agent_id=agent_id),
        time_scale=time_scale,
        mirror=given.mirror_in(config, config_section),
        insecure_hosts=tuple(insecure_host or ()),
        profile=profile,
        classifier=classifier,
        outbox_full=outbox,
        multi_device=multi_device,
        explicit=explicit,
    )
    raise typer.Exit(asyncio.run(_talk(settings) if jsonl else _show(settings)))


async def _talk(settings: given.LinkSettings) -> int:
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise ConfigError("stdout", "is closed; --jsonl writes its lines there")
    # Likewise None if it is closed: then another file may have got its number.
    lines = LineReader(None if sys.stdin is None else sys.stdin.fileno())  # pyright: ignore[reportUnnecessaryComparison]
    with stop_on_signals() as stop:
        out = LineWriter(sys.stdout.fileno(), partial(_on_broken, stop))
        try:
            async with given.linked(settings, lambda level, text: out.put(notice(level, text))) as link:
                await converse(link, lines, out, stop, settings)
        finally:
            await out.close()
    return stop.code


def _on_broken(stop: Stop, error: OSError) -> None:
    """Whoever reads our lines may go. A full disk is another matter."""
    if error.errno != errno.EPIPE:
        typer.echo(f"holdfast: stdout: {error.strerror}", err=True)
    stop.ask(0 if error.errno == errno.EPIPE else 1)


async def _show(settings: given.LinkSettings) -> int:
    console = Screen(highlight=False)
    with stop_on_signals() as stop:
        console.on_gone = stop.ask
        async with given.linked(settings, None) as link, anyio.create_task_group() as tellers:
            console.print(f"{settings.ws_url}, state in {settings.store.path.parent}. Ctrl-C ends it.", style="dim")
            tellers.start_soon(_show_statuses, link, console, stop)
            tellers.start_soon(_show_messages, link, console)
            await stop.wait()
            await link.stop()
    return stop.code


async def _show_statuses(link: Link, console: Console, stop: Stop) -> None:
    shown = Text()
    async for status in link.statuses():
        line = status_line(status)
        if line != shown:
            console.print(Text.assemble((f"{clock()}  ", "dim"), line))
        shown = line
    stop.ask()


async def _show_messages(link: Link, console: Console) -> None:
    async for message in link:
        console.print(Text.assemble((f"{clock()}  ", "dim"), _message_line(message)))


def status_line(status: Status) -> Text:
    """One status in one line: the state, and whatever there is to say about it."""
    wait = "" if status.retry_at is None else f"again at {clock(status.retry_at)}"
    expiry = "" if status.token_expires_at is None or not status.connected else _expiry(status.token_expires_at)
    return status_text(status, wait, expiry)


def _message_line(message: Message) -> Text:
    sender = visible(f"{message.chat_id} {message.sender_name or message.sender_id}: ")
    return Text.assemble((sender, "bold"), visible(message.text, lines=True))


def _expiry(at: float) -> str:
    return f"token good until {datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"
