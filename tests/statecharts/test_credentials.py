"""What the account is allowed to say who it is: the store, pairing, and news from other processes."""

import pytest

from holdfast.statecharts import (
    Authenticate,
    BlankMirror,
    CloseSocket,
    Credential,
    CredentialsChanged,
    CredentialsRead,
    ForgetTokens,
    Greet,
    LoadCredentials,
    LoadMessages,
    MirrorFailed,
    MirrorWritten,
    NotGreeted,
    OpenSocket,
    PostRefresh,
    StoreFailed,
    UseCredential,
    WriteMirror,
)

from .harness import HOUR, Bench, credential


def changed(pair: Credential) -> CredentialsChanged:
    return CredentialsChanged(pair.generation, pair)


def test_the_store_is_read_first() -> None:
    bench = Bench()
    assert bench.sent(LoadCredentials) == [LoadCredentials()]
    assert bench.is_in("credentials/loading", "connection/offline", "refresh/idle", "mirror/clean")


@pytest.mark.rule("S0-06", "S0-10")
def test_what_the_store_holds_is_used() -> None:
    bench = Bench()
    commands = bench.read(credential(7))
    assert commands == (UseCredential(7), LoadMessages(), OpenSocket(1), WriteMirror(7))
    bench.shake()
    assert bench.sent(Authenticate) == [Authenticate(1, 7, "nonce")]


@pytest.mark.rule("S0-63")
def test_without_credentials_the_account_waits_and_connects_as_soon_as_there_are_some() -> None:
    bench = Bench()
    assert bench.read(None) == ()
    assert bench.is_in("credentials/unconfigured", "connection/offline")
    assert bench.timers == []
    bench.pass_time(30 * HOUR)
    commands = bench.send(changed(credential(wall=bench.wall)))
    assert commands == (UseCredential(1), LoadMessages(), OpenSocket(1), WriteMirror(1))


@pytest.mark.rule("S0-62")
def test_the_first_session_of_a_pairing_greets_and_no_other() -> None:
    bench = Bench()
    bench.read(None)
    for generation in (1, 5):
        bench.send(CredentialsChanged(generation, credential(generation), greeted=False), MirrorWritten())
        for _ in range(2):
            bench.reconnect()
            bench.drop()
            bench.fire("retry")
        bench.drop()
    assert bench.sent(Greet) == [Greet(1), Greet(5)]


@pytest.mark.rule("S0-62")
def test_greeted_before_anything_of_that_session() -> None:
    bench = Bench()
    bench.send(CredentialsRead(1, credential(), greeted=False))
    bench.shake()
    assert bench.accept()[0] == Greet(1)


@pytest.mark.rule("S0-62")
def test_a_greeting_that_could_not_be_stored_is_made_up_for_by_the_next_session() -> None:
    bench = Bench()
    bench.send(CredentialsRead(1, credential(), greeted=False))
    for _ in range(3):
        bench.reconnect()
        bench.send(NotGreeted())
        bench.drop()
        bench.fire("retry")
    bench.reconnect()
    bench.ask()
    bench.rotate()
    bench.drop()
    bench.fire("retry")
    bench.reconnect()
    assert bench.sent(Greet) == [Greet(1)] * 4


@pytest.mark.rule("S0-62")
def test_a_rotation_before_the_first_session_greets_all_the_same() -> None:
    bench = Bench()
    bench.send(CredentialsRead(1, credential(), greeted=False))
    bench.refuse()
    bench.rotate()
    bench.reconnect()
    assert bench.sent(Greet) == [Greet(2)]


@pytest.mark.rule("S0-62")
def test_what_was_greeted_before_we_started_is_not_greeted() -> None:
    assert Bench().live().count(Greet) == 0


def test_a_store_that_cannot_be_read_is_tried_again() -> None:
    bench = Bench()
    for delay in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        bench.send(StoreFailed("locked"))
        assert bench.is_in("credentials/unreadable")
        assert bench.left("load_retry") == delay
        assert bench.account.last_error == "locked"
        assert bench.fire("load_retry") == (LoadCredentials(),)
    bench.read(credential())
    assert bench.is_in("credentials/configured")


@pytest.mark.rule("S0-63")
@pytest.mark.parametrize("unreadable", [False, True])
def test_a_pairing_that_comes_before_the_first_look_is_not_lost(unreadable: bool) -> None:
    bench = Bench()
    if unreadable:
        bench.send(StoreFailed("locked"))
    bench.send(changed(credential(3)))
    assert bench.is_in("credentials/configured", "connection/dialing")
    assert bench.ignores(CredentialsRead(0, None))


@pytest.mark.rule("S0-14")
def test_the_device_id_that_was_resolved_is_kept() -> None:
    bench = Bench().dialing()
    bench.shake()
    commands = bench.accept("dev-resolved")
    assert "dev-resolved" in [getattr(one, "device_id", None) for one in commands]
    assert bench.account.device_id == bench.status.device_id == "dev-resolved"


@pytest.mark.rule("V03", "V04", "P22")
def test_every_dial_and_every_refresh_uses_the_newest_pair() -> None:
    """There is one cell: what a refresh brought holds for what follows, whatever the account was started with."""
    bench = Bench().live()
    bench.ask()
    bench.rotate()
    bench.drop()
    bench.fire("retry")
    bench.shake()
    assert bench.sent(Authenticate)[-1].generation == 2
    bench.accept()
    bench.ask()
    assert [post.generation for post in bench.sent(PostRefresh)] == [1, 2]


@pytest.mark.rule("P21", "P22")
@pytest.mark.parametrize("online", [False, True])
def test_a_new_pairing_replaces_the_connection_of_the_old_one(online: bool) -> None:
    bench = Bench().live() if online else Bench().dialing()
    commands = bench.send(changed(credential(2)))
    assert bench.is_in("connection/closing")
    assert [one.reason for one in commands if isinstance(one, CloseSocket)] == ["new credentials"]
    bench.drop()
    bench.shake()
    assert bench.sent(Authenticate)[-1].generation == 2


@pytest.mark.rule("P34")
def test_old_news_is_no_news() -> None:
    bench = Bench().live(credential(5))
    assert bench.ignores(changed(credential(5)))
    assert bench.ignores(changed(credential(4)))
    assert bench.ignores(CredentialsChanged(4, None))
    assert bench.ignores(CredentialsRead(5, credential(5)))


@pytest.mark.rule("P11", "V06")
@pytest.mark.parametrize("refused", [False, True])
def test_a_logout_by_another_process_is_followed(refused: bool) -> None:
    bench = Bench().dialing(credential(refreshable=False))
    if refused:
        bench.refuse()
        assert bench.is_in("credentials/refused")
    commands = bench.send(CredentialsChanged(2, None))
    assert bench.is_in("credentials/logged_out/cleared")
    assert bench.account.credential is None
    assert ForgetTokens() in commands
    assert BlankMirror() in commands


# -- the mirror --------------------------------------------------------------------------------------------------


@pytest.mark.rule("S0-17", "S0-22", "V01")
def test_the_mirror_follows_the_store_and_holds_nothing_up() -> None:
    bench = Bench().live()
    bench.ask()
    commands = bench.rotate()
    kinds = [type(one) for one in commands]
    assert kinds.index(UseCredential) < kinds.index(WriteMirror)
    assert bench.is_in("refresh/armed", "mirror/writing")
    bench.send(MirrorWritten())
    assert bench.is_in("mirror/clean")


@pytest.mark.rule("S0-20", "V01", "P07")
def test_a_mirror_that_cannot_be_written_is_tried_again_and_costs_nothing() -> None:
    bench = Bench().live()
    bench.ask()
    bench.rotate()
    for delay in (1.0, 2.0, 4.0):
        bench.send(MirrorFailed("read-only"))
        assert bench.left("mirror_retry") == delay
        assert bench.account.credential is not None
        assert bench.account.credential.generation == 2
        assert bench.fire("mirror_retry") == (WriteMirror(2),)
    bench.send(MirrorWritten())
    assert bench.is_in("mirror/clean", "credentials/configured")
    assert bench.count(PostRefresh) == 1


@pytest.mark.rule("V01", "P11")
def test_the_mirror_of_a_logout_overtaken_by_an_earlier_write_is_still_blanked() -> None:
    bench = Bench().live()
    bench.log_out()
    bench.send(MirrorWritten())  # of the pair, before the blanking
    bench.send(MirrorFailed("read-only"))  # the blanking
    assert bench.is_in("mirror/behind")
    assert bench.fire("mirror_retry") == (BlankMirror(),)
