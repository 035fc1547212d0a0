"""Two clients of one identity: each connection ends the other's, and somebody has to give way."""

from itertools import pairwise

import pytest

from holdfast.engine import TimerFired
from holdfast.statecharts import (
    STRICT,
    AccountState,
    CredentialsChanged,
    Notify,
    OpenSocket,
    PostRefresh,
    Record,
    ResumeRequested,
)

from .harness import DAY, HOUR, MINUTE, Bench, credential
from .worlds import answering_pings, good_gateway

TAKEOVER = 4001


class SharedGateway:
    """Two accounts on one clock, and room for one session: the newest."""

    def __init__(self, *chances: float) -> None:
        self.clients = [Bench(chance=chance, world=good_gateway()) for chance in chances]
        for client in self.clients:
            client.read(credential())
            self._evict_others(client)

    def _evict_others(self, winner: Bench) -> None:
        for other in self.clients:
            if other is not winner and other.status.connected:
                other.drop(TAKEOVER, "connected elsewhere")

    def advance(self, seconds: float) -> None:
        """Time goes by for both, timer by timer."""
        end = self.clients[0].now + seconds
        while (due := min(armed.due for one in self.clients for armed in one.snapshot.timers)) <= end:
            for client in self.clients:
                client.pass_time(max(0.0, due - client.now))
                self._ring(client)
        for client in self.clients:
            client.pass_time(end - client.now)

    def _ring(self, client: Bench) -> None:
        was_connected = client.status.connected
        for armed in client.snapshot.timers:
            if armed.due <= client.now:
                client.send(TimerFired(armed.timer, armed.serial))
        if client.status.connected and not was_connected:
            self._evict_others(client)


@pytest.mark.rule("P31")
@pytest.mark.parametrize("chances", [(0.0, 0.0), (0.0, 0.999), (0.5, 0.5), (0.999, 0.2)])
def test_of_two_clients_one_gives_way_and_the_other_stays(chances: tuple[float, float]) -> None:
    shared = SharedGateway(*chances)
    shared.advance(HOUR)
    parked = [one for one in shared.clients if one.is_in("connection/parked/evicted")]
    online = [one for one in shared.clients if one.status.connected]
    assert (len(parked), len(online)) == (1, 1)
    assert parked[0].count(OpenSocket) == STRICT.evictions_max
    assert parked[0].count(Notify) == 1
    for client in shared.clients:
        dials = client.times(OpenSocket)
        gaps = [later - earlier for earlier, later in pairwise(dials)]
        assert all(gap >= STRICT.takeover_floor_s / 2 * 2**place for place, gap in enumerate(gaps))
    count = [one.count(OpenSocket) for one in shared.clients]
    shared.advance(DAY - 3 * HOUR)
    assert [one.count(OpenSocket) for one in shared.clients] == count


def evict(bench: Bench) -> None:
    """Let the dial under way succeed, and another client take over."""
    bench.drop(TAKEOVER, "connected elsewhere")


def evicted(times: int, chance: float = 0.0) -> Bench:
    """Taken over, and back again at once, so often in a row."""
    bench = Bench(chance=chance, world=answering_pings()).live()
    for number in range(times):
        if number:
            bench.fire("retry")
            bench.reconnect()
        evict(bench)
    return bench


@pytest.mark.rule("P31")
@pytest.mark.parametrize(("chance", "waits"), [(0.0, (5, 10, 20, 40)), (0.999999, (10, 20, 40, 80))])
def test_the_wait_doubles_with_each_takeover(chance: float, waits: tuple[int, ...]) -> None:
    for times, wait in enumerate(waits, 1):
        assert evicted(times, chance).left("retry") == pytest.approx(wait, abs=0.001)


@pytest.mark.rule("P31", "P49")
def test_after_five_takeovers_in_ten_minutes_a_person_is_told_and_awaited() -> None:
    bench = evicted(5)
    status = bench.status
    assert (status.state, status.configured, status.running) == (AccountState.WAITING, True, False)
    assert status.reason == "another client uses this device's session; stop it, then resume, or start anew"
    assert status.retry_at is None
    assert [row.state for row in bench.sent(Record)][-2:] == ["disconnected", "parked"]
    (told,) = bench.sent(Notify)
    assert told.text.endswith("then resume this account, or start it anew.")
    dials = bench.count(OpenSocket)
    bench.advance(20 * HOUR)
    assert bench.count(OpenSocket) == dials
    assert bench.count(PostRefresh) == 0


@pytest.mark.rule("P31")
def test_takeovers_that_are_ten_minutes_apart_do_not_add_up() -> None:
    bench = evicted(1)
    for _ in range(10):
        bench.fire("retry")
        bench.reconnect()
        bench.advance(10 * MINUTE)
        evict(bench)
        assert bench.left("retry") == 5.0


@pytest.mark.rule("P31")
def test_resumed_the_account_starts_over() -> None:
    bench = evicted(5)
    assert bench.send(ResumeRequested()) == (OpenSocket(6),)
    bench.reconnect()
    evict(bench)
    assert bench.is_in("connection/backing_off")
    assert bench.account.floor == STRICT.takeover_floor_s


@pytest.mark.rule("P31", "P21")
def test_resumed_after_its_token_expired_the_account_refreshes_first() -> None:
    bench = evicted(5)
    bench.pass_time(DAY)
    assert bench.send(ResumeRequested()) == (PostRefresh(1, 1, "expired", 15.0),)
    assert OpenSocket(6) in bench.rotate()


@pytest.mark.rule("P31")
def test_new_credentials_end_the_parking() -> None:
    bench = evicted(5)
    assert OpenSocket(6) in bench.send(CredentialsChanged(2, credential(2)))
    bench.reconnect()
    evict(bench)
    assert bench.is_in("connection/backing_off")
    assert bench.account.floor == STRICT.takeover_floor_s


@pytest.mark.rule("P31", "P33", "P11")
def test_a_parked_account_can_be_stopped_and_logged_out() -> None:
    for end, state in ((Bench.stop, "connection/stopped"), (Bench.log_out, "connection/offline")):
        bench = evicted(5)
        end(bench)
        assert bench.is_in(state)
        assert bench.count(OpenSocket) == 5


def test_who_resumes_what_is_not_parked_changes_nothing() -> None:
    for bench in (Bench(), Bench().dialing(), Bench().live()):
        assert bench.ignores(ResumeRequested())
