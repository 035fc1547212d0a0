"""A chart's states and rows as a linked tree, which the algorithm walks and the tables are made from."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

from .model import SEPARATOR, After, In, Stamp, State, Transition

Test = Callable[[Any, Any, Stamp], bool]


class Node:
    """A state with its place in the tree. ``index`` is its document order."""

    __slots__ = ("children", "index", "parent", "path", "regions", "rows", "state")

    def __init__(self, index: int, path: str, state: State, parent: "Node | None") -> None:
        self.index = index
        self.path = path
        self.state = state
        self.parent = parent
        self.children: list[Node] = []
        self.regions: list[Node] = []  # The children that can be active: all but the history states.
        self.rows: dict[Hashable, list[Row]] = {}

    def __repr__(self) -> str:
        return f"<state {self.path or '(root)'}>"

    @property
    def atomic(self) -> bool:
        return not self.children and self.state.history is None

    @property
    def compound(self) -> bool:
        return bool(self.children) and not self.state.parallel

    def ancestors(self) -> Iterator["Node"]:
        """Proper ancestors, innermost first."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    def within(self, other: "Node") -> bool:
        """True for a proper descendant of ``other``."""
        return any(node is other for node in self.ancestors())


def in_order(nodes: Iterable[Node], reverse: bool = False) -> list[Node]:
    """Nodes in document order."""
    return sorted(nodes, key=lambda node: node.index, reverse=reverse)


def plant(top: State) -> list[Node]:
    """The nodes of a state and of everything inside it, in document order."""
    nodes: list[Node] = []
    _plant(top, "", None, nodes)
    return nodes


def _plant(state: State, path: str, parent: Node | None, nodes: list[Node]) -> Node:
    node = Node(len(nodes), path, state, parent)
    nodes.append(node)
    for child in state.children:
        planted = _plant(child, f"{path}{SEPARATOR}{child.name}" if path else child.name, node, nodes)
        node.children.append(planted)
        if child.history is None:
            node.regions.append(planted)
    return node


class Row:
    """One transition of one source state, compiled."""

    __slots__ = ("asks", "dest", "guard", "guards", "source", "transition")

    def __init__(self, source: Node, transition: Transition, tree: dict[str, Node]) -> None:
        self.source = source
        self.dest = None if transition.dest is None else tree[transition.dest]
        self.transition = transition
        tests = [(test, True) for test in transition.conditions] + [(test, False) for test in transition.unless]
        self.asks = frozenset((tree[test.state], wanted) for test, wanted in tests if isinstance(test, In))
        self.guards = frozenset((test, wanted) for test, wanted in tests if not isinstance(test, In))
        self.guard = _joined([test if wanted else _negated(test) for test, wanted in tests if not isinstance(test, In)])

    def __repr__(self) -> str:
        return f"{self.source.path}->{self.dest.path if self.dest else '(stays)'}"

    def open_in(self, active: frozenset[Node]) -> bool:
        """True when what the row asks about other states (:class:`In`) holds."""
        return all((node in active) is wanted for node, wanted in self.asks)


def _negated(guard: Test) -> Test:
    return lambda context, event, stamp: not guard(context, event, stamp)


def _joined(guards: list[Test]) -> Test | None:
    """One test for all guards, tried in order; None when there is nothing to test."""
    if len(guards) < 2:
        return guards[0] if guards else None
    first, rest = guards[0], _joined(guards[1:])
    assert rest is not None
    return lambda context, event, stamp: first(context, event, stamp) and rest(context, event, stamp)


def key_of(trigger: object) -> Hashable:
    """What a trigger is looked up by: a timer's name, an event's class, a done event itself, or None."""
    return trigger.timer if isinstance(trigger, After) else trigger
