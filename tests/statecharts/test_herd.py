"""A thousand accounts lose the same gateway at the same moment: they do not come back at the same moment."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from holdfast.engine import Event, Stamp, TimerFired, start, step
from holdfast.statecharts import (
    STRICT,
    Account,
    Challenged,
    CredentialsRead,
    HelloAccepted,
    RefreshFailed,
    RefreshRequested,
    SocketClosed,
    SocketFailed,
    SocketOpened,
    account_chart,
)

from .harness import WALL, credential

HERD = 1000
LADDER = (1, 2, 4, 8, 16, 30, 30, 30)


class Sheep:
    """An account with a seed of its own. What it knows of time is how long it would wait."""

    def __init__(self, seed: int) -> None:
        self.draws = random.Random(seed)
        self.snapshot, _ = start(account_chart, Account(policy=STRICT), self.stamp())
        self.hear(CredentialsRead(1, credential()), SocketOpened(1), Challenged(1, "nonce"), HelloAccepted(1))

    def stamp(self) -> Stamp:
        return Stamp(1000.0, WALL, self.draws.random())

    def hear(self, *events: Event) -> None:
        for event in events:
            self.snapshot, _ = step(account_chart, self.snapshot, event, self.stamp())

    def wait(self, timer: str) -> float:
        return next(armed.due - 1000.0 for armed in self.snapshot.timers if armed.timer == timer)

    def go_on(self, timer: str) -> None:
        """The wait is over."""
        self.hear(next(TimerFired(armed.timer, armed.serial) for armed in self.snapshot.timers if armed.timer == timer))


def is_spread(waits: Sequence[float], shortest: float, longest: float) -> bool:
    """No tenth of the window holds more than twice its share, and all of it is used."""
    width = (longest - shortest) / 10
    tenths = Counter(int((wait - shortest) / width) for wait in waits)
    return set(tenths) == set(range(10)) and max(tenths.values()) <= 2 * len(waits) / 10


@pytest.mark.rule("P29", "P30")
@pytest.mark.parametrize(("code", "first"), [(1000, 1.0), (1006, 10.0), (4001, 10.0)])
def test_at_no_step_of_the_ladder_do_a_thousand_dial_together(code: int, first: float) -> None:
    herd = [Sheep(seed) for seed in range(HERD)]
    for sheep in herd:
        sheep.hear(SocketClosed(1, code))
    for dial, step_s in enumerate((first, *LADDER[1:]), 2):
        assert is_spread([sheep.wait("retry") for sheep in herd], step_s / 2, step_s)
        for sheep in herd:
            sheep.go_on("retry")
            sheep.hear(SocketFailed(dial, "refused"))


@pytest.mark.rule("P29", "P39")
def test_nor_do_they_when_the_server_told_all_of_them_the_same() -> None:
    herd = [Sheep(seed) for seed in range(HERD)]
    for sheep in herd:
        sheep.hear(SocketClosed(1, 1000))
        sheep.go_on("retry")
        sheep.hear(SocketFailed(2, "HTTP 503", 60.0))
    assert is_spread([sheep.wait("retry") for sheep in herd], 61.0, 62.0)


@pytest.mark.rule("P29", "V11")
def test_nor_do_they_refresh_together() -> None:
    herd = [Sheep(seed) for seed in range(HERD)]
    for sheep in herd:
        sheep.hear(RefreshRequested("rest-401"), RefreshFailed(1, "", "HTTP 503"))
    assert is_spread([sheep.wait("refresh_retry") for sheep in herd], 30.0, 45.0)
