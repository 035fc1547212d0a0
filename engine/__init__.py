"""Holdfast's engine: charts as data, compiled to tables, stepped by a pure function.

>>> import msgspec
>>> from holdfast.engine import Event, Stamp, State, Statechart, Transition, compile_chart, start, step
>>> class Lamp(msgspec.Struct, frozen=True): pass
>>> class Pressed(Event, frozen=True): pass
>>> chart = compile_chart(Statechart(name="lamp", context=Lamp, initial="off",
...     states=(State(name="off"), State(name="on")),
...     transitions=(Transition(trigger=Pressed, source="off", dest="on"),
...                  Transition(trigger=Pressed, source="on", dest="off"))))
>>> snapshot, commands = start(chart, Lamp(), Stamp(0.0, 0.0))
>>> snapshot, commands = step(chart, snapshot, Pressed(), Stamp(1.0, 1.0))
>>> snapshot.states
('on',)
"""

from .compiler import compile_chart
from .errors import ChartError, Fault, MicrostepLimit, SnapshotError
from .export import machine, to_transitions
from .model import (
    SEPARATOR,
    After,
    ArmTimer,
    CancelTimer,
    Command,
    Doing,
    Done,
    Effect,
    Event,
    In,
    Stamp,
    State,
    Statechart,
    Timer,
    TimerFired,
    Transition,
    Unhandled,
    effect,
    name_of,
)
from .snapshot import Armed, Snapshot, dump, restore
from .stepping import MICROSTEPS_MAX, start, step
from .tables import Chart, Configuration
from .validate import describe

__all__ = [
    "MICROSTEPS_MAX",
    "SEPARATOR",
    "After",
    "ArmTimer",
    "Armed",
    "CancelTimer",
    "Chart",
    "ChartError",
    "Command",
    "Configuration",
    "Doing",
    "Done",
    "Effect",
    "Event",
    "Fault",
    "In",
    "MicrostepLimit",
    "Snapshot",
    "SnapshotError",
    "Stamp",
    "State",
    "Statechart",
    "Timer",
    "TimerFired",
    "Transition",
    "Unhandled",
    "compile_chart",
    "describe",
    "dump",
    "effect",
    "machine",
    "name_of",
    "restore",
    "start",
    "step",
    "to_transitions",
]
