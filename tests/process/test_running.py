"""Running: what is lost comes back, and what does not is told."""

import pytest

from holdfast.statecharts import (
    PROCESS_STRICT,
    ChildExited,
    GatewayLost,
    ProbeGateway,
    ProcessPolicy,
    ProcessState,
    ReleasePort,
    SpawnChild,
    WarnUser,
)

from .bench import Bench


@pytest.mark.rule("S3-33", "S3-35", "S3-42")
def test_a_child_that_dies_is_replaced() -> None:
    bench = Bench().running()
    bench.exit(-9)
    status = bench.status
    assert (status.state, status.pid, status.connected_at) == (ProcessState.RECONNECTING, None, None)
    assert "code=-9" in status.last_error
    assert status.retry_at == round(bench.wall + 0.75, 3)  # 1 s, half of it by chance, which is 0.5 here
    assert bench.count(ReleasePort) == 1
    bench.fire("reconnect")
    bench.running()
    assert bench.count(SpawnChild) == 2


@pytest.mark.rule("S3-35", "S3-36", "S3-38", "V32")
@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_the_ladder_has_ten_steps_and_then_an_end(chance: float) -> None:
    bench = Bench(chance=chance).running()
    waits: list[float] = []
    for _ in range(10):
        bench.exit()
        waits.append(bench.left("reconnect") or 0.0)
        bench.fire("reconnect")
        bench.running()
    whole = [1, 2, 4, 8, 16, 30, 30, 30, 30, 30]
    assert waits == pytest.approx([step / 2 + chance * step / 2 for step in whole])
    assert bench.status.attempts == 10
    bench.exit()
    assert bench.status.state is ProcessState.ERROR
    assert bench.status.last_error.startswith("failed to reconnect after 10 attempts")
    assert bench.snapshot.timers == ()


@pytest.mark.rule("S3-38", "S3-42")
def test_starts_that_fail_climb_the_same_ladder() -> None:
    bench = Bench().running()
    bench.exit()
    for _ in range(10):
        bench.fire("reconnect")
        bench.spawning()
        bench.refuse_spawn()
    assert (bench.place, bench.status.attempts) == ("error", 10)


@pytest.mark.rule("V32", "S3-41")
def test_only_a_run_that_lasted_clears_the_streak() -> None:
    bench = Bench().running()
    bench.exit()
    bench.fire("reconnect")
    bench.running()
    bench.pass_time(PROCESS_STRICT.stable_s - 1)
    assert bench.status.attempts == 1
    bench.fire("stable")
    assert bench.status.attempts == 0


@pytest.mark.rule("V32", "S3-01")
def test_an_error_is_left_by_a_start() -> None:
    bench = Bench().spawning()
    bench.refuse_spawn()
    bench.amend(attempts=10)
    request = bench.start()
    assert (bench.status.state, bench.status.attempts, bench.status.last_error) == (ProcessState.STARTING, 0, "")
    bench.running()
    assert bench.outcomes(request) == ["running"]


@pytest.mark.rule("S3-05", "V32")
def test_a_start_while_waiting_begins_at_once_and_keeps_the_streak() -> None:
    bench = Bench().running()
    bench.exit()
    bench.start()
    assert bench.place == "starting/finding/probing"
    assert (bench.left("reconnect"), bench.status.attempts) == (None, 1)


@pytest.mark.rule("S3-32", "S3-37", "S3-40")
def test_a_lost_connection_is_mended_with_the_same_child() -> None:
    bench = Bench().running()
    bench.send(GatewayLost("socket closed"))
    assert (bench.status.state, bench.status.last_error) == (ProcessState.RECONNECTING, "socket closed")
    bench.fire("reconnect")
    bench.answer()
    bench.answer()
    assert (bench.place, bench.count(SpawnChild), bench.status.owns_process) == ("running/well", 1, True)


@pytest.mark.rule("S3-36", "S3-37")
def test_who_does_not_run_loses_nothing() -> None:
    bench = Bench()
    assert bench.ignores(GatewayLost("socket closed"))
    bench.running()
    bench.exit()
    due = bench.left("reconnect")
    assert bench.ignores(GatewayLost("socket closed"))
    assert (bench.left("reconnect"), bench.status.attempts) == (due, 1)


@pytest.mark.rule("S3-40", "P34")
def test_a_child_that_runs_and_does_not_answer_is_ended_before_another_begins() -> None:
    bench = Bench().running()
    bench.send(GatewayLost("socket closed"))
    bench.fire("reconnect")
    bench.silence()
    assert (bench.place, bench.count(SpawnChild)) == ("clearing/terminating", 1)
    bench.fire("clear_terminate")
    assert bench.place == "clearing/killing"
    bench.exit(-9)
    assert bench.place == "reconnecting"


@pytest.mark.rule("S3-40")
def test_a_child_that_dies_while_it_is_looked_for_is_replaced() -> None:
    bench = Bench().running()
    bench.send(GatewayLost("socket closed"))
    bench.fire("reconnect")
    bench.exit()
    bench.spawning()
    assert bench.count(SpawnChild) == 2


@pytest.mark.rule("S3-33", "P34")
def test_a_child_that_dies_while_it_is_waited_for_gives_the_port_free() -> None:
    bench = Bench().running()
    bench.send(GatewayLost("socket closed"))
    assert bench.count(ReleasePort) == 0
    bench.exit()
    assert (bench.place, bench.count(ReleasePort), bench.status.pid) == ("reconnecting", 1, None)


@pytest.mark.rule("P34", "S3-34")
def test_the_end_of_a_former_child_changes_nothing() -> None:
    bench = Bench().running()
    former = bench.process.child
    bench.exit()
    bench.fire("reconnect")
    bench.running()
    assert bench.ignores(ChildExited(former, 1))


@pytest.mark.rule("S3-64")
def test_our_own_child_is_examined_and_only_told_of() -> None:
    bench = Bench().running()
    probes = bench.count(ProbeGateway)
    assert bench.left("health") == 30
    bench.fire("health")
    assert bench.count(ProbeGateway) == probes + 1
    bench.silence()
    assert bench.place == "running/well"
    assert "health check" in bench.status.last_error
    assert bench.count(WarnUser) == 1
    bench.fire("health")
    bench.answer()
    assert bench.status.last_error == ""


@pytest.mark.rule("S3-32", "S3-64")
@pytest.mark.parametrize("late", [True, False])
def test_somebody_else_s_gateway_that_vanished_is_lost(late: bool) -> None:
    bench = Bench().attached()
    bench.fire("health")
    if late:
        bench.fire("health_deadline")
    else:
        bench.silence()
    assert bench.status.state is ProcessState.RECONNECTING


@pytest.mark.rule("S3-12", "S3-15")
def test_a_policy_is_checked_and_scaled() -> None:
    fast = PROCESS_STRICT.scaled(0.01)
    assert fast.reconnect_cap_s == pytest.approx(0.3)
    assert fast.stable_s == 3.0
    assert (fast.terminate_s, fast.kill_s, fast.probe_s) == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="ready_poll_s, start_attempts_max: out of range"):
        ProcessPolicy(ready_poll_s=0.0, start_attempts_max=0)
    with pytest.raises(ValueError, match="time scale"):
        PROCESS_STRICT.scaled(float("nan"))
