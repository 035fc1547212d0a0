"""The compiled chart and a live ``transitions.HierarchicalMachine`` of the same data do the same."""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.engine import (
    SEPARATOR,
    ArmTimer,
    CancelTimer,
    Chart,
    Command,
    Snapshot,
    Stamp,
    State,
    Statechart,
    Transition,
    Unhandled,
    compile_chart,
    start,
    step,
)
from holdfast.statecharts import ACCOUNT, Account
from holdfast.testing import Counters, Features, events, mended, stamps, statecharts

from .reference import Reference


class Shipped(NamedTuple):
    """A chart of the package, with the context to start it in."""

    source: Statechart
    context: Callable[[], Any]


SHIPPED_CHARTS = {
    "account": Shipped(ACCOUNT, Account),
}

FEATURES = Features(history=False, internal=False)


# -- what `transitions` does otherwise than SCXML (see the engine's page in the documentation) ----------------


def comparable(chart: Statechart) -> Statechart:
    """The chart without the rows on which ``transitions`` is known to depart from SCXML."""
    states = dict(_walk(chart.states, ""))
    parallels = [path for path, state in states.items() if state.parallel] + ([""] if chart.parallel else [])
    rows: list[Transition] = []
    for row in chart.transitions:
        fine = not _departs(row, states, parallels) and not any(_clash(row, other, parallels) for other in rows)
        if fine:
            rows.append(row)
    return mended(msgspec.structs.replace(chart, transitions=tuple(rows)))


def _departs(row: Transition, states: dict[str, State], parallels: list[str]) -> bool:
    (source,), dest = row.sources, row.dest
    if dest is None:
        return False
    into = [_region(dest, parallel) for parallel in parallels if _inside(dest, parallel)]
    enters_a_region_directly = any(region not in (None, source) and not _inside(source, region) for region in into)
    to_own_region = dest in into and (dest == source or _inside(source, dest))
    return enters_a_region_directly or _inside(dest, source) or to_own_region


def _clash(one: Transition, other: Transition, parallels: list[str]) -> bool:
    """True for rows of which one leaves a parallel state while another region has one too, or where a targetless row
    of a region meets one of a state around it."""
    if one.trigger != other.trigger:
        return False
    (first,), (second,) = one.sources, other.sources
    for parallel in parallels:
        regions = _region(first, parallel), _region(second, parallel)
        if None not in regions and regions[0] != regions[1]:
            if _leaves(one, parallel) or _leaves(other, parallel):
                return True
        elif (regions[0] is None) != (regions[1] is None) and _nested(first, second) and None in (one.dest, other.dest):
            return True
    return False


def _leaves(row: Transition, parallel: str) -> bool:
    return row.dest is not None and _region(row.sources[0], parallel) != _region(row.dest, parallel)


def _nested(one: str, other: str) -> bool:
    return one == other or _inside(one, other) or _inside(other, one)


def _inside(path: str, other: str) -> bool:
    return path != other and (other == "" or path.startswith(other + SEPARATOR))


def _region(path: str, parallel: str) -> str | None:
    """The region of a parallel state that ``path`` is, or lies in."""
    if not _inside(path, parallel):
        return None
    prefix = parallel + SEPARATOR if parallel else ""
    return prefix + path[len(prefix) :].split(SEPARATOR)[0]


def _walk(states: tuple[State, ...], above: str) -> Any:
    for state in states:
        path = f"{above}{SEPARATOR}{state.name}" if above else state.name
        yield path, state
        yield from _walk(state.children, path)


# -- the comparison ----------------------------------------------------------------------------------------


def compare(chart: Chart, data: st.DataObject, context: Any, steps: int) -> Counter[str]:
    """Drive both with the same random events. Counts what was compared."""
    stamp = Stamp(0.0, 0.0)
    snapshot, commands = start(chart, context, stamp)
    reference = Reference(chart.source, context, stamp)
    assert_same(snapshot, commands, reference)
    seen: Counter[str] = Counter()
    for _ in range(steps):
        if snapshot.done:
            break
        stamp = data.draw(stamps(stamp.now, snapshot.timers), label="stamp")
        event = data.draw(events(chart, snapshot), label="event")
        snapshot, commands = step(chart, snapshot, event, stamp)
        if any(isinstance(command, Unhandled) and command.stale for command in commands):
            continue
        handled = reference.send(event, stamp)
        assert handled is not any(isinstance(command, Unhandled) for command in commands)
        assert_same(snapshot, commands, reference)
        seen["handled" if handled else "unhandled"] += 1
    return seen


def assert_same(snapshot: Snapshot, commands: tuple[Command, ...], reference: Reference) -> None:
    assert set(snapshot.states) == reference.atoms
    assert snapshot.context == reference.context
    assert {armed.timer for armed in snapshot.timers} == reference.armed or snapshot.done
    spoken = [command for command in commands if not isinstance(command, (ArmTimer, CancelTimer, Unhandled))]
    assert Counter(map(repr, spoken)) == reference.commands


@settings(max_examples=100)
@given(st.data())
def test_random_charts(data: st.DataObject) -> None:
    chart = compile_chart(comparable(data.draw(statecharts(FEATURES), label="chart")))
    compare(chart, data, Counters(), 12)


@pytest.mark.parametrize("name", SHIPPED_CHARTS)
@settings(max_examples=60)
@given(data=st.data())
def test_shipped_charts(name: str, data: st.DataObject) -> None:
    shipped = SHIPPED_CHARTS[name]
    compare(compile_chart(shipped.source), data, shipped.context(), 40)
