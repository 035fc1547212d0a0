"""``holdfast demo``: the whole of it once, and what it says when something is not as expected."""

import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli import demo
from holdfast.cli.app import app
from holdfast.cli.scenes import SCENES, Scene, pair
from holdfast.cli.stage import Stage

from .kit import Program, environment


def test_all_scenes_go_as_expected() -> None:
    with Program("demo", "--json", env=environment()) as program:
        report = json.loads(program.line() or "")
        assert program.line() is None
        assert program.exit_code() == 0
        assert program.stderr == ""
    assert report["ok"]
    assert [scene["title"] for scene in report["scenes"]] == [scene.title for scene in SCENES]
    for scene in report["scenes"]:
        assert scene["ok"]
        assert scene["checks"]
        assert all(check["ok"] for check in scene["checks"])


async def _disappointing(stage: Stage) -> None:
    stage.expect("pairings", 2, stage.since("pairings"))


async def _endless(stage: Stage) -> None:
    await stage.until("nothing to happen", lambda: False)


@pytest.mark.parametrize(
    ("play", "said"),
    [
        (_disappointing, "FAILED pairings: expected 2, seen 0"),
        (_endless, "FAILED waited 0.1 s for nothing to happen: expected it comes, seen nothing new"),
    ],
)
def test_what_is_not_as_expected_is_told_and_ends_it(
    play: Callable[[Stage], Awaitable[None]], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "SCENE_LIMIT_S", 0.1)
    monkeypatch.setattr(demo, "SCENES", (Scene("first", play), Scene("second", pair)))
    result = CliRunner().invoke(app, ["demo"], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert said in result.stdout
    assert result.stdout.count("which is removed at the end") == 1
    assert result.stdout.count("the policy's durations are scaled down, to 0.05 of what they are") == 1
    assert "the scene               played                  not played" in result.stdout
    assert "0 of 2 scenes went as expected" in result.stdout


def test_ctrl_c_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    with Program("demo", env=environment() | {"TMPDIR": str(tmp_path)}) as program:
        while "activate" not in (program.line() or "activate"):
            pass
        program.signal(signal.SIGINT)
        assert program.exit_code() == 130
        assert program.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_ends_it(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with Program("demo", env=environment() | {"TMPDIR": str(tmp_path)}, stdout=writing) as program:
        os.close(writing)
        os.read(reading, 10)
        os.close(reading)
        assert program.exit_code() == 1
        assert program.stderr == ""
    assert list(tmp_path.iterdir()) == []
