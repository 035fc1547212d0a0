"""A place to run gateways at."""

from pathlib import Path

import pytest

from .kit import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)
