"""Whatever a server answers to the opening handshake: the socket could not be opened, and why, without a secret."""

from collections import Counter

import pytest

from holdfast.adapters import OpenError, WebSocketTransport

from ..adapters.peer import Ear
from ..link.kit import soon
from .answers import HEADERS, answered
from .corpus import envelope
from .harness import FRAGMENT, watched_logs
from .mutation import rng, shown
from .peer import http_server, ok

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("settled")]

SEED = 20260104
UPGRADE = (b"Upgrade: websocket", b"Connection: Upgrade")


async def dial_all(answers: list[bytes]) -> Counter[str]:
    """How often each problem was named."""
    problems, waiting = Counter[str](), iter(answers)
    with watched_logs() as logs:
        async with http_server(lambda head: next(waiting)) as url:
            for number, answer in enumerate(answers):
                try:
                    with pytest.raises(OpenError) as caught:
                        await soon(WebSocketTransport().open(url.replace("http", "ws", 1), Ear()))
                    assert FRAGMENT not in caught.value.problem
                    assert 0 <= caught.value.retry_after_s < float("inf")
                except BaseException as error:
                    error.add_note(f"seed {SEED}, answer {number}: {shown(answer)}")
                    raise
                problems[caught.value.problem] += 1
        assert logs.leaks == []
    assert next(waiting, None) is None
    return problems


def _answers(cases: int) -> list[bytes]:
    return [answered(rng(SEED, case), envelope("profile")) for case in range(cases)]


@pytest.mark.rule("P60")
async def test_odd_answers_to_a_dial() -> None:
    assert len(await dial_all(_answers(100))) > 3


@pytest.mark.slow
async def test_many_odd_answers_to_a_dial() -> None:
    assert len(await dial_all(_answers(1_500))) > 3


async def test_upgrades_that_are_none() -> None:
    statuses = (b"101 Switching Protocols", b"503 Later", b"302 Found")
    answers = [ok(b"", *UPGRADE, header, status=status) for status in statuses for header in HEADERS]
    assert (await dial_all(answers)).total() == len(answers)
