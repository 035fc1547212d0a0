"""The refresh: one exchange at a time, its guards, its outcomes and its plan."""

import pytest

from holdfast.engine import Unhandled, dump, restore
from holdfast.statecharts import (
    CloseSocket,
    Credential,
    CredentialsChanged,
    CredentialsRead,
    LoadCredentials,
    OpenSocket,
    PostRefresh,
    Record,
    RefreshFailed,
    RefreshSucceeded,
    RefreshSuperseded,
    RotationHeld,
    RotationStored,
    RotationUnstored,
    SettleRefresh,
    StoreFailed,
    StoreRotation,
    UseCredential,
    account_chart,
)

from .harness import DAY, HOUR, MINUTE, Bench, credential
from .worlds import answering_pings, good_gateway, rotating_server

POST = PostRefresh(1, 1, "rest-401", 15.0)


def skipped(reason: str) -> tuple[SettleRefresh, ...]:
    return (SettleRefresh("skipped", reason),)


def held(bench: Bench) -> RotationHeld:
    """The server rotated, and the store refuses the pair."""
    return RotationHeld(bench.account.refresh, credential(2, wall=bench.wall), "disk full")


# -- asking ------------------------------------------------------------------------------------------------------


@pytest.mark.rule("S1-02", "S0-49", "P01")
def test_three_callers_share_one_exchange_and_its_outcome() -> None:
    bench = Bench().live()
    assert bench.ask() == (POST,)
    assert bench.ask() == bench.ask() == ()
    bench.rotate()
    assert bench.count(PostRefresh) == 1
    assert bench.sent(SettleRefresh) == [SettleRefresh("success")]


@pytest.mark.rule("S1-03", "V23")
def test_after_a_stop_a_refresh_is_skipped_as_stopped() -> None:
    bench = Bench().live()
    bench.stop()
    assert bench.is_in("connection/closing", "refresh/stopped")
    assert bench.ask() == skipped("stopped")
    assert bench.count(PostRefresh) == 0


@pytest.mark.rule("S1-03", "V23")
def test_while_the_last_exchange_is_ending_a_refresh_is_skipped_as_stopped() -> None:
    bench = Bench().live()
    bench.ask()
    assert bench.stop()[0] == SettleRefresh("skipped", "stopped")
    assert bench.ask() == skipped("stopped")


def latched() -> Bench:
    """Generation 1 was refused for good, and is still in force."""
    bench = Bench().live()
    bench.amend(latched=1)
    return bench


@pytest.mark.rule("S1-05")
def test_a_pair_that_was_refused_for_good_is_not_posted_again() -> None:
    bench = latched()
    bench.pass_time(30 * DAY)
    assert bench.ask() == skipped("rejected-latch")
    bench.fire("refresh_look")
    assert bench.is_in("refresh/idle")
    bench.refuse_now()
    bench.advance(HOUR)
    assert bench.count(PostRefresh) == 0


@pytest.mark.rule("S1-06")
def test_a_new_pair_opens_the_latch() -> None:
    bench = latched()
    bench.send(CredentialsChanged(2, credential(2)))
    assert bench.ask()[0] == PostRefresh(1, 2, "rest-401", 15.0)


@pytest.mark.rule("S1-04")
def test_the_guards_are_asked_in_order() -> None:
    """The latch before the interval, the interval before the refresh token; in flight and stopped before them all."""
    bench = Bench().live(credential(refreshable=False))
    assert bench.ask() == skipped("no-refresh-token")
    bench.amend(attempted=1, attempted_at=bench.now)
    assert bench.ask() == skipped("min-interval")
    bench.amend(latched=1)
    assert bench.ask() == skipped("rejected-latch")
    bench = Bench().live()
    bench.ask()
    bench.amend(latched=1)
    assert bench.ask() == ()  # joins the one in flight
    bench.stop()
    assert bench.ask() == skipped("stopped")


@pytest.mark.rule("S1-07", "S1-08")
def test_thirty_seconds_lie_between_two_posts_of_one_refresh_token() -> None:
    bench = Bench().live()
    bench.ask()
    bench.fail()
    bench.pass_time(29.999)
    assert bench.ask() == skipped("min-interval")
    bench.pass_time(0.001)
    assert bench.ask() == (PostRefresh(2, 1, "rest-401", 15.0),)


@pytest.mark.rule("S1-09", "V17")
def test_the_first_attempt_does_not_wait_even_at_time_zero() -> None:
    bench = Bench().live()
    bench.now = 0.0
    assert bench.ask() == (POST,)
    assert bench.account.attempted_at == 0.0
    bench.fail()
    bench.pass_time(1)
    assert bench.ask() == skipped("min-interval")


@pytest.mark.rule("S1-10", "V17")
def test_the_interval_is_the_refresh_tokens_own() -> None:
    bench = Bench().live()
    bench.ask()
    bench.rotate()
    bench.pass_time(10)
    assert bench.ask() == (PostRefresh(2, 2, "rest-401", 15.0),)


@pytest.mark.rule("S1-11")
def test_without_a_refresh_token_nothing_is_posted_or_noted() -> None:
    bench = Bench().live(credential(refreshable=False))
    assert bench.ask() == skipped("no-refresh-token")
    assert bench.account.attempted_at is None
    assert bench.is_in("refresh/idle")


@pytest.mark.rule("S1-12")
def test_an_attempt_is_noted_before_the_post_and_the_flight_ends_in_any_case() -> None:
    for end in (Bench.rotate, Bench.fail, Bench.deny):
        bench = Bench().live()
        bench.ask()
        assert bench.account.attempted_at == bench.now
        assert bench.account.attempted == 1
        end(bench)
        assert not bench.is_in("refresh/working")


@pytest.mark.rule("S0-55")
def test_who_was_refused_with_an_older_token_needs_no_refresh() -> None:
    bench = Bench().live()
    bench.ask(generation=1)
    bench.rotate()
    assert bench.ask(generation=1) == (SettleRefresh("success", "already rotated"),)
    assert bench.count(PostRefresh) == 1


# -- outcomes ----------------------------------------------------------------------------------------------------


@pytest.mark.rule("S1-14", "S0-23", "S1-12")
def test_success_swaps_to_the_stored_pair_before_anybody_hears_of_it() -> None:
    bench = Bench().live()
    bench.amend(latched=7, tries=3)
    bench.ask()
    commands = bench.rotate()
    kinds = [type(one) for one in commands]
    assert kinds.index(UseCredential) < kinds.index(SettleRefresh)
    assert commands[0] == UseCredential(2)
    account = bench.account
    assert account.credential is not None
    assert (account.credential.generation, account.credential.obtained_at) == (2, bench.wall)
    assert (account.latched, account.tries) == (None, 0)
    assert bench.status.configured


@pytest.mark.rule("S1-13", "S1-18", "P12")
@pytest.mark.parametrize("code", ["", "1", "500", "503", "429"])
def test_a_transient_failure_changes_no_credential(code: str) -> None:
    bench = Bench().live()
    before = bench.account.credential
    bench.ask()
    commands = bench.fail(code, "connection reset")
    assert SettleRefresh("transient", "connection reset") in commands
    assert bench.account.credential == before
    assert bench.account.latched is None
    assert bench.is_in("credentials/configured", "connection/online", "refresh/waiting")


@pytest.mark.rule("S1-16", "S1-40", "P14")
@pytest.mark.parametrize("code", ["10003", "400"])
def test_a_permanent_failure_latches_the_pair_it_was_posted_for(code: str) -> None:
    bench = Bench().live()
    bench.ask()
    assert bench.fail(code, "revoked") == (LoadCredentials(),)
    commands = bench.read(bench.account.credential)
    assert SettleRefresh("permanent", f"{code}: revoked") in commands
    assert bench.account.latched == 1
    assert bench.is_in("credentials/logged_out")
    for _ in range(5):
        bench.pass_time(HOUR)
        assert bench.ask() == skipped("no-refresh-token")
    assert bench.count(PostRefresh) == 1


@pytest.mark.rule("P05")
def test_a_refusal_is_not_believed_while_the_store_holds_another_pair() -> None:
    bench = Bench().live()
    bench.ask()
    bench.fail("10003", "revoked")
    bench.read(credential(2))
    assert bench.is_in("credentials/configured", "refresh/armed")
    assert bench.sent(SettleRefresh) == [SettleRefresh("success", "another pair was stored")]
    bench.drop()
    bench.shake()
    assert bench.account.presented == 2


@pytest.mark.rule("P05", "P12", "P14")
def test_a_refusal_is_not_believed_while_the_store_cannot_be_read_nor_is_the_token_posted_again() -> None:
    bench = Bench().live()
    bench.ask()
    bench.fail("10003", "revoked")
    for delay in (0.5, 1.0, 2.0):
        assert SettleRefresh("transient", "locked") in bench.send(StoreFailed("locked"))
        assert bench.is_in("refresh/working/unsure", "credentials/configured", "connection/online/live")
        assert bench.left("doubt_retry") == delay
        assert bench.ask() == (SettleRefresh("transient", "the store cannot be read"),)
        assert bench.fire("doubt_retry") == (LoadCredentials(),)
    bench.read(bench.account.credential)
    assert bench.is_in("credentials/logged_out")
    assert bench.count(PostRefresh) == 1


@pytest.mark.rule("P20")
def test_an_unchanged_access_token_is_as_old_as_before() -> None:
    bench = Bench().live()
    planned = bench.account.schedule
    bench.advance(HOUR)
    bench.ask()
    bench.send(RefreshSucceeded(1, credential(2, wall=bench.wall), changed=False))
    assert bench.account.schedule == planned


@pytest.mark.rule("P12", "V06")
def test_a_store_that_moved_on_is_no_refusal() -> None:
    """Another process has the exchange: whatever it ends with, nobody said that our token is dead."""
    bench = Bench().live()
    bench.ask()
    assert bench.send(RefreshSuperseded(1)) == (LoadCredentials(),)
    commands = bench.read(bench.account.credential)
    assert SettleRefresh("transient", "overtaken by another process") in commands
    assert bench.is_in("refresh/waiting", "credentials/configured")
    bench.fire("refresh_retry")
    bench.send(RefreshSuperseded(2))
    bench.read(credential(2))
    assert bench.is_in("refresh/armed")


@pytest.mark.rule("S1-17", "V24", "S1-21")
def test_the_outcome_does_not_depend_on_who_hears_of_it() -> None:
    """Telling people is a command like any other: whatever its hook does, the state has been reached before."""
    bench = Bench().live()
    bench.ask()
    commands = bench.deny()
    kinds = [type(one).__name__ for one in commands]
    assert kinds.index("SettleRefresh") < kinds.index("Notify")
    assert bench.is_in("credentials/logged_out", "refresh/idle")


@pytest.mark.rule("P20")
def test_a_renewal_that_brings_the_same_token_counts_as_a_failure() -> None:
    bench = Bench().live()
    bench.ask()
    commands = bench.send(RefreshSucceeded(1, credential(2), changed=False))
    assert UseCredential(2) in commands  # the refresh token did rotate
    assert SettleRefresh("transient", "unchanged access token") in commands
    assert bench.is_in("refresh/waiting")
    assert bench.account.tries == 1


# -- the store refuses the rotated pair --------------------------------------------------------------------------


@pytest.mark.rule("S0-18", "S1-15", "V02", "P07")
def test_a_pair_that_cannot_be_stored_is_held_unused_and_the_old_one_never_posted_again() -> None:
    bench = Bench().live()
    bench.ask()
    commands = bench.send(held(bench))
    assert SettleRefresh("transient", "the store refused the new pair") in commands
    assert not [one for one in commands if isinstance(one, UseCredential)]
    assert bench.account.credential == credential()
    for _ in range(20):
        assert bench.fire("store_retry") == (StoreRotation(1, 1),)
        assert bench.ask() == (SettleRefresh("transient", "the store refused the new pair"),)
        bench.send(RotationUnstored(1, "disk full"))
        assert bench.ask() == (SettleRefresh("transient", "the store refused the new pair"),)
    bench.fire("store_retry")
    commands = bench.send(RotationStored(1, credential(2, wall=bench.wall)))
    assert commands[0] == UseCredential(2)
    assert bench.is_in("refresh/armed", "connection/online")
    assert bench.account.pending is None
    assert bench.count(PostRefresh) == 1


@pytest.mark.rule("V02")
def test_the_store_is_tried_again_with_backoff() -> None:
    bench = Bench().live()
    bench.ask()
    bench.send(held(bench))
    for delay in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        assert bench.left("store_retry") == delay
        bench.fire("store_retry")
        bench.send(RotationUnstored(1, "disk full"))


@pytest.mark.rule("V01", "P07")
def test_no_logout_while_a_pair_is_held() -> None:
    bench = Bench().live()
    bench.ask()
    bench.send(held(bench))
    bench.refuse_now()
    assert bench.is_in("connection/held")
    bench.advance(DAY)
    assert bench.is_in("credentials/configured", "refresh/working")
    assert bench.count(PostRefresh) == 1


@pytest.mark.rule("V06", "P04")
def test_a_held_pair_that_was_overtaken_is_dropped_for_what_the_store_holds() -> None:
    bench = Bench().live()
    bench.ask()
    bench.send(held(bench))
    bench.fire("store_retry")
    assert bench.send(RefreshSuperseded(1)) == (LoadCredentials(),)
    bench.read(credential(5))
    assert bench.is_in("refresh/armed")
    assert bench.account.pending is None


# -- one at a time -----------------------------------------------------------------------------------------------


@pytest.mark.rule("P01", "V06")
def test_a_pairing_during_an_exchange_lets_it_end_before_the_next_one() -> None:
    bench = Bench().live()
    bench.ask()
    commands = bench.send(CredentialsChanged(2, credential(2, lifetime=HOUR, age=50 * MINUTE)))
    assert SettleRefresh("success", "another pair was stored") in commands
    assert bench.is_in("refresh/draining")
    assert bench.ask()[0] == SettleRefresh("transient", "an exchange for older credentials is ending")
    bench.drop()
    assert bench.is_in("connection/held")  # near expiry: refresh first
    assert bench.count(PostRefresh) == 1
    assert bench.send(RefreshSuperseded(1)) == (PostRefresh(2, 2, "startup-near-expiry", 15.0),)


@pytest.mark.rule("P34")
def test_the_outcome_of_a_former_exchange_changes_nothing() -> None:
    bench = Bench().live()
    bench.ask()
    bench.fail()
    bench.pass_time(MINUTE)
    bench.ask()
    for stale in (
        RefreshSucceeded(1, credential(9)),
        RefreshFailed(1, "10003", "revoked"),
        RotationHeld(1, credential(9), "x"),
        RefreshSuperseded(1),
    ):
        assert bench.ignores(stale)
    assert Unhandled(type(stale).__name__, stale=True) in bench.send(stale)


# -- the plan ----------------------------------------------------------------------------------------------------


@pytest.mark.rule("S0-15", "S1-20", "S0-24")
def test_the_planned_refresh_reconnects_with_the_new_token() -> None:
    bench = Bench(world=answering_pings()).live()
    assert bench.is_in("refresh/armed")
    bench.advance(22 * HOUR - 1)
    assert bench.count(PostRefresh) == 0
    bench.advance(1)
    assert bench.sent(PostRefresh) == [PostRefresh(1, 1, "proactive", 15.0)]
    commands = bench.rotate()
    closed = [one for one in commands if isinstance(one, CloseSocket)]
    assert [(one.code, one.reason) for one in closed] == [(1000, "token refresh")]
    assert Record("connection", "disconnected", 1000, "token refresh") in commands
    assert bench.drop() == (OpenSocket(2),)
    bench.reconnect()
    bench.advance(HOUR)
    assert (bench.count(PostRefresh), bench.count(OpenSocket)) == (1, 2)


@pytest.mark.rule("S1-19", "V15")
def test_a_refresh_somebody_asked_for_leaves_the_connection_and_plans_anew() -> None:
    bench = Bench(world=answering_pings()).live()
    bench.advance(20 * HOUR)
    bench.ask()
    commands = bench.rotate()
    assert not [one for one in commands if isinstance(one, CloseSocket)]
    assert bench.is_in("connection/online/live", "refresh/armed")
    bench.advance(22 * HOUR - 1)
    assert bench.count(PostRefresh) == 1
    bench.advance(1)
    assert bench.count(PostRefresh) == 2


@pytest.mark.rule("S1-22", "V22", "V11", "P13")
def test_a_planned_refresh_that_fails_is_tried_again_on_its_own_ladder() -> None:
    bench = Bench(chance=0.0).live()
    bench.amend(schedule=None)
    bench.ask("proactive")
    for delay in (30.0, 60.0, 120.0, 240.0, 300.0, 300.0):
        bench.fail()
        assert bench.is_in("connection/online/live", "refresh/waiting")
        assert bench.left("refresh_retry") == delay
        bench.fire("refresh_retry")
    bench.rotate()
    assert bench.is_in("refresh/armed")


@pytest.mark.rule("V11", "V13")
def test_the_jitter_of_the_refresh_ladder_only_lengthens() -> None:
    for chance in (0.0, 0.5, 0.999):
        bench = Bench(chance=chance).live()
        bench.ask()
        bench.fail()
        assert bench.left("refresh_retry") == pytest.approx(30 + chance * 15)


@pytest.mark.rule("S1-31", "P18")
def test_there_is_never_a_second_refresh_timer() -> None:
    bench = Bench().live()
    for generation in range(2, 6):
        bench.send(CredentialsChanged(generation, credential(generation)))
        assert [one for one in bench.timers if one.startswith("refresh")] == ["refresh_look"]
        bench.ask()
        assert not [one for one in bench.timers if one.startswith("refresh")]
        bench.fail()
        assert [one for one in bench.timers if one.startswith("refresh")] == ["refresh_retry"]


@pytest.mark.rule("S1-32")
def test_a_planned_moment_that_is_past_is_taken_at_once() -> None:
    bench = Bench().live()
    bench.pass_time(23 * HOUR)
    assert bench.fire("refresh_look") == (PostRefresh(1, 1, "proactive", 15.0),)


@pytest.mark.rule("S1-35")
def test_near_expiry_begins_at_the_planned_moment_without_jitter() -> None:
    bench = Bench().live()
    bench.pass_time(22 * HOUR - 0.001)
    assert not bench.is_near()
    bench.pass_time(0.001)
    assert bench.is_near()


@pytest.mark.rule("S0-16", "S0-15")
def test_while_disconnected_no_planned_refresh_is_posted() -> None:
    bench = Bench().live()
    bench.pass_time(22 * HOUR - 1)
    bench.drop()
    bench.pass_time(2)
    bench.fire("refresh_look")
    assert bench.is_in("refresh/due")
    assert bench.count(PostRefresh) == 0
    bench.fire("retry")
    bench.shake()
    assert PostRefresh(1, 1, "proactive", 15.0) in bench.accept()


@pytest.mark.rule("S0-15", "S1-07")
def test_a_planned_refresh_keeps_to_the_interval_too() -> None:
    bench = Bench().live()
    bench.pass_time(22 * HOUR - 1)
    bench.amend(attempted=1, attempted_at=bench.now)
    bench.pass_time(2)
    assert bench.fire("refresh_look") == ()
    assert bench.is_in("refresh/waiting")
    left = bench.left("refresh_retry")
    assert left is not None
    assert left >= 28


@pytest.mark.rule("P13")
def test_while_connected_a_refresh_is_always_planned_or_under_way() -> None:
    bench = Bench()
    bench.world = good_gateway() | rotating_server(bench)
    bench.read(credential())
    for hour in range(48):
        if hour % 5 == 0:
            bench.ask()
        bench.advance(HOUR)
        assert bench.status.connected
        planned = [one for one in bench.timers if one.startswith("refresh")]
        assert len(planned) + bench.is_in("refresh/working") == 1


# -- across lives ------------------------------------------------------------------------------------------------


@pytest.mark.rule("S1-36", "S0-41")
def test_latch_interval_depth_and_window_outlive_the_connection() -> None:
    bench = Bench().live()
    bench.ask()
    bench.fail()
    bench.amend(latched=7, depth=2, rotations=1, rotations_since=bench.now)
    kept = ("latched", "attempted", "attempted_at", "rotations", "rotations_since")
    before = [getattr(bench.account, name) for name in kept]
    bench.drop()
    bench.fire("retry")
    bench.shake()
    assert [getattr(bench.account, name) for name in kept] == before
    assert bench.account.depth == 3
    assert bench.ask() == skipped("min-interval")


@pytest.mark.rule("S1-36")
def test_latch_and_interval_outlive_the_process_in_a_snapshot() -> None:
    bench = Bench().live()
    bench.ask()
    bench.fail()
    bench.snapshot = restore(account_chart, dump(bench.snapshot, bench.stamp), bench.stamp)
    assert bench.ask() == skipped("min-interval")
    bench.amend(latched=1)
    bench.snapshot = restore(account_chart, dump(bench.snapshot, bench.stamp), bench.stamp)
    bench.pass_time(HOUR)
    assert bench.ask() == skipped("rejected-latch")


def test_a_pair_that_cannot_be_refreshed_is_never_planned() -> None:
    bench = Bench().live(Credential(generation=1, expires_at=None, refreshable=False))
    assert bench.is_in("refresh/idle")
    bench.send(CredentialsRead(2, credential(2, refreshable=False)))
    assert bench.is_in("refresh/idle")
