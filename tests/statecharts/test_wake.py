"""After a laptop's sleep: whatever was true before is checked, by both kinds of clock, and nothing storms."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from holdfast.statecharts import COMPAT, STRICT, OpenSocket, Policy, Ponged, PostRefresh, SendPing

from .harness import DAY, HOUR, MINUTE, Bench, credential
from .worlds import answering_pings, dead_gateway, failing_server, good_gateway, rotating_server

PROFILES = pytest.mark.parametrize("policy", [STRICT, COMPAT], ids=["strict", "compat"])


def both_go_on(bench: Bench, seconds: float) -> None:
    """The monotonic clock goes on through suspend: timers are late."""
    bench.pass_time(seconds)


def monotonic_stands(bench: Bench, seconds: float) -> None:
    """The monotonic clock stands still: timers are punctual, and the wall clock has leapt."""
    bench.wall += seconds


SLEEPS = pytest.mark.parametrize("sleep", [both_go_on, monotonic_stands])
Sleep = Callable[[Bench, float], None]


@SLEEPS
@PROFILES
@pytest.mark.rule("P44", "P46")
def test_eight_hours_later_the_peer_has_five_seconds_to_answer(policy: Policy, sleep: Sleep) -> None:
    bench = Bench(policy).live()
    sleep(bench, 8 * HOUR)
    begin = bench.now
    assert bench.fire("ping_due") == (SendPing(1),)
    assert bench.is_in("heartbeat/verifying", "connection/online/live")
    assert bench.left("verify_deadline") == 5.0
    assert bench.status.connected  # unknown is not disconnected
    bench.fire("verify_deadline")
    assert bench.is_in("connection/backing_off")
    assert bench.now - begin <= policy.ping_s + 5
    assert bench.left("retry") == (1.0 if policy is COMPAT else 7.5)


@SLEEPS
@PROFILES
@pytest.mark.rule("P44", "P46")
def test_a_peer_that_answers_after_the_sleep_is_kept(policy: Policy, sleep: Sleep) -> None:
    bench = Bench(policy, world=answering_pings()).live()
    sleep(bench, 8 * HOUR)
    bench.advance(HOUR)
    assert bench.is_in("connection/online/live")
    assert (bench.count(OpenSocket), bench.count(PostRefresh)) == (1, 0)


@SLEEPS
@pytest.mark.rule("P44")
def test_asleep_while_a_pong_was_awaited(sleep: Sleep) -> None:
    bench = Bench().live()
    bench.fire("ping_due")
    sleep(bench, 8 * HOUR)
    bench.fire("pong_deadline")
    assert bench.is_in("heartbeat/verifying")
    bench.send(Ponged(1))
    assert bench.is_in("heartbeat/resting", "connection/online/live")


@SLEEPS
@pytest.mark.rule("P44", "P46")
def test_asleep_amid_the_probe_the_peer_gets_another(sleep: Sleep) -> None:
    """The probe proves nothing if we could not hear its answer."""
    bench = Bench().live()
    bench.fire("ping_due")
    bench.fire("pong_deadline")
    sleep(bench, 8 * HOUR)
    assert bench.fire("verify_deadline") == (SendPing(1),)
    assert bench.is_in("heartbeat/verifying", "connection/online/live")
    bench.fire("verify_deadline")
    assert bench.is_in("connection/backing_off")


@SLEEPS
@PROFILES
@pytest.mark.rule("P44", "P17")
def test_a_refresh_that_came_due_meanwhile_is_made_at_once_and_once(policy: Policy, sleep: Sleep) -> None:
    bench = Bench(policy)
    bench.world = good_gateway() | rotating_server(bench)
    bench.read(credential(age=15 * HOUR))
    bench.advance(MINUTE)
    sleep(bench, 8 * HOUR)
    bench.advance(policy.ping_s)
    assert bench.count(PostRefresh) == 1
    bench.advance(HOUR)
    assert (bench.count(PostRefresh), bench.count(OpenSocket)) == (1, 2)


@pytest.mark.rule("P44")
def test_the_plan_is_looked_at_when_the_heartbeat_notices_the_sleep() -> None:
    bench = Bench(world=answering_pings()).live()
    bench.advance(25)
    monotonic_stands(bench, 8 * HOUR)
    assert bench.left("refresh_look") == pytest.approx(35)
    bench.fire("ping_due")
    assert bench.left("refresh_look") == 60.0
    monotonic_stands(bench, 15 * HOUR)
    bench.fire("ping_due")
    assert bench.left("refresh_look") == 0.0


@SLEEPS
@PROFILES
@pytest.mark.rule("P44", "P21")
def test_a_token_that_expired_meanwhile_is_refreshed_before_it_is_dialled(policy: Policy, sleep: Sleep) -> None:
    bench = Bench(policy)
    bench.world = good_gateway() | rotating_server(bench)
    bench.read(credential())
    bench.drop(1000)
    sleep(bench, DAY)
    bench.fire("retry")
    assert (bench.count(PostRefresh), bench.count(OpenSocket)) == (1, 2)
    assert bench.account.presented == 2


@SLEEPS
@PROFILES
@pytest.mark.rule("P44", "P26")
def test_there_is_no_storm_after_a_sleep(policy: Policy, sleep: Sleep) -> None:
    """Offline, with the network not yet up: one dial, and then the ladder."""
    bench = Bench(policy, chance=0.0, world=good_gateway()).live()
    bench.world = dead_gateway() | failing_server()
    bench.drop(1000)
    bench.fire("retry")
    begin = bench.count(OpenSocket)
    sleep(bench, 8 * HOUR)
    bench.advance(MINUTE)
    assert bench.count(OpenSocket) - begin <= 7
    dials = bench.times(OpenSocket)[begin:]
    assert all(later - earlier >= 0.5 for earlier, later in pairwise(dials))
    assert bench.timers.count("retry") <= 1


@PROFILES
@pytest.mark.rule("P44")
@pytest.mark.parametrize(("step", "probes"), [(31.0, True), (29.0, False), (-31.0, True), (-29.0, False)])
def test_a_step_of_the_wall_clock(policy: Policy, step: float, probes: bool) -> None:
    """It cannot be told from a sleep, and a probe harms nobody. A small one is no sleep."""
    bench = Bench(policy).live()
    bench.pass_time(5)
    bench.wall += step
    bench.fire("ping_due")
    usual = "heartbeat/pinging" if policy.pong_s is not None else "heartbeat/resting"
    assert bench.is_in("heartbeat/verifying" if probes else usual)


@pytest.mark.rule("P44")
def test_steps_that_are_small_do_not_add_up() -> None:
    bench = Bench(world=answering_pings()).live()
    for _ in range(10):
        bench.wall += 29
        bench.fire("ping_due")
        assert not bench.is_in("heartbeat/verifying")


@pytest.mark.rule("P44")
def test_while_offline_no_timer_watches_the_clocks() -> None:
    bench = Bench().dialing(credential(refreshable=False))
    bench.refuse()
    assert bench.timers == []
