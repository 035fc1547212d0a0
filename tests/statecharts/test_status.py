"""The status is a pure projection of the account's state: one test for each word."""

import pytest

from holdfast.engine import Stamp, TimerFired
from holdfast.statecharts import (
    AccountState,
    ClearFailed,
    CredentialsChanged,
    RotationHeld,
    Status,
    StoreFailed,
    project,
)

from .harness import DAY, HOUR, WALL, Bench, credential

NEAR = credential(age=23 * HOUR)


def words(status: Status) -> tuple[str, bool, bool, bool]:
    return status.state.value, status.connected, status.configured, status.running


def test_before_the_first_look() -> None:
    assert words(Bench().status) == ("connecting", False, False, True)


@pytest.mark.rule("P24", "P37")
def test_a_store_that_cannot_be_read() -> None:
    bench = Bench()
    bench.send(StoreFailed("locked"))
    status = bench.status
    assert words(status) == ("connecting", False, False, True)
    assert (status.last_error, status.retry_at) == ("locked", bench.wall + 0.5)
    assert "store" in status.reason


@pytest.mark.rule("S0-63", "P24")
def test_waiting_to_be_paired() -> None:
    bench = Bench()
    bench.read(None)
    assert words(bench.status) == ("waiting", False, False, False)
    assert bench.status.reason == "pair this account"


@pytest.mark.rule("P37")
def test_connecting_and_connected() -> None:
    bench = Bench().dialing()
    assert words(bench.status) == ("connecting", False, True, True)
    bench.shake()
    assert words(bench.status) == ("connecting", False, True, True)
    bench.accept()
    status = bench.status
    assert words(status) == ("connected", True, True, True)
    assert (status.token_expires_at, status.refresh_at) == (WALL + DAY, WALL + 22 * HOUR)
    assert (status.retry_at, status.reason, status.attempts) == (None, "", 1)


@pytest.mark.rule("P37")
def test_a_retry_is_promised_exactly_while_its_timer_runs() -> None:
    bench = Bench().live()
    bench.drop(1000, "restart")
    status = bench.status
    assert words(status) == ("backoff", False, True, True)
    assert status.retry_at == bench.wall + 0.75
    assert status.last_error == "connection lost (1000) restart"
    bench.fire("retry")
    assert bench.status.retry_at is None
    assert bench.status.attempts == 2


@pytest.mark.rule("P24", "P37")
def test_refreshing_before_it_can_connect() -> None:
    bench = Bench().dialing(credential(age=DAY + HOUR))
    assert words(bench.status) == ("refreshing", False, True, True)
    bench.fail(error="unreachable")
    status = bench.status
    assert words(status) == ("refreshing", False, True, True)
    assert status.last_error == "unreachable"
    assert status.refresh_at is not None
    assert status.refresh_at > bench.wall
    assert status.token_expires_at == WALL - HOUR


@pytest.mark.rule("P24")
def test_a_refresh_that_is_tried_again_tells_when() -> None:
    bench = Bench(chance=0.0).live()
    bench.ask()
    bench.fail()
    assert bench.status.refresh_at == bench.wall + 30
    assert bench.status.state is AccountState.CONNECTED


@pytest.mark.rule("P24")
def test_a_session_whose_token_cannot_be_refreshed_says_so() -> None:
    status = Bench().live(credential(refreshable=False)).status
    assert status.state is AccountState.CONNECTED
    assert "cannot be refreshed" in status.reason
    assert (status.refresh_at, status.token_expires_at) == (None, WALL + DAY)


@pytest.mark.rule("P24")
def test_a_held_rotation_says_so() -> None:
    bench = Bench().live()
    bench.ask()
    bench.send(RotationHeld(1, credential(2), "disk full"))
    assert "cannot be stored" in bench.status.reason
    assert bench.status.last_error == "disk full"


@pytest.mark.rule("S0-29", "P24")
def test_a_token_that_was_given_up() -> None:
    bench = Bench().dialing(credential(refreshable=False))
    bench.refuse()
    assert words(bench.status) == ("waiting", False, False, False)
    assert "pair this account again" in bench.status.reason


@pytest.mark.rule("S0-46", "P24")
def test_logged_out() -> None:
    bench = Bench().live()
    bench.log_out()
    assert words(bench.status) == ("logged_out", False, False, False)
    assert bench.status.reason == "pair this account again"
    assert (bench.status.token_expires_at, bench.status.refresh_at) == (None, None)
    bench.send(CredentialsChanged(3, credential(3)))
    assert bench.status.configured


@pytest.mark.rule("P37")
def test_stopped_from_the_moment_a_stop_was_asked() -> None:
    bench = Bench().live()
    bench.stop()
    assert words(bench.status) == ("stopped", False, True, False)
    bench.drop()
    assert words(bench.status) == ("stopped", False, True, False)


@pytest.mark.rule("P37")
def test_a_logout_that_the_disk_refuses_is_told() -> None:
    bench = Bench().live()
    bench.log_out()
    bench.send(ClearFailed("locked"))
    assert words(bench.status) == ("logged_out", False, False, False)
    assert "could not be blanked" in bench.status.reason


@pytest.mark.rule("P37")
def test_the_noise_between_two_clocks_is_no_news() -> None:
    bench = Bench().live()
    bench.drop()
    now, wall = bench.now, bench.wall
    seen = {
        project(bench.snapshot, Stamp(now + noise, wall + noise * 1.01, 0.5)).retry_at for noise in (0.0, 1e-6, 2e-6)
    }
    assert len(seen) == 1


@pytest.mark.rule("P37")
def test_looking_changes_nothing() -> None:
    bench = Bench().live()
    before = bench.snapshot
    assert bench.status == bench.status
    assert bench.snapshot is before
    assert bench.ignores(TimerFired("retry", 99))
