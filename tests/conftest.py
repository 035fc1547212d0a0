"""What every test gets: the asyncio backend, and Hypothesis without wall-clock judgements."""

import os

import pytest
from hypothesis import HealthCheck, settings

# No deadline and no "too slow" check: how long an example takes says more about the machine than about the code.
settings.register_profile("default", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
# The same commit gives the same answer. Looking for new examples is the work of everybody's local runs.
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture
def anyio_backend() -> str:
    """Run ``@pytest.mark.anyio`` tests on asyncio, the loop that the adapters are written for."""
    return "asyncio"
