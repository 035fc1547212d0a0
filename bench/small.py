"""Two small workloads: a flat chart (a lamp with a dimmer), and one with three parallel regions."""

import msgspec
from link import command, events

from holdfast.engine import In, State, Statechart, Transition, effect

Row = Transition


class Count(msgspec.Struct, frozen=True):
    count: int = 0


@effect()
def count_one(c, event, stamp):
    return Count(c.count + 1), ()


def _count_one(c):
    return (c[0] + 1,)


FLAT_EVENTS = Pressed, Held, Looked = events("Pressed", "Held", "Looked")
LIT, DARK, DIM = map(command, ("Light", "Darken", "Dim"))
FLAT = Statechart(
    name="lamp",
    context=Count,
    initial="off",
    states=(State(name="off", on_enter=(DARK,)), State(name="on", on_enter=(LIT,)), State(name="dim", on_enter=(DIM,))),
    transitions=(
        Row(trigger=Pressed, source="off", dest="on", effects=(count_one,)),
        Row(trigger=Held, source="off", dest="dim"),
        Row(trigger=Pressed, source="on", dest="off"),
        Row(trigger=Held, source="on", dest="dim"),
        Row(trigger=Pressed, source="dim", dest="off"),
        Row(trigger=Looked, source=("on", "dim"), dest=None, effects=(count_one,)),
    ),
)
FLAT_TABLE = {
    ("off", "Pressed"): ("on", _count_one, (LIT,)),
    ("off", "Held"): ("dim", None, (DIM,)),
    ("on", "Pressed"): ("off", None, (DARK,)),
    ("on", "Held"): ("dim", None, (DIM,)),
    ("on", "Looked"): ("on", _count_one, ()),
    ("dim", "Pressed"): ("off", None, (DARK,)),
    ("dim", "Looked"): ("dim", _count_one, ()),
}
FLAT_START = ("off", (0,))


def flat_step(snapshot, event):
    state, context = snapshot
    row = FLAT_TABLE.get((state, event))
    if row is None:
        return snapshot, ()
    target, update, commands = row
    return (target, context if update is None else update(context)), commands


REGION_EVENTS = Up, Down, Beat, Paired, Shared = events("Up", "Down", "Beat", "Paired", "Shared")
OPEN, SHUT, PING, SAVE = map(command, ("Open", "Shut", "BeatOnce", "Save"))
REGIONS = Statechart(
    name="regions",
    context=Count,
    parallel=True,
    states=(
        State(name="pair", initial="none", children=(State(name="none"), State(name="known", on_enter=(SAVE,)))),
        State(
            name="wire",
            initial="down",
            children=(State(name="down"), State(name="up", on_enter=(OPEN,), on_exit=(SHUT,))),
        ),
        State(name="heart", initial="still", children=(State(name="still"), State(name="beating"))),
    ),
    transitions=(
        Row(trigger=Paired, source="pair/none", dest="pair/known"),
        Row(trigger=Down, source="pair/known", dest="pair/none"),
        Row(trigger=Up, source="wire/down", dest="wire/up", conditions=(In("pair/known"),)),
        Row(trigger=Down, source="wire/up", dest="wire/down", effects=(count_one,)),
        Row(trigger=Up, source="heart/still", dest="heart/beating"),
        Row(trigger=Down, source="heart/beating", dest="heart/still"),
        Row(trigger=Beat, source="heart/beating", dest=None, effects=(PING,)),
        Row(trigger=Shared, source=("wire/down", "wire/up"), dest=None, effects=(count_one,)),
    ),
)
REGION_TABLES = (
    {("pair/none", "Paired"): ("pair/known", None, (SAVE,)), ("pair/known", "Down"): ("pair/none", None, ())},
    {
        ("wire/down", "Up"): ("wire/up", None, (OPEN,)),
        ("wire/up", "Down"): ("wire/down", _count_one, (SHUT,)),
        ("wire/down", "Shared"): ("wire/down", _count_one, ()),
        ("wire/up", "Shared"): ("wire/up", _count_one, ()),
    },
    {
        ("heart/still", "Up"): ("heart/beating", None, ()),
        ("heart/beating", "Down"): ("heart/still", None, ()),
        ("heart/beating", "Beat"): ("heart/beating", None, (PING,)),
    },
)
REGIONS_START = (("pair/none", "wire/down", "heart/still"), (0,))


def regions_step(snapshot, event):
    states, context = snapshot
    commands = ()
    moved = list(states)
    for region, table in enumerate(REGION_TABLES):
        row = table.get((states[region], event))
        if row is None or (region == 1 and event == "Up" and states[0] != "pair/known"):
            continue
        moved[region], update, emitted = row
        commands += emitted
        if update is not None:
            context = update(context)
    return (tuple(moved), context), commands
