"""One test for each rule of SCXML's algorithm (https://www.w3.org/TR/scxml/#AlgorithmforSCXMLInterpretation)."""

import pytest

from holdfast.engine import After, Done, Effect, Event, In, MicrostepLimit, Stamp, Timer, Transition, Unhandled, start

from .kit import AT_ZERO, Back, Context, Go, Other, Say, Walk, chart, count, counted, never, row, s


def raising(*events: Event) -> Effect:
    def raise_them(context: Context, event: Event, stamp: Stamp) -> tuple[Context, tuple[Event, ...]]:
        return context, events

    return Effect(raise_them, tuple({type(event) for event in events}))


# -- entering ----------------------------------------------------------------------------------------------


def test_initial_states_are_entered_outermost_first() -> None:
    walk = Walk(
        chart(
            [s("a", s("b", s("c"), s("d")), s("e"))],
            row(Go, "a/b/c", "a/b/d"),
            row(Go, "a/b/d", "a/e"),
            row(Go, "a/e", "a/b"),
        )
    )
    assert (walk.at, walk.said) == ("a/b/c", "+a +b +c")


def test_regions_are_entered_in_document_order() -> None:
    walk = Walk(chart([s("x"), s("y")], parallel=True))
    assert (walk.at, walk.said) == ("x y", "+x +y")


def test_the_charts_own_entry_effects_come_first() -> None:
    assert Walk(chart([s("x"), s("y")], parallel=True, on_enter=(Say("hello"),))).said == "hello +x +y"


def test_entering_one_region_enters_the_others_by_default() -> None:
    regions = s("p", s("x", s("x1"), s("x2")), s("y", s("y1"), s("y2")), parallel=True)
    walk = Walk(
        chart(
            [s("out"), regions],
            row(Go, "out", "p/y/y2"),
            row(Back, "p", "out"),
            row(Go, "p/x/x1", "p/x/x2"),
            row(Other, "p/y/y2", "p/y/y1"),
        )
    )
    assert walk(Go()) == "-out +p +x +x1 +y +y2"
    assert walk.at == "p/x/x1 p/y/y2"


# -- selecting rows ---------------------------------------------------------------------------------------


def test_rows_are_tried_top_to_bottom() -> None:
    walk = Walk(
        chart(
            [s("a"), s("b"), s("c")],
            row(Go, "a", "c", conditions=(counted,)),
            row(Go, "a", "b"),
            row(Back, ("b", "c"), "a", count),
        )
    )
    walk(Go())
    assert walk.at == "b"
    walk(Back())
    walk(Go())
    assert walk.at == "c"


def test_an_inner_row_comes_before_an_outer_one_and_falls_through_when_refused() -> None:
    walk = Walk(
        chart(
            [s("a", s("b"), s("c")), s("out")],
            row(Go, "a", "out"),
            row(Go, "a/b", "a/c", conditions=(counted,)),
            row(Other, "a/b", None, count),
            row(Back, "out", "a"),
            row(Back, "a/c", "a/b"),
        )
    )
    walk(Go())
    assert walk.at == "out"
    walk(Back())
    walk(Other())
    walk(Go())
    assert walk.at == "a/c"


def test_unless_negates_a_guard() -> None:
    walk = Walk(chart([s("a"), s("b")], row(Go, "a", "b", unless=(counted,)), row(Back, "b", "a", count)))
    walk(Go())
    walk(Back())
    assert walk(Go()) == "Unhandled"


def test_an_event_reaches_every_region_and_guards_see_the_context_before_it() -> None:
    walk = Walk(
        chart(
            [s("x", s("x1"), s("x2")), s("y", s("y1"), s("y2"))],
            row(Go, "x/x1", "x/x2", count),
            row(Go, "y/y1", "y/y2", conditions=(counted,)),
            row(Back, "x/x2", "x/x1"),
            row(Back, "y/y2", "y/y1"),
            parallel=True,
        )
    )
    walk(Go())
    assert walk.at == "x/x2 y/y1"
    walk(Go())
    assert walk.at == "x/x2 y/y2"


def test_a_region_may_ask_where_another_one_is_as_it_was_before_the_event() -> None:
    walk = Walk(
        chart(
            [s("x", s("x1"), s("x2")), s("y", s("y1"), s("y2"))],
            row(Go, "x/x1", "x/x2"),
            row(Back, "x/x2", "x/x1"),
            row(Go, "y/y1", "y/y2", conditions=(In("x/x2"),)),
            row(Back, "y/y2", "y/y1", unless=(In("x/x2"),)),
            parallel=True,
        )
    )
    walk(Go())
    assert walk.at == "x/x2 y/y1"
    walk(Go())
    assert walk.at == "x/x2 y/y2"
    walk(Back())
    assert walk.at == "x/x1 y/y2"
    walk(Back())
    assert walk.at == "x/x1 y/y1"


def conflict(*rows: Transition) -> Walk:
    regions = s("p", s("x", s("x1"), s("x2")), s("y", s("y1"), s("y2")), parallel=True)
    back = (
        row(Back, "out", "p"),
        row(Other, "p/x/x1", "p/x/x2"),
        row(Other, "p/y/y1", "p/y/y2"),
        row(Other, "p/x/x2", "p/x/x1"),
        row(Other, "p/y/y2", "p/y/y1"),
    )
    return Walk(chart([regions, s("out"), s("far")], *rows, *back, row(Back, "far", "p"), row(Other, "out", "far")))


def test_of_conflicting_regions_the_first_in_document_order_wins() -> None:
    walk = conflict(row(Go, "p/y/y1", "far"), row(Go, "p/x/x1", "out"))
    walk(Go())
    assert walk.at == "out"


def test_a_region_that_stays_inside_beats_a_later_one_that_leaves_the_parallel_state() -> None:
    walk = conflict(row(Go, "p/x/x1", "p/x/x2"), row(Go, "p/y/y1", "out"))
    walk(Go())
    assert walk.at == "p/x/x2 p/y/y1"


@pytest.mark.parametrize(("region", "expected"), [("x", "p/x/x2 p/y/y1"), ("y", "p/x/x1 p/y/y2")])
def test_an_inner_row_of_any_region_beats_the_parallel_states_own(region: str, expected: str) -> None:
    walk = conflict(row(Go, f"p/{region}/{region}1", f"p/{region}/{region}2"), row(Go, "p", "out"))
    walk(Go())
    assert walk.at == expected


def test_a_row_without_target_conflicts_with_nothing() -> None:
    walk = conflict(row(Go, "p/x/x1", None, Say("noted")), row(Go, "p", "out"))
    assert walk(Go()) == "-y1 -y -x1 -x -p noted +out"


# -- exit, transition, entry -----------------------------------------------------------------------------


def test_effects_run_exit_then_transition_then_entry() -> None:
    walk = Walk(chart([s("a", s("b")), s("c", s("d"))], row(Go, "a/b", "c", Say("between")), row(Back, "c/d", "a")))
    assert walk(Go()) == "-b -a between +c +d"


def test_regions_exit_in_reverse_document_order_then_act_in_order_then_enter_in_order() -> None:
    walk = Walk(
        chart(
            [s("x", s("x1"), s("x2")), s("y", s("y1"), s("y2"))],
            row(Go, "y/y1", "y/y2", Say("y")),
            row(Go, "x/x1", "x/x2", Say("x")),
            row(Back, "x/x2", "x/x1"),
            row(Back, "y/y2", "y/y1"),
            parallel=True,
        )
    )
    assert walk(Go()) == "-y1 -x1 x y +x2 +y2"


def test_a_row_without_target_leaves_nothing() -> None:
    walk = Walk(
        chart(
            [s("a", s("b"), s("c"))], row(Go, "a", None, Say("hm")), row(Other, "a/b", "a/c"), row(Other, "a/c", "a/b")
        )
    )
    assert (walk(Go()), walk.at) == ("hm", "a/b")


def test_an_external_self_transition_leaves_and_enters_again() -> None:
    walk = Walk(
        chart(
            [s("a", s("b"), s("c")), s("d")],
            row(Go, "a", "a"),
            row(Other, "a/b", "a/c"),
            row(Back, "a", "d"),
            row(Back, "d", "a"),
        )
    )
    walk(Other())
    assert (walk(Go()), walk.at) == ("-c -a +a +b", "a/b")


def test_an_external_row_to_an_own_child_leaves_the_source_too() -> None:
    walk = Walk(chart([s("a", s("b"), s("c"))], row(Go, "a", "a/c"), row(Back, "a/c", "a/b")))
    assert walk(Go()) == "-b -a +a +c"


def test_an_internal_row_to_an_own_descendant_keeps_the_source() -> None:
    walk = Walk(chart([s("a", s("b"), s("c"))], row(Go, "a", "a/c", internal=True), row(Back, "a/c", "a/b")))
    assert walk(Go()) == "-b +c"


def test_a_row_to_the_own_parent_leaves_and_enters_it() -> None:
    walk = Walk(chart([s("a", s("b"), s("c"))], row(Other, "a/b", "a/c"), row(Go, "a/c", "a")))
    walk(Other())
    assert walk(Go()) == "-c -a +a +b"


def test_only_what_lies_below_the_common_compound_ancestor_is_left() -> None:
    walk = Walk(
        chart(
            [s("a", s("b", s("c"), s("d")), s("e"))],
            row(Go, "a/b/c", "a/b/d"),
            row(Other, "a/b/d", "a/e"),
            row(Back, "a/e", "a/b"),
        )
    )
    assert walk(Go()) == "-c +d"
    assert walk(Other()) == "-d -b +e"


def test_from_region_to_region_the_whole_parallel_state_is_left() -> None:
    walk = conflict(row(Go, "p/x/x1", "p/y/y2"), row(Back, "p", "out"))
    assert (walk(Go()), walk.at) == ("-y1 -y -x1 -x -p +p +x +x1 +y +y2", "p/x/x1 p/y/y2")


def test_a_self_transition_of_a_region_leaves_and_enters_all_regions() -> None:
    rows = (row(Go, "x", "x"), row(Other, "y/y1", "y/y2"), row(Other, "y/y2", "y/y1"))
    walk = Walk(chart([s("x"), s("y", s("y1"), s("y2"))], *rows, parallel=True))
    walk(Other())
    assert (walk(Go()), walk.at) == ("-y2 -y -x +x +y +y1", "x y/y1")


# -- history -----------------------------------------------------------------------------------------------


def historic(kind: str) -> Walk:
    inner = s("a", s("b", s("c"), s("d")), s("e"), s("past", history=kind, initial="e"))
    return Walk(
        chart(
            [s("out"), inner],
            row(Go, "out", "a/past"),
            row(Back, "a", "out"),
            row(Other, "a/e", "a/b"),
            row(Other, "a/b/c", "a/b/d"),
        )
    )


@pytest.mark.parametrize("kind", ["shallow", "deep"])
def test_history_without_memory_enters_its_default(kind: str) -> None:
    walk = historic(kind)
    assert (walk(Go()), walk.at) == ("-out +a +e", "a/e")


@pytest.mark.parametrize(("kind", "expected"), [("shallow", "a/b/c"), ("deep", "a/b/d")])
def test_history_enters_what_was_left(kind: str, expected: str) -> None:
    walk = historic(kind)
    for event in (Go(), Other(), Other(), Back(), Go()):
        walk(event)
    assert walk.at == expected


def test_deep_history_of_a_parallel_state_remembers_every_region() -> None:
    inner = s("p", s("x", s("x1"), s("x2")), s("y", s("y1"), s("y2")), s("past", history="deep"), parallel=True)
    walk = Walk(
        chart(
            [inner, s("out")],
            row(Other, "p/x/x1", "p/x/x2"),
            row(Back, "p/y/y1", "p/y/y2"),
            row(Go, "p", "out"),
            row(Go, "out", "p/past"),
            row(Other, "p/y/y2", "p/y/y1"),
            row(Back, "p/x/x2", "p/x/x1"),
        )
    )
    walk(Back())
    walk(Go())
    assert (walk(Go()), walk.at) == ("-out +p +x +x1 +y +y2", "p/x/x1 p/y/y2")


def test_the_domain_of_a_history_target_is_that_of_the_remembered_states() -> None:
    inner = s("a", s("b", s("c"), s("d")), s("e"), s("past", history="deep", initial="e"))
    walk = Walk(
        chart(
            [inner, s("out")],
            row(Go, "a/b/c", "out"),
            row(Go, "out", "a/b/d"),
            row(Back, "a/b/d", "a/past"),
            row(Other, "a/b", "a/e"),
            row(Other, "a/e", "a/b"),
        )
    )
    walk(Go())
    walk(Go())
    # SCXML's getTransitionDomain looks at the effective target a/b/c: so a/b stays.
    assert (walk(Back()), walk.at) == ("-d +c", "a/b/c")


# -- eventless rows and raised events ----------------------------------------------------------------------


def test_eventless_rows_run_until_none_is_enabled() -> None:
    walk = Walk(chart([s("a"), s("b"), s("c")], row(Go, "a", "b"), row(None, "b", "c"), row(Back, "c", "a")))
    assert (walk(Go()), walk.at) == ("-a +b -b +c", "c")


def test_eventless_rows_see_what_the_effects_of_the_same_step_did() -> None:
    walk = Walk(
        chart(
            [s("a"), s("b")], row(Go, "a", None, count), row(None, "a", "b", conditions=(counted,)), row(Back, "b", "a")
        )
    )
    walk(Go())
    assert walk.at == "b"


def test_eventless_rows_run_when_the_chart_starts() -> None:
    assert Walk(chart([s("a"), s("b")], row(None, "a", "b"), row(Go, "b", "a", count))).at == "b"


def test_eventless_rows_come_before_raised_events() -> None:
    walk = Walk(
        chart(
            [s("a"), s("b"), s("c"), s("d")],
            row(Go, "a", "b", raising(Other())),
            row(None, "b", "c"),
            row(Other, "b", "d"),
            row(Other, "c", None, Say("in c")),
            row(Back, ("c", "d"), "a"),
        )
    )
    assert (walk(Go()), walk.at) == ("-a +b -b +c in c", "c")


def test_raised_events_are_taken_in_the_order_they_were_raised() -> None:
    walk = Walk(
        chart(
            [s("a"), s("b")],
            row(Go, "a", "b", raising(Other(), Back())),
            row(Other, "b", None, Say("other")),
            row(Back, "b", None, Say("back")),
            row(Go, "b", "a"),
        )
    )
    assert walk(Go()) == "-a +b other back"


def test_a_raised_event_reaches_every_region_and_may_be_ignored() -> None:
    rows = (
        row(Go, "x/x1", "x/x2", raising(Back(), Other())),
        row(Other, "y/y1", "y/y2"),
        row(Back, "y/y2", "y/y1"),
        row(Other, "x/x2", "x/x1"),
    )
    walk = Walk(chart([s("x", s("x1"), s("x2")), s("y", s("y1"), s("y2"))], *rows, parallel=True))
    assert walk(Go()) == "-x1 +x2 -y1 -x2 +x1 +y2"


def test_a_constant_event_among_the_effects_is_raised() -> None:
    walk = Walk(
        chart(
            [s("a"), s("b")], row(Go, "a", None, Say("1"), Other(), Say("2")), row(Other, "a", "b"), row(Go, "b", "a")
        )
    )
    assert walk(Go()) == "1 2 -a +b"


def test_an_endless_chain_is_stopped_and_named() -> None:
    endless = chart(
        [s("a"), s("b")],
        row(None, "a", "b", conditions=(counted,)),
        row(None, "b", "a", conditions=(counted,)),
        row(Go, "a", "b", count),
        row(Back, "b", "a"),
    )
    with pytest.raises(MicrostepLimit, match=r"no rest after .* b->a -> a->b") as caught:
        Walk(endless)(Go())
    assert caught.value.chart == "test"
    assert caught.value.trail[-2:] in (("a->b", "b->a"), ("b->a", "a->b"))


# -- final states and done events ----------------------------------------------------------------------------


def test_a_compound_state_is_done_when_its_final_state_is_entered() -> None:
    walk = Walk(
        chart(
            [s("a", s("b"), s("end", final=True)), s("c")],
            row(Go, "a/b", "a/end"),
            row(Done("a"), "a", "c"),
            row(Back, "c", "a"),
        )
    )
    assert (walk(Go()), walk.at) == ("-b +end -a +c", "c")


def two_ends(*rows: Transition, ended: bool = False) -> Walk:
    place = 1 if ended else 0
    x, y = (s("x1"), s("xe", final=True)), (s("y1"), s("ye", final=True))
    p = s("p", s("x", *x, initial=x[place].name), s("y", *y, initial=y[place].name), parallel=True)
    common = (
        row(Go, "out", "p"),
        row(Go, "p/x/x1", "p/x/xe"),
        row(Back, "p/y/y1", "p/y/ye"),
        row(Other, "p", "c"),
        row(Back, "c", "out"),
        row(Go, "c", "p/x/x1"),
        row(Other, "c", "p/y/y1"),
    )
    return Walk(chart([s("out"), p, s("c")], *rows, *common))


def test_a_parallel_state_is_done_when_every_region_is() -> None:
    walk = two_ends(row(Done("p"), "p", "c"))
    walk(Go())
    walk(Go())
    assert walk.at == "p/x/xe p/y/y1"
    walk(Back())
    assert walk.at == "c"


def test_a_parallel_state_entered_with_all_regions_final_is_done_once() -> None:
    walk = two_ends(row(Done("p"), "p", None, Say("done")), ended=True)
    assert walk(Go()).split().count("done") == 1


def test_a_chart_that_reached_its_final_state_is_done_and_handles_nothing() -> None:
    walk = Walk(chart([s("a"), s("end", final=True)], row(Go, "a", "end")))
    assert not walk.snapshot.done
    walk(Go())
    assert walk.snapshot.done
    assert walk(Go()) == "Unhandled"


def test_a_parallel_chart_is_done_when_all_its_regions_are_and_waits_for_no_timer() -> None:
    ends = [
        s("x", s("x1"), s("xe", final=True), timers=(Timer("t", lambda c, stamp: 5.0),)),
        s("y", s("y1"), s("ye", final=True)),
    ]
    walk = Walk(
        chart(
            ends,
            row(Go, "x/x1", "x/xe"),
            row(Go, "y/y1", "y/ye"),
            row(After("t"), "x", None, count),
            row(Other, "y", None, count),
            parallel=True,
        )
    )
    assert walk(Go()) == "CancelTimer -y1 -x1 +xe +ye"
    assert (walk.snapshot.done, walk.snapshot.timers) == (True, ())
    assert walk(Other()) == "Unhandled"


def test_start_runs_to_completion() -> None:
    raised = chart(
        [s("a"), s("b")],
        row(None, "a", "b", raising(Other())),
        row(Other, "b", None, Say("heard")),
        row(Go, "b", "a", conditions=(never,)),
    )
    _, commands = start(raised, Context(), AT_ZERO)
    assert commands[-1] == Say("heard")
    assert not any(isinstance(command, Unhandled) for command in commands)
