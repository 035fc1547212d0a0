"""``holdfast gateway``."""

import os
import pty
import signal
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from holdfast import ProcessState, ProcessStatus
from holdfast.cli.app import app

from ..process.kit import SCRIPT, Site
from .kit import Program, environment

SECRET = "sesame-open-0123456789"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture(autouse=True)
def hangups() -> Generator[None]:
    """What is started here hears of them, also where the tests themselves run under nohup."""
    former = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, former)


def supervised(
    site: Site, *arguments: str, flags: tuple[str, ...] = (), stdout: int | None = None, **variables: str
) -> Program:
    """The gateway of the tests under ``holdfast gateway``, whose locks are the test's own."""
    env = environment(time_scale="0.05") | {"TMPDIR": str(site.folder)} | variables
    command = [sys.executable, str(SCRIPT), "--port", "{port}", "--runs", str(site.runs), *arguments]
    more = {} if stdout is None else {"stdout": stdout}
    return Program("gateway", "--port", str(site.port), *flags, "--", *command, env=env, **more)


def until(program: Program, wanted: Callable[[str], bool]) -> list[str]:
    """The lines up to the first one that is wanted."""
    lines: list[str] = []
    while (line := program.line()) is not None:
        lines.append(line)
        if wanted(line):
            return lines
    raise AssertionError(f"{lines} {program.stderr}")


def rest(program: Program) -> list[str]:
    lines: list[str] = []
    while (line := program.line()) is not None:
        lines.append(line)
    return lines


def running(line: str) -> bool:
    return "running" in line


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 0)])
@pytest.mark.rule("S3-46", "S3-66", "P33")
def test_it_says_each_change_and_a_signal_stops_the_child(number: signal.Signals, code: int, site: Site) -> None:
    # Unscaled: where nobody reaps orphans, the helper's end is waited for as long as a scaled stop may take.
    with supervised(site, "--helper", HOLDFAST_TIME_SCALE="1") as program:
        begun = until(program, running)
        [[pid, _]] = site.pids
        assert [line.split()[1] for line in begun] == ["starting", "starting", "running"]
        assert begun[-1].endswith(f"pid {pid}")
        program.signal(number)
        assert [line.split()[1] for line in rest(program)] == ["stopping", "stopped"]
        assert program.exit_code() == code
        assert program.stderr == ""
    assert not site.alive()


@pytest.mark.rule("S3-33", "S3-66")
def test_json_lines_tell_of_a_dead_child_and_of_the_next_one(site: Site) -> None:
    with supervised(site, flags=("--json",)) as program:
        first = _status(until(program, running)[-1])
        assert first.pid is not None
        assert (first.owns_process, first.attempts) == (True, 0)
        os.kill(first.pid, signal.SIGKILL)
        mended = [_status(line) for line in until(program, running)]
        assert mended[0].state is ProcessState.RECONNECTING
        assert "code=-9" in mended[0].last_error
        assert (mended[-1].pid, mended[-1].attempts) == (site.pids[1][0], 1)
        program.signal(signal.SIGTERM)
        assert _status(rest(program)[-1]) == ProcessStatus(state=ProcessState.STOPPED)
        assert program.exit_code() == 0


def _status(line: str) -> ProcessStatus:
    return msgspec.json.decode(line, type=ProcessStatus)


@pytest.mark.rule("S3-08", "S3-44")
def test_a_second_one_uses_the_gateway_that_is_there(site: Site) -> None:
    with supervised(site) as first:
        until(first, running)
        with supervised(site) as second:
            assert until(second, running)[-1].endswith("was there already")
            second.signal(signal.SIGTERM)
            assert second.exit_code() == 0
        assert site.alive() == site.pids[0]
        first.signal(signal.SIGTERM)
        assert first.exit_code() == 0
    assert len(site.pids) == 1
    assert not site.alive()


@pytest.mark.rule("S3-14", "S3-68", "P60")
def test_one_that_never_starts_is_told_in_its_own_words_without_its_secrets(site: Site) -> None:
    words = ("--fail-first", "9", "--code", "7", "--words", f"no {SECRET} today", "--token", SECRET)
    with supervised(site, *words, flags=("-v",)) as program:
        lines = rest(program)
        assert program.exit_code() == 1
        assert "error" in lines[-1]
        assert "(code=7): no [redacted] today" in lines[-1]
        assert program.stderr.splitlines()[-1].startswith("holdfast: ")
        assert "--token [redacted]" in program.stderr
        assert SECRET not in program.stderr + "".join(lines)
    assert len(site.pids) == 3


@pytest.mark.rule("P33")
def test_a_reader_that_goes_away_ends_it(site: Site) -> None:
    reading, writing = os.pipe()
    with supervised(site, stdout=writing) as program:
        os.close(writing)
        with os.fdopen(reading) as lines:
            while not running(lines.readline()):
                pass
        os.kill(site.pids[0][0], signal.SIGKILL)
        assert program.exit_code() == 0
    assert not site.alive()


@pytest.mark.rule("P33")
def test_a_terminal_that_is_closed_leaves_no_child(site: Site) -> None:
    reading, writing = pty.openpty()
    with supervised(site, stdout=writing) as program:
        os.close(writing)
        with os.fdopen(reading) as lines:
            assert f"gateway on port {site.port}. Ctrl-C ends it." in lines.readline()
            while not running(lines.readline()):
                pass
        program.signal(signal.SIGHUP)
        program.exit_code()
    assert not site.alive()


@pytest.mark.rule("S3-22")
def test_openclaw_needs_no_command_and_gets_its_token(site: Site) -> None:
    """And no other variable of its kind: those of an OpenClaw around us are not meant for this one."""
    program = site.folder / "openclaw"
    given = site.folder / "given"
    program.write_text(
        f'#!/bin/sh\necho "$* $OPENCLAW_GATEWAY_TOKEN $OPENCLAW_HOME" > {given}\n'
        f'exec {sys.executable} {SCRIPT} --port "$4" --runs {site.runs}\n'
    )
    program.chmod(0o700)
    variables = {
        "PATH": f"{site.folder}{os.pathsep}{os.environ['PATH']}", "TMPDIR": str(site.folder),
        "OPENCLAW_GATEWAY_TOKEN": SECRET, "OPENCLAW_HOME": "elsewhere",
    }  # fmt: skip
    arguments = ("gateway", "--profile", "openclaw", "--port", str(site.port), "-v")
    with Program(*arguments, env=environment() | variables) as found:
        until(found, running)
        found.signal(signal.SIGTERM)
        assert found.exit_code() == 0
        assert SECRET not in found.stderr
    said = given.read_text().split()
    assert said == [*f"gateway run --port {site.port} --bind loopback --allow-unconfigured".split(), SECRET]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--port", "18789"), "name the gateway's command"),
        (("--port", "0", "--", "gateway"), "0 is no port"),
        (("--port", "65536", "--profile", "openclaw"), "65536 is no port"),
        (("--port", "18789", "--time-scale", "0", "gateway"), "finite number above zero"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(app, ["gateway", *arguments])
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
