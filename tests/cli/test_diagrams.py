"""``holdfast diagrams``: writes the pictures, and tells which are stale."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli.app import app

runner = CliRunner()


@pytest.mark.skipif(find_spec("pygraphviz") is None, reason="needs the diagrams extra")
def test_what_was_drawn_is_current_until_it_is_changed(tmp_path: Path) -> None:
    drawn = runner.invoke(app, ["diagrams", "--out", str(tmp_path)])
    assert drawn.exit_code == 0
    assert str(tmp_path / "account" / "connection.png") in drawn.output.replace("\n", "")
    assert runner.invoke(app, ["diagrams", "--out", str(tmp_path), "--check"]).exit_code == 0
    (tmp_path / "account" / "mirror.dot").write_text("digraph {}")
    checked = runner.invoke(app, ["diagrams", "--out", str(tmp_path), "--check"])
    assert checked.exit_code == 1
    assert "mirror.dot" in checked.output


def test_without_graphviz_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    refused = runner.invoke(app, ["diagrams", "--out", str(tmp_path)])
    assert refused.exit_code == 2
    assert "holdfast[diagrams]" in refused.output
