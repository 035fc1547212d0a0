"""``holdfast activate``, ``status`` and ``logout``: they work beside a live link, which notices, and without one."""

import asyncio
import sys
import time
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import AccountBusy, ClawChat, ConfigError, ConfigMirror, Identity, SqliteStore
from ..adapters import (
    DEFAULT_ACCOUNT,
    CredentialStore,
    HistoryRow,
    Stored,
    http_client,
    http_pool,
    read_lifetime,
)
from ..pairing import activate as pair_account
from . import settings as given
from .terminal import visible

HISTORY_SHOWN: Final = 10
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
    got lost, is spent.
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
    state_dir: given.StateDir = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
) -> None:
    """Show what is stored of the account, and whether a live link owns it.

    It disturbs nobody: a live link goes on. Exit code 0 also for an account that is not paired.
    """
    store = given.store_in(state_dir)
    try:
        report = _report(store)
    finally:
        store.close()
    if json:
        typer.echo(msgspec.json.encode(report))
    else:
        _show(report)


def _report(store: SqliteStore) -> AccountReport:
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
        history=[*store.history(DEFAULT_ACCOUNT, HISTORY_SHOWN)] if exists else [],
    )


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


def _show(report: AccountReport) -> None:
    console = Console(highlight=False)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in _facts(report):
        table.add_row(name, Text(visible(value)))
    console.print(table)
    if report.history:
        console.print(_history(report.history))


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


def _history(rows: list[HistoryRow]) -> Table:
    table = Table("when", "what", "state", "reason", title="history, newest first", title_justify="left")
    for row in rows:
        code = "" if row.code is None else f"({row.code}) "
        table.add_row(_time(row.at), row.kind, row.state, Text(visible(f"{code}{row.reason or ''}")))
    return table


def _time(at: float | None) -> str:
    return "unknown" if at is None else f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"
