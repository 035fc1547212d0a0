"""The gateway that the tests of this folder talk to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .real import RealGateway, Unavailable, only_one

TOKEN = "shared-token-of-the-live-tests"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    """A running one, which ends with the file: there is memory for one. Without it its tests are skipped."""
    folder: Path = tmp_path_factory.mktemp("openclaw")
    try:
        with only_one():
            found = RealGateway(folder, TOKEN)
            found.start()
            try:
                yield found
            finally:
                found.stop()
    except Unavailable as error:
        pytest.skip(f"no OpenClaw gateway here: {error}")
