"""The process chart against a world that does what it likes, as a Hypothesis state machine."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from holdfast.engine import Command, Event, TimerFired, dump, restore
from holdfast.statecharts import (
    AskToStop,
    CheckPort,
    ChildExited,
    ChildStarted,
    ClaimFailed,
    ClaimPort,
    ConfigRepaired,
    DropStep,
    GatewayAnswered,
    GatewayLost,
    GatewaySilent,
    KillChild,
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
    SpawnFailed,
    StopAsked,
    TerminateChild,
    process_chart,
)

from .bench import Bench

RESTS = (ProcessState.STOPPED, ProcessState.RUNNING, ProcessState.ERROR)
WORDS = ("connection refused", "invalid config", "something else", "exited before becoming ready")
STEPS_MAX = 2000


class World:
    """What the commands made of the machine: children, the lock, the step under way, and who waits for what."""

    def __init__(self) -> None:
        self.children: dict[int, str] = {}  # by id: spawning, running, ending, dead for sure only when removed
        self.step: Command | None = None
        self.locked = False
        self.seen = 0

    def follow(self, bench: Bench) -> None:
        """Carry out what was commanded since the last look."""
        for command in bench.journal[self.seen :]:
            self._carry_out(command)
        self.seen = len(bench.journal)

    def _carry_out(self, command: Command) -> None:
        if isinstance(command, ProbeGateway | ClaimPort | CheckPort | RepairConfig | AskToStop):
            assert self.step is None, "two steps at once"
            self.step = command
        elif isinstance(command, DropStep):
            self.step = None
        elif isinstance(command, SpawnChild):
            assert not self.children, "two children at once"
            assert self.locked, "a child without the lock"
            self.children[command.child] = "spawning"
        elif isinstance(command, TerminateChild | KillChild) and command.child in self.children:
            self.children[command.child] = "ending"
        elif isinstance(command, ReleasePort):
            assert not self.children, "the lock is given away and a child lives"
            self.locked = False

    def answers(self, error: str) -> list[Event]:
        """What may come next of the step under way."""
        step = self.step
        if isinstance(step, ProbeGateway):
            return [GatewayAnswered(step.step), GatewaySilent(step.step, error)]
        if isinstance(step, ClaimPort):
            return [PortClaimed(step.step), PortHeld(step.step), ClaimFailed(step.step, error)]
        if isinstance(step, CheckPort):
            return [PortFree(step.step), PortTaken(step.step)]
        if isinstance(step, RepairConfig):
            return [ConfigRepaired(step.step), RepairFailed(step.step)]
        return [StopAsked(step.step)] if isinstance(step, AskToStop) else []


class ProcessMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.world = World()
        self.last = "stop"
        self.old: list[Event] = []

    def deliver(self, event: Event) -> None:
        self.old = [*self.old[-20:], event]
        if isinstance(event, PortClaimed):
            self.world.locked = True
        if isinstance(event, ChildExited | SpawnFailed):
            self.world.children.pop(event.child, None)
        if event in self.world.answers(getattr(event, "error", "")):
            self.world.step = None
        self.bench.send(event)
        self.world.follow(self.bench)

    # -- a person ------------------------------------------------------------------------------------------------

    @rule(what=st.sampled_from(("start", "stop", "restart", "restart_soon")))
    def ask(self, what: str) -> None:
        self.last = what
        getattr(self.bench, what)()
        self.world.follow(self.bench)

    # -- the world -----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.world.step is not None)
    @rule(data=st.data(), error=st.sampled_from(WORDS))
    def answer(self, data: st.DataObject, error: str) -> None:
        self.deliver(data.draw(st.sampled_from(self.world.answers(error))))

    @precondition(lambda self: self.world.children)
    @rule(data=st.data(), error=st.sampled_from(WORDS))
    def child(self, data: st.DataObject, error: str) -> None:
        ((child, state),) = self.world.children.items()
        choices: list[Event] = [ChildExited(child, 1, error)]
        if state == "spawning":
            self.world.children[child] = "running"
            choices = [ChildStarted(child, 4000 + child), SpawnFailed(child, error)]
        self.deliver(data.draw(st.sampled_from(choices)))

    @precondition(lambda self: self.bench.snapshot.timers and self._may_fire())
    @rule()
    def time(self) -> None:
        self._fire()

    @rule(error=st.sampled_from(WORDS))
    def lose(self, error: str) -> None:
        self.deliver(GatewayLost(error))

    @precondition(lambda self: self.old)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """Whatever was said is said again, too late: the answers of steps and children change nothing."""
        event = data.draw(st.sampled_from(self.old))
        current = (self.bench.process.step, self.bench.process.child)
        if (
            not isinstance(event, GatewayLost)
            and (getattr(event, "step", 0) or getattr(event, "child", 0)) not in current
        ):
            assert self.bench.ignores(event)
            self.world.follow(self.bench)

    @rule()
    def save(self) -> None:
        """A snapshot goes to JSON and back."""
        bench = self.bench
        assert restore(process_chart, dump(bench.snapshot, bench.stamp), bench.stamp) == bench.snapshot

    def _next_timer(self) -> TimerFired:
        armed = min(self.bench.snapshot.timers, key=lambda one: one.due)
        self.bench.pass_time(max(0.0, armed.due - self.bench.now))
        return TimerFired(armed.timer, armed.serial)

    def _may_fire(self) -> bool:
        """A killed child is gone before the last deadline: those that are not are a test of their own."""
        timer = min(self.bench.snapshot.timers, key=lambda one: one.due).timer
        return timer not in ("stop_kill", "clear_kill")

    def _fire(self) -> None:
        self.bench.send(self._next_timer())
        self.world.follow(self.bench)

    # -- what always holds -----------------------------------------------------------------------------------------

    @invariant()
    def at_most_one_child_and_the_status_tells_it(self) -> None:
        process, status = self.bench.process, self.bench.status
        assert len(self.world.children) <= 1
        assert process.has_child == bool(self.world.children)
        if status.state in (ProcessState.STOPPED, ProcessState.ERROR):
            assert not self.world.children
            assert self.world.step is None
            assert not self.world.locked
        assert (status.connected_at is not None) == (status.state is ProcessState.RUNNING)
        assert (status.retry_at is not None) <= (status.state in (ProcessState.STARTING, ProcessState.RECONNECTING))

    @invariant()
    def something_is_always_awaited(self) -> None:
        """A timer, a step, a child's end, or a person (P36)."""
        if self.bench.status.state not in (ProcessState.STOPPED, ProcessState.ERROR):
            assert self.bench.snapshot.timers

    @invariant()
    def a_request_ends_at_most_once(self) -> None:
        settled = [one.request for one in self.bench.sent(SettleRequest)]
        assert len(settled) == len(set(settled))

    @invariant()
    def nobody_waits_for_what_is_over(self) -> None:
        process = self.bench.process
        if self.bench.place == "stopped":
            assert process.starts + process.stops + process.restarts + process.restarting == ()
        if self.bench.place == "error":
            assert process.starts + process.restarting + process.restarts == ()

    def teardown(self) -> None:
        """Left alone in a world where everything works, it ends as the last command said (P53), and all are told."""
        for _ in range(STEPS_MAX):
            if self._rests() and self.world.step is None:
                break
            self._go_well()
        else:
            raise AssertionError(f"does not come to rest: {self.bench.place}")
        ends = {ProcessState.STOPPED} if self.last == "stop" else {ProcessState.RUNNING, ProcessState.ERROR}
        assert self.bench.status.state in ends
        settled = {one.request for one in self.bench.sent(SettleRequest)}
        assert settled == set(range(1, self.bench.requests + 1)), "somebody still waits"

    def _rests(self) -> bool:
        return self.bench.status.state in RESTS and self.bench.left("debounce") is None

    def _go_well(self) -> None:
        answers = self.world.answers("")
        spawning = [child for child, state in self.world.children.items() if state == "spawning"]
        ending = [child for child, state in self.world.children.items() if state == "ending"]
        if ending:
            self.deliver(ChildExited(ending[0], 0))
        elif spawning:
            self.world.children[spawning[0]] = "running"
            self.deliver(ChildStarted(spawning[0], 1))
        elif answers:
            alone = isinstance(self.world.step, ProbeGateway) and not self.world.children
            self.deliver(answers[1] if alone and self.bench.place.endswith("probing") else answers[0])
        else:
            self._fire()


TestProcess = pytest.mark.rule("V33", "V34", "V35", "P33", "P34", "P36", "P37", "P52", "P53", "V42")(
    ProcessMachine.TestCase
)
"""At most one child, one step and one outcome for each request; and the last command wins."""
TestProcess.settings = settings(max_examples=300, stateful_step_count=60)
