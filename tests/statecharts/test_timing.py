"""When a token is due: the arithmetic, over any lifetime and any clock."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.engine import Stamp
from holdfast.statecharts import STRICT, Credential, PostRefresh, Schedule, plan

from .harness import DAY, HOUR, MINUTE, WALL, Bench, credential
from .worlds import good_gateway, rotating_server

YEAR = 365 * DAY
MIDDLE = 0.5  # the draw that gives no jitter
chances = st.floats(0, 1, exclude_max=True)


def planned(pair: Credential, chance: float = MIDDLE, now: float = 1000.0) -> Schedule:
    schedule = plan(STRICT, pair, Stamp(now, WALL, chance))
    assert schedule is not None
    return schedule


@pytest.mark.parametrize(
    ("lifetime", "due"),
    [
        pytest.param(24 * HOUR, 22 * HOUR, marks=pytest.mark.rule("S1-25")),
        pytest.param(2 * HOUR, 90 * MINUTE, marks=pytest.mark.rule("S1-26")),
        pytest.param(8 * HOUR, 6 * HOUR, marks=pytest.mark.rule("S1-27")),
        pytest.param(4 * HOUR, 3 * HOUR, marks=pytest.mark.rule("S1-24")),
        pytest.param(31 * MINUTE, 15.5 * MINUTE, marks=pytest.mark.rule("V19", "V20")),
        pytest.param(10 * MINUTE, 5 * MINUTE, marks=pytest.mark.rule("V19")),
        pytest.param(30 * DAY, 30 * DAY - 2 * HOUR, marks=pytest.mark.rule("V21")),
    ],
)
def test_the_lead(lifetime: float, due: float) -> None:
    schedule = planned(credential(lifetime=lifetime))
    assert schedule.refresh_at == schedule.near_at == WALL + due
    assert schedule.expires_at == WALL + lifetime


@pytest.mark.rule("S1-24", "V19")
def test_jitter_is_five_minutes_and_at_most_a_tenth_of_the_lead() -> None:
    for lifetime, jitter in ((24 * HOUR, 5 * MINUTE), (2 * HOUR, 3 * MINUTE), (HOUR, 3 * MINUTE), (10 * MINUTE, 30)):
        usual = planned(credential(lifetime=lifetime)).refresh_at
        assert planned(credential(lifetime=lifetime), 0.0).refresh_at == pytest.approx(usual - jitter)
        assert planned(credential(lifetime=lifetime), 0.999_999_9).refresh_at == pytest.approx(usual + jitter, abs=0.01)


@pytest.mark.rule("S1-28")
def test_a_token_that_does_not_say_when_it_was_issued_counts_as_a_day_old_one() -> None:
    schedule = planned(Credential(generation=1, expires_at=WALL + 10 * HOUR, refreshable=True))
    assert schedule.expires_at - schedule.refresh_at == 2 * HOUR


@pytest.mark.rule("S1-29")
def test_an_unreadable_token_lasts_a_day_from_its_pairing() -> None:
    schedule = planned(Credential(generation=1, obtained_at=WALL - HOUR, refreshable=True))
    assert schedule.expires_at == WALL - HOUR + DAY


@pytest.mark.rule("S1-30")
def test_with_nothing_known_nothing_is_planned() -> None:
    opaque = Credential(generation=1, refreshable=True)
    assert plan(STRICT, opaque, Stamp(0, WALL)) is None
    bench = Bench().live(opaque)
    assert bench.is_in("refresh/idle")
    assert bench.left("refresh_look") is None
    bench.refuse_now("nonce mismatch")
    assert bench.is_in("connection/backing_off")  # never near its expiry


@pytest.mark.rule("S0-07")
def test_of_a_configured_token_only_its_own_expiry_is_known() -> None:
    configured = Credential(generation=1, issued_at=WALL - HOUR, expires_at=WALL + HOUR, refreshable=True)
    assert planned(configured).expires_at == WALL + HOUR
    assert plan(STRICT, Credential(generation=1, refreshable=True), Stamp(0, WALL)) is None


@pytest.mark.rule("V19", "V20", "P15", "P16")
@given(st.floats(2, 10 * YEAR), chances)
@example(2.0, 0.0)
@example(31 * MINUTE, 0.0)
@example(10 * YEAR, 0.0)
def test_the_refresh_lies_between_issue_and_expiry(lifetime: float, chance: float) -> None:
    schedule = planned(credential(lifetime=lifetime), chance)
    assert all(map(math.isfinite, (schedule.near_at, schedule.refresh_at, schedule.expires_at)))
    slack = 1e-5  # of a sum with an epoch time
    assert WALL + 0.1 * lifetime - slack <= schedule.refresh_at < WALL + lifetime
    assert WALL + lifetime - schedule.refresh_at >= 0.4 * min(lifetime, HOUR) - slack


@pytest.mark.rule("P15")
@given(st.floats(-DAY, 2), chances)
@example(0.0, 0.0)
def test_an_absurdly_short_token_is_planned_a_second_ahead(lifetime: float, chance: float) -> None:
    schedule = planned(credential(lifetime=lifetime), chance)
    assert WALL + 0.9 <= schedule.refresh_at <= WALL + 2


@pytest.mark.rule("P16", "V20")
@given(st.floats(2, 10 * YEAR), st.floats(0, 1, exclude_max=True))
@example(31 * MINUTE, 0.0)
@example(30 * MINUTE, 0.0)
def test_at_most_two_refreshes_in_a_lifetime(lifetime: float, chance: float) -> None:
    pair, refreshes = credential(lifetime=lifetime), 0
    moment = planned(pair, chance).refresh_at
    while moment <= WALL + lifetime and refreshes < 5:
        refreshes += 1
        pair = credential(1 + refreshes, lifetime=lifetime, wall=moment)
        schedule = plan(STRICT, pair, Stamp(0, moment, chance))
        assert schedule is not None
        moment = schedule.refresh_at
    assert 1 <= refreshes <= 2


@pytest.mark.rule("V21", "P15")
def test_a_token_of_ten_years_is_renewed_once_at_its_time() -> None:
    lifetime = 10 * YEAR
    bench = Bench().live(credential(lifetime=lifetime))
    left = bench.left("refresh_look")
    assert left is not None
    assert left <= 60
    bench.pass_time(lifetime - 3 * HOUR)
    assert bench.fire("refresh_look") == ()
    bench.pass_time(HOUR)
    assert bench.fire("refresh_look") == (PostRefresh(1, 1, "proactive", 15.0),)


@pytest.mark.rule("V18", "V21", "P15")
@given(st.floats(2, 10 * YEAR), chances)
def test_no_look_is_further_off_than_a_slice(lifetime: float, chance: float) -> None:
    bench = Bench(chance=chance).dialing(credential(lifetime=lifetime))
    left = bench.left("refresh_look")
    assert left is not None
    assert 0 <= left <= STRICT.slice_s


@pytest.mark.rule("P15")
def test_a_token_of_no_lifetime_makes_no_immediate_loop() -> None:
    bench = Bench()
    bench.world = good_gateway() | rotating_server(bench, lifetime=0.0)
    bench.read(credential(lifetime=0.0))
    bench.advance(MINUTE)
    assert bench.count(PostRefresh) <= 122


# -- clocks that lie ---------------------------------------------------------------------------------------------


@pytest.mark.rule("V18", "P17")
@given(st.floats(-DAY, DAY), st.floats(0, 20 * HOUR))
@example(-HOUR, HOUR)
@example(DAY, HOUR)
def test_a_step_of_the_wall_clock_costs_at_most_one_more_refresh(step: float, after: float) -> None:
    bench = Bench()
    bench.world = good_gateway() | rotating_server(bench)
    bench.read(credential())
    bench.pass_time(after)
    bench.wall += step
    bench.advance(2 * MINUTE)
    assert bench.count(PostRefresh) <= 1
    bench.pass_time(DAY)
    bench.advance(HOUR)
    assert 1 <= bench.count(PostRefresh) <= 2


@pytest.mark.rule("V18", "P17")
@given(st.floats(-DAY, DAY))
def test_the_interval_is_not_told_by_the_wall_clock(step: float) -> None:
    bench = Bench().live()
    bench.ask()
    bench.fail()
    bench.wall += step
    bench.pass_time(STRICT.refresh_interval_s - 1)
    bench.ask()
    assert bench.count(PostRefresh) == 1
    bench.pass_time(1)
    bench.ask()
    assert bench.count(PostRefresh) == 2


@pytest.mark.rule("P17")
@given(st.floats(-DAY, DAY))
def test_a_far_clock_that_differs_from_ours_moves_nothing(skew: float) -> None:
    issued = WALL + skew
    pair = Credential(generation=1, issued_at=issued, expires_at=issued + DAY, obtained_at=WALL, refreshable=True)
    left = planned(pair).refresh_at - WALL
    assert 22 * HOUR - 0.1 * DAY <= left <= 22 * HOUR


@pytest.mark.rule("P17")
def test_a_snapshot_restored_under_an_older_clock_does_not_wait_for_it() -> None:
    bench = Bench().live()
    bench.ask()
    bench.fail()
    bench.now = 5.0  # a machine that was started anew
    bench.ask()
    assert bench.count(PostRefresh) == 2
