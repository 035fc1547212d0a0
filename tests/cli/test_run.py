"""``holdfast run`` for people."""

import signal
from collections.abc import Callable
from pathlib import Path

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
        gateway.post("revoke", user_id=account["user_id"])
        gateway.post("drop", user_id=account["user_id"])
        assert "pair this account again" in until(program, lambda line: "logged_out" in line)
        program.signal(signal.SIGINT)
        assert program.exit_code() == 130
        assert "Re-pair with `/clawchat-activate <code>`" in program.stderr
        assert "Traceback" not in program.stderr
