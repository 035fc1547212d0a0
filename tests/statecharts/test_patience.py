"""Failures: the server may say when it wants to hear from us again, and each of them leads somewhere."""

from collections.abc import Callable

import pytest

from holdfast.statecharts import (
    COMPAT,
    STRICT,
    CredentialsChanged,
    Notify,
    OpenSocket,
    Policy,
    PostRefresh,
    RefreshFailed,
    SettleRefresh,
    SocketFailed,
)

from .harness import HOUR, REJECTED, Bench, credential
from .worlds import answering_pings

PROFILES = pytest.mark.parametrize("policy", [STRICT, COMPAT], ids=["strict", "compat"])
CHANCES = pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])


def reconnecting(policy: Policy = STRICT, chance: float = 0.0) -> Bench:
    """A session was lost, and the next dial is under way."""
    bench = Bench(policy, chance=chance, world=answering_pings()).live()
    bench.drop()
    bench.fire("retry")
    return bench


def busy(bench: Bench, seconds: float) -> None:
    """The upgrade is refused, with Retry-After."""
    bench.send(SocketFailed(bench.account.socket, "HTTP 503", seconds))


# -- dialling ------------------------------------------------------------------------------------------------------


@PROFILES
@CHANCES
@pytest.mark.rule("P39")
@pytest.mark.parametrize("seconds", [0.5, 7.0, 120.0, 3600.0])
def test_no_dial_comes_sooner_than_the_server_asked(policy: Policy, chance: float, seconds: float) -> None:
    bench = reconnecting(policy, chance)
    busy(bench, seconds)
    left = bench.left("retry")
    assert left is not None
    assert seconds <= left <= seconds + 2
    assert bench.fire("retry") == (OpenSocket(3),)
    bench.send(SocketFailed(3, "refused"))
    left = bench.left("retry")
    assert left is not None
    assert left <= 4  # the ladder again


@pytest.mark.rule("P39")
def test_a_server_cannot_send_us_away_for_longer_than_an_hour() -> None:
    bench = reconnecting()
    busy(bench, 1e9)
    left = bench.left("retry")
    assert left is not None
    assert left <= HOUR + 2


@pytest.mark.rule("P39")
def test_neither_a_new_token_nor_a_pairing_undercuts_it() -> None:
    bench = Bench().live()
    bench.refuse_now()
    bench.fail()
    bench.fire("retry")
    busy(bench, 600.0)
    bench.fire("refresh_retry")
    bench.rotate()
    assert bench.is_in("connection/backing_off")
    bench.send(CredentialsChanged(7, credential(7, wall=bench.wall)))
    assert bench.is_in("connection/backing_off")
    bench.fire("retry")
    dials = bench.times(OpenSocket)
    assert dials[-1] - dials[-2] >= 600.0


# -- refreshing ----------------------------------------------------------------------------------------------------


@CHANCES
@pytest.mark.rule("P39")
@pytest.mark.parametrize("seconds", [7.0, 120.0, 3600.0])
def test_no_refresh_comes_sooner_than_the_server_asked(chance: float, seconds: float) -> None:
    bench = Bench(chance=chance, world=answering_pings()).live()
    bench.ask()
    bench.pass_time(5)
    bench.send(RefreshFailed(1, "", "HTTP 429", seconds))
    left = bench.left("refresh_retry")
    assert left is not None
    assert max(30.0, seconds) <= left <= max(45.0, seconds + 15)
    bench.pass_time(seconds - 0.1)
    asked = bench.ask()
    assert asked == ((SettleRefresh("skipped", "retry-after"),) if seconds > 30 else asked)
    bench.fire("refresh_retry")
    assert bench.count(PostRefresh) == 2


@PROFILES
@pytest.mark.rule("P39")
def test_a_refused_hello_does_not_undercut_it(policy: Policy) -> None:
    bench = Bench(policy, world=answering_pings()).live()
    bench.ask()
    bench.send(RefreshFailed(1, "", "HTTP 429", 600.0))
    bench.pass_time(100)
    bench.refuse_now()
    assert bench.is_in("connection/backing_off")
    assert bench.count(PostRefresh) == 1


@PROFILES
@pytest.mark.rule("P39", "P12")
def test_a_new_pair_that_is_near_its_expiry_is_dialled_meanwhile(policy: Policy) -> None:
    bench = Bench(policy).live()
    bench.refuse_now()
    bench.send(RefreshFailed(1, "", "HTTP 429", 600.0))
    bench.send(CredentialsChanged(2, credential(2, age=23 * HOUR)))
    assert bench.count(PostRefresh) == 1
    assert bench.count(OpenSocket) == 2
    assert bench.is_in("connection/dialing")


# -- every failure leads somewhere ---------------------------------------------------------------------------------


def lose(bench: Bench, code: int) -> None:
    """The dial succeeds, and the session ends."""
    bench.reconnect()
    bench.drop(code)


FAILURES: dict[str, Callable[[Bench], object]] = {
    "the dial fails": lambda bench: bench.send(SocketFailed(bench.account.socket, "refused")),
    "the server is busy": lambda bench: busy(bench, 60.0),
    "nothing opens": lambda bench: bench.fire("open_deadline"),
    "no challenge": lambda bench: (bench.open(), bench.fire("challenge_deadline")),
    "no answer to the hello": lambda bench: (bench.shake(), bench.fire("hello_deadline")),
    "closed amid the handshake": lambda bench: (bench.shake(), bench.drop(1006)),
    "an outage": lambda bench: bench.refuse("auth service unavailable"),
    "rejected": lambda bench: bench.refuse(REJECTED),
    "refused": lambda bench: bench.refuse("nonce mismatch"),
    "rejected, and no refresh": lambda bench: (bench.refuse(REJECTED), bench.fail()),
    "rejected, and refused for good": lambda bench: (bench.refuse(REJECTED), bench.deny()),
    "a session is lost": lambda bench: lose(bench, 1006),
    "a session is taken over": lambda bench: lose(bench, 4001),
}


@PROFILES
@pytest.mark.rule("P49", "P36")
@pytest.mark.parametrize("first", [True, False], ids=["at first", "later"])
@pytest.mark.parametrize("how", FAILURES)
def test_each_failure_leads_to_another_attempt_or_to_a_person(policy: Policy, first: bool, how: str) -> None:
    bench = Bench(policy, world=answering_pings()).dialing() if first else reconnecting(policy)
    FAILURES[how](bench)
    retries = "retry" in bench.timers or bench.is_in("refresh/working/requesting")
    waits = not bench.status.running and bench.status.reason != "" and bench.count(Notify) == 1
    assert retries != waits
    assert bench.status.last_error
