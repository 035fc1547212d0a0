"""Each fault that compiling finds, with a minimal bad chart, and that all of them come together."""

from typing import Any, ClassVar

import msgspec
import pytest

from holdfast.engine import (
    After,
    ChartError,
    Done,
    Effect,
    Event,
    Fault,
    In,
    State,
    Statechart,
    Timer,
    TimerFired,
    compile_chart,
)

from .kit import Back, Context, Go, Other, Say, counted, never, row, s, source


def faults(bad: Statechart) -> tuple[Fault, ...]:
    with pytest.raises(ChartError) as caught:
        compile_chart(bad)
    assert all(fault.chart == bad.name and fault.mend for fault in caught.value.faults)
    assert str(caught.value).count("\n") == len(caught.value.faults) - 1
    return caught.value.faults


def problems(bad: Statechart) -> list[str]:
    return [fault.problem for fault in faults(bad)]


def flat(*rows: Any, states: str = "ab", **more: Any) -> Statechart:
    """A sound chart of a few states in a ring, and ``rows`` before it."""
    ring = [row(Back, one, other) for one, other in zip(states, states[1:] + states[:1], strict=True)]
    return source([s(name) for name in states], *rows, *ring, **more)


def minute(context: Any, stamp: Any) -> float:
    return 60.0


class Loose(msgspec.Struct):
    count: int = 0


class Stray(Event, frozen=True):
    correlates: ClassVar[str | None] = "ticket"
    ticket: int


def _twice() -> tuple[Any, Any]:
    """Two guards of one name."""

    def guards(answer: bool) -> Any:
        def same(context: Any, event: Any, stamp: Any) -> bool:
            return answer

        return same

    return guards(True), guards(False)


SAME, ALSO_SAME = _twice()


def numbers(context: Any, event: Any, stamp: Any) -> Any:
    return context, (1,)


def wrong(context: Context) -> tuple[Context, tuple[()]]:
    return context, ()


STATES = {
    "two children of a name": (source([s("a"), s("a")]), "has 2 children named 'a'"),
    "a name with the separator": (source([s("a/b")]), "has a child with the bad name 'a/b'"),
    "an unknown initial state": (flat(initial="z"), "starts in 'z', which is no child of it"),
    "a chart without states": (Statechart(name="no", context=Context, states=(), transitions=()), "has no children"),
    "an initial state in an atomic one": (source([s("a", initial="b")]), "has no children to start in"),
    "a final state with children": (source([s("a", s("b"), final=True)]), "is final but has children or timers"),
    "a final state with exit effects": (
        source([State(name="a", final=True, on_exit=(Say("bye"),))]),
        "is final but has exit effects",
    ),
    "a final region": (source([s("a"), s("b", final=True)], parallel=True), "has the final region 'b'"),
    "a parallel state without regions": (source([s("a", parallel=True)]), "is parallel but has no regions"),
    "a parallel state with an initial region": (
        source([State(name="a", parallel=True, initial="b", children=(s("b"),))]),
        "is parallel but has no regions, or an initial one",
    ),
    "an unknown kind of history": (
        source([s("a", s("b"), s("h", history="flat", initial="b"))]),
        "has the unknown history 'flat'",
    ),
    "a history state without default": (source([s("a", s("b"), s("h", history="deep"))]), "defaults to None"),
    "a history state with effects": (
        source([s("a", s("b"), State(name="h", history="deep", initial="b", on_enter=(Say("x"),)))]),
        "is a history state with a content of its own",
    ),
    "history of the whole chart": (
        source([s("a"), s("h", history="deep", initial="a")]),
        "is a history state of the whole chart",
    ),
    "a timer of two states": (
        source([s("a", timers=(Timer("t", minute),)), s("b", timers=(Timer("t", minute),))]),
        "timer 't' belongs to several states (a, b)",
    ),
    "a timer without usable delay": (
        source([s("a", timers=(Timer("t", wrong),))]),  # type: ignore[arg-type]
        "timer 't' has no usable delay",
    ),
    "a context that is no struct": (
        msgspec.structs.replace(flat(), context=dict),
        "its context is not a msgspec.Struct",
    ),
    "a context that can change": (
        msgspec.structs.replace(flat(), context=Loose),
        "its context can be changed in place",
    ),
    "an effect without declaration": (source([State(name="a", on_enter=(wrong,))]), "has the unknown effect 'wrong'"),  # type: ignore[arg-type]
}

ROWS = {
    "an unknown source": (flat(row(Go, "z", "a")), "names the unknown state 'z'"),
    "an unknown target": (flat(row(Go, "a", "z")), "names the unknown state 'z'"),
    "an unknown trigger": (flat(row("go", "a", "b")), "has the unknown trigger 'go'"),
    "TimerFired as trigger": (flat(row(TimerFired, "a", "b")), "is triggered by TimerFired"),
    "an unknown timer": (flat(row(After("t"), "a", "b")), "waits for the unknown timer 't'"),
    "the end of an atomic state": (flat(row(Done("a"), "a", "b")), "waits for the end of 'a', which has no children"),
    "the end of an endless state": (
        source([s("a", s("b"), s("c"))], row(Done("a"), "a", "a/b"), row(Go, "a/b", "a/c"), row(Go, "a/c", "a/b")),
        "waits for the end of 'a', which has no final state",
    ),
    "a correlation that the context lacks": (
        flat(row(Stray, "a", "b")),
        "Stray correlates by 'ticket', which Context lacks",
    ),
    "an unknown guard": (flat(row(Go, "a", "b", conditions=("is_current",))), "has the unknown guard \"'is_current'\""),
    "a guard with other arguments": (flat(row(Go, "a", "b", unless=(wrong,))), "has the unknown guard 'wrong'"),
    "a guard that cannot be told apart": (flat(row(Go, "a", "b", conditions=([],))), "has the unknown guard '[]'"),
    "a question for an unknown state": (
        flat(row(Go, "a", "b", conditions=(In("z"),))),
        "asks for the unknown state 'z'",
    ),
    "an effect that is none": (flat(row(Go, "a", "b", "say")), "has the unknown effect \"'say'\""),  # type: ignore[arg-type]
    "an effect with other arguments": (
        flat(row(Go, "a", "b", Effect(wrong, ()))),  # type: ignore[arg-type]
        "effect 'wrong' takes other arguments",
    ),
    "an effect that emits what is no command": (
        flat(row(Go, "a", "b", Effect(numbers, (int,)))),  # type: ignore[arg-type]
        "emits what is no command or event",
    ),
    "an eventless row without target": (flat(row(None, "a", None, conditions=(counted,))), "it would run for ever"),
    "a row out of a final state": (
        source([s("a"), s("b", final=True)], row(Go, "a", "b"), row(Go, "b", "a")),
        "leaves a final or history state",
    ),
    "an internal row of an atomic state": (flat(row(Go, "a", "b", internal=True)), "is internal, but does not go"),
    "another region's timer": (
        source(
            [s("x", s("x1"), s("x2"), timers=(Timer("t", minute),)), s("y")],
            row(After("t"), "x", None),
            row(After("t"), "y", None),
            row(Go, "x/x1", "x/x2"),
            row(Go, "x/x2", "x/x1"),
            parallel=True,
        ),
        "waits for timer 't', which runs in 'x' only",
    ),
}

SOUNDNESS = {
    "an unreachable state": (
        source([s("a"), s("b"), s("c")], row(Go, "a", "b"), row(Go, "b", "a"), row(Go, "c", "a")),
        "cannot be reached from the initial state",
    ),
    "a trap": (source([s("a"), s("b")], row(Go, "a", "b")), "has no way out and is not final"),
    "a trap that only goes to itself": (
        source([s("a"), s("b")], row(Go, "a", "b"), row(Go, "b", "b")),
        "has no way out and is not final",
    ),
    "a row after an unconditional one": (
        flat(row(Go, "a", "b"), row(Go, "a", "b", conditions=(counted,))),
        "can never fire: an earlier row always does",
    ),
    "a row after a weaker one": (
        flat(row(Go, "a", "b", conditions=(counted,)), row(Go, "a", None, conditions=(never, counted))),
        "can never fire: an earlier row always does",
    ),
    "two rows with the same conditions": (
        flat(row(Go, "a", "b", conditions=(counted, never)), row(Go, "a", None, conditions=(never, counted))),
        "repeats the conditions of an earlier row",
    ),
    "a guard wanted and unwanted": (
        flat(row(Go, "a", "b", conditions=(counted,), unless=(counted,))),
        "can never fire: its conditions contradict each other",
    ),
    "a question that is never answered by yes": (
        flat(row(Go, "a", "b", conditions=(In("b"),))),
        "can never fire: its conditions contradict each other",
    ),
    "a row of a state whose inner states all handle the event": (
        source(
            [s("a", s("b"), s("c")), s("d")],
            row(Go, "a/b", "a/c"),
            row(Go, "a/c", "a/b"),
            row(Go, "a", "d"),
            row(Back, "a", "d"),
            row(Back, "d", "a"),
        ),
        "can never fire: every state inside handles it first",
    ),
    "a row after questions that cover every case": (
        source(
            [s("x"), s("y", s("y1"), s("y2"))],
            row(Go, "x", None, conditions=(In("y/y1"),)),
            row(Go, "x", None, Say("2"), conditions=(In("y/y2"),)),
            row(Go, "x", None, Say("3")),
            row(Back, "y/y1", "y/y2"),
            row(Back, "y/y2", "y/y1"),
            parallel=True,
        ),
        "can never fire: an earlier row always does",
    ),
    "a timer that no row handles": (
        source([s("a", timers=(Timer("t", minute),)), s("b")], row(Go, "a", "b"), row(Go, "b", "a")),
        "arms timer 't', which no row handles",
    ),
    "a raised event that no row handles": (
        flat(row(Go, "a", "b", Other())),
        "'Other' raises Other, which no row handles",
    ),
    "two guards of a name": (
        flat(
            row(Go, "a", "b", conditions=(SAME,)),
            row(Other, "a", "b", conditions=(ALSO_SAME,)),
        ),
        "has 2 guards named 'same'",
    ),
    "two events of a name": (
        flat(row(Go, "a", "b"), row(msgspec.defstruct("Go", [], bases=(Event,), frozen=True), "b", "a")),
        "has 2 events named 'Go'",
    ),
}


@pytest.mark.parametrize(("bad", "problem"), STATES.values(), ids=STATES)
def test_states(bad: Statechart, problem: str) -> None:
    assert any(problem in found for found in problems(bad))


@pytest.mark.parametrize(("bad", "problem"), ROWS.values(), ids=ROWS)
def test_rows(bad: Statechart, problem: str) -> None:
    assert [found for found in problems(bad) if problem in found] == problems(bad)


@pytest.mark.parametrize(("bad", "problem"), SOUNDNESS.values(), ids=SOUNDNESS)
def test_soundness(bad: Statechart, problem: str) -> None:
    (found,) = problems(bad)
    assert problem in found


def test_a_fault_names_chart_state_row_and_mend() -> None:
    (fault,) = faults(flat(row(Go, "a", "b", conditions=(counted,), unless=(counted, never))))
    assert (fault.chart, fault.state) == ("test", "a")
    assert fault.row == "row a --Go [counted and not counted and not never]--> b"
    assert str(fault) == f"test: state 'a' {fault.row}: {fault.problem}; {fault.mend}"


def test_all_faults_are_reported_together() -> None:
    bad = source(
        [s("a"), s("b"), s("c"), s("trap")],
        row(Go, "a", "nowhere"),
        row(Go, "a", "b", "no effect", conditions=("no guard",)),  # type: ignore[arg-type]
        row(Other, "a", "b"),
        row(Other, "a", "trap", conditions=(counted,)),
        row(After("none"), "a", "b"),
    )
    found = "\n".join(str(fault) for fault in faults(bad))
    for part in (
        "names the unknown state 'nowhere'",
        "unknown guard \"'no guard'\"",
        "unknown effect \"'no effect'\"",
        "unknown timer 'none'",
        "state 'c': cannot be reached",
        "state 'trap': has no way out",
        "can never fire",
    ):
        assert part in found


def test_an_atomic_region_and_a_nested_final_state_are_no_traps() -> None:
    compile_chart(
        source(
            [s("x"), s("y", s("y1"), State(name="end", final=True, on_exit=(Say("bye"),)))],
            row(Go, "x", None),
            row(Go, "y/y1", "y/end"),
            parallel=True,
        )
    )
