"""Whatever an HTTP server answers: an outcome with a name, no secret in it, and nobody is logged out."""

import gzip
from collections import Counter
from itertools import product
from typing import Any, Final

import msgspec
import pytest

from holdfast import MemoryStore, connect
from holdfast.statecharts import STRICT
from holdfast.testing import VirtualClock

from ..link.kit import soon
from .answers import HEADERS, answered, chunked
from .corpus import REFUSALS, SECRET, envelope
from .gateway import MemoryGateway
from .harness import DIALECT, Books, paired, watched_logs
from .mutation import LONG, rng, shown
from .peer import http_server, ok
from .requests import REQUESTS, Server, asking

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("settled")]

SEED = 20260102


# -- each request by itself --------------------------------------------------------------------------------------------


async def ask_all(request: str, cases: int) -> Counter[str]:
    """How so many odd answers to this request were taken."""
    server, fates = Server(), Counter[str]()
    with watched_logs() as logs:
        async with asking(server) as (client, rest, url):
            for case in range(cases):
                chance = rng(SEED, case)
                document = envelope(request, 0 if chance.random() < 0.8 else chance.choice(REFUSALS))
                server.next = answered(chance, document)
                try:
                    fates[await soon(REQUESTS[request](client, rest, url))] += 1
                except BaseException as error:
                    error.add_note(f"{request}, seed {SEED}, case {case}: {shown(server.next)}")
                    raise
        assert logs.leaks == []
    assert fates.total() == cases <= server.asked
    return fates


@pytest.mark.rule("P60")
@pytest.mark.parametrize("request_", REQUESTS)
async def test_odd_answers(request_: str) -> None:
    fates = await ask_all(request_, 80)
    assert len(fates) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("request_", REQUESTS)
async def test_many_odd_answers(request_: str) -> None:
    fates = await ask_all(request_, 1_000)
    assert min(fates.values()) > 0
    assert fates.most_common(1)[0][1] < 1_000


@pytest.mark.parametrize("request_", REQUESTS)
async def test_a_good_answer_with_an_odd_header_and_a_redirect_with_one(request_: str) -> None:
    server = Server()
    async with asking(server) as (client, rest, url):
        for header, status in product(HEADERS, (b"200 OK", b"302 Found", b"503 Later")):
            server.next = ok(b'{"code":0,"data":{"access_token":"a-token"}}', header, status=status)
            assert await soon(REQUESTS[request_](client, rest, url))


# -- a link that refreshes ---------------------------------------------------------------------------------------------


EAGER: Final = msgspec.structs.replace(STRICT, refresh_interval_s=0.0, refresh_retries=False, retry_after_max_s=0.0)
"""Each refresh that is asked for is posted."""


async def refresh_all(clock: VirtualClock, answers: list[bytes]) -> Counter[str]:
    """The outcomes of refreshes that were answered so."""
    server, gateway, fates = Server(), MemoryGateway(), Counter[str]()
    async with http_server(server.answer) as url:
        link = connect(
            "ws://127.0.0.1:9/ws", base_url=url, dialect=DIALECT, clock=clock, transport=gateway, policy=EAGER,
            store=paired(MemoryStore()),
        )  # fmt: skip
        with watched_logs() as logs:
            async with link:
                books = Books(link, clock, logs)
                for number, server.next in enumerate(answers):
                    try:
                        await books.ready()
                        fates[(await soon(link.refresh())).outcome] += 1
                        assert link.status.configured
                    except BaseException as error:
                        error.add_note(f"seed {SEED}, answer {number}: {shown(server.next)}")
                        raise
                await books.settle(lambda: gateway.wires[-1])
    assert server.asked == len(answers)
    return fates


def _answers(cases: int) -> list[bytes]:
    """Every fourth refuses for now; the others have a new pair each."""
    return [answered(rng(SEED, case), _pair_or_not(case)) for case in range(cases)]


def _pair_or_not(case: int) -> dict[str, Any]:
    if case % 4 == 0:
        return envelope("refresh", 1)
    return {"code": 0, "data": {"access_token": f"{SECRET}-{case}", "refresh_token": f"refresh-of-{SECRET}-{case}"}}


async def test_a_link_outlives_odd_answers_to_its_refreshes(clock: VirtualClock) -> None:
    fates = await refresh_all(clock, _answers(30))
    assert set(fates) <= {"success", "transient"}


@pytest.mark.slow
async def test_a_link_outlives_many_odd_answers_to_its_refreshes(clock: VirtualClock) -> None:
    fates = await refresh_all(clock, _answers(2_000))
    assert set(fates) <= {"success", "transient"}
    assert fates["success"] > 50 < fates["transient"]


BOMB: Final = gzip.compress(b" " * 2 * LONG + b'{"code":10003,"message":"refused"}')
GOOD: Final = b'{"code":0,"data":{"access_token":"a-fresh-token","refresh_token":"another"}}'
REFUSED: Final = b'{"code":10003,"message":"refused"}'
TOO_MUCH: Final[dict[str, bytes]] = {
    "8 MiB of blanks before": ok(b" " * LONG + REFUSED),
    "8 MiB in a string": ok(b'{"message":"' + b"x" * LONG + b'",' + REFUSED[1:]),
    "8 MiB of length not true": ok(REFUSED).replace(b"Length: ", b"Length: 9"),
    "8 MiB of header": ok(REFUSED, b"X-Long: " + b"x" * LONG),
    "a compressed bomb": ok(BOMB, b"Content-Encoding: gzip"),
    "a bomb within a bomb": ok(gzip.compress(BOMB), b"Content-Encoding: gzip, gzip"),
    "broken gzip": ok(gzip.compress(REFUSED)[:-9], b"Content-Encoding: gzip"),
    "no gzip": ok(REFUSED, b"Content-Encoding: gzip"),
    "broken chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(REFUSED)[:-5],
    "chunks of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + REFUSED,
    "a refusal under another status": ok(REFUSED, status=b"500 Oops"),
    "nothing": b"",
}


@pytest.mark.parametrize("what", TOO_MUCH)
async def test_an_answer_that_is_too_long_or_broken_is_transient_and_never_a_logout(
    clock: VirtualClock, what: str
) -> None:
    assert await refresh_all(clock, [TOO_MUCH[what]]) == Counter(transient=1)


async def test_after_all_of_them_a_good_answer_is_taken(clock: VirtualClock) -> None:
    fates = await refresh_all(clock, [*TOO_MUCH.values(), ok(GOOD)])
    assert fates == Counter(transient=len(TOO_MUCH), success=1)
