"""The examples of the engine's page do what the page says."""

import doctest
from pathlib import Path


def test_the_engines_page() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "engine.md"
    assert doctest.testfile(str(page), module_relative=False, encoding="utf-8").failed == 0
