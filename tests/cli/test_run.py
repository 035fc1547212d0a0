"""``holdfast run`` for people."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.cli.terminal import visible

from .kit import Program, Sandbox, environment, seeded


def until(program: Program, wanted: Callable[[str], bool]) -> str:
    while (line := program.line()) is not None:
        if wanted(line):
            return line
    raise AssertionError(program.stderr)


def test_it_shows_what_happens_plainly_where_there_is_no_terminal(gateway: Sandbox, tmp_path: Path) -> None:
    account, settings = seeded(gateway)
    env = environment(ws_url=gateway.ws_url, state_dir=str(tmp_path), time_scale="0.01", **settings)
    with Program("run", env=env) as program:
        connected = until(program, lambda line: "connected" in line)
        assert "token good until" in connected
        assert "\x1b" not in connected
        gateway.post("push-message", user_id=account["user_id"], text="hello [bold]you[/bold]")
        said = until(program, lambda line: "hello" in line)
        assert said.endswith(f"{account['conversation_id']} Owner: hello [bold]you[/bold]")
        gateway.post(
            "push-message",
            user_id=account["user_id"],
            text="\x1b]0;title\x07\x1b[2J over\N{RIGHT-TO-LEFT OVERRIDE}\r\nnext",
        )
        said = until(program, lambda line: "over" in line)
        assert said.endswith("Owner: \ufffd]0;title\ufffd\ufffd[2J over\ufffd\ufffd")
        assert program.line() == "next"
        gateway.post("revoke", user_id=account["user_id"])
        gateway.post("drop", user_id=account["user_id"])
        assert "pair this account again" in until(program, lambda line: "logged_out" in line)
        program.signal(signal.SIGINT)
        assert program.exit_code() == 130
        assert "Re-pair with `/clawchat-activate <code>`" in program.stderr
        assert "Traceback" not in program.stderr


@pytest.mark.parametrize("char", ["\x00", "\x1b", "\x7f", "\x9b", "\u202e", "\u2028", "\ud800", "\n", "\t"])
def test_what_could_control_a_terminal_is_replaced(char: str) -> None:
    assert visible(f"a{char}b") == "a\ufffdb"
    assert visible(f"a{char}b", lines=True) == (f"a{char}b" if char in "\n\t" else "a\ufffdb")


@pytest.mark.parametrize("text", ["Zoë 東京 ", "family: 👩\u200d👩\u200d👧", "می\u200cخواهم"])
def test_what_is_written_in_any_script_stays(text: str) -> None:
    assert visible(text) == text
