"""``holdfast sandbox``."""

import signal
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli.app import app

from .kit import Program, Sandbox, Talk, environment, seeded


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_says_where_it_is_until_it_is_ended(number: signal.Signals, code: int) -> None:
    with Program("sandbox", "--pairing-code", "SESAME", env=environment()) as sandbox:
        lines: list[str] = []
        while (line := sandbox.line()) is not None and line != "Ctrl-C ends it.":
            lines.append(line)
        assert any(line.startswith("WebSocket     ws://127.0.0.1:") for line in lines)
        assert any("SESAME" in line for line in lines)
        assert any("holdfast run" in line for line in lines)
        sandbox.signal(number)
        assert sandbox.exit_code() == code
        assert sandbox.stderr == ""


def test_the_same_port_and_state_file_go_on_where_it_was(tmp_path: Path) -> None:
    place = ("--state-file", str(tmp_path / "state.json"))
    with Sandbox(*place) as first:
        account = first.post("issue")
        port = first.port
        first.process.kill()
        first.process.wait()
    with Sandbox(*place, "--port", str(port)) as second:
        assert second.port == port
        assert [found["user_id"] for found in second.state["accounts"]] == [account["user_id"]]


def test_what_it_is_told_of_tokens(tmp_path: Path) -> None:
    with Sandbox("--access-lifetime", "100", "--refresh-lifetime", "200", "--access-format", "opaque") as sandbox:
        issued = sandbox.post("issue")
        assert issued["access_token"].startswith("at_")
        assert issued["access_expires_at"] - sandbox.state["now"] <= 100
        assert issued["refresh_expires_at"] - sandbox.state["now"] <= 200


@pytest.mark.parametrize(("level", "acked"), [("off", False), ("v1", True), ("v2", True)])
def test_it_grants_no_more_reliable_delivery_than_it_is_told(level: str, acked: bool, tmp_path: Path) -> None:
    with Sandbox("--reliable", level) as sandbox:
        account, settings = seeded(sandbox)
        with Talk(sandbox, tmp_path, settings) as talk:
            talk.state("connected")
            sandbox.post("push-message", user_id=account["user_id"], text="hello")
            assert talk.until(lambda line: line["type"] == "message")["text"] == "hello"
            if acked:
                sandbox.wait("acks", 1)
            talk.ask("stop")
            talk.rest()
        assert (sandbox.count("acks") > 0, sandbox.count("bad_acks")) == (acked, 0)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--host", "0.0.0.0"), 2, "serves loopback only"),
        (("--host", "host.example"), 2, "serves loopback only"),
        (("--access-lifetime", "0"), 2, "access_lifetime_s must be above 0"),
        (("--state-file", "{bad}"), 3, "is no state file of the sandbox"),
        (("--state-file", "{nowhere}"), 1, "No such file or directory"),
        (("--port", "{taken}"), 1, "cannot start"),
    ],
)
def test_what_goes_wrong(arguments: tuple[str, ...], code: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("nonsense")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        places = {"bad": tmp_path / "bad", "nowhere": tmp_path / "no" / "where", "taken": taken.getsockname()[1]}
        result = CliRunner().invoke(app, ["sandbox", *(part.format(**places) for part in arguments)])
    assert result.exit_code == code
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
