"""The way to the ``transitions`` library: an independent reference for the tests, and a drawer."""

from typing import Any

from .model import SEPARATOR, State, Statechart, Transition, name_of
from .scxml import initial_entries
from .tree import in_order, plant


def to_transitions(chart: Statechart) -> dict[str, Any]:
    """The configuration that ``transitions`` loads: states, transitions and initial, by names only.

    Paths use the separator ``/``; timers become triggers ``after_NAME``, the ends of compound states
    ``done_PATH``; eventless rows keep the trigger ``always``, which a harness fires. Our own keys (effects,
    timers, notes, rules) are stripped. History has no counterpart there and is left out, as are questions
    about regions by :class:`~holdfast.engine.In`, which become conditions named ``in PATH``.
    """
    return {
        "states": [_state(state) for state in chart.states if state.history is None],
        "transitions": [_row(row) for row in chart.transitions],
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


def _row(row: Transition) -> dict[str, Any]:
    return {
        "trigger": "always" if row.trigger is None else name_of(row.trigger),
        "source": list(row.sources),
        "dest": row.dest,
        "conditions": [name_of(guard) for guard in row.conditions],
        "unless": [name_of(guard) for guard in row.unless],
    }


def machine(chart: Statechart, model: Any) -> Any:
    """A live ``transitions.HierarchicalMachine`` of the chart around ``model``, which answers the guards by name."""
    from transitions.extensions import HierarchicalMachine
    from transitions.extensions.nesting import NestedState

    class _State(NestedState):  # type: ignore[misc, unused-ignore]
        separator = SEPARATOR

    class _Machine(HierarchicalMachine):  # type: ignore[misc, unused-ignore]
        state_cls = _State

    return _Machine(model, auto_transitions=False, ignore_invalid_triggers=True, **to_transitions(chart))
