"""``holdfast diagrams``."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from holdfast.cli.app import app


def draw(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["diagrams", *arguments])


def test_what_was_drawn_is_checked_until_it_changes(tmp_path: Path) -> None:
    pytest.importorskip("pygraphviz")
    out = ("--out", str(tmp_path / "out"))
    drawn = draw(*out)
    assert drawn.exit_code == 0
    paths = [Path(line) for line in drawn.stdout.splitlines()]
    assert tmp_path / "out" / "account" / "account.svg" in paths
    assert all(path.stat().st_size for path in paths)
    assert draw(*out, "--check").exit_code == 0
    (tmp_path / "out" / "account" / "refresh.dot").write_text("digraph {}")
    checked = draw(*out, "--check")
    assert checked.exit_code == 1
    assert checked.stdout == f"stale: {tmp_path / 'out' / 'account' / 'refresh.dot'}\n"
    assert (tmp_path / "out" / "account" / "refresh.dot").read_text() == "digraph {}"


def test_without_graphviz_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    drawn = draw("--out", str(tmp_path))
    assert drawn.exit_code == 2
    assert "pip install 'holdfast[diagrams]'" in drawn.stderr
    assert drawn.stderr.count("\n") == 1


def test_an_out_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    drawn = draw("--out", str(tmp_path / "file"))
    assert drawn.exit_code == 1
    assert drawn.stderr.startswith("holdfast: ")
    assert drawn.stderr.count("\n") == 1
