"""The way to the ``transitions`` library: an independent reference for the tests, and a drawer."""

from typing import Any

from .model import SEPARATOR, State, Statechart, Transition, name_of
from .scxml import initial_entries
from .tree import in_order, plant


def to_transitions(chart: Statechart) -> dict[str, Any]:
    """The configuration that ``transitions`` loads: states, transitions and initial, by names only.

    Paths use the separator ``/``; timers become triggers ``after_NAME``, the ends of compound states
    ``done_PATH``; eventless rows keep the trigger ``always``, which a harness fires. Our own keys (effects,
    timers, notes, rules) are stripped, and a question about another region (:class:`~holdfast.engine.In`)
    becomes a condition named ``in PATH``. History has no counterpart there: a row to a history state goes to
    the state's default.
    """
    return {
        "states": [_state(state) for state in chart.states if state.history is None],
        "transitions": [_row(row, _defaults(chart)) for row in chart.transitions],
        "initial": _initial(chart),
    }


def _initial(chart: Statechart) -> str | list[str]:
    """The state to begin in. Of regions the atomic states, since a list of compound ones is not entered any deeper."""
    if not chart.parallel and chart.initial is not None:
        return chart.initial
    return [node.path for node in in_order(initial_entries(plant(chart.top)[0])) if node.atomic]


def _state(state: State) -> dict[str, Any]:
    children = [_state(child) for child in state.children if child.history is None]
    exported: dict[str, Any] = {"name": state.name, "final": state.final}
    if children and state.parallel:
        exported["parallel"] = children
    elif children:
        exported |= {"children": children, "initial": state.initial}
    return exported


def _row(row: Transition, defaults: dict[str, str]) -> dict[str, Any]:
    return {
        "trigger": "always" if row.trigger is None else name_of(row.trigger),
        "source": list(row.sources),
        "dest": row.dest if row.dest is None else defaults.get(row.dest, row.dest),
        "conditions": [name_of(guard) for guard in row.conditions],
        "unless": [name_of(guard) for guard in row.unless],
    }


def _defaults(chart: Statechart) -> dict[str, str]:
    """Where each history state goes while it remembers nothing: its default, or the parallel state around it."""
    found: dict[str, str] = {}
    for node in plant(chart.top):
        if node.state.history is not None and node.parent is not None:
            default = node.state.initial
            found[node.path] = f"{node.parent.path}{SEPARATOR}{default}" if default is not None else node.parent.path
    return found


def machine(chart: Statechart, model: Any) -> Any:
    """A live ``transitions.HierarchicalMachine`` of the chart around ``model``, which answers the guards by name.

    It ignores events that no state handles. Final states are plain ones to it: its own check of them fails beside
    parallel states (0.9.3). Of rows that belong to a region of a parallel *chart* it may take some once for each
    region; a harness has to see to it that each counts once.
    """
    from transitions.extensions import HierarchicalMachine
    from transitions.extensions.nesting import NestedState

    class _State(NestedState):  # type: ignore[misc, unused-ignore]
        separator = SEPARATOR

    class _Machine(HierarchicalMachine):  # type: ignore[misc, unused-ignore]
        state_cls = _State

    config = to_transitions(chart)
    _forget_final(config["states"])
    return _Machine(model, auto_transitions=False, ignore_invalid_triggers=True, **config)


def _forget_final(states: list[dict[str, Any]]) -> None:
    for state in states:
        state["final"] = False
        _forget_final([*state.get("children", ()), *state.get("parallel", ())])
