"""The snapshot: all that an instance of a chart is, and its way to JSON and back."""

from typing import Any

import msgspec

from .errors import SnapshotError
from .model import Stamp
from .tables import Chart, Configuration, History


class Armed(msgspec.Struct, frozen=True):
    """An armed timer: its name, its serial and when it is due (absolute monotonic seconds)."""

    timer: str
    serial: int
    due: float


class Snapshot(msgspec.Struct, frozen=True):
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
    context: Any
    timers: list[Armed]
    serial: int
    history: dict[str, list[str]]
    now: float
    wall: float


def dump(snapshot: Snapshot, stamp: Stamp) -> bytes:
    """Write a snapshot as JSON, with the time it was taken, so that :func:`restore` can rebase its timers."""
    chart = snapshot.config.chart
    stored = _Stored(
        chart.name,
        list(snapshot.states),
        snapshot.context,
        list(snapshot.timers),
        snapshot.serial,
        {chart.nodes[key].path: sorted(chart.nodes[i].path for i in value) for key, value in snapshot.history},
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
        context = msgspec.convert(stored.context, type=chart.source.context)
        active = _activate(chart, stored.states)
        history = tuple(
            sorted(
                (chart.tree[key].index, frozenset(chart.tree[path].index for path in paths))
                for key, paths in stored.history.items()
            )
        )
    except (msgspec.MsgspecError, KeyError, ValueError) as error:
        raise SnapshotError(f"not a snapshot of chart {chart.name!r}: {error}") from error
    if stored.chart != chart.name:
        raise SnapshotError(
            f"a snapshot of chart {stored.chart!r}, not of {chart.name!r}; restore it under its own chart"
        )
    shift = stamp.now - stored.now - max(0.0, stamp.wall - stored.wall)
    timers = tuple(msgspec.structs.replace(armed, due=armed.due + shift) for armed in stored.timers)
    return Snapshot(chart.configuration(active), context, timers, stored.serial, history)


def _activate(chart: Chart, paths: list[str]) -> frozenset[int]:
    atoms = [chart.tree[path] for path in paths]
    active = {node.index for atom in atoms for node in (atom, *atom.ancestors())}
    for index in active:
        node = chart.nodes[index]
        inside = sum(child.index in active for child in node.real_children)
        if inside != (len(node.real_children) if node.state.parallel else min(1, len(node.real_children))):
            raise ValueError(f"states {paths} are not a configuration")
    return frozenset(active)
