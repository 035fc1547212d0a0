"""Logging out, whether because the token is dead for good or because somebody asked, and stopping."""

import pytest

from holdfast.engine import Event
from holdfast.statecharts import (
    BlankMirror,
    ClearCredentials,
    ClearFailed,
    CloseSocket,
    CredentialsChanged,
    CredentialsCleared,
    HelloRefused,
    MirrorFailed,
    Notify,
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
    SocketClosed,
    StoreFailed,
    StoreRotation,
    UseCredential,
)

from .harness import DAY, HOUR, REJECTED, Bench, credential

NEAR = credential(age=23 * HOUR)
TEXT = "ClawChat token expired and could not be refreshed. Re-pair with `/clawchat-activate <code>`."
ERROR = "token expired — re-pair required"


def expired() -> Bench:
    """In a session, and the refresh token was just refused for good."""
    bench = Bench().live()
    bench.ask()
    bench.deny()
    return bench


# -- dead for good -----------------------------------------------------------------------------------------------


@pytest.mark.rule("S0-45")
def test_the_order_of_a_logout() -> None:
    """The log, the store, the mirror, and the user last."""
    bench = Bench().live()
    bench.ask()
    commands = bench.deny()
    order = [
        one
        for one in commands
        if isinstance(one, ClearCredentials | BlankMirror | Notify)
        or (isinstance(one, Record) and one.kind == "logout")
    ]
    assert [type(one) for one in order] == [Record, ClearCredentials, BlankMirror, Notify]


@pytest.mark.rule("S0-46")
def test_the_status_after_a_logout() -> None:
    status = expired().status
    assert (status.connected, status.configured, status.running) == (False, False, False)
    assert status.last_error == ERROR
    assert status.state == "logged_out"


@pytest.mark.rule("S0-48")
def test_what_the_user_is_told_once() -> None:
    bench = expired()
    assert bench.sent(Notify) == [Notify("error", TEXT)]
    bench.advance(30 * DAY)
    assert bench.count(Notify) == 1


@pytest.mark.rule("S0-44")
def test_a_second_logout_is_none() -> None:
    bench = expired()
    before = bench.status
    assert bench.ignores_logout()
    bench.send(CredentialsCleared(2))
    assert bench.ignores_logout()
    assert bench.status == before
    assert bench.count(ClearCredentials) == 1


@pytest.mark.rule("S0-47")
def test_a_mirror_that_cannot_be_blanked_changes_neither_status_nor_message() -> None:
    bench = expired()
    before = bench.status
    bench.send(MirrorFailed("read-only"))
    assert bench.status == before
    assert bench.fire("mirror_retry") == (BlankMirror(),)
    assert bench.count(Notify) == 1


@pytest.mark.rule("V16")
def test_the_reason_of_a_logout_is_written_once() -> None:
    bench = expired()
    late: tuple[Event, ...] = (
        HelloRefused(1, REJECTED),
        SocketClosed(1, 1006, "gone"),
        ClearFailed("locked"),
        RefreshFailed(1, "1", "late"),
        MirrorFailed("read-only"),
    )
    for event in late:
        bench.send(event)
        assert bench.status.last_error == ERROR


def test_a_store_that_cannot_be_blanked_is_tried_until_it_can() -> None:
    bench = expired()
    for delay in (0.5, 1.0, 2.0, 4.0):
        bench.send(ClearFailed("locked"))
        assert bench.left("clear_retry") == delay
        assert bench.status.state == "logged_out"
        assert bench.fire("clear_retry") == (ClearCredentials(1),)
    bench.send(CredentialsCleared(2))
    assert bench.is_in("credentials/logged_out/cleared")


@pytest.mark.rule("P11")
def test_nothing_of_the_account_goes_on_after_a_logout() -> None:
    bench = expired()
    bench.send(SocketClosed(1, 1000), CredentialsCleared(2))
    dials = bench.count(OpenSocket)
    bench.advance(DAY)
    assert bench.is_in("connection/offline", "refresh/idle", "heartbeat/idle")
    assert (bench.count(OpenSocket), bench.count(PostRefresh)) == (dials, 1)


def test_after_a_logout_a_pairing_starts_anew() -> None:
    bench = expired()
    bench.send(SocketClosed(1, 1000), CredentialsCleared(2))
    commands = bench.send(CredentialsChanged(3, credential(3)))
    assert OpenSocket(2) in commands
    assert bench.status.last_error == ""
    assert bench.ask()[-1] == PostRefresh(2, 3, "rest-401", 15.0)


# -- asked for ---------------------------------------------------------------------------------------------------


@pytest.mark.rule("S0-44", "P11")
@pytest.mark.parametrize("at", ["held", "dialing", "online", "backing off"])
def test_a_logout_ends_the_connection_wherever_it_is(at: str) -> None:
    bench = Bench().dialing(NEAR if at == "held" else credential())
    if at in ("online", "backing off"):
        bench.reconnect()
    if at == "backing off":
        bench.drop()
    commands = bench.log_out()
    assert ClearCredentials(None) in commands
    assert bench.count(Notify) == 0
    assert any(isinstance(one, CloseSocket) for one in commands) == (at in ("dialing", "online"))
    bench.send(SocketClosed(1, 1000))
    assert bench.is_in("connection/offline", "credentials/logged_out")
    assert "retry" not in bench.timers


@pytest.mark.rule("P11")
def test_a_logout_blanks_also_a_store_that_could_not_be_read() -> None:
    bench = Bench()
    bench.send(StoreFailed("locked"))
    assert ClearCredentials(None) in bench.log_out()
    bench.send(ClearFailed("locked"))
    assert bench.fire("clear_retry") == (ClearCredentials(None),)
    bench.send(CredentialsCleared(2))
    assert bench.is_in("connection/offline", "credentials/logged_out/cleared")


@pytest.mark.rule("P11")
def test_blanking_once_more_spares_what_somebody_paired_meanwhile() -> None:
    bench = Bench().live()
    assert ClearCredentials(None) in bench.log_out()
    bench.send(ClearFailed("locked"))
    assert bench.fire("clear_retry") == (ClearCredentials(1),)


@pytest.mark.rule("V06", "P11")
def test_a_pair_that_comes_after_a_logout_is_not_used() -> None:
    bench = Bench().live()
    bench.ask()
    commands = bench.log_out()
    assert SettleRefresh("permanent", "logged out") in commands
    assert bench.is_in("refresh/draining")
    bench.send(CredentialsCleared(2))
    assert not [one for one in bench.send(RefreshSuperseded(1)) if isinstance(one, UseCredential)]
    assert bench.is_in("refresh/idle", "credentials/logged_out/cleared")


@pytest.mark.rule("V06", "P11")
def test_a_pair_that_was_stored_before_the_logout_and_told_after_it_is_blanked_too() -> None:
    bench = Bench().live()
    bench.ask()
    bench.log_out()
    bench.send(CredentialsCleared(1))
    assert bench.send(RefreshSucceeded(1, credential(2))) == (ClearCredentials(2),)
    bench.send(CredentialsCleared(3))
    assert bench.is_in("credentials/logged_out/cleared", "refresh/idle")
    assert bench.count(UseCredential) == 1


@pytest.mark.rule("V06", "P11")
def test_a_held_pair_is_forgotten_by_a_logout() -> None:
    bench = Bench().live()
    bench.ask()
    bench.send(RotationHeld(1, credential(2), "disk full"))
    bench.log_out()
    assert bench.account.pending is None
    assert bench.is_in("refresh/idle")
    bench.advance(HOUR)
    assert bench.count(StoreRotation) == 0


# -- stopping ----------------------------------------------------------------------------------------------------


@pytest.mark.rule("S0-56", "S1-37", "P19")
@pytest.mark.parametrize("at", ["loading", "unpaired", "backing off", "logged out"])
def test_at_rest_a_stop_is_done_at_once(at: str) -> None:
    bench = Bench()
    if at == "unpaired":
        bench.read(None)
    elif at != "loading":
        bench.live()
        bench.drop()
    if at == "logged out":
        bench.log_out()
    bench.stop()
    assert bench.snapshot.done
    assert bench.timers == []


@pytest.mark.rule("S0-56", "S1-37", "P33")
@pytest.mark.parametrize("online", [False, True])
def test_a_stop_closes_the_connection_first(online: bool) -> None:
    bench = Bench().dialing()
    if online:
        bench.reconnect()
    assert CloseSocket(1, 1000, "stopped", 5.0) in bench.stop()
    assert not bench.snapshot.done
    assert bench.timers == ["close_deadline"]
    bench.drop()
    assert bench.snapshot.done


@pytest.mark.rule("P41")
def test_a_connection_that_does_not_close_holds_no_stop_up() -> None:
    bench = Bench().live()
    bench.ask()
    begin = bench.now
    bench.stop()
    bench.advance(60)
    assert bench.snapshot.done
    assert max(at for at, _ in bench.journal) - begin <= 10


@pytest.mark.rule("S1-33", "S1-37")
def test_after_a_stop_nothing_is_planned_and_nothing_posted() -> None:
    bench = Bench().live()
    bench.stop()
    assert "refresh_look" not in bench.timers
    bench.ask()
    bench.drop()
    bench.advance(30 * DAY)
    assert bench.count(PostRefresh) == 0


@pytest.mark.rule("S0-13", "S1-23", "P19", "V06")
@pytest.mark.parametrize("near", [False, True])
def test_a_pair_that_comes_after_a_stop_is_kept_and_nothing_else_happens(near: bool) -> None:
    bench = Bench()
    if near:
        bench.dialing(NEAR)
    else:
        bench.live()
        bench.ask("proactive")
    dials = bench.count(OpenSocket)
    bench.stop()
    assert bench.is_in("refresh/finishing/answering")
    assert not bench.snapshot.done
    assert bench.rotate() == (UseCredential(2),)
    bench.drop()
    assert bench.snapshot.done
    assert bench.count(OpenSocket) == dials


@pytest.mark.rule("V06")
def test_a_stop_does_not_wait_longer_than_its_deadline_for_an_answer() -> None:
    bench = Bench().live()
    bench.ask()
    bench.stop()
    bench.drop()
    assert bench.left("finish_deadline") == 10.0
    bench.fire("finish_deadline")
    assert bench.snapshot.done


@pytest.mark.rule("V02")
@pytest.mark.parametrize("before", [False, True])
def test_a_stop_tries_to_store_a_held_pair_until_its_deadline(before: bool) -> None:
    bench = Bench().live()
    bench.ask()
    held = RotationHeld(1, credential(2), "disk full")
    if before:
        bench.send(held)
        assert StoreRotation(1, 1) in bench.stop()
        bench.send(RotationUnstored(1, "disk full"))
    else:
        bench.stop()
        bench.send(held)
    assert bench.is_in("refresh/finishing/unstored")
    bench.fire("last_retry")
    assert bench.send(RotationStored(1, credential(2))) == (UseCredential(2),)
    bench.drop()
    assert bench.snapshot.done


@pytest.mark.rule("V07", "S0-34")
def test_a_stop_wins_over_whatever_the_gateway_says_afterwards() -> None:
    bench = Bench().dialing(credential(refreshable=False))
    bench.shake()
    bench.stop()
    assert bench.ignores(HelloRefused(1, REJECTED))
    bench.drop()
    assert bench.snapshot.done
    assert bench.is_in("credentials/stopped")
    assert bench.count(Notify) == bench.count(ClearCredentials) == 0


@pytest.mark.rule("S0-40", "S0-34")
def test_a_retry_that_fires_after_the_stop_dials_nothing() -> None:
    bench = Bench().live()
    bench.drop()
    retry = bench.firing("retry")
    bench.stop()
    bench.pass_time(60)
    assert bench.ignores(retry)
    assert bench.count(OpenSocket) == 1
