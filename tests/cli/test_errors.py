"""What goes wrong before anything begins: one line on stderr that says what to do, and the documented exit code."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from holdfast import SqliteStore
from holdfast.cli.app import app

SECRET = "sesame-open-0123456789"
GOOD = {"HOLDFAST_WS_URL": "ws://127.0.0.1:9/ws"}


def invoke(*arguments: str, **settings: str) -> Result:
    return CliRunner().invoke(app, arguments, env=GOOD | {f"HOLDFAST_{key}": value for key, value in settings.items()})


def one_line(result: Result) -> str:
    assert result.stdout == ""
    assert result.stderr.startswith("holdfast: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    assert SECRET not in result.stderr
    return result.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"WS_URL": ""}, "--ws-url: the WebSocket URL is not set; give it here, or as HOLDFAST_WS_URL"),
        ({"WS_URL": "https://host/ws"}, "must begin with wss://"),
        ({"WS_URL": "ftp://host/ws"}, "must begin with wss://"),
        (
            {"WS_URL": "ws://gateway.example/ws"},
            "unencrypted; use wss://, or allow it: --insecure-host gateway.example",
        ),
        ({"WS_URL": f"wss://me:{SECRET}@host/ws"}, "must not hold a user name or password"),
        ({"WS_URL": f"wss://host/ws?token={SECRET}"}, "must not have a query"),
        (
            {"BASE_URL": "http://gateway.example"},
            "unencrypted; use https://, or allow it: --insecure-host gateway.example",
        ),
        ({"BASE_URL": "wss://host"}, "must begin with https://"),
        ({"DEVICE_ID": "x" * 129}, "129 bytes long; use at most 128"),
        ({"DEVICE_ID": "é" * 65}, "130 bytes long; use at most 128"),
        ({"DEVICE_ID": "a\tb"}, "printable"),
        ({"TIME_SCALE": "0"}, "finite number above zero"),
        ({"TIME_SCALE": "-1"}, "finite number above zero"),
        ({"TIME_SCALE": "nan"}, "finite number above zero"),
        ({"TIME_SCALE": "inf"}, "finite number above zero"),
        ({"TIME_SCALE": "1e308"}, "finite"),
        ({"ACCESS_TOKEN": f"{SECRET}\x01"}, "is no token"),
        ({"REFRESH_TOKEN": SECRET}, "HOLDFAST_ACCESS_TOKEN: is not set, but HOLDFAST_REFRESH_TOKEN is"),
    ],
)
def test_a_wrong_setting(settings: dict[str, str], said: str, tmp_path: Path) -> None:
    result = invoke("run", STATE_DIR=str(tmp_path / "state"), **settings)
    assert result.exit_code == 2
    assert said in one_line(result)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(("arguments", "settings"), [(("--explicit",), {}), ((), {"EXPLICIT": "1"})])
def test_what_is_for_a_program_alone(arguments: tuple[str, ...], settings: dict[str, str], tmp_path: Path) -> None:
    result = invoke("run", *arguments, STATE_DIR=str(tmp_path / "state"), **settings)
    assert result.exit_code == 2
    assert one_line(result) == "holdfast: --explicit: needs --jsonl\n"
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("command", [("run",), ("activate", "CODE"), ("logout",)])
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("c.yaml", b"", "must be a .json or a .toml file"),
        ("c.json", b"{", "correct the file"),
        ("c.json", b"\xff", "is not UTF-8"),
        ("c.toml", b"= 1", "correct the file"),
        ("c.json", b'{"channels":{"clawchat":{"token":7}}}', "must be text"),
        ("c.json", b'{"channels":{"clawchat":{"token":"sesame-open-0123456789\\u0001"}}}', "is no token"),
        ("c.json", None, "Is a directory"),
    ],
)
def test_a_wrong_config_file(
    command: tuple[str, ...], name: str, content: bytes | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.mkdir() if content is None else path.write_bytes(content)
    result = invoke(*command, "--config", str(path), STATE_DIR=str(tmp_path / "state"))
    assert result.exit_code == 2
    assert said in one_line(result)
    if content is not None:
        assert path.read_bytes() == content


def newer(path: Path) -> None:
    store = SqliteStore(path)
    store.open()
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.commit()


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.commit()


def damaged(path: Path) -> None:
    path.write_bytes(b"nonsense" * 1000)


@pytest.mark.parametrize("command", [("run",), ("activate", "CODE"), ("status",), ("status", "--json"), ("logout",)])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (newer, "upgrade Holdfast or use another path"),
        (foreign, "is a database of another application"),
        (damaged, "restore a copy"),
        (Path.mkdir, "check the path"),
    ],
)
def test_a_store_that_cannot_be_used(
    command: tuple[str, ...], spoil: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    spoil(tmp_path / "accounts.db")
    result = invoke(*command, STATE_DIR=str(tmp_path))
    assert result.exit_code == 3
    assert said in one_line(result)


@pytest.mark.parametrize("command", [("run",), ("activate", "CODE"), ("status",), ("logout",)])
def test_a_state_folder_that_is_none(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = invoke(*command, STATE_DIR=str(tmp_path / "file"))
    assert result.exit_code == 3
    assert "check the path" in one_line(result)


def test_a_pairing_without_a_service(tmp_path: Path) -> None:
    result = invoke("activate", SECRET, WS_URL="", STATE_DIR=str(tmp_path / "state"))
    assert result.exit_code == 2
    assert "--base-url: the base URL is not set; give it here" in one_line(result)
    assert not (tmp_path / "state").exists()


def test_a_service_that_is_not_there(tmp_path: Path) -> None:
    result = invoke("activate", SECRET, STATE_DIR=str(tmp_path))
    assert result.exit_code == 1
    said = one_line(result)
    assert "pairing failed (no connection: ConnectError" in said
    assert "try the same one again" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("dance",),
        ("run", "--dance"),
        ("activate",),
        ("run", "--time-scale", "slow"),
        ("run", "--profile", "lax"),
        ("sandbox", "--reliable", "v3"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["demo", "run", "activate", "status", "logout", "sandbox", "diagrams"])
def test_every_command_has_help_and_names_the_exit_codes(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert "Exit codes: 0 done" in result.stdout
    assert command in invoke("--help").stdout


def test_a_missing_extra_is_named() -> None:
    script = "import sys; sys.modules['typer'] = None; from holdfast.cli import main; main()"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr == "holdfast: typer is missing; get the command line with: pip install 'holdfast[cli]'\n"
