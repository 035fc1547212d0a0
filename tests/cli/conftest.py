"""One sandbox for all tests here that need no fresh one: starting a process is the slowest part of each."""

from collections.abc import Iterator

import pytest

from .kit import Sandbox


@pytest.fixture(scope="session")
def running() -> Iterator[Sandbox]:
    """A sandbox in a process of its own."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def gateway(running: Sandbox) -> Iterator[Sandbox]:
    """The sandbox, well-behaved again after each test. Each test has an account of its own."""
    yield running
    running.post("clear")
