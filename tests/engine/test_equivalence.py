"""The compiled chart and a live ``transitions.HierarchicalMachine`` of the same data do the same."""

import importlib
from collections import Counter
from collections.abc import Callable, Sequence
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
    Done,
    Event,
    In,
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
from holdfast.statecharts import ACCOUNT, PROCESS, Account, Process
from holdfast.testing import Counters, Features, events, mended, stamps, statecharts

from .kit import Back, Context, Go, Other, Say, row, s, source
from .reference import Reference


class Shipped(NamedTuple):
    """A chart of the package, with the context to start it in."""

    source: Statechart
    context: Callable[[], Any]


SHIPPED_CHARTS = {
    "account": Shipped(ACCOUNT, Account),
    "process": Shipped(PROCESS, Process),
}

FEATURES = Features(history=False, internal=False)


# -- what `transitions` does otherwise than SCXML (see the engine's page in the documentation) ----------------


def comparable(chart: Statechart) -> Statechart:
    """The chart without the rows on which ``transitions`` is known to depart from SCXML."""
    states = dict(_walk(chart.states, ""))
    parallels = [path for path, state in states.items() if state.parallel] + ([""] if chart.parallel else [])
    rows: list[Transition] = []
    for one in chart.transitions:
        if not _departs(one, states, parallels) and not any(_clash(one, other, parallels) for other in rows):
            rows.append(one)
    return mended(msgspec.structs.replace(chart, transitions=tuple(rows)))


def _departs(one: Transition, states: dict[str, State], parallels: list[str]) -> bool:
    (start_at,), dest = one.sources, one.dest
    if dest is None:
        return False
    into = [_region(dest, parallel) for parallel in parallels if _inside(dest, parallel)]
    enters_a_region_directly = any(
        region not in (None, start_at) and not _inside(start_at, region or "") for region in into
    )
    to_own_region = dest in into and (dest == start_at or _inside(start_at, dest))
    return enters_a_region_directly or _inside(dest, start_at) or to_own_region


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


def _leaves(one: Transition, parallel: str) -> bool:
    return one.dest is not None and _region(one.sources[0], parallel) != _region(one.dest, parallel)


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


def compare(chart: Chart, data: st.DataObject, context: Any, steps: int, tries: int = 1) -> Counter[str]:
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
        event = draw_event(chart, snapshot, stamp, data, tries)
        snapshot, commands = step(chart, snapshot, event, stamp)
        if any(isinstance(command, Unhandled) and command.stale for command in commands):
            continue
        handled = reference.send(event, stamp)
        assert handled is not any(isinstance(command, Unhandled) for command in commands)
        assert_same(snapshot, commands, reference)
        seen["handled" if handled else "unhandled"] += 1
    return seen


def draw_event(chart: Chart, snapshot: Snapshot, stamp: Stamp, data: st.DataObject, tries: int) -> Event:
    """Rather an event that does something and does not end the chart: a step may be tried out, since it is pure."""
    event = data.draw(events(chart, snapshot), label="event")
    for _ in range(tries - 1):
        after, commands = step(chart, snapshot, event, stamp)
        if not after.done and not any(isinstance(command, Unhandled) for command in commands):
            break
        event = data.draw(events(chart, snapshot), label="event")
    return event


def assert_same(snapshot: Snapshot, commands: tuple[Command, ...], reference: Reference) -> None:
    assert set(snapshot.states) == reference.atoms
    assert snapshot.context == reference.context
    assert {armed.timer for armed in snapshot.timers} == reference.armed or snapshot.done
    spoken = [command for command in commands if not isinstance(command, (ArmTimer, CancelTimer, Unhandled))]
    assert Counter(map(repr, spoken)) == reference.commands


@settings(max_examples=60)
@given(st.data())
def test_random_charts(data: st.DataObject) -> None:
    chart = compile_chart(comparable(data.draw(statecharts(FEATURES), label="chart")))
    compare(chart, data, Counters(), 12)


@pytest.mark.parametrize("name", SHIPPED_CHARTS)
@settings(max_examples=10)
@given(data=st.data())
def test_shipped_charts(name: str, data: st.DataObject) -> None:
    shipped = SHIPPED_CHARTS[name]
    compare(compile_chart(shipped.source), data, shipped.context(), 25, tries=6)


# -- the comparison is worth something: a wrong engine is found ------------------------------------------------

scxml: Any = importlib.import_module("holdfast.engine.scxml")
tree: Any = importlib.import_module("holdfast.engine.tree")


def _all_rows(rows: Any, active: Any, memory: Any) -> Any:
    return tuple(rows)


def _everything(row: Any, memory: Any) -> Any:
    return row.dest and [*row.source.ancestors()][-1]


def _nothing(node: Any, active: Any) -> Any:
    return []


def _last(node: Any) -> Any:
    return node.regions[-1]


def _yes(row: Any, active: Any) -> Any:
    return True


MUTANTS: dict[str, tuple[Any, str, Any]] = {
    "conflicting rows are all taken": (scxml, "compatible", _all_rows),
    "every row leaves everything": (scxml, "domain", _everything),
    "nothing is ever done": (scxml, "done_events", _nothing),
    "compound states start in their last child": (scxml, "initial_of", _last),
    "questions about regions count for nothing": (tree.Row, "open_in", _yes),
}


def contested() -> Statechart:
    p = s("p", s("x", s("x1"), s("x2"), s("xe", final=True)), s("y", s("y1"), s("y2")), parallel=True)
    rows = (
        row(Go, "p/x/x1", "p/x/x2"),
        row(Go, "p/x/x2", "p/x/xe"),
        row(Go, "p", "out"),
        row(Other, "p/y/y1", "p/y/y2", conditions=(In("p/x/x2"),)),
        row(Other, "p/y/y2", "p/y/y1"),
        row(Done("p/x"), "p", None, Say("done")),
        row(Back, "out", "p"),
        row(Back, "p", "p"),
    )
    return source([p, s("out")], *rows)


def drive(chart: Chart, events: Sequence[Event]) -> None:
    snapshot, commands = start(chart, Context(), Stamp(0.0, 0.0))
    reference = Reference(chart.source, Context(), Stamp(0.0, 0.0))
    assert_same(snapshot, commands, reference)
    for event in events:
        snapshot, commands = step(chart, snapshot, event, Stamp(0.0, 0.0))
        reference.send(event, Stamp(0.0, 0.0))
        assert_same(snapshot, commands, reference)


EVENTS: Sequence[Event] = [Other(), Go(), Other(), Back(), Go(), Go(), Go(), Back(), Other()]


def test_the_contested_chart_is_the_same_for_both() -> None:
    drive(compile_chart(contested()), EVENTS)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_engine_is_found(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, wrong = MUTANTS[mutant]
    chart = compile_chart(contested())
    monkeypatch.setattr(where, name, wrong)
    with pytest.raises(AssertionError):
        drive(chart, EVENTS)
