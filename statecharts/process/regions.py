"""The two regions of the process chart: the life of the process, and restarts that are debounced."""

from typing import Any

from holdfast.engine import After, Effect, State, Timer, Transition

from ..durations import fixed
from . import delays
from . import effects as do
from . import events as ev
from . import guards as g
from .commands import DropStep

Row = Transition

# fmt: off
# One row, one thought: laid out by hand, to be read as a table.


def _timed(name: str, field: str) -> tuple[Timer, ...]:
    return (Timer(name, fixed(field)),)


def _step(name: str, begin: Effect, timers: tuple[Timer, ...] = ()) -> State:
    """A state that waits for the outcome of one step, and gives it up when it is left."""
    return State(name=name, on_enter=(begin,), on_exit=(DropStep(),), timers=timers)


def _ending(prefix: str) -> tuple[State, ...]:
    """A child is ended: politely, then for good. Both are bounded."""
    return (
        State(name="terminating", on_enter=(do.terminate,), timers=_timed(f"{prefix}_terminate", "terminate_s")),
        State(name="killing", on_enter=(do.kill,), timers=_timed(f"{prefix}_kill", "kill_s")),
    )


LIFE = State(
    name="life",
    initial="stopped",
    children=(
        State(name="stopped", note="nothing is left of it"),
        State(
            name="starting",
            initial="finding",
            children=(
                State(
                    name="finding",
                    initial="probing",
                    timers=_timed("find_deadline", "find_s"),
                    children=(
                        _step("probing", do.probe, _timed("probe_deadline", "probe_s")),
                        _step("claiming", do.claim),
                        State(name="yielding", note="another manager starts one",
                              timers=_timed("yield_poll", "yield_poll_s")),
                        State(
                            name="waiting_for_port",
                            initial="looking",
                            timers=_timed("port_deadline", "port_s"),
                            children=(
                                _step("looking", do.check_port),
                                State(name="waiting", timers=_timed("port_poll", "port_poll_s")),
                            ),
                        ),
                    ),
                ),
                State(name="spawning", on_enter=(do.spawn,), timers=_timed("spawn_deadline", "spawn_s")),
                State(
                    name="awaiting_ready",
                    initial="asking",
                    timers=_timed("ready_deadline", "ready_s"),
                    children=(
                        _step("asking", do.probe, _timed("ready_probe_deadline", "probe_s")),
                        State(name="pausing", timers=_timed("ready_poll", "ready_poll_s")),
                    ),
                ),
                _step("connecting", do.probe, _timed("connect_deadline", "connect_s")),
            ),
        ),
        State(name="clearing", initial="deciding", note="a start failed: no child of it is left",
              children=(State(name="deciding"), *_ending("clear"))),
        State(name="failed", note="what now", on_enter=(do.release_port,)),
        _step("repairing", do.repair, _timed("repair_deadline", "repair_s")),
        State(name="retrying", timers=_timed("start_retry", "start_retry_s")),
        State(
            name="running",
            initial="well",
            on_enter=(do.arrive,),
            on_exit=(do.leave,),
            timers=_timed("stable", "stable_s"),
            children=(
                State(name="well", timers=_timed("health", "health_s")),
                _step("examining", do.probe, _timed("health_deadline", "probe_s")),
            ),
        ),
        State(name="lost", note="may it come back"),
        State(name="reconnecting", on_enter=(do.climb,), timers=(Timer("reconnect", delays.reconnect),)),
        State(name="error", note="waits for a person", on_enter=(do.give_up,)),
        State(
            name="stopping",
            initial="asking",
            children=(_step("asking", do.ask, _timed("ask_deadline", "ask_s")), *_ending("stop")),
        ),
        State(name="gone", note="where to now", on_enter=(do.finish,)),
    ),
)

_STOPPED = "life/stopped"
_STARTING = "life/starting"
_FINDING = f"{_STARTING}/finding"
_PROBING = f"{_FINDING}/probing"
_CLAIMING = f"{_FINDING}/claiming"
_PORT = f"{_FINDING}/waiting_for_port"
_SPAWNING = f"{_STARTING}/spawning"
_READY = f"{_STARTING}/awaiting_ready"
_CONNECTING = f"{_STARTING}/connecting"
_CLEARING = "life/clearing"
_FAILED = "life/failed"
_REPAIRING = "life/repairing"
_RETRYING = "life/retrying"
_RUNNING = "life/running"
_EXAMINING = f"{_RUNNING}/examining"
_LOST = "life/lost"
_WAIT = "life/reconnecting"
_ERROR = "life/error"
_STOPPING = "life/stopping"
_ENDING = f"{_STOPPING}/terminating"
_GONE = "life/gone"
_START = (_STARTING, _CLEARING, _REPAIRING, _RETRYING)  # a start is under way


def _silent(timer: str, source: str, dest: str, **row: Any) -> tuple[Transition, ...]:
    """No gateway answered: said so, or said nothing in time."""
    return tuple(Row(trigger=trigger, source=source, dest=dest, **row) for trigger in (ev.GatewaySilent, After(timer)))


LIFE_ROWS = (
    # somebody wants it to run
    Row(trigger=ev.ProcessStartRequested, source=(_STOPPED, _ERROR), dest=_STARTING, effects=(do.begin,),
        rules="S3-04 V32 V35"),
    Row(trigger=ev.ProcessStartRequested, source=_WAIT, dest=_STARTING, effects=(do.join_start, do.try_anew),
        rules="S3-05 V32"),
    Row(trigger=ev.ProcessStartRequested, source=_RUNNING, dest=None, effects=(do.confirm_start,), rules="S3-03"),
    Row(trigger=ev.ProcessStartRequested, source=(*_START, _STOPPING), dest=None, effects=(do.join_start,),
        rules="S3-02 V35 P53"),
    # somebody wants it to end
    Row(trigger=ev.ProcessStopRequested, source=_STOPPING, dest=None, effects=(do.give_way,), rules="V35 P53"),
    Row(trigger=ev.ProcessStopRequested, source=_RUNNING, dest=f"{_STOPPING}/asking", conditions=(g.is_attached,),
        effects=(do.give_way,), rules="S3-44"),
    Row(trigger=ev.ProcessStopRequested, source=(_STARTING, _CLEARING, _RUNNING, _WAIT), dest=_ENDING,
        conditions=(g.has_child,), effects=(do.give_way,), rules="S3-10 S3-43 S3-46 V33 V34 P33"),
    Row(trigger=ev.ProcessStopRequested, source=(_STOPPED, *_START, _WAIT, _ERROR), dest=_GONE, effects=(do.give_way,),
        rules="S3-10 S3-39 S3-43 S3-49 V33 P33"),
    # somebody wants it anew: at once where it rests, and else as soon as the present start has ended
    Row(trigger=None, source=(_STOPPED, _ERROR), dest=_STARTING, conditions=(g.has_restarts,),
        effects=(do.begin_restart,), rules="S3-19 S3-51 S3-54 S3-56 V42"),
    Row(trigger=None, source=_RUNNING, dest=f"{_STOPPING}/asking", conditions=(g.has_restarts, g.is_attached),
        effects=(do.take_restarts,), rules="S3-44 S3-52 S3-54"),
    Row(trigger=None, source=_RUNNING, dest=_ENDING, conditions=(g.has_restarts,), effects=(do.take_restarts,),
        rules="S3-50 S3-51 S3-52 S3-54 S3-55 S3-56 P52"),
    # is there a gateway already
    Row(trigger=ev.GatewayAnswered, source=_PROBING, dest=_CONNECTING, effects=(do.meet,), rules="S3-08"),
    *_silent("probe_deadline", _PROBING, _CLEARING, conditions=(g.has_child,), effects=(do.note_deaf_child,),
             rules="S3-40"),
    *_silent("probe_deadline", _PROBING, _CLAIMING, rules="S3-09"),
    Row(trigger=ev.PortClaimed, source=_CLAIMING, dest=_PORT, rules="S3-09"),
    Row(trigger=ev.PortHeld, source=_CLAIMING, dest=f"{_FINDING}/yielding", rules="S3-40"),
    Row(trigger=ev.ClaimFailed, source=_CLAIMING, dest=_CLEARING, effects=(do.note_failure,), rules="S3-14"),
    Row(trigger=After("yield_poll"), source=f"{_FINDING}/yielding", dest=_PROBING, rules="S3-08"),
    Row(trigger=After("find_deadline"), source=_FINDING, dest=_CLEARING, effects=(do.note_unfound,), rules="P54"),
    Row(trigger=ev.PortFree, source=f"{_PORT}/looking", dest=_SPAWNING, rules="S3-09 S3-70"),
    Row(trigger=ev.PortTaken, source=f"{_PORT}/looking", dest=f"{_PORT}/waiting", rules="S3-09"),
    Row(trigger=After("port_poll"), source=f"{_PORT}/waiting", dest=f"{_PORT}/looking", rules="S3-09"),
    Row(trigger=After("port_deadline"), source=_PORT, dest=_CLEARING, effects=(do.note_port_taken,), rules="S3-09"),
    # a child of ours
    Row(trigger=ev.ChildStarted, source=_SPAWNING, dest=_READY, effects=(do.note_pid,), rules="S3-09"),
    Row(trigger=ev.SpawnFailed, source=_SPAWNING, dest=_CLEARING, effects=(do.note_unspawned,), rules="S3-71"),
    Row(trigger=After("spawn_deadline"), source=_SPAWNING, dest=_CLEARING, effects=(do.note_unspawned_in_time,),
        rules="P54"),
    Row(trigger=ev.GatewayAnswered, source=f"{_READY}/asking", dest=_CONNECTING, rules="S3-20"),
    *_silent("ready_probe_deadline", f"{_READY}/asking", f"{_READY}/pausing", rules="S3-20"),
    Row(trigger=After("ready_poll"), source=f"{_READY}/pausing", dest=f"{_READY}/asking", rules="S3-20"),
    Row(trigger=After("ready_deadline"), source=_READY, dest=_CLEARING, effects=(do.note_unready,),
        rules="S3-20 P54"),
    Row(trigger=ev.ChildExited, source=_FINDING, dest=None, effects=(do.forget_child,)),
    Row(trigger=ev.ChildExited, source=_STARTING, dest=_CLEARING, effects=(do.note_early_exit,), rules="S3-21"),
    # the first word of the gateway
    Row(trigger=ev.GatewayAnswered, source=_CONNECTING, dest=_RUNNING, rules="S3-41 V42"),
    Row(trigger=ev.GatewaySilent, source=_CONNECTING, dest=_CLEARING, effects=(do.note_failure,), rules="P54"),
    Row(trigger=After("connect_deadline"), source=_CONNECTING, dest=_CLEARING, effects=(do.note_no_challenge,),
        rules="V36 P54"),
    # the start failed: what is left of it ends first
    Row(trigger=None, source=f"{_CLEARING}/deciding", dest=f"{_CLEARING}/terminating", conditions=(g.has_child,),
        rules="V34"),
    Row(trigger=None, source=f"{_CLEARING}/deciding", dest=_FAILED),
    Row(trigger=ev.ChildExited, source=_CLEARING, dest=_FAILED, effects=(do.forget_child,)),
    Row(trigger=ev.SpawnFailed, source=_CLEARING, dest=_FAILED, effects=(do.forget_child,), rules="S3-71"),
    Row(trigger=After("clear_terminate"), source=f"{_CLEARING}/terminating", dest=f"{_CLEARING}/killing"),
    Row(trigger=After("clear_kill"), source=f"{_CLEARING}/killing", dest=_FAILED, effects=(do.abandon_child,)),
    Row(trigger=None, source=_FAILED, dest=_ERROR, conditions=(g.is_config,), unless=(g.is_repairable,), rules="P55"),
    Row(trigger=None, source=_FAILED, dest=_REPAIRING, conditions=(g.is_config,), unless=(g.was_repaired,),
        rules="S3-15 P55"),
    Row(trigger=None, source=_FAILED, dest=_ERROR, conditions=(g.is_config, g.is_mended), rules="S3-16 P55"),
    Row(trigger=None, source=_FAILED, dest=_RETRYING, conditions=(g.is_passing, g.has_tries),
        rules="S3-12 S3-13 S3-17"),
    Row(trigger=None, source=_FAILED, dest=_ERROR, conditions=(g.is_config,), rules="P55"),
    Row(trigger=None, source=_FAILED, dest=_WAIT, conditions=(g.may_reconnect, g.has_attempts), rules="S3-42 V41"),
    Row(trigger=None, source=_FAILED, dest=_ERROR, conditions=(g.may_reconnect,), effects=(do.note_exhausted,),
        rules="S3-38 V32"),
    Row(trigger=None, source=_FAILED, dest=_ERROR, rules="S3-14 V41"),
    Row(trigger=ev.ConfigRepaired, source=_REPAIRING, dest=_STARTING, effects=(do.note_mended,), rules="S3-15"),
    Row(trigger=ev.RepairFailed, source=_REPAIRING, dest=_FAILED, rules="S3-17"),
    Row(trigger=After("repair_deadline"), source=_REPAIRING, dest=_FAILED, rules="S3-18"),
    Row(trigger=After("start_retry"), source=_RETRYING, dest=_STARTING, effects=(do.count_try,), rules="S3-12"),
    # it runs
    Row(trigger=After("stable"), source=_RUNNING, dest=None, effects=(do.settle_down,), rules="V32"),
    Row(trigger=After("health"), source=f"{_RUNNING}/well", dest=_EXAMINING, rules="S3-64"),
    Row(trigger=ev.GatewayAnswered, source=_EXAMINING, dest=f"{_RUNNING}/well", effects=(do.note_healthy,),
        rules="S3-64"),
    *_silent("health_deadline", _EXAMINING, _LOST, conditions=(g.is_attached,), effects=(do.note_vanished,),
             rules="S3-32"),
    *_silent("health_deadline", _EXAMINING, f"{_RUNNING}/well", effects=(do.note_unhealthy,), rules="S3-64"),
    Row(trigger=ev.ChildExited, source=_RUNNING, dest=_LOST, effects=(do.note_crash,), rules="S3-33"),
    Row(trigger=ev.GatewayLost, source=_RUNNING, dest=_LOST, effects=(do.note_loss,), rules="S3-32 S3-37"),
    Row(trigger=None, source=_LOST, dest=_WAIT, conditions=(g.has_attempts,), rules="S3-32 S3-33 S3-35"),
    Row(trigger=None, source=_LOST, dest=_CLEARING, rules="S3-38"),
    Row(trigger=After("reconnect"), source=_WAIT, dest=_STARTING, effects=(do.try_anew,), rules="S3-35 S3-36 S3-40"),
    Row(trigger=ev.ChildExited, source=_WAIT, dest=None, effects=(do.forget_child, do.release_port)),
    # it ends
    Row(trigger=ev.StopAsked, source=f"{_STOPPING}/asking", dest=_GONE, rules="S3-44"),
    Row(trigger=After("ask_deadline"), source=f"{_STOPPING}/asking", dest=_GONE, effects=(do.note_unasked,),
        rules="S3-44"),
    Row(trigger=ev.ChildExited, source=_STOPPING, dest=_GONE, effects=(do.forget_child,), rules="S3-34 S3-46"),
    Row(trigger=ev.SpawnFailed, source=_STOPPING, dest=_GONE, effects=(do.forget_child,), rules="V34"),
    Row(trigger=After("stop_terminate"), source=_ENDING, dest=f"{_STOPPING}/killing", rules="S3-46"),
    Row(trigger=After("stop_kill"), source=f"{_STOPPING}/killing", dest=_GONE, effects=(do.abandon_child,),
        rules="V40"),
    Row(trigger=None, source=_GONE, dest=_STARTING, conditions=(g.has_restarts,), effects=(do.begin_again,),
        rules="S3-53 V35 P52"),
    Row(trigger=None, source=_GONE, dest=_STARTING, conditions=(g.is_wanted,), effects=(do.begin_again,),
        rules="S3-54 V35 P53"),
    Row(trigger=None, source=_GONE, dest=_STOPPED, rules="S3-48 P53"),
)

REQUESTS = State(
    name="requests",
    initial="idle",
    children=(
        State(name="idle"),
        State(name="debouncing", timers=_timed("debounce", "debounce_s")),
    ),
)

REQUEST_ROWS = (
    Row(trigger=ev.ProcessRestartRequested, source="requests/idle", dest=None, effects=(do.line_up,),
        rules="S3-50 S3-51"),
    Row(trigger=ev.ProcessRestartRequested, source="requests/debouncing", dest="requests/idle",
        effects=(do.line_up, do.release_debounced), rules="P52"),
    Row(trigger=ev.DebouncedRestartRequested, source=("requests/idle", "requests/debouncing"),
        dest="requests/debouncing", effects=(do.hold_back,), rules="S3-57"),
    Row(trigger=After("debounce"), source="requests/debouncing", dest="requests/idle",
        effects=(do.release_debounced,), rules="S3-57"),
    Row(trigger=ev.ProcessStopRequested, source="requests/debouncing", dest="requests/idle", rules="S3-43"),
)
