"""The snapshot: all that an instance of a chart is, and its way to JSON and back."""

from typing import Any

import msgspec

from .errors import SnapshotError
from .model import Stamp
from .scxml import Active, History
from .tables import Chart, Configuration
from .tree import Node, in_order


class Armed(msgspec.Struct, frozen=True):
    """An armed timer: its name, its serial and when it is due (absolute monotonic seconds)."""

    timer: str
    serial: int
    due: float


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """An immutable, comparable instance of a chart. Whatever did not change is shared with its predecessor."""

    config: Configuration
    context: Any
    timers: tuple[Armed, ...] = ()
    serial: int = 0
    history: History = ()

    def matches(self, path: str) -> bool:
        """True when the state at ``path`` is active."""
        return path in self.config

    @property
    def states(self) -> tuple[str, ...]:
        """The paths of the active atomic states, in document order."""
        return self.config.names

    @property
    def done(self) -> bool:
        """True when the chart reached its end: no event changes anything any more."""
        return self.config.done


class _Stored(msgspec.Struct, frozen=True):
    chart: str
    states: list[str]
    context: msgspec.Raw
    timers: list[Armed]
    serial: int
    history: dict[str, list[str]]
    now: float
    wall: float


def dump(snapshot: Snapshot, stamp: Stamp) -> bytes:
    """Write a snapshot as JSON, with the time it was taken, so that :func:`restore` can rebase its timers."""
    stored = _Stored(
        snapshot.config.chart.name,
        list(snapshot.states),
        msgspec.Raw(msgspec.json.encode(snapshot.context)),
        list(snapshot.timers),
        snapshot.serial,
        {node.path: [kept.path for kept in in_order(active)] for node, active in snapshot.history},
        stamp.now,
        stamp.wall,
    )
    return msgspec.json.encode(stored)


def restore(chart: Chart, data: bytes | str, stamp: Stamp) -> Snapshot:
    """Read a snapshot back under the clock of ``stamp``.

    Due times are shifted by the wall time that passed since it was stored, never backwards: what came due
    meanwhile fires once, at once. A round trip under the same stamp gives an equal snapshot.

    Raises:
        SnapshotError: the data are not a snapshot of this chart.
    """
    try:
        stored = msgspec.json.decode(data, type=_Stored)
        _check_origin(chart, stored)
        # The context is decoded by its own type, and not by way of plain objects: so its keys, sets and times survive.
        context = msgspec.json.decode(stored.context, type=chart.source.context)
        config = chart.configuration(_activate(chart, stored.states))
        timers = _rebase(chart, config, stored, stamp)
        history = _recall(chart, stored.history)
    except (msgspec.MsgspecError, ValueError) as error:
        raise SnapshotError(f"not a snapshot of chart {chart.name!r}: {error}") from error
    return Snapshot(config, context, timers, stored.serial, history)


def _check_origin(chart: Chart, stored: _Stored) -> None:
    if stored.chart != chart.name:
        raise ValueError(f"it was taken of {stored.chart!r}; restore it under its own chart")


def _node(chart: Chart, path: str) -> Node:
    if path not in chart.tree:
        raise ValueError(f"there is no state {path!r}")
    return chart.tree[path]


def _activate(chart: Chart, paths: list[str]) -> Active:
    atoms = [_node(chart, path) for path in paths]
    active = frozenset(node for atom in atoms for node in (atom, *atom.ancestors()))
    whole = bool(atoms) and all(atom.atomic for atom in atoms)
    for node in active:
        inside = sum(region in active for region in node.regions)
        whole &= inside == (len(node.regions) if node.state.parallel else min(1, len(node.regions)))
    if not whole:
        raise ValueError(f"{paths} cannot be active together")
    return active


def _rebase(chart: Chart, config: Configuration, stored: _Stored, stamp: Stamp) -> tuple[Armed, ...]:
    shift = stamp.now - stored.now - max(0.0, stamp.wall - stored.wall)
    for armed in stored.timers:
        if chart.timers.get(armed.timer) not in config.active:
            raise ValueError(f"timer {armed.timer!r} belongs to no active state")
    return tuple(Armed(armed.timer, armed.serial, armed.due + shift) for armed in stored.timers)


def _recall(chart: Chart, stored: dict[str, list[str]]) -> History:
    memory = {_node(chart, path): frozenset(_node(chart, kept) for kept in paths) for path, paths in stored.items()}
    for node, kept in memory.items():
        if node.state.history is None or node.parent is None or not all(one.within(node.parent) for one in kept):
            raise ValueError(f"{node.path!r} cannot remember {sorted(one.path for one in kept)}")
    return tuple((node, memory[node]) for node in in_order(memory))
