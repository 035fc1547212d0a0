"""Mirror: the configuration file follows the store, best effort."""

from holdfast.engine import After, State, Timer, Transition

from .. import delays
from .. import effects as do
from .. import events as ev

Row = Transition

# fmt: off
# One row, one thought: laid out by hand, to be read as a table.

MIRROR = State(
    name="mirror",
    initial="clean",
    children=(
        State(name="clean"),
        State(name="writing", on_enter=(do.write_mirror,)),
        State(name="behind", timers=(Timer("mirror_retry", delays.mirror_retry),)),
        State(name="stopped", final=True),
    ),
)

MIRROR_ROWS = (
    Row(trigger=ev.MirrorStale, source=("mirror/clean", "mirror/writing", "mirror/behind"), dest="mirror/writing",
        rules="S0-17 S0-22 S0-45 V01"),
    Row(trigger=ev.MirrorWritten, source="mirror/writing", dest="mirror/clean", effects=(do.note_mirrored,)),
    # also the failure of a write that another one overtook: the mirror may hold its tokens
    Row(trigger=ev.MirrorFailed, source=("mirror/writing", "mirror/clean"), dest="mirror/behind",
        effects=(do.count_mirror_failure,), rules="S0-20 S0-47 V01 P07"),
    Row(trigger=After("mirror_retry"), source="mirror/behind", dest="mirror/writing", rules="V01"),
    Row(trigger=ev.StopRequested, source=("mirror/clean", "mirror/writing", "mirror/behind"), dest="mirror/stopped"),
)
