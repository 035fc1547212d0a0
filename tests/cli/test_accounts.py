"""``holdfast activate``, ``status`` and ``logout``, beside a live link and without one."""

import json
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from typer.testing import CliRunner, Result

from holdfast import Identity, SqliteStore, TokenPair
from holdfast.adapters import HistoryRow
from holdfast.cli.app import app
from holdfast.cli.terminal import visible

from .kit import Line, Sandbox, Talk, seeded

SECTION = ("--config-section", "channels.clawchat")


class Command:
    """Commands about the account in one state folder, in this process."""

    def __init__(self, sandbox: Sandbox, state_dir: Path) -> None:
        self._runner = CliRunner()
        self._env = {"HOLDFAST_WS_URL": sandbox.ws_url, "HOLDFAST_STATE_DIR": str(state_dir)}

    def __call__(self, *arguments: str, input: str | None = None, code: int = 0) -> Result:
        result = self._runner.invoke(app, arguments, env=self._env, input=input)
        assert result.exit_code == code, (result.output, result.stderr)
        return result

    def status(self) -> Line:
        return dict(json.loads(self("status", "--json").stdout))

    def history(self, *arguments: str) -> list[Line]:
        return list(json.loads(self("status", "--json", *arguments).stdout)["history"])


@pytest.fixture
def command(gateway: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.delenv("HOLDFAST_DEVICE_ID", raising=False)
    return Command(gateway, tmp_path / "state")


@pytest.fixture
def live(gateway: Sandbox, tmp_path: Path) -> Iterator[Talk]:
    """A connected client of the same state folder."""
    _, settings = seeded(gateway)
    with Talk(gateway, tmp_path / "state", settings) as talk:
        talk.state("connected")
        yield talk


def tokens(state_dir: Path) -> Any:
    with closing(sqlite3.connect(state_dir / "accounts.db")) as store:
        return store.execute("SELECT access, refresh FROM accounts").fetchone()


def test_a_status_of_nothing_makes_nothing(command: Command, tmp_path: Path) -> None:
    assert command.status()["paired"] is False
    assert "holdfast activate" in command("status").stdout
    assert not (tmp_path / "state").exists()


def test_pairing_without_a_live_link(command: Command, gateway: Sandbox, tmp_path: Path) -> None:
    code = gateway.new_code()
    said = command("activate", code)
    status = command.status()
    assert status["identity"]["user_id"] in said.stdout
    assert (status["paired"], status["live"], status["generation"]) == (True, False, 1)
    assert (status["access_token"], status["refresh_token"]) == (True, True)
    assert status["expires_at"] - status["issued_at"] == 24 * 3600
    assert code not in said.output
    access, refresh = tokens(tmp_path / "state")
    shown = command("status").output + json.dumps(status)
    assert access not in shown
    assert refresh not in shown
    again = command("activate", code, code=1)
    assert again.stderr.startswith("holdfast: pairing failed with code 16000")
    assert code not in again.stderr


def test_a_code_from_stdin(command: Command, gateway: Sandbox) -> None:
    command("activate", "-", input=f"  {gateway.new_code()}\n")
    assert command.status()["paired"]
    assert "CODE: is empty" in command("activate", "-", input="\n", code=2).stderr


def test_what_a_peer_said_neither_controls_the_terminal_nor_is_taken_for_markup(
    command: Command, tmp_path: Path
) -> None:
    with closing(SqliteStore(tmp_path / "state" / "accounts.db")) as store:
        identity = Identity(user_id="usr_\x1b[2J[bold]")
        store.activate("default", TokenPair("access-s3cret-000000"), identity, 0.0)
        reason = "bad [redacted]\x1b]0;title\x07"
        store.record("default", HistoryRow(at=0.0, kind="connection", state="x", reason=reason))
    shown = command("status").stdout
    assert "\x1b" not in shown
    assert "usr_\ufffd[2J[bold]" in shown
    assert "bad [redacted]\ufffd]0;title\ufffd" in shown


def recorded(tmp_path: Path, *rows: HistoryRow, token: str = "access-s3cret-000000") -> None:
    with closing(SqliteStore(tmp_path / "state" / "accounts.db")) as store:
        store.activate("default", TokenPair(token, "refresh-s3cret-000000"), Identity(), 0.0)
        for row in rows:
            store.record("default", row)


def history_lines(said: Result) -> list[list[str]]:
    """The rows, without their times, of a history that went into a pipe."""
    rows = [line.split("\t") for line in said.stdout.splitlines() if "\t" in line]
    assert all(datetime.fromisoformat(row[0]).tzinfo for row in rows)
    return [row[1:] for row in rows]


@pytest.mark.rule("S0-24", "S0-31", "S0-39")
def test_the_history_tells_why_each_connection_ended(command: Command, gateway: Sandbox, tmp_path: Path) -> None:
    account, settings = seeded(gateway)
    gateway.post("fault", point="hello", kind="refuse", reason="internal error")
    with Talk(gateway, tmp_path / "state", settings) as live:
        live.state("connected")
        gateway.post("fault", point="hello", kind="refuse", reason="internal error")
        gateway.post("drop", user_id=account["user_id"])
        live.state("backoff")
        live.state("connected")
        before = gateway.state["counters"]
        brief = gateway.post("issue", user_id=account["user_id"], device_id="dev-a", access_lifetime_s=2.0)
        with closing(SqliteStore(tmp_path / "state" / "accounts.db")) as store:
            pair = TokenPair(brief["access_token"], brief["refresh_token"])
            store.activate("default", pair, Identity(device_id="dev-a"), time.time())
        gateway.wait("refreshes", before["refreshes"] + 1)
        gateway.wait("hellos", before["hellos"] + 2)
        shown = history_lines(command("status", "--history"))
    rotated = ["refresh", "rotated", "-", "proactive"]
    refused = "internal error — initial-connect-generic-not-near"
    assert shown.index(["connection", "disconnected", "1000", "token refresh"]) < shown.index(rotated)
    again = ["connection", "disconnected", "1000", "transport backoff reconnect — hello-fail-generic-not-near"]
    assert shown.index(rotated) < shown.index(again)
    assert shown[-2:] == [["connection", "connected", "-", ""], ["connection", "auth_failed", "-", refused]]
    kinds = {(row["kind"], row["state"], row["code"]) for row in command.history()}
    assert {("connection", "auth_failed", None), ("connection", "disconnected", 1000)} <= kinds


def test_the_history_is_as_long_as_is_asked_for(command: Command, tmp_path: Path) -> None:
    recorded(tmp_path, *(HistoryRow(at=float(n), kind="connection", state="x", code=n) for n in range(70)))
    newest_first = [str(number) for number in reversed(range(70))]
    for arguments, count in (((), 10), (("--history",), 50), (("--history", "3"), 3), (("--history", "999"), 70)):
        shown = [code for _, _, code, _ in history_lines(command("status", *arguments))]
        assert shown == newest_first[:count]
        assert [str(row["code"]) for row in command.history(*arguments)] == newest_first[:count]


def test_a_number_of_rows_means_nothing_alone_or_below_one(command: Command) -> None:
    assert "ROWS: needs --history" in command("status", "5", code=2).stderr
    command("status", "--history", "0", code=2)


def test_an_empty_history_says_so(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no history yet" in command("status", "--history").stdout
    recorded(tmp_path)
    assert command("status", "--history").stdout.splitlines()[-1] == "no history yet"
    assert command.history("--history") == []
    monkeypatch.setenv("FORCE_COLOR", "1")  # As on a terminal.
    assert "no history yet" in command("status", "--history").stdout


def test_a_terminal_gets_a_table_and_no_control_characters(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "[red]bad[/red] \x1b]0;title\x07 \u202e \x9b2J end\r\n" + "long " * 40
    recorded(tmp_path, HistoryRow(at=0.0, kind="logout", state="logged_out", code=4001, reason=reason))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    shown = re.sub(r"\x1b\[[0-9;]*m", "", command("status", "--history").stdout)  # Its own styles.
    for word in ("when", "what", "state", "code", "reason", "logout", "logged_out", "4001", "[red]bad[/red]"):
        assert word in shown
    assert not set("\x1b\x07\x9b\r\u202e") & set(shown)
    assert max(map(len, shown.splitlines())) <= 80
    monkeypatch.delenv("FORCE_COLOR")
    piped = command("status", "--history").stdout
    assert not set("\x1b\x07\x9b\r\u202e") & set(piped)
    assert history_lines(command("status", "--history")) == [["logout", "logged_out", "4001", visible(reason)]]


@pytest.mark.rule("P60")
def test_a_token_that_got_into_the_history_is_not_shown(command: Command, tmp_path: Path) -> None:
    reason = "refused access-s3cret-000000 and refresh-s3cret-000000"
    recorded(tmp_path, HistoryRow(at=0.0, kind="refresh", state="permanent", reason=reason))
    for arguments in (("status",), ("status", "--history"), ("status", "--history", "--json")):
        said = command(*arguments).output
        assert "s3cret" not in said
        assert "refused [redacted] and [redacted]" in said


def test_a_token_may_claim_any_time(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = jwt.encode({"exp": 10**18}, "k" * 32)  # pyright: ignore[reportUnknownMemberType]
    recorded(tmp_path, HistoryRow(at=1e300, kind="refresh", state="x", reason="far"), token=token)
    assert "1e+18 s" in command("status").stdout
    assert "1e+300\trefresh\tx\t-\tfar" in command("status").stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "1e+300 s" in command("status").stdout


@pytest.mark.parametrize("code", ["\udcff", "\x1b[2J", "ü", " "])
def test_what_cannot_be_a_code_is_refused_in_one_line(command: Command, code: str) -> None:
    result = command("activate", code, code=2 if code.isspace() else 1)
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stderr


def test_the_device_and_the_user_that_are_known_are_kept(command: Command, gateway: Sandbox) -> None:
    account, _ = seeded(gateway)
    known = ("--device-id", "my device", "--user-id", account["user_id"])
    command("activate", gateway.new_code(), *known)
    identity = command.status()["identity"]
    assert (identity["device_id"], identity["user_id"]) == ("my device", account["user_id"])
    command("logout")
    assert command.status()["identity"] == identity
    command("activate", gateway.new_code())
    assert command.status()["identity"] == identity


def test_a_logout_blanks_the_store_and_the_mirror(command: Command, gateway: Sandbox, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('name = "mine" # yes\n')
    mirror = ("--config", str(config))
    command("activate", gateway.new_code(), *mirror)
    access, refresh = tokens(tmp_path / "state")
    assert f'token = "{access}"' in config.read_text()
    assert command("logout", *mirror).stdout == "logged out\n"
    assert tokens(tmp_path / "state") == (None, None)
    assert config.read_text().startswith('name = "mine" # yes\n')
    assert 'token = ""' in config.read_text()
    for path in (config, *(tmp_path / "state").iterdir()):
        assert access.encode() not in path.read_bytes()
        assert refresh.encode() not in path.read_bytes()
    assert command("logout", *mirror).stdout == "there were no tokens\n"


def test_a_live_link_is_seen_and_not_disturbed(command: Command, live: Talk, gateway: Sandbox) -> None:
    for _ in range(20):
        assert command.status()["live"]
    assert "dev-a" in command("status").stdout
    history = command.status()["history"]
    assert (history[0]["kind"], history[0]["state"]) == ("connection", "connected")
    assert [line["state"] for line in live.seen][-1] == "connected"
    live.ask("status", id="q")
    assert live.result("q")["connected"]


def test_a_live_link_notices_a_logout_and_a_pairing(command: Command, live: Talk, gateway: Sandbox) -> None:
    command("logout")
    assert live.state("logged_out")["last_error"] == "logged out"
    command("activate", gateway.new_code())
    live.state("connected")
    assert command.status()["live"]


def test_an_account_has_one_live_link(gateway: Sandbox, live: Talk, tmp_path: Path) -> None:
    with Talk(gateway, tmp_path / "state") as second:
        assert second.rest() == []
        assert second.exit_code() == 3
        assert second.stderr == (
            "holdfast: account 'default' already has a live link; "
            "stop that one first, or use another account or store here\n"
        )
    live.ask("stop")
    live.rest()
    assert live.exit_code() == 0


def test_an_interrupted_refresh_is_told(command: Command, gateway: Sandbox, tmp_path: Path) -> None:
    command("activate", gateway.new_code())
    store = SqliteStore(tmp_path / "state" / "accounts.db")
    assert store.begin_refresh("default", 1, 0.0)
    store.close()
    assert command.status()["refresh_interrupted"]
    assert "a refresh was interrupted" in command("status").stdout
