"""The connection: dialling, the handshake, what a refused hello means, backing off, and who calls again."""

import pytest

from holdfast.engine import Event
from holdfast.statecharts import (
    EXACT,
    STRICT,
    Authenticate,
    Challenged,
    CloseSocket,
    CredentialsChanged,
    Deliver,
    FrameReceived,
    FrameRejected,
    HelloAccepted,
    HelloRefused,
    Notify,
    OpenSocket,
    Policy,
    Ponged,
    PostRefresh,
    Record,
    RefreshSucceeded,
    ReplayFinished,
    ReportFrame,
    SocketClosed,
    SocketFailed,
    SocketOpened,
)

from .harness import DAY, HOUR, MINUTE, REJECTED, Bench, credential
from .worlds import answering_pings

OUTAGE = "remote auth service unavailable"
GENERIC = "nonce mismatch"
NEAR = credential(lifetime=DAY, age=23 * HOUR)


def row_of(commands: tuple[object, ...]) -> Record:
    """The one row that the history gets."""
    (row,) = [one for one in commands if isinstance(one, Record)]
    return row


# -- the handshake -----------------------------------------------------------------------------------------------


def test_the_way_into_a_session() -> None:
    bench = Bench().dialing()
    assert bench.is_in("connection/dialing/opening")
    assert bench.send(SocketOpened(1)) == ()
    assert bench.send(Challenged(1, "abc")) == (Authenticate(1, 1, "abc"),)
    assert not bench.status.connected
    bench.accept()
    assert bench.is_in("connection/online/replaying", "heartbeat/resting")
    assert bench.status.connected


@pytest.mark.rule("S0-58")
def test_the_end_of_the_replay_is_a_boundary_and_no_gate() -> None:
    bench = Bench().dialing()
    bench.shake()
    bench.accept()
    for _ in range(3):
        bench.pass_time(4)
        assert bench.send(FrameReceived(1)) == (Deliver(),)
        assert bench.left("replay_idle") == 5.0
    assert bench.send(ReplayFinished(1)) == ()
    assert bench.is_in("connection/online/live")
    assert bench.send(FrameReceived(1)) == (Deliver(),)


@pytest.mark.rule("S0-58")
def test_a_replay_whose_end_never_comes_ends_after_five_quiet_seconds() -> None:
    bench = Bench().dialing()
    bench.shake()
    bench.accept()
    assert bench.left("replay_idle") == 5.0
    bench.fire("replay_idle")
    assert bench.is_in("connection/online/live")


@pytest.mark.parametrize(
    ("steps", "timer", "seconds"),
    [(0, "open_deadline", 10.0), (1, "challenge_deadline", 10.0), (2, "hello_deadline", 10.0)],
)
def test_each_phase_of_the_handshake_has_its_deadline(steps: int, timer: str, seconds: float) -> None:
    bench = Bench().dialing()
    bench.send(*(SocketOpened(1), Challenged(1, "n"))[:steps])
    assert bench.left(timer) == seconds
    commands = bench.fire(timer)
    assert isinstance(commands[0], CloseSocket)
    assert bench.is_in("connection/backing_off")
    assert "handshake" in bench.account.last_error


@pytest.mark.rule("P10")
def test_one_deadline_is_around_the_whole_handshake_and_none_around_a_refresh() -> None:
    bench = Bench().dialing()
    bench.pass_time(9)
    bench.send(SocketOpened(1))
    bench.pass_time(9)
    bench.send(Challenged(1, "n"))
    assert bench.left("handshake_deadline") == 2.0
    bench.fire("handshake_deadline")
    assert bench.is_in("connection/backing_off")
    held = Bench().dialing(NEAR)
    assert held.is_in("connection/held", "refresh/working/requesting")
    assert held.timers == []


@pytest.mark.rule("S0-61", "S0-33", "V09")
def test_a_dial_that_fails_is_tried_again_by_the_account_itself() -> None:
    bench = Bench().dialing()
    commands = bench.send(SocketFailed(1, "connection refused"))
    assert row_of(commands) == Record("connection", "transport_error", None, "connection refused")
    status = bench.status
    assert (status.connected, status.configured, status.running) == (False, True, True)
    assert status.last_error == "connection refused"
    assert bench.account.credential == credential()
    assert bench.fire("retry") == (OpenSocket(2),)


@pytest.mark.rule("S0-61", "V09")
def test_a_connection_lost_in_the_handshake_is_tried_again() -> None:
    bench = Bench().dialing()
    bench.shake()
    row = row_of(bench.drop(1006))
    assert (row.state, row.code) == ("transport_error", 1006)
    assert bench.is_in("connection/backing_off", "credentials/configured")


@pytest.mark.rule("S0-61", "P35")
@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006, 1009, 1011, 1012, 4001, 4999])
def test_every_close_that_we_did_not_ask_for_is_a_loss(code: int) -> None:
    bench = Bench().live()
    row = row_of(bench.drop(code, "bye"))
    assert row == Record("connection", "disconnected", code, "bye")
    assert bench.is_in("connection/backing_off", "credentials/configured", "heartbeat/idle")
    left = bench.left("retry")
    assert left is not None
    assert 5 <= left <= 10 if code in (4001, 1005, 1006) else 0.5 <= left <= 1


def test_a_frame_that_cannot_be_understood_is_survived() -> None:
    bench = Bench().live()
    assert bench.send(FrameRejected(1, "no JSON")) == (ReportFrame("no JSON"),)
    assert bench.is_in("connection/online/live")


@pytest.mark.rule("P34")
def test_what_an_old_socket_says_changes_nothing() -> None:
    bench = Bench().live()
    bench.drop()
    bench.fire("retry")
    bench.reconnect()
    stale: tuple[Event, ...] = (
        SocketOpened(1),
        SocketFailed(1, "late"),
        SocketClosed(1, 1006),
        Challenged(1, "n"),
        HelloAccepted(1),
        HelloRefused(1, REJECTED),
        ReplayFinished(1),
        FrameReceived(1),
        FrameRejected(1, "late"),
        Ponged(1),
    )
    for event in stale:
        assert bench.ignores(event)


# -- the start ---------------------------------------------------------------------------------------------------


@pytest.mark.rule("S0-09", "P21")
def test_near_expiry_the_token_is_refreshed_before_the_first_dial() -> None:
    bench = Bench()
    commands = bench.read(NEAR)
    assert PostRefresh(1, 1, "startup-near-expiry", 15.0) in commands
    assert bench.is_in("connection/held")
    assert bench.count(OpenSocket) == 0


@pytest.mark.rule("S0-10")
def test_after_that_refresh_the_new_token_is_dialled() -> None:
    bench = Bench().dialing(NEAR)
    assert OpenSocket(1) in bench.rotate()
    bench.shake()
    assert bench.sent(Authenticate)[-1].generation == 2


@pytest.mark.rule("S0-11")
def test_refused_for_good_at_the_start_the_account_logs_out_without_a_dial() -> None:
    bench = Bench().dialing(NEAR)
    bench.deny()
    assert bench.is_in("credentials/logged_out", "connection/offline")
    assert bench.count(OpenSocket) == 0


@pytest.mark.rule("S0-12")
def test_failing_for_now_at_the_start_the_token_at_hand_is_dialled() -> None:
    bench = Bench().dialing(NEAR)
    assert OpenSocket(1) in bench.fail()
    bench.shake()
    assert bench.sent(Authenticate)[-1].generation == 1


@pytest.mark.rule("P21")
def test_past_its_expiry_a_token_is_not_dialled_while_it_can_be_refreshed() -> None:
    bench = Bench(chance=0.0).dialing(credential(age=DAY + 1))
    for _ in range(10):
        bench.fail()
        assert bench.is_in("connection/held", "refresh/waiting")
        bench.fire("refresh_retry")
    assert bench.count(OpenSocket) == 0
    assert OpenSocket(1) in bench.rotate()


@pytest.mark.rule("P21")
def test_a_token_that_expires_while_backing_off_is_refreshed_first() -> None:
    bench = Bench(chance=0.0).live()
    bench.pass_time(DAY - 0.1)
    bench.drop()
    assert bench.fire("retry") == (PostRefresh(1, 1, "expired", 15.0),)
    assert bench.is_in("connection/held")


@pytest.mark.rule("P21")
def test_past_its_expiry_a_token_that_cannot_be_refreshed_is_dialled() -> None:
    bench = Bench().dialing(credential(age=DAY + 1, refreshable=False))
    assert bench.count(OpenSocket) == 1


@pytest.mark.rule("P06")
def test_a_refresh_that_a_crash_interrupted_is_made_up_for_before_the_first_dial() -> None:
    bench = Bench()
    commands = bench.read(credential(), interrupted=True)
    assert [type(one) for one in commands if isinstance(one, PostRefresh | OpenSocket)] == [PostRefresh]
    bench.deny()
    assert bench.is_in("credentials/logged_out")
    assert bench.count(PostRefresh) == 1


# -- a refused hello: the token is to blame ----------------------------------------------------------------------


@pytest.mark.rule("S0-25")
@pytest.mark.parametrize("midway", [False, True])
def test_a_rejected_token_is_refreshed_and_the_new_one_dialled(midway: bool) -> None:
    """In the handshake of a reconnect, or in the midst of a session."""
    bench = Bench().live()
    if midway:
        commands = bench.refuse_now()
    else:
        bench.drop()
        bench.fire("retry")
        commands = bench.refuse()
    assert [one.reason for one in commands if isinstance(one, CloseSocket)] == ["token refresh"]
    assert commands[-1] == PostRefresh(1, 1, "hello-fail", 15.0)
    assert bench.is_in("connection/held")
    assert [type(one) for one in bench.rotate() if isinstance(one, OpenSocket)] == [OpenSocket]
    bench.shake()
    assert bench.sent(Authenticate)[-1].generation == 2


@pytest.mark.rule("S0-25")
def test_a_rejected_token_whose_refresh_is_refused_for_good_means_logout() -> None:
    bench = Bench().live()
    bench.refuse_now()
    bench.deny()
    assert bench.is_in("credentials/logged_out", "connection/offline")


@pytest.mark.rule("S0-25", "P12")
def test_a_rejected_token_whose_refresh_fails_for_now_is_dialled_again_after_a_wait() -> None:
    bench = Bench().live()
    bench.refuse_now()
    assert not [one for one in bench.fail() if isinstance(one, OpenSocket)]
    assert bench.is_in("connection/backing_off", "credentials/configured")
    assert bench.fire("retry") == (OpenSocket(2),)
    bench.shake()
    assert bench.sent(Authenticate)[-1].generation == 1


@pytest.mark.rule("S0-25", "S1-07", "P28")
def test_a_rejected_token_that_was_posted_a_moment_ago_is_not_posted_again() -> None:
    bench = Bench().live()
    bench.refuse_now()
    bench.fail()
    bench.fire("retry")
    row = row_of(bench.refuse())
    assert (row.reason, row.detail) == ("transport backoff reconnect", "token-rejected")
    assert bench.is_in("connection/backing_off")
    assert bench.count(PostRefresh) == 1


@pytest.mark.rule("S0-25", "P28")
def test_the_pair_that_comes_at_last_ends_the_wait() -> None:
    bench = Bench().live()
    bench.refuse_now()
    bench.fail()
    bench.amend(depth=9)
    bench.fire("retry")
    bench.refuse()
    bench.fire("refresh_retry")
    assert bench.is_in("connection/backing_off")
    assert OpenSocket(3) in bench.rotate()


@pytest.mark.rule("S0-26")
def test_near_its_expiry_a_refusal_without_a_known_reason_is_blamed_on_the_token() -> None:
    for midway in (False, True):
        bench = Bench().dialing(credential(age=21.9 * HOUR))
        bench.pass_time(HOUR)
        if midway:
            bench.reconnect()
            commands = bench.refuse_now(GENERIC)
        else:
            commands = bench.refuse(GENERIC)
        assert commands[-1] == PostRefresh(1, 1, "hello-fail", 15.0)


@pytest.mark.rule("S0-55", "P01")
def test_two_rest_calls_and_a_refused_hello_at_once_share_one_exchange_and_one_redial() -> None:
    bench = Bench().live()
    bench.ask(generation=1)
    bench.ask(generation=1)
    bench.refuse_now()
    assert bench.is_in("connection/held")
    bench.rotate()
    assert (bench.count(PostRefresh), bench.count(OpenSocket)) == (1, 2)


@pytest.mark.rule("S0-55", "P21")
def test_a_refusal_of_a_token_that_was_rotated_meanwhile_needs_no_further_refresh() -> None:
    bench = Bench().dialing()
    bench.shake()
    bench.ask()
    bench.rotate()
    assert not [one for one in bench.refuse_now() if isinstance(one, PostRefresh)]
    assert bench.drop(1006) == (OpenSocket(2),)
    bench.shake()
    assert bench.sent(Authenticate)[-1].generation == 2


@pytest.mark.rule("P20")
def test_a_renewal_that_brings_no_new_token_is_no_reason_to_dial() -> None:
    bench = Bench().live()
    bench.refuse_now()
    commands = bench.send(RefreshSucceeded(1, credential(2), changed=False))
    assert not [one for one in commands if isinstance(one, OpenSocket)]
    assert bench.is_in("connection/backing_off")


# -- a refused hello: somebody else is to blame ------------------------------------------------------------------


@pytest.mark.rule("S0-27", "P40")
def test_in_a_session_a_refusal_without_a_known_reason_means_a_wait() -> None:
    bench = Bench().live()
    bench.drop()
    bench.fire("retry")
    commands = bench.refuse(GENERIC)
    assert row_of(commands).detail == "hello-fail-generic-not-near"
    assert bench.is_in("connection/backing_off", "credentials/configured")
    assert bench.count(PostRefresh) == 0


@pytest.mark.rule("S0-28", "P40")
def test_at_the_first_dial_a_refusal_without_a_known_reason_means_a_wait() -> None:
    bench = Bench().dialing()
    commands = bench.refuse(GENERIC)
    assert row_of(commands).detail == "initial-connect-generic-not-near"
    assert bench.is_in("connection/backing_off")
    assert bench.status.configured
    assert bench.count(PostRefresh) == 0


@pytest.mark.rule("S0-30", "V08", "S0-02")
@pytest.mark.parametrize("refreshable", [False, True])
@pytest.mark.parametrize("welcomed", [False, True])
def test_an_outage_of_the_auth_service_always_means_a_wait(welcomed: bool, refreshable: bool) -> None:
    pair = credential(age=23 * HOUR, refreshable=refreshable)
    bench = Bench().dialing(pair)
    if refreshable:
        bench.fail()
    if welcomed:
        bench.reconnect()
        bench.drop()
        bench.fire("retry")
    bench.refuse(OUTAGE)
    assert bench.is_in("connection/backing_off", "credentials/configured")
    assert bench.account.rejected is None


@pytest.mark.rule("S0-31")
def test_before_the_first_session_a_refusal_is_recorded_as_a_failed_authentication() -> None:
    for reason in (REJECTED, GENERIC, OUTAGE):
        bench = Bench().dialing()
        row = row_of(bench.refuse(reason))
        assert (row.state, row.code, row.reason) == ("auth_failed", None, reason)
        status = bench.status
        assert (status.configured, status.running) == (True, True)


@pytest.mark.rule("S0-29")
def test_a_first_token_that_is_rejected_and_cannot_be_refreshed_is_given_up() -> None:
    bench = Bench().dialing(credential(refreshable=False))
    commands = bench.refuse()
    status = bench.status
    assert (status.connected, status.configured, status.running) == (False, False, False)
    assert status.last_error == REJECTED
    assert row_of(commands) == Record("connection", "auth_failed", None, REJECTED)
    assert [type(one) for one in commands if isinstance(one, Notify | CloseSocket)] == [CloseSocket, Notify]
    assert bench.timers == []


@pytest.mark.rule("S0-32")
def test_then_a_pairing_is_awaited() -> None:
    bench = Bench().dialing(credential(refreshable=False))
    bench.refuse()
    bench.pass_time(DAY)
    assert OpenSocket(2) in bench.send(CredentialsChanged(2, credential(2, wall=bench.wall)))
    assert bench.is_in("credentials/configured")


@pytest.mark.rule("S0-25", "S0-29")
def test_a_token_that_was_good_before_and_cannot_be_refreshed_is_dialled_once_more() -> None:
    bench = Bench().live(credential(refreshable=False))
    bench.refuse_now()
    assert bench.is_in("connection/backing_off", "credentials/configured")
    bench.fire("retry")
    bench.refuse()
    assert bench.is_in("connection/offline", "credentials/refused")


@pytest.mark.rule("V14")
def test_the_exact_classifier_refreshes_on_one_reason_only() -> None:
    policy = Policy(classifier=EXACT)
    assert Bench(policy).dialing().refuse("token expired")[-1] != PostRefresh(1, 1, "hello-fail", 15.0)
    assert Bench(policy).dialing().refuse(REJECTED)[-1] == PostRefresh(1, 1, "hello-fail", 15.0)


# -- the cap -----------------------------------------------------------------------------------------------------


def rotate_and_refuse(bench: Bench) -> None:
    """The server rotates, and the gateway refuses what it got."""
    bench.refuse()
    bench.rotate()


@pytest.mark.rule("S0-35", "S0-36")
def test_refreshes_after_refused_hellos_are_counted_within_five_minutes() -> None:
    bench = Bench().dialing()
    begin = bench.now
    rotate_and_refuse(bench)
    assert (bench.account.rotations, bench.account.rotations_since) == (1, begin)
    bench.pass_time(299)
    rotate_and_refuse(bench)
    assert (bench.account.rotations, bench.account.rotations_since) == (2, begin)
    bench.pass_time(1)
    rotate_and_refuse(bench)
    assert (bench.account.rotations, bench.account.rotations_since) == (1, begin + 300)


@pytest.mark.rule("S0-37", "S0-42", "P28")
def test_the_fourth_of_them_waits() -> None:
    bench = Bench().dialing()
    for _ in range(3):
        rotate_and_refuse(bench)
    commands = bench.refuse()
    assert row_of(commands).detail == "refresh-reconnect-capped"
    assert bench.is_in("connection/backing_off", "refresh/armed")
    assert bench.count(PostRefresh) == 3


@pytest.mark.rule("V12")
def test_hours_later_the_cap_does_not_count_any_more() -> None:
    bench = Bench().dialing()
    for _ in range(3):
        rotate_and_refuse(bench)
    bench.pass_time(10 * HOUR)
    assert bench.refuse()[-1] == PostRefresh(4, 4, "hello-fail", 15.0)


@pytest.mark.rule("V12", "P27")
def test_a_stable_session_clears_cap_and_ladder() -> None:
    bench = Bench(world=answering_pings()).dialing()
    for _ in range(3):
        rotate_and_refuse(bench)
    bench.amend(depth=4)
    bench.reconnect()
    bench.advance(29)
    assert (bench.account.rotations, bench.account.depth) == (3, 4)
    bench.advance(1)
    assert (bench.account.rotations, bench.account.depth, bench.account.attempts) == (0, 0, 0)
    bench.drop()
    assert bench.left("retry") == 0.75


# -- the ladder --------------------------------------------------------------------------------------------------


@pytest.mark.rule("S0-38", "V13")
@pytest.mark.parametrize("chance", [0.0, 0.25, 0.999])
def test_the_waits_grow_to_thirty_seconds_with_jitter_after_the_cap(chance: float) -> None:
    bench = Bench(chance=chance).dialing()
    for delay in (1, 2, 4, 8, 16, 30, 30, 30):
        bench.send(SocketFailed(bench.account.socket, "refused"))
        assert bench.left("retry") == pytest.approx(delay / 2 + chance * delay / 2)
        bench.fire("retry")


@pytest.mark.rule("S0-39")
def test_backing_off_closes_the_old_connection() -> None:
    bench = Bench().live()
    commands = bench.refuse_now(GENERIC)
    assert CloseSocket(1, 1000, "transport backoff reconnect", 5.0) in commands
    assert row_of(commands).reason == "transport backoff reconnect"
    assert (row_of(commands).state, row_of(commands).code) == ("disconnected", 1000)
    assert bench.ignores(SocketClosed(1, 1006))  # however it goes


@pytest.mark.rule("V10", "S0-34")
def test_there_is_one_owner_of_the_next_dial() -> None:
    bench = Bench().live()
    bench.drop()
    for event in (SocketClosed(1, 1006), SocketFailed(1, "x"), HelloRefused(1, REJECTED)):
        assert bench.ignores(event)
    assert bench.timers.count("retry") == 1
    bench.fire("retry")
    assert bench.count(OpenSocket) == 2
    assert "retry" not in bench.timers


@pytest.mark.rule("P32")
def test_while_the_old_socket_closes_on_our_account_no_new_one_is_dialled() -> None:
    bench = Bench(world=answering_pings()).live()
    bench.ask("proactive")
    bench.rotate()
    assert bench.is_in("connection/closing")
    bench.pass_time(4.9)
    assert bench.count(OpenSocket) == 1
    assert bench.fire("close_deadline") == (OpenSocket(2),)


@pytest.mark.rule("V15")
def test_which_refreshes_reconnect_is_policy() -> None:
    bench = Bench(Policy(refresh_causes_reconnecting=("rest-401",))).live()
    bench.ask()
    bench.rotate()
    assert bench.is_in("connection/closing")
    assert STRICT.refresh_causes_reconnecting == ("proactive",)


@pytest.mark.rule("S0-15")
def test_on_every_session_a_refresh_is_planned() -> None:
    bench = Bench(world=answering_pings()).live()
    for _ in range(3):
        assert "refresh_look" in bench.timers
        bench.advance(MINUTE)
        bench.drop()
        bench.fire("retry")
        bench.reconnect()
