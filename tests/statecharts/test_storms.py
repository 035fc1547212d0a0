"""Hours with far ends that misbehave: nothing loops, nothing is given up that could recover."""

import itertools

import pytest

from holdfast.statecharts import STRICT, Authenticate, OpenSocket, PostRefresh

from .harness import DAY, HOUR, MINUTE, Bench, credential
from .worlds import (
    World,
    dead_gateway,
    failing_server,
    faithful_store,
    good_gateway,
    refusing_gateway,
    rotating_server,
    shortest_ladder,
    slamming_gateway,
)

CHANCES = [0.0, 0.5, 0.999]


def ladder(seconds: float) -> int:
    return shortest_ladder(STRICT.backoff_base_s, STRICT.backoff_cap_s, seconds)


@pytest.mark.rule("P25", "P26")
@pytest.mark.parametrize("chance", CHANCES)
@pytest.mark.parametrize("world", [dead_gateway(), slamming_gateway(), refusing_gateway("nonce mismatch")])
def test_no_gateway_is_dialled_more_often_than_the_ladder_says(world: World, chance: float) -> None:
    bench = Bench(chance=chance, world=world).dialing()
    for hour in range(1, 4):
        bench.advance(HOUR)
        assert bench.count(OpenSocket) <= ladder(hour * HOUR) + 1
    assert bench.is_in("credentials/configured", "connection/backing_off")


@pytest.mark.rule("P25", "P27")
def test_only_a_session_of_thirty_seconds_clears_the_ladder() -> None:
    bench = Bench(world=good_gateway())
    bench.read(credential())
    for _ in range(6):
        bench.advance(29)
        bench.drop()
        bench.fire("retry")
    assert bench.account.depth == 6
    bench.advance(31)
    bench.drop()
    assert bench.left("retry") == 0.75


@pytest.mark.rule("P25", "P26")
def test_sessions_that_end_as_soon_as_they_cleared_the_ladder_cost_no_more_dials_than_its_cap() -> None:
    """So a gateway that flaps in step with us needs no rule of its own."""
    assert STRICT.stable_s == STRICT.backoff_cap_s
    bench = Bench(chance=0.0, world=good_gateway())
    bench.read(credential())
    while bench.now < 1000 + HOUR:
        bench.advance(STRICT.backoff_cap_s)
        bench.drop()
        bench.fire("retry")
    assert bench.count(OpenSocket) <= 1 + HOUR / STRICT.backoff_cap_s


@pytest.mark.rule("S0-42", "P28")
def test_a_server_that_rotates_and_a_gateway_that_rejects() -> None:
    """Three refreshes in five minutes, each followed by a dial with its new token; between them, the ladder."""
    bench = Bench(chance=0.5)
    bench.world = refusing_gateway() | rotating_server(bench)
    bench.read(credential())
    bench.advance(HOUR)
    posts = bench.times(PostRefresh)
    assert posts[:3] == [0.0, 0.0, 0.0]
    assert all(later - earlier >= 300 for earlier, later in zip(posts, posts[3:], strict=False))
    assert 3 * 9 <= len(posts) <= 3 * 12
    assert bench.count(OpenSocket) <= ladder(HOUR) + 1 + len(posts)
    assert bench.is_in("credentials/configured")


@pytest.mark.rule("P28")
def test_a_token_that_was_refused_is_not_dialled_again_at_once() -> None:
    bench = Bench(chance=0.0)
    bench.world = refusing_gateway() | rotating_server(bench)
    bench.read(credential())
    bench.advance(HOUR)
    tries = [(at, one.generation) for at, one in bench.journal if isinstance(one, Authenticate)]
    for (before, former), (at, generation) in itertools.pairwise(tries):
        assert generation > former or at - before >= 0.5


@pytest.mark.rule("S0-43", "V11", "P12", "P14")
@pytest.mark.parametrize("code", ["", "1"])
def test_a_refresh_server_that_fails_and_a_gateway_that_rejects(code: str) -> None:
    bench = Bench(chance=0.0)
    bench.world = refusing_gateway() | failing_server(code)
    bench.read(credential())
    bench.advance(HOUR)
    assert bench.times(PostRefresh)[:6] == [0, 30, 90, 210, 450, 750]
    assert bench.count(OpenSocket) <= ladder(HOUR) + 1
    assert bench.is_in("credentials/configured")


@pytest.mark.rule("P14")
def test_a_dead_token_is_posted_once() -> None:
    bench = Bench()
    bench.world = refusing_gateway() | failing_server("10003") | faithful_store(bench)
    bench.read(credential())
    bench.advance(DAY)
    assert (bench.count(PostRefresh), bench.count(OpenSocket)) == (1, 1)
    assert bench.is_in("credentials/logged_out", "connection/offline")


@pytest.mark.rule("P20")
def test_renewals_that_bring_nothing_new_keep_to_the_ladder() -> None:
    bench = Bench(chance=0.0)
    bench.world = refusing_gateway() | rotating_server(bench, changed=False)
    bench.read(credential())
    bench.advance(HOUR)
    assert bench.count(PostRefresh) <= 15
    assert bench.count(OpenSocket) <= ladder(HOUR) + 1


@pytest.mark.rule("V20", "P16")
@pytest.mark.parametrize("chance", CHANCES)
@pytest.mark.parametrize("lifetime", [5 * MINUTE, 31 * MINUTE, 2 * HOUR, DAY])
def test_a_quiet_account_refreshes_at_most_twice_a_lifetime(lifetime: float, chance: float) -> None:
    bench = Bench(chance=chance)
    bench.world = good_gateway() | rotating_server(bench, lifetime)
    bench.read(credential(lifetime=lifetime))
    bench.advance(lifetime)
    assert 1 <= bench.count(PostRefresh) <= 2
    assert bench.status.connected


@pytest.mark.rule("P13", "P21")
def test_when_all_is_well_again_the_account_comes_back_by_itself() -> None:
    bench = Bench()
    bench.world = refusing_gateway() | failing_server()
    bench.read(credential(lifetime=HOUR))
    bench.advance(DAY)
    assert not bench.status.connected
    bench.world |= good_gateway() | rotating_server(bench)
    bench.advance(10 * MINUTE)
    assert bench.status.connected
