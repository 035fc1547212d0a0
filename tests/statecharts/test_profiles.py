"""The two profiles: what ``strict`` does not do any more, and that ``compat`` still has it, in the same chart."""

from itertools import pairwise

import pytest

from holdfast.engine import Stamp
from holdfast.statecharts import (
    COMPAT,
    STRICT,
    CredentialsChanged,
    Notify,
    OpenSocket,
    Policy,
    PostRefresh,
    Record,
    ResumeRequested,
    SettleRefresh,
    SocketFailed,
    plan,
)

from .harness import DAY, HOUR, MINUTE, WALL, Bench, credential
from .worlds import (
    answering_pings,
    failing_server,
    good_gateway,
    hesitating_gateway,
    refusing_gateway,
    rotating_server,
)

OUTAGE = "remote auth service unavailable"
PROFILES = pytest.mark.parametrize("policy", [STRICT, COMPAT], ids=["strict", "compat"])
COMPAT_WAITS = (1, 2, 4, 8, 16, 30, 30)


def waits(bench: Bench, dials: int) -> list[float]:
    """How long the account waits before each of the next dials, all of which fail."""
    found: list[float] = []
    for _ in range(dials):
        left = bench.left("retry")
        assert left is not None
        found.append(left)
        bench.fire("retry")
        bench.send(SocketFailed(bench.account.socket, "refused"))
    return found


# -- hours with far ends that misbehave ----------------------------------------------------------------------------


@pytest.mark.rule("S0-42", "S1-10", "V17", "V12")
def test_compat_a_server_that_rotates_and_a_gateway_that_rejects_after_a_tenth_of_a_second() -> None:
    """The interval holds first, then the cap, until the window is over."""
    bench = Bench(COMPAT)
    bench.world = hesitating_gateway() | rotating_server(bench)
    bench.read(credential())
    while bench.now < 1000 + HOUR:
        bench.advance(0.1)
        if bench.is_in("connection/dialing/awaiting_hello") and bench.left("hello_deadline") == pytest.approx(9.9):
            bench.refuse_now()
    posts = bench.times(PostRefresh)
    assert posts[:3] == pytest.approx([0.1, 331.6, 661.0])
    assert len(posts) == 11
    assert bench.is_in("credentials/configured")


@pytest.mark.rule("S0-43", "V11", "P12")
def test_compat_a_refresh_that_fails_for_an_hour_is_posted_twelve_times_over_157_dials() -> None:
    bench = Bench(COMPAT)
    bench.world = refusing_gateway() | failing_server()
    bench.read(credential())
    bench.advance(HOUR)
    assert bench.times(PostRefresh) == [0.0, *(331.0 + 300 * n for n in range(11))]
    assert bench.count(OpenSocket) == 157
    assert bench.is_in("credentials/configured")


@pytest.mark.rule("V11", "S0-43")
def test_strict_a_refresh_does_not_wait_for_dials() -> None:
    bench = Bench(chance=0.0)
    bench.world = refusing_gateway() | failing_server()
    bench.read(credential())
    bench.advance(HOUR)
    assert bench.times(PostRefresh)[:6] == [0, 30, 90, 210, 450, 750]


# -- the ladder and the cap ----------------------------------------------------------------------------------------


@pytest.mark.rule("S0-38", "V13")
@pytest.mark.parametrize("chance", [0.0, 0.999])
def test_compat_the_waits_have_no_jitter(chance: float) -> None:
    bench = Bench(COMPAT, chance=chance).live()
    bench.drop()
    assert waits(bench, 7) == pytest.approx(COMPAT_WAITS)


@pytest.mark.rule("S0-38", "V13")
def test_strict_half_of_each_wait_is_chance() -> None:
    for chance in (0.0, 0.999):
        bench = Bench(chance=chance).live()
        bench.drop()
        assert waits(bench, 7) == pytest.approx([wait / 2 * (1 + chance) for wait in COMPAT_WAITS])


@pytest.mark.rule("S0-35", "S0-36")
def test_compat_waits_and_new_tokens_are_one_streak() -> None:
    bench = Bench(COMPAT).live()
    bench.refuse_now("nonce mismatch")
    assert (bench.account.rotations, bench.account.rotations_since) == (1, bench.now)
    begin = bench.now
    bench.fire("retry")
    bench.refuse()
    bench.rotate()
    assert (bench.account.rotations, bench.account.rotations_since) == (2, begin)
    bench.pass_time(300)
    bench.refuse("nonce mismatch")
    assert bench.left("retry") == 4.0
    assert (bench.account.rotations, bench.account.rotations_since) == (1, bench.now)


@PROFILES
@pytest.mark.rule("V12", "S0-37")
def test_the_first_failure_after_ten_hours_of_health(policy: Policy) -> None:
    """Capped by what was ten hours ago, or not."""
    bench = Bench(policy, world=answering_pings()).dialing()
    for _ in range(3):
        bench.refuse()
        if bench.is_in("connection/held"):
            bench.rotate()
        else:
            bench.fire("retry")
    bench.reconnect()
    bench.advance(10 * HOUR)
    commands = bench.refuse_now()
    details = [one.detail for one in commands if isinstance(one, Record)]
    assert details == ["refresh-reconnect-capped" if policy is COMPAT else "hello-fail"]


@PROFILES
@pytest.mark.rule("V12", "P27")
def test_a_long_session_and_the_first_retry_after_it(policy: Policy) -> None:
    bench = Bench(policy, chance=0.0, world=answering_pings()).live()
    bench.drop()
    waits(bench, 5)
    bench.fire("retry")
    bench.reconnect()
    assert ("stable" in bench.timers) == (policy is STRICT)
    bench.advance(HOUR)
    bench.drop()
    assert bench.left("retry") == (1.0 if policy is COMPAT else 0.5)


@PROFILES
@pytest.mark.parametrize("code", [1005, 1006, 4001])
def test_compat_knows_no_floor_after_a_drop(policy: Policy, code: int) -> None:
    bench = Bench(policy, chance=0.0).live()
    bench.drop(code)
    assert bench.left("retry") == (1.0 if policy is COMPAT else 5.0)


# -- the first dial ------------------------------------------------------------------------------------------------


@PROFILES
@pytest.mark.rule("V08", "S0-30")
def test_an_outage_of_the_auth_service_at_the_first_dial(policy: Policy) -> None:
    """A wait, or the legacy teardown."""
    bench = Bench(policy).dialing()
    bench.refuse(OUTAGE)
    status = bench.status
    if policy is STRICT:
        assert bench.is_in("connection/backing_off")
        assert (status.configured, status.running) == (True, True)
        return
    assert bench.is_in("connection/offline", "credentials/refused")
    assert (status.connected, status.configured, status.running) == (False, False, False)
    assert [row.state for row in bench.sent(Record)] == ["auth_failed"]
    assert OpenSocket(2) in bench.send(CredentialsChanged(2, credential(2)))


@PROFILES
@pytest.mark.rule("V08")
def test_an_outage_after_a_session_is_a_wait_in_both(policy: Policy) -> None:
    bench = Bench(policy).live()
    bench.refuse_now(OUTAGE)
    assert bench.is_in("connection/backing_off", "credentials/configured")


FAILURES = ["open_deadline", "challenge_deadline", "refused", "closed", "generic"]


def fail_first(bench: Bench, how: str) -> None:
    """The first connection fails, and the token is not to blame."""
    bench.dialing(credential(refreshable=how != "generic"))
    if how == "refused":
        bench.send(SocketFailed(1, "connection refused"))
    elif how == "open_deadline":
        bench.fire(how)
    elif how == "challenge_deadline":
        bench.open()
        bench.fire(how)
    elif how == "closed":
        bench.shake()
        bench.drop(1006)
    else:
        bench.refuse("nonce mismatch")


@PROFILES
@pytest.mark.rule("V09", "S0-33", "P49")
@pytest.mark.parametrize("how", FAILURES)
def test_a_first_dial_that_fails(policy: Policy, how: str) -> None:
    """It is tried again, or left to a person who is told so."""
    bench = Bench(policy)
    fail_first(bench, how)
    status = bench.status
    assert (status.connected, status.configured) == (False, True)
    assert status.last_error
    if policy is STRICT:
        assert status.running
        assert bench.is_in("connection/backing_off")
        return
    assert bench.is_in("connection/parked/unreached")
    assert (status.running, status.state.value) == (False, "waiting")
    assert status.reason == "the first connection failed; resume to try again, or start anew"
    (told,) = bench.sent(Notify)
    assert told.text.endswith("Resume this account to try again, or start it anew.")
    bench.advance(HOUR)
    assert bench.count(OpenSocket) == 1
    assert bench.send(ResumeRequested()) == (OpenSocket(2),)


@pytest.mark.rule("V09")
def test_compat_once_connected_the_account_keeps_trying() -> None:
    bench = Bench(COMPAT).live()
    bench.drop()
    assert waits(bench, 7) == pytest.approx(COMPAT_WAITS)


@pytest.mark.rule("V09", "P33")
def test_a_parked_account_can_be_stopped_logged_out_and_paired_anew() -> None:
    for end, state in ((Bench.stop, "connection/stopped"), (Bench.log_out, "connection/offline")):
        bench = Bench(COMPAT)
        fail_first(bench, "refused")
        end(bench)
        assert bench.is_in(state)
    bench = Bench(COMPAT)
    fail_first(bench, "refused")
    assert OpenSocket(2) in bench.send(CredentialsChanged(2, credential(2)))


@pytest.mark.rule("V09", "P21")
def test_a_parked_account_is_resumed_with_a_fresh_token_if_the_old_one_expired() -> None:
    bench = Bench(COMPAT)
    fail_first(bench, "refused")
    bench.pass_time(DAY)
    assert bench.send(ResumeRequested()) == (PostRefresh(1, 1, "expired", 15.0),)
    assert OpenSocket(2) in bench.rotate()


# -- refreshing ----------------------------------------------------------------------------------------------------


@PROFILES
@pytest.mark.rule("V22", "S1-22")
def test_a_planned_refresh_that_fails_for_now(policy: Policy) -> None:
    """It is tried again on its ladder, or with the next session."""
    bench = Bench(policy, chance=0.5, world=answering_pings() | failing_server()).live()
    bench.advance(22 * HOUR)
    assert bench.count(PostRefresh) == 1
    assert bench.is_in("connection/online", "refresh/due" if policy is COMPAT else "refresh/waiting")
    bench.advance(HOUR)
    if policy is STRICT:
        assert bench.count(PostRefresh) > 10
        return
    assert bench.count(PostRefresh) == 1
    bench.drop()
    bench.fire("retry")
    bench.reconnect()
    assert bench.count(PostRefresh) == 2


@pytest.mark.rule("V22", "S1-07")
def test_compat_a_planned_refresh_that_was_skipped_waits_for_the_session_after() -> None:
    bench = Bench(COMPAT, world=answering_pings() | failing_server()).live()
    bench.advance(22 * HOUR)
    bench.drop()
    bench.fire("retry")
    bench.reconnect()
    assert bench.count(PostRefresh) == 1  # a second after the last one
    bench.advance(HOUR)
    assert bench.count(PostRefresh) == 1
    bench.drop()
    bench.fire("retry")
    bench.reconnect()
    assert bench.count(PostRefresh) == 2


@pytest.mark.rule("V11", "V22")
def test_compat_a_refresh_somebody_asked_for_in_vain_leaves_the_plan() -> None:
    bench = Bench(COMPAT, world=answering_pings()).live()
    bench.ask()
    bench.fail()
    assert bench.is_in("refresh/armed")
    assert "refresh_retry" not in bench.timers
    bench.advance(22 * HOUR)
    assert bench.count(PostRefresh) == 2


@pytest.mark.rule("V11", "P21", "P49")
def test_compat_an_expired_token_is_not_dialled_and_each_wait_ends_with_an_attempt_to_renew_it() -> None:
    bench = Bench(COMPAT, world=failing_server()).live()
    bench.pass_time(DAY)
    bench.drop()
    bench.advance(10 * MINUTE)
    assert bench.count(OpenSocket) == 1
    posts = bench.times(PostRefresh)
    assert len(posts) >= 10
    assert all(later - earlier >= 30 for earlier, later in pairwise(posts))
    bench.world |= rotating_server(bench) | good_gateway()
    bench.advance(MINUTE)
    assert bench.status.connected


@PROFILES
@pytest.mark.rule("V17", "S1-10")
def test_the_interval_between_posts_of_two_tokens(policy: Policy) -> None:
    bench = Bench(policy).live()
    bench.ask()
    bench.rotate()
    bench.pass_time(29.9)
    if policy is STRICT:
        assert bench.ask() == (PostRefresh(2, 2, "rest-401", 15.0),)
        return
    assert bench.ask() == (SettleRefresh("skipped", "min-interval"),)
    bench.pass_time(0.1)
    assert bench.ask() == (PostRefresh(2, 2, "rest-401", 15.0),)


@pytest.mark.rule("V19", "S1-24")
def test_compat_the_lead_may_be_longer_than_the_token_lives() -> None:
    for life, due in ((DAY, 22 * HOUR), (2 * HOUR, 90 * MINUTE), (31 * MINUTE, MINUTE), (20 * MINUTE, 0)):
        pair = credential(lifetime=life)
        for policy in (STRICT, COMPAT):
            schedule = plan(policy, pair, Stamp(0.0, WALL, 0.5))
            assert schedule is not None
            half = policy is STRICT and life < HOUR
            assert schedule.refresh_at - WALL == pytest.approx(life / 2 if half else due)


@pytest.mark.rule("V19")
def test_compat_jitter_is_five_minutes_whatever_the_lead() -> None:
    pair = credential(lifetime=2 * HOUR)
    schedule = plan(COMPAT, pair, Stamp(0.0, WALL, 0.0))
    assert schedule is not None
    assert schedule.refresh_at == WALL + 85 * MINUTE


@PROFILES
@pytest.mark.rule("V20")
def test_a_day_with_tokens_of_31_minutes(policy: Policy) -> None:
    """1,440 refreshes, or two in a lifetime."""
    bench = Bench(policy)
    bench.world = good_gateway() | rotating_server(bench, 31 * MINUTE)
    bench.read(credential(lifetime=31 * MINUTE))
    bench.advance(2 * HOUR)
    if policy is COMPAT:
        assert bench.count(PostRefresh) == 120
    else:
        assert bench.count(PostRefresh) <= 8


@pytest.mark.rule("V19", "P15")
def test_compat_a_token_of_20_minutes_is_renewed_at_once_and_then_no_more() -> None:
    bench = Bench(COMPAT)
    bench.world = good_gateway() | rotating_server(bench, 20 * MINUTE)
    bench.read(credential(lifetime=20 * MINUTE))
    bench.advance(10 * MINUTE)
    assert bench.count(PostRefresh) == 1


# -- numbers -------------------------------------------------------------------------------------------------------


@pytest.mark.rule("S0-01", "S1-01")
def test_the_numbers_of_compat() -> None:
    assert (COMPAT.rotations_max, COMPAT.rotations_window_s) == (3, 300.0)
    assert (COMPAT.backoff_base_s, COMPAT.backoff_cap_s, COMPAT.stable_s) == (1.0, 30.0, None)
    assert (COMPAT.refresh_interval_s, COMPAT.due_jitter_s) == (30.0, 300.0)
    assert (COMPAT.ping_s, COMPAT.pong_s, COMPAT.ack_s, COMPAT.close_s) == (30.0, None, 30.0, 5.0)


def test_what_a_profile_does_not_have_is_not_scaled_either() -> None:
    scaled = COMPAT.scaled(0.01)
    assert (scaled.stable_s, scaled.pong_s, scaled.ping_s) == (None, None, 0.3)
