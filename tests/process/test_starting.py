"""Starting: an existing gateway, a child of ours, and what can go wrong."""

import pytest

from holdfast.statecharts import (
    PROCESS_STRICT,
    CheckPort,
    ChildStarted,
    ClaimFailed,
    ConfigRepaired,
    DropStep,
    GatewayAnswered,
    PortClaimed,
    PortFree,
    PortHeld,
    PortTaken,
    ProbeGateway,
    ProcessState,
    ReleasePort,
    RepairConfig,
    RepairFailed,
    SettleRequest,
    SpawnChild,
    TerminateChild,
)

from .bench import WALL, Bench

CONFIG = "Invalid config at gateway.mode"


@pytest.mark.rule("S3-01", "S3-04")
def test_it_is_stopped_until_somebody_starts_it() -> None:
    bench = Bench()
    before = bench.status
    assert bench.journal == []
    bench.start()
    assert [before.state, bench.status.state] == [ProcessState.STOPPED, ProcessState.STARTING]
    assert bench.sent(ProbeGateway) == [ProbeGateway(1)]


@pytest.mark.rule("S3-02", "S3-03", "V42")
def test_a_second_start_joins_the_first_and_one_while_running_is_done_at_once() -> None:
    bench = Bench()
    first, second = bench.start(), bench.start()
    assert bench.count(ProbeGateway) == 1
    bench.running()
    assert bench.outcomes(first) == bench.outcomes(second) == ["running"]
    third = bench.start()
    assert bench.outcomes(third) == ["running"]
    assert bench.count(SpawnChild) == 1


@pytest.mark.rule("S3-08", "S3-01")
def test_a_gateway_that_is_there_is_used_and_not_owned() -> None:
    bench = Bench().attached()
    assert bench.count(SpawnChild) == 0
    assert (bench.status.state, bench.status.owns_process, bench.status.pid) == (ProcessState.RUNNING, False, None)
    assert bench.left("health") == PROCESS_STRICT.health_s


@pytest.mark.rule("S3-09", "S3-20", "S3-27", "S3-66")
def test_without_one_a_child_is_started_and_awaited() -> None:
    bench = Bench()
    request = bench.start()
    bench.awaiting(pid=77)
    assert bench.sent(SpawnChild) == [SpawnChild(1)]
    for _ in range(3):
        bench.silence()
        assert bench.left("ready_poll") == pytest.approx(PROCESS_STRICT.ready_poll_s)
        bench.fire("ready_poll")
    assert bench.status.connected_at is None
    bench.answer()
    assert bench.place == "starting/connecting"
    bench.answer()
    bench.pass_time(12)
    status = bench.status
    assert (status.state, status.pid, status.owns_process) == (ProcessState.RUNNING, 77, True)
    assert status.connected_at is not None
    assert status.connected_at >= WALL
    assert status.uptime_s == 12
    assert bench.outcomes(request) == ["running"]


@pytest.mark.rule("S3-09")
def test_a_port_that_something_else_holds_is_waited_for() -> None:
    bench = Bench()
    bench.start()
    bench.silence()
    bench.send(PortClaimed(bench.process.step))
    bench.send(PortTaken(bench.process.step))
    assert bench.left("port_poll") == 0.5
    bench.fire("port_poll")
    assert bench.count(CheckPort) == 2
    bench.send(PortFree(bench.process.step))
    assert bench.place == "starting/spawning"


@pytest.mark.rule("S3-09", "S3-14")
def test_a_port_that_stays_held_fails_the_start() -> None:
    bench = Bench()
    request = bench.start()
    bench.silence()
    bench.send(PortClaimed(bench.process.step))
    bench.send(PortTaken(bench.process.step))
    bench.fire("port_deadline")
    assert bench.status.state is ProcessState.ERROR
    assert "listens on the port" in bench.status.last_error
    assert bench.outcomes(request) == ["failed"]
    assert bench.count(ReleasePort) == 1


@pytest.mark.rule("S3-08", "S3-40")
def test_while_another_manager_has_the_port_its_gateway_is_looked_for() -> None:
    bench = Bench()
    bench.start()
    for _ in range(3):
        bench.silence()
        bench.send(PortHeld(bench.process.step))
        bench.fire("yield_poll")
    bench.answer()
    bench.answer()
    assert (bench.place, bench.count(SpawnChild)) == ("running/well", 0)


@pytest.mark.rule("P54")
def test_another_manager_that_never_gets_anywhere_is_not_waited_for_for_ever() -> None:
    bench = Bench()
    bench.start()
    bench.silence()
    bench.send(PortHeld(bench.process.step))
    bench.fire("find_deadline")
    assert "another manager" in bench.status.last_error


@pytest.mark.rule("S3-14")
def test_a_lock_that_cannot_be_used_fails_the_start() -> None:
    bench = Bench()
    bench.start()
    bench.silence()
    bench.send(ClaimFailed(bench.process.step, "permission denied"))
    assert (bench.place, bench.status.last_error) == ("error", "permission denied")


@pytest.mark.rule("S3-12", "S3-13", "S3-21", "S3-71")
def test_a_passing_failure_is_tried_three_times_a_second_apart() -> None:
    bench = Bench()
    request = bench.start()
    for attempt in (1, 2, 3):
        bench.awaiting()
        bench.exit(code=7, tail="first line\nlast words")
        assert "exited before becoming ready (code=7): last words" in bench.status.last_error
        if attempt < 3:
            assert bench.left("start_retry") == 1.0
            assert bench.status.retry_at == round(bench.wall + 1.0, 3)
            bench.fire("start_retry")
    assert bench.place == "error"
    assert bench.outcomes(request) == ["failed"]
    assert bench.count(SpawnChild) == 3


@pytest.mark.rule("S3-14", "S3-71", "V41")
def test_any_other_failure_of_the_first_start_ends_it() -> None:
    bench = Bench().spawning()
    bench.refuse_spawn("no such file: node")
    assert (bench.place, bench.status.last_error) == ("error", "no such file: node")
    assert (bench.status.pid, bench.process.has_child) == (None, False)


@pytest.mark.rule("V41")
def test_or_waits_on_the_ladder_if_the_policy_says_so() -> None:
    bench = Bench(PROCESS_STRICT.__class__(first_failure="retry")).spawning()
    bench.refuse_spawn()
    assert bench.status.state is ProcessState.RECONNECTING
    assert bench.outcomes(1) == []
    bench.fire("reconnect")
    bench.running()
    assert bench.outcomes(1) == ["running"]


@pytest.mark.rule("S3-15", "P55")
def test_a_refused_configuration_is_repaired_and_tried_at_once() -> None:
    bench = Bench().awaiting()
    bench.exit(78, CONFIG)
    assert bench.place == "repairing"
    assert bench.status.state is ProcessState.STARTING
    bench.send(ConfigRepaired(bench.process.step))
    assert bench.place == "starting/finding/probing"
    assert (bench.status.last_error, bench.process.tries) == ("", 2)


@pytest.mark.rule("S3-16", "P55")
def test_and_not_a_second_time() -> None:
    bench = Bench().awaiting()
    bench.exit(78, CONFIG)
    bench.send(ConfigRepaired(bench.process.step))
    bench.awaiting()
    bench.exit(78, CONFIG)
    assert (bench.place, bench.count(RepairConfig)) == ("error", 1)


@pytest.mark.rule("S3-17", "S3-18", "P55")
@pytest.mark.parametrize("ending", ["failed", "late"])
def test_a_repair_that_fails_leaves_it_to_the_other_rules(ending: str) -> None:
    bench = Bench().awaiting()
    bench.exit(78, CONFIG)
    if ending == "failed":
        bench.send(RepairFailed(bench.process.step))
    else:
        assert bench.left("repair_deadline") == 120
        bench.fire("repair_deadline")
        assert bench.journal.count(DropStep()) >= 1
    for _ in range(2):
        assert bench.place == "retrying"
        bench.fire("start_retry")
        bench.awaiting()
        bench.exit(78, CONFIG)
    assert (bench.place, bench.count(RepairConfig)) == ("error", 1)


@pytest.mark.rule("P55")
def test_without_a_repair_a_refused_configuration_is_the_end_of_the_start() -> None:
    bench = Bench(repairable=False)
    request = bench.start()
    bench.awaiting()
    bench.exit(78, f"starting\n{CONFIG} at gateway.mode\nlook at the backup beside it")
    assert (bench.place, bench.count(SpawnChild), bench.count(RepairConfig)) == ("error", 1, 0)
    assert bench.outcomes(request) == ["failed"]
    assert bench.status.last_error.endswith(f"(code=78): {CONFIG} at gateway.mode")


@pytest.mark.rule("P55")
def test_a_refused_configuration_is_no_matter_of_patience() -> None:
    """Not even where the gateway ran before, and the ladder is free."""
    bench = Bench().running()
    bench.exit()
    bench.fire("reconnect")
    bench.spawning()
    bench.refuse_spawn(CONFIG)
    bench.send(RepairFailed(bench.process.step))
    assert bench.place == "error"


@pytest.mark.rule("S3-15", "S3-40")
def test_the_next_start_may_repair_again() -> None:
    bench = Bench().awaiting()
    bench.exit(78, CONFIG)
    bench.send(ConfigRepaired(bench.process.step))
    bench.running()
    bench.exit()
    bench.fire("reconnect")
    bench.awaiting()
    bench.exit(78, CONFIG)
    assert bench.place == "repairing"


@pytest.mark.rule("V36", "P54", "V34")
@pytest.mark.parametrize("timer", ["spawn_deadline", "ready_deadline", "connect_deadline"])
def test_every_phase_of_a_start_has_an_end_and_its_child_ends_with_it(timer: str) -> None:
    bench = Bench().spawning()
    if timer != "spawn_deadline":
        bench.send(ChildStarted(bench.process.child, 42))
    if timer == "connect_deadline":
        bench.answer()
    bench.fire(timer)
    assert bench.place == "clearing/terminating"
    assert bench.sent(TerminateChild) == [TerminateChild(bench.process.child)]
    bench.exit(-15)
    assert bench.place in ("error", "retrying")
    assert not bench.process.has_child


@pytest.mark.rule("S3-10", "P34")
def test_the_answer_to_a_former_step_changes_nothing() -> None:
    bench = Bench().awaiting()
    old = bench.process.step
    bench.silence()
    bench.fire("ready_poll")
    assert bench.ignores(GatewayAnswered(old))
    bench.stop()
    assert bench.ignores(GatewayAnswered(old + 1))


@pytest.mark.rule("S3-20")
def test_the_numbers_of_the_wait() -> None:
    policy = PROCESS_STRICT
    assert policy.ready_s / policy.ready_poll_s == pytest.approx(2400)
    assert policy.probe_s == 1.5


@pytest.mark.rule("V42")
def test_a_start_is_settled_once() -> None:
    bench = Bench()
    request = bench.start()
    bench.running()
    bench.exit()
    bench.fire("reconnect")
    bench.running()
    bench.stop()
    bench.exit(0)
    assert [one for one in bench.sent(SettleRequest) if one.request == request] == [SettleRequest(request, "running")]
