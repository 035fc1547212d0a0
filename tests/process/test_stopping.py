"""Stopping and restarting: bounded, joined, and the last command wins."""

import pytest

from holdfast.statecharts import (
    AskToStop,
    ChildStarted,
    DropStep,
    GatewayLost,
    KillChild,
    PortClaimed,
    ProcessState,
    ReleasePort,
    SpawnChild,
    SpawnFailed,
    StopAsked,
    TerminateChild,
    WarnUser,
)

from .bench import Bench


@pytest.mark.rule("S3-43", "S3-46", "S3-48", "P37")
def test_our_own_child_is_asked_to_end() -> None:
    bench = Bench().running()
    request = bench.stop()
    assert bench.status.state is ProcessState.STOPPING
    assert bench.sent(TerminateChild) == [TerminateChild(1)]
    assert bench.outcomes(request) == []
    bench.exit(0)
    status = bench.status
    assert (status.state, status.pid, status.connected_at, status.uptime_s, status.last_error) == (
        ProcessState.STOPPED, None, None, None, "",
    )  # fmt: skip
    assert bench.outcomes(request) == ["stopped"]
    assert bench.snapshot.timers == ()


@pytest.mark.rule("S3-46")
def test_after_five_seconds_it_is_killed() -> None:
    bench = Bench().running()
    bench.stop()
    assert bench.left("stop_terminate") == 5
    bench.fire("stop_terminate")
    assert bench.sent(KillChild) == [KillChild(1)]
    bench.exit(-9)
    assert bench.place == "stopped"


@pytest.mark.rule("V40", "P34")
def test_and_if_not_even_that_helps_the_stop_ends_all_the_same() -> None:
    bench = Bench().running()
    request = bench.stop()
    former = bench.process.child
    bench.fire("stop_terminate")
    bench.fire("stop_kill")
    assert (bench.place, bench.outcomes(request)) == ("stopped", ["stopped"])
    assert "could not be killed" in bench.sent(WarnUser)[0].text
    bench.running()
    assert bench.process.child > former
    assert bench.status.owns_process


@pytest.mark.rule("S3-44")
def test_somebody_else_s_gateway_is_asked_by_its_protocol() -> None:
    bench = Bench().attached()
    request = bench.stop()
    assert bench.count(AskToStop) == 1
    assert bench.left("ask_deadline") == 5
    bench.send(StopAsked(bench.process.step))
    assert (bench.place, bench.outcomes(request)) == ("stopped", ["stopped"])
    assert bench.count(TerminateChild) == 0


@pytest.mark.rule("S3-44")
def test_if_it_does_not_answer_that_is_only_told() -> None:
    bench = Bench().attached()
    bench.stop()
    bench.fire("ask_deadline")
    assert (bench.place, bench.count(WarnUser)) == ("stopped", 1)


@pytest.mark.rule("S3-10", "S3-43", "V33", "P33")
def test_a_stop_while_a_gateway_is_looked_for_ends_at_once() -> None:
    bench = Bench()
    start = bench.start()
    bench.silence()
    stop = bench.stop()
    assert bench.place == "stopped"
    assert (bench.outcomes(start), bench.outcomes(stop)) == (["superseded"], ["stopped"])
    assert bench.journal.count(DropStep()) >= 1
    assert bench.ignores(PortClaimed(bench.process.step))
    assert bench.count(ReleasePort) == 1


@pytest.mark.rule("V34", "P33")
def test_a_stop_during_the_spawn_waits_for_the_child_s_end() -> None:
    bench = Bench().spawning()
    stop = bench.stop()
    assert bench.sent(TerminateChild) == [TerminateChild(1)]
    bench.send(ChildStarted(1, 99))
    assert (bench.outcomes(stop), bench.status.pid) == ([], None)
    bench.exit(-15)
    assert (bench.place, bench.outcomes(stop)) == ("stopped", ["stopped"])


@pytest.mark.rule("V34")
def test_or_for_its_failure() -> None:
    bench = Bench().spawning()
    bench.stop()
    bench.send(SpawnFailed(1, "no such file"))
    assert (bench.place, bench.status.last_error) == ("stopped", "")


@pytest.mark.rule("S3-39", "S3-49")
def test_a_stop_while_waiting_calls_the_wait_off() -> None:
    bench = Bench().running()
    bench.exit()
    bench.stop()
    assert (bench.place, bench.snapshot.timers) == ("stopped", ())


@pytest.mark.rule("S3-43")
def test_a_stop_while_waiting_for_a_child_that_lives_ends_it() -> None:
    bench = Bench().running()
    bench.send(GatewayLost("socket closed"))
    bench.stop()
    assert bench.place == "stopping/terminating"


@pytest.mark.rule("S3-48")
def test_a_stop_leaves_an_error_and_a_second_one_is_done_at_once() -> None:
    bench = Bench().spawning()
    bench.refuse_spawn()
    first, second = bench.stop(), bench.stop()
    assert (bench.place, bench.status.last_error) == ("stopped", "")
    assert bench.outcomes(first) == bench.outcomes(second) == ["stopped"]


@pytest.mark.rule("V35", "P53")
def test_a_start_while_it_stops_follows_the_stop() -> None:
    bench = Bench().running()
    stop, start = bench.stop(), bench.start()
    assert bench.place == "stopping/terminating"
    bench.exit(0)
    assert bench.outcomes(stop) == ["stopped"]
    bench.running()
    assert bench.outcomes(start) == ["running"]


@pytest.mark.rule("V35", "P53")
def test_and_a_stop_after_that_wins() -> None:
    bench = Bench().running()
    first, start, last = bench.stop(), bench.start(), bench.stop()
    bench.exit(0)
    assert bench.place == "stopped"
    assert (bench.outcomes(first), bench.outcomes(start), bench.outcomes(last)) == (
        ["stopped"], ["superseded"], ["stopped"],
    )  # fmt: skip


@pytest.mark.rule("S3-54", "V42")
def test_a_restart_is_a_stop_and_a_start_and_done_only_then() -> None:
    bench = Bench().running()
    request = bench.restart()
    assert bench.place == "stopping/terminating"
    bench.exit(0)
    assert bench.outcomes(request) == []
    bench.running()
    assert bench.outcomes(request) == ["running"]
    assert bench.count(SpawnChild) == 2


@pytest.mark.rule("S3-54")
def test_what_is_stopped_or_broken_is_restarted_by_a_start() -> None:
    bench = Bench()
    request = bench.restart()
    bench.running()
    assert bench.outcomes(request) == ["running"]
    broken = Bench().spawning()
    broken.refuse_spawn()
    request = broken.restart()
    broken.spawning()
    broken.refuse_spawn()
    assert (broken.place, broken.outcomes(request)) == ("error", ["failed"])


@pytest.mark.rule("S3-19", "S3-50", "S3-51", "S3-56", "V42", "P52")
def test_restarts_while_it_starts_are_one_restart_afterwards() -> None:
    bench = Bench().awaiting()
    requests = [bench.restart(), bench.restart(), bench.restart()]
    bench.answer()
    assert bench.place == "starting/connecting"
    bench.answer()
    assert bench.outcomes(1) == ["running"]
    assert bench.place == "stopping/terminating"
    assert [bench.outcomes(request) for request in requests] == [[], [], []]
    bench.exit(0)
    bench.running()
    assert [bench.outcomes(request) for request in requests] == [["running"]] * 3
    assert bench.count(SpawnChild) == 2


@pytest.mark.rule("S3-51", "S3-19")
def test_a_start_that_ends_in_an_error_is_followed_by_the_restart_all_the_same() -> None:
    bench = Bench().spawning()
    request = bench.restart()
    bench.refuse_spawn()
    assert bench.outcomes(1) == ["failed"]
    bench.running()
    assert bench.outcomes(request) == ["running"]


@pytest.mark.rule("S3-52", "S3-55")
def test_a_restart_while_waiting_follows_once_it_runs() -> None:
    bench = Bench().running()
    bench.exit()
    request = bench.restart()
    assert bench.place == "reconnecting"
    bench.fire("reconnect")
    bench.awaiting()
    bench.answer()
    bench.answer()
    assert (bench.place, bench.outcomes(request)) == ("stopping/terminating", [])


@pytest.mark.rule("S3-53", "P52")
def test_a_restart_while_one_stops_joins_it() -> None:
    bench = Bench().running()
    first, second = bench.restart(), bench.restart()
    bench.exit(0)
    bench.running()
    assert bench.outcomes(first) == bench.outcomes(second) == ["running"]
    assert bench.count(SpawnChild) == 2


@pytest.mark.rule("S3-48", "S3-55")
def test_a_stop_forgets_a_restart_that_was_deferred() -> None:
    bench = Bench().awaiting()
    request, soon = bench.restart(), bench.restart_soon()
    bench.stop()
    bench.exit(0)
    assert bench.place == "stopped"
    assert bench.outcomes(request) == bench.outcomes(soon) == ["superseded"]
    assert bench.snapshot.timers == ()


@pytest.mark.rule("S3-57")
def test_debounced_restarts_are_one_two_seconds_after_the_last() -> None:
    bench = Bench().running()
    first = bench.restart_soon()
    bench.advance(1.5)
    second = bench.restart_soon()
    bench.advance(1.9)
    assert bench.place == "running/well"
    bench.advance(0.1)
    assert bench.place == "stopping/terminating"
    bench.exit(0)
    bench.running()
    assert bench.outcomes(first) == bench.outcomes(second) == ["running"]


@pytest.mark.rule("S3-57", "P52")
def test_a_restart_at_once_takes_the_debounced_ones_along() -> None:
    bench = Bench().running()
    soon, now = bench.restart_soon(), bench.restart()
    bench.exit(0)
    bench.running()
    assert bench.outcomes(soon) == bench.outcomes(now) == ["running"]
    assert bench.left("debounce") is None
