"""``holdfast activate``, ``status`` and ``logout``: they work beside a live link, which notices, and without one."""

import asyncio
import sys
import time
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Final

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import AccountBusy, ClawChat, ConfigError, ConfigMirror, Identity, SqliteStore
from ..adapters import (
    DEFAULT_ACCOUNT,
    CredentialStore,
    HistoryRow,
    Stored,
    Vault,
    http_client,
    http_pool,
    read_lifetime,
)
from ..pairing import activate as pair_account
from . import settings as given
from .terminal import visible

HISTORY_SHOWN: Final = 10
HISTORY_ASKED: Final = 50
"""Rows with ``--history`` and no number."""
NO_HISTORY: Final = "no history yet"
CODE_CHARS_MAX: Final = 1024


def activate(
    code: Annotated[str, typer.Argument(metavar="CODE", help="The pairing code. '-' reads it from stdin.")],
    ws_url: given.WsUrl = None,
    base_url: given.BaseUrl = None,
    state_dir: given.StateDir = None,
    user_id: given.UserId = None,
    device_id: given.DeviceId = None,
    config: given.Config = None,
    config_section: given.Section = given.DEFAULT_SECTION,
    insecure_host: given.InsecureHosts = None,
) -> None:
    """Pair the account with a code, once, for good.

    A live `holdfast run` notices within a second and connects. A code works once: one that was refused, or whose answer
    got lost, is spent. If there was no connection at all, the same code can be tried again.
    """
    root = given.base_url_of(ws_url, base_url, insecure_host)
    device_id = given.checked_device_id(device_id)
    mirror = given.mirror_in(config, config_section)
    store = given.store_in(state_dir)
    try:
        store.open()
        asyncio.run(_activate(store, root, _code(code), device_id, user_id))
        _mirror_pair(store, mirror)
        user = visible(store.read(DEFAULT_ACCOUNT).user_id or "unknown")
        typer.echo(f"paired; user {user}, state in {store.path.parent}")
    finally:
        store.close()


async def _activate(
    store: CredentialStore, base_url: str, code: str, device_id: str | None, user_id: str | None
) -> None:
    async with http_pool() as pool, http_client(pool) as client:
        await pair_account(
            store, DEFAULT_ACCOUNT, ClawChat(), base_url, code, client,
            device_id=device_id, user_id=user_id, wall=time.time(),
        )  # fmt: skip


def _code(code: str) -> str:
    if code == "-":
        prompt = sys.stdin.isatty()
        code = typer.prompt("Pairing code", hide_input=True, err=True) if prompt else sys.stdin.readline(CODE_CHARS_MAX)
    code = code.strip()
    if not code:
        raise ConfigError("CODE", "is empty; give a pairing code")
    return code


def _mirror_pair(store: CredentialStore, mirror: ConfigMirror | None) -> None:
    """Copy the pair to the mirror, unless a live link does that: it may hold a newer one by now."""
    if mirror is not None:
        with suppress(AccountBusy), store.lease(DEFAULT_ACCOUNT):
            pair = store.read(DEFAULT_ACCOUNT).pair
            if pair is not None:
                mirror.write(pair)


def logout(
    state_dir: given.StateDir = None,
    config: given.Config = None,
    config_section: given.Section = given.DEFAULT_SECTION,
) -> None:
    """Forget the tokens, in the store and in the mirror. Who the account is stays known.

    A live `holdfast run` notices within a second, disconnects, and waits to be paired again.
    """
    mirror = given.mirror_in(config, config_section)
    store = given.store_in(state_dir)
    had_tokens = False
    if _exists(store):
        try:
            had_tokens = store.read(DEFAULT_ACCOUNT).pair is not None
            store.clear(DEFAULT_ACCOUNT)
        finally:
            store.close()
    if mirror is not None:
        mirror.blank()
    typer.echo("logged out" if had_tokens else "there were no tokens")


class AccountReport(msgspec.Struct, kw_only=True):
    """What ``holdfast status`` tells. Times are epoch seconds, as in the store. No tokens."""

    account: str
    store: str
    paired: bool
    live: bool
    access_token: bool
    refresh_token: bool
    issued_at: float | None
    expires_at: float | None
    obtained_at: float | None
    generation: int
    refresh_interrupted: bool
    identity: dict[str, str | None]
    history: list[HistoryRow]


def status(
    rows: Annotated[
        int | None,
        typer.Argument(metavar="ROWS", min=1, show_default=False, help="With --history: how many rows, at most."),
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help=f"Show the newest ROWS of the history. Without a number: {HISTORY_ASKED}.")
    ] = False,
    state_dir: given.StateDir = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
) -> None:
    """Show what is stored of the account, whether a live link owns it, and what happened to it last.

    It disturbs nobody: a live link goes on. Exit code 0 also for an account that is not paired. Into a pipe the history
    is a line for each row, with tabs between time, kind, state, code and reason.
    """
    if rows is not None and not history:
        raise ConfigError("ROWS", "needs --history")
    store = given.store_in(state_dir)
    try:
        report = _report(store, (rows or HISTORY_ASKED) if history else HISTORY_SHOWN)
    finally:
        store.close()
    if json:
        typer.echo(msgspec.json.encode(report))
    elif (console := Console(highlight=False)).is_terminal:
        _show(report, console)
    else:
        _write(report)


def _report(store: SqliteStore, rows: int) -> AccountReport:
    exists = _exists(store)
    stored = store.read(DEFAULT_ACCOUNT) if exists else Stored()
    pair = stored.pair
    issued_at, expires_at = read_lifetime(None if pair is None else pair.access)
    return AccountReport(
        account=DEFAULT_ACCOUNT,
        store=str(store.path),
        paired=pair is not None,
        live=exists and _is_live(store),
        access_token=pair is not None,
        refresh_token=pair is not None and pair.refresh is not None,
        issued_at=issued_at,
        expires_at=expires_at,
        obtained_at=stored.obtained_at,
        generation=stored.generation,
        refresh_interrupted=stored.interrupted == stored.generation and pair is not None,
        identity={name: getattr(stored, name) for name in (*Identity.__struct_fields__, "resolved_device_id")},
        history=_history(store, stored, rows) if exists else [],
    )


def _history(store: CredentialStore, stored: Stored, rows: int) -> list[HistoryRow]:
    """The newest rows. Their writer has redacted them; whatever it missed of the present tokens is not shown either."""
    vault = Vault()
    vault.load(stored.generation, stored.pair)
    return [
        msgspec.structs.replace(row, reason=None if row.reason is None else vault.redact(row.reason))
        for row in store.history(DEFAULT_ACCOUNT, rows)
    ]


def _exists(store: SqliteStore) -> bool:
    """Whether there is a store. Asking must not make one; one that is there, but out of reach, is an error later."""
    try:
        store.path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _is_live(store: CredentialStore) -> bool:
    try:
        store.lease(DEFAULT_ACCOUNT).release()
    except AccountBusy:
        return True
    return False


def _show(report: AccountReport, console: Console) -> None:
    """For a terminal."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in _facts(report):
        table.add_row(name, Text(visible(value)))
    console.print(table)
    if not report.history:
        console.print(NO_HISTORY)
        return
    title = "history, newest first"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("when", "what", "state", "code"):
        table.add_column(name, no_wrap=True)
    table.add_column("reason", overflow="fold")
    for row in report.history:
        table.add_row(*(Text(visible(cell)) for cell in (_time(row.at), *_cells(row))))
    console.print(table)


def _write(report: AccountReport) -> None:
    """For a pipe or a file: a line for each, however long."""
    facts = _facts(report)
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        typer.echo(f"{name:<{width}} {visible(value)}")
    for row in report.history:
        typer.echo("\t".join(visible(cell) for cell in (_instant(row.at), *_cells(row))))
    if not report.history:
        typer.echo(NO_HISTORY)


def _cells(row: HistoryRow) -> tuple[str, ...]:
    return row.kind, row.state, "-" if row.code is None else str(row.code), row.reason or ""


def _facts(report: AccountReport) -> list[tuple[str, str]]:
    tokens = [name for name, has in (("access", report.access_token), ("refresh", report.refresh_token)) if has]
    return [
        ("account", report.account),
        ("store", report.store),
        ("paired", "yes" if report.paired else "no; pair it with: holdfast activate CODE"),
        ("live link", "yes" if report.live else "no"),
        ("tokens", " and ".join(tokens) or "none"),
        ("expires", _time(report.expires_at) if report.paired else "-"),
        ("received", _time(report.obtained_at) if report.paired else "-"),
        ("generation", f"{report.generation}{', a refresh was interrupted' if report.refresh_interrupted else ''}"),
        *((name, value) for name, value in report.identity.items() if value),
    ]


def _time(at: float | None) -> str:
    """For people, who know where they are."""
    if at is None:
        return "unknown"
    local = _local(at)
    return f"{at:g} s" if local is None else f"{local:%Y-%m-%d %H:%M:%S}"


def _instant(at: float) -> str:
    """For programs, which may be elsewhere."""
    local = _local(at)
    return f"{at:g}" if local is None else local.isoformat(timespec="seconds")


def _local(at: float) -> datetime | None:
    """None for what no calendar has: a token may claim anything."""
    try:
        return datetime.fromtimestamp(at).astimezone()
    except (OverflowError, ValueError, OSError):
        return None
