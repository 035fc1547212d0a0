"""SCXML's algorithm over the tree: what a row exits and enters, which rows conflict, what is final.

Each function is the procedure of the recommendation's appendix D that its docstring names
(https://www.w3.org/TR/scxml/#AlgorithmforSCXMLInterpretation). It runs when tables are made, not in a step.
"""

from collections.abc import Iterable, Mapping

from .model import Done
from .tree import Node, Row

Active = frozenset[Node]
# What each history state remembers, as (history state, states), in document order.
History = tuple[tuple[Node, Active], ...]
Memory = Mapping[Node, Active]


def is_final(node: Node, active: Active | set[Node]) -> bool:
    """isInFinalState."""
    if node.state.parallel:
        return all(is_final(region, active) for region in node.regions)
    return any(child.state.final and child in active for child in node.regions)


def initial_of(node: Node) -> Node:
    """The default child of a compound state, or the default target of a history state."""
    siblings = node.parent.regions if node.state.history and node.parent else node.regions
    return next((child for child in siblings if child.state.name == node.state.initial), siblings[0])


def targets(dest: Node, memory: Memory) -> list[Node]:
    """getEffectiveTargetStates: a history state stands for what it remembers, or for its default."""
    if dest.state.history is None:
        return [dest]
    return sorted(memory.get(dest, ()), key=lambda node: node.index) or [initial_of(dest)]


def domain(row: Row, memory: Memory) -> Node | None:
    """getTransitionDomain: the state inside which a row changes things. None when it has no target."""
    if row.dest is None:
        return None
    aims = targets(row.dest, memory)
    if row.transition.internal and row.source.compound and all(aim.within(row.source) for aim in aims):
        return row.source
    return next(
        node
        for node in row.source.ancestors()
        if (node.parent is None or node.compound) and all(aim.within(node) for aim in aims)
    )


def exits(row: Row, active: Active, memory: Memory) -> Active:
    """computeExitSet: the active states that a row leaves."""
    top = domain(row, memory)
    return frozenset() if top is None else frozenset(node for node in active if node.within(top))


def compatible(rows: Iterable[Row], active: Active, memory: Memory) -> tuple[Row, ...]:
    """removeConflictingTransitions: document order wins, but a descendant's row before an ancestor's."""
    kept: list[Row] = []
    for row in rows:
        left = exits(row, active, memory)
        rivals = [other for other in kept if left & exits(other, active, memory)]
        if all(row.source.within(other.source) for other in rivals):
            kept = [other for other in kept if other not in rivals]
            kept.append(row)
    return tuple(kept)


def remembered(left: Iterable[Node], active: Active) -> dict[Node, Active]:
    """What the history states of the exited states record (the first half of exitStates)."""
    return {
        child: frozenset(
            node
            for node in active
            if (node.atomic and node.within(parent) if child.state.history == "deep" else node.parent is parent)
        )
        for parent in left
        for child in parent.children
        if child.state.history
    }


def entries(rows: Iterable[Row], memory: Memory) -> set[Node]:
    """computeEntrySet: the states that rows enter, defaults, regions and history included."""
    entered: set[Node] = set()
    for row in rows:
        top = domain(row, memory)
        if row.dest is not None and top is not None:
            _enter(row.dest, entered, memory)
            for aim in targets(row.dest, memory):
                _enter_ancestors(aim, top, entered, memory)
            if top.state.parallel:  # A parallel chart: its root is left by nothing, but all its regions were.
                _enter_regions(top, entered, memory)
    return entered


def initial_entries(root: Node) -> set[Node]:
    """The states entered from nothing."""
    entered: set[Node] = set()
    _enter(root, entered, {})
    return entered


def _enter(node: Node, entered: set[Node], memory: Memory) -> None:
    """addDescendantStatesToEnter."""
    if node.state.history is not None:
        assert node.parent is not None
        _enter_inside(targets(node, memory), node.parent, entered, memory)
        return
    entered.add(node)
    if node.state.parallel:
        _enter_regions(node, entered, memory)
    elif node.children:
        _enter_inside([initial_of(node)], node, entered, memory)


def _enter_inside(aims: list[Node], parent: Node, entered: set[Node], memory: Memory) -> None:
    for aim in aims:
        _enter(aim, entered, memory)
    for aim in aims:
        _enter_ancestors(aim, parent, entered, memory)


def _enter_ancestors(node: Node, stop: Node, entered: set[Node], memory: Memory) -> None:
    """addAncestorStatesToEnter."""
    for ancestor in node.ancestors():
        if ancestor is stop:
            return
        entered.add(ancestor)
        if ancestor.state.parallel:
            _enter_regions(ancestor, entered, memory)


def _enter_regions(node: Node, entered: set[Node], memory: Memory) -> None:
    for region in node.regions:
        if region not in entered and not any(other.within(region) for other in entered):
            _enter(region, entered, memory)


def done_events(node: Node, active: Active | set[Node]) -> list[Done]:
    """What entering ``node`` finishes: its parent, and the parallel state around it once all regions are final.

    ``active`` holds what is active when ``node`` has just been entered, so that a parallel state that is
    entered with all its regions final is done once, with the last of them.
    """
    parent = node.parent
    if not node.state.final or parent is None or parent.parent is None:
        return []
    around = parent.parent
    if around.parent is not None and around.state.parallel and is_final(around, active):
        return [Done(parent.path), Done(around.path)]
    return [Done(parent.path)]
