"""Every module imports on its own, and every example in a docstring does what it says."""

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import holdfast


def _modules() -> Iterator[str]:
    # The first entry only: in a checkout the second one is the repository root, with the tests in it.
    facade = pkgutil.walk_packages(list(holdfast.__path__)[:1], "holdfast.")
    yield from (found.name for found in facade)
    for name in ("holdfast.engine", "holdfast.statecharts", "holdfast.adapters", "holdfast.diagrams"):
        yield name
        yield from (found.name for found in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."))


@pytest.mark.parametrize("name", sorted(name for name in set(_modules()) if not name.endswith("__main__")))
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
