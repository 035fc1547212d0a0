"""Compiled tables: what each configuration of a chart does at each event, worked out once.

A :class:`Configuration` (the set of active states) is interned, and memoises for each trigger a
:class:`Plan`: the candidate rows of every region in order, with region questions (:class:`In`) already
answered. A candidate leads to a :class:`Micro`: the effects exit → transition → entry in one flat tuple,
the timers to cancel and arm, and the next configuration. So a step is a look-up and not a search.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any

from .model import (
    Action,
    After,
    Command,
    Delay,
    Doing,
    Done,
    Effect,
    Event,
    In,
    Stamp,
    State,
    Statechart,
    TimerFired,
    Transition,
)

if TYPE_CHECKING:
    from .snapshot import Snapshot


History = tuple[tuple[int, frozenset[int]], ...]


class Node:
    """A state with its place in the tree. ``index`` is its document order."""

    __slots__ = ("children", "index", "parent", "path", "rows", "state")

    def __init__(self, index: int, path: str, state: State, parent: "Node | None") -> None:
        self.index = index
        self.path = path
        self.state = state
        self.parent = parent
        self.children: list[Node] = []
        self.rows: dict[Hashable, list[Row]] = {}

    def __repr__(self) -> str:
        return f"<state {self.path or '(root)'}>"

    @property
    def atomic(self) -> bool:
        return not self.children and self.state.history is None

    def ancestors(self) -> Iterable["Node"]:
        """Proper ancestors, innermost first."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    def within(self, other: "Node") -> bool:
        """True for a proper descendant of ``other``."""
        return any(node is other for node in self.ancestors())

    @property
    def real_children(self) -> list["Node"]:
        return [child for child in self.children if child.state.history is None]


class Row:
    """One transition of one source state, compiled."""

    __slots__ = ("asks", "dest", "guards", "index", "source", "transition")

    def __init__(
        self, index: int, source: Node, dest: Node | None, transition: Transition, tree: dict[str, Node]
    ) -> None:
        self.index = index
        self.source = source
        self.dest = dest
        self.transition = transition
        self.asks: tuple[tuple[int, bool], ...] = tuple(
            (tree[condition.state].index, wanted)
            for conditions, wanted in ((transition.conditions, True), (transition.unless, False))
            for condition in conditions
            if isinstance(condition, In)
        )
        self.guards: tuple[Callable[[Any, Any, Any], bool], ...] = tuple(
            guard for guard in transition.conditions if not isinstance(guard, In)
        ) + tuple(_negated(guard) for guard in transition.unless if not isinstance(guard, In))


def _negated(guard: Callable[[Any, Any, Any], bool]) -> Callable[[Any, Any, Any], bool]:
    return lambda context, event, stamp: not guard(context, event, stamp)


class Micro:
    """The compiled consequence of taking one set of rows in one configuration."""

    __slots__ = ("actions", "arms", "cancels", "commands", "history", "label", "raising", "rest", "target")

    def __init__(
        self,
        target: "Configuration",
        doings: list[Doing | Done],
        cancels: frozenset[str],
        arms: tuple[tuple[str, Delay], ...],
        history: dict[int, frozenset[int]] | None,
        label: str,
    ) -> None:
        self.target = target
        self.cancels = cancels
        self.arms = arms
        self.history = history
        self.label = label
        self.raising = any(_raises(doing) for doing in doings)
        constant = not self.raising and not any(isinstance(doing, Effect) for doing in doings)
        self.commands: tuple[Command, ...] = tuple(doings) if constant else ()  # type: ignore[arg-type]
        self.actions: tuple[Action, ...] = () if constant else tuple(_action(doing) for doing in doings)
        # Nothing but a look-up is left to do: no timer, no history, no further microstep.
        self.rest = not (cancels or arms or history or self.raising or target.eventless)


def _raises(doing: Doing | Done) -> bool:
    if isinstance(doing, Effect):
        return any(issubclass(kind, Event) for kind in doing.emits)
    return isinstance(doing, (Event, Done))


def _action(doing: Doing | Done) -> Action:
    if isinstance(doing, Effect):
        return doing.action
    emitted: Any = (doing,)
    return lambda context, event, stamp: (context, emitted)


class Plan:
    """What a configuration may do at one trigger: for each region the candidate rows, innermost first."""

    __slots__ = ("correlates", "groups", "single")

    def __init__(self, groups: tuple[tuple[tuple[Any, Row], ...], ...], correlates: str | None) -> None:
        self.correlates = correlates
        self.groups = groups
        self.single: tuple[tuple[Any, Micro], ...] | None = None


class Configuration:
    """A set of active states, interned by its chart, so that equal configurations are one object."""

    __slots__ = ("active", "atoms", "chart", "done", "eventless", "micros", "names", "plans")

    def __init__(self, chart: "Chart", active: frozenset[int]) -> None:
        nodes = [chart.nodes[index] for index in sorted(active)]
        self.chart = chart
        self.active = active
        self.atoms = tuple(node for node in nodes if node.atomic)
        self.names = tuple(node.path for node in self.atoms)
        self.eventless = any(None in node.rows for node in nodes)
        self.done = chart.is_final(chart.root, active)
        self.plans: dict[Hashable, Plan | None] = {}
        self.micros: dict[Hashable, Micro] = {}

    def __repr__(self) -> str:
        return f"<{' + '.join(self.names)}>"

    def __contains__(self, path: str) -> bool:
        """True when the state at ``path`` is active."""
        node = self.chart.tree.get(path)
        return node is not None and node.index in self.active

    def plan(self, key: Hashable) -> Plan | None:
        """The plan for a trigger, or None when no state handles it."""
        try:
            return self.plans[key]
        except KeyError:
            return self.plans.setdefault(key, self._make_plan(key))

    def _make_plan(self, key: Hashable) -> Plan | None:
        groups: list[tuple[tuple[Any, Row], ...]] = []
        for atom in self.atoms:
            group = self._candidates(atom, key)
            if group and group not in groups:
                groups.append(group)
        if not groups:
            return None
        plan = Plan(tuple(groups), getattr(key, "correlates", None))
        if len(groups) == 1 and not self.chart.historic:
            plan.single = tuple((guards, self.micro((row,), ())) for guards, row in groups[0])
        return plan

    def _candidates(self, atom: Node, key: Hashable) -> tuple[tuple[Any, Row], ...]:
        found: list[tuple[Any, Row]] = []
        for node in (atom, *atom.ancestors()):
            for row in node.rows.get(key, ()):
                if all((index in self.active) is wanted for index, wanted in row.asks):
                    found.append((row.guards, row))
                    if not row.guards:
                        return tuple(found)
        return tuple(found)

    def choose(self, plan: Plan, context: Any, event: Any, stamp: Stamp) -> tuple[Row, ...]:
        """The rows to take: in each region the first whose guards hold, conflicts resolved."""
        chosen: list[Row] = []
        for group in plan.groups:
            for guards, row in group:
                if all(guard(context, event, stamp) for guard in guards):
                    if row not in chosen:
                        chosen.append(row)
                    break
        return tuple(chosen) if len(chosen) < 2 else self.chart.compatible(chosen, self.active)

    def micro(self, rows: tuple[Row, ...], history: History) -> Micro:
        """The consequence of taking ``rows`` together, worked out at first use."""
        key = (rows, history)
        found = self.micros.get(key)
        if found is None:
            found = self.micros.setdefault(key, self.chart.consequence(self, rows, dict(history)))
        return found


class Chart:
    """A compiled chart. Made by :func:`holdfast.engine.compile_chart`; stateless apart from its memo tables."""

    def __init__(self, source: Statechart) -> None:
        self.source = source
        self.name = source.name
        self.nodes: list[Node] = []
        self.tree: dict[str, Node] = {}
        top = State(
            name="", children=source.states, initial=source.initial, parallel=source.parallel, on_enter=source.on_enter
        )
        self.root = self._plant(top, "", None)
        self.rows = self._compile_rows()
        self.historic = any(node.state.history for node in self.nodes)
        self.configurations: dict[frozenset[int], Configuration] = {}
        self.events: tuple[type[Event], ...] = tuple(
            dict.fromkeys(row.transition.trigger for row in self.rows if isinstance(row.transition.trigger, type))
        )

    def __repr__(self) -> str:
        return f"<chart {self.name}: {len(self.nodes) - 1} states, {len(self.rows)} rows>"

    def enabled(self, snapshot: "Snapshot", stamp: Stamp) -> frozenset[str]:
        """The names of the events that would do something now.

        Exact for events without fields and for armed timers; an event with fields counts when a row for it
        exists, since what its guards answer depends on their values.
        """
        config, context = snapshot.config, snapshot.context
        names: set[str] = set()
        for kind in self.events:
            plan = config.plan(kind)
            if plan and (kind.__struct_fields__ or config.choose(plan, context, kind(), stamp)):
                names.add(kind.__name__)
        for armed in snapshot.timers:
            plan = config.plan(armed.timer)
            if plan and config.choose(plan, context, TimerFired(armed.timer, armed.serial), stamp):
                names.add(f"after_{armed.timer}")
        return frozenset(names)

    def _plant(self, state: State, path: str, parent: Node | None) -> Node:
        node = Node(len(self.nodes), path, state, parent)
        self.nodes.append(node)
        self.tree[path] = node
        for child in state.children:
            node.children.append(self._plant(child, f"{path}/{child.name}" if path else child.name, node))
        return node

    def _compile_rows(self) -> tuple[Row, ...]:
        rows: list[Row] = []
        for transition in self.source.transitions:
            dest = None if transition.dest is None else self.tree[transition.dest]
            for source in transition.sources:
                row = Row(len(rows), self.tree[source], dest, transition, self.tree)
                rows.append(row)
                self.tree[source].rows.setdefault(key_of(transition.trigger), []).append(row)
        return tuple(rows)

    def configuration(self, active: frozenset[int]) -> Configuration:
        """The one object for a set of active states."""
        found = self.configurations.get(active)
        if found is None:
            found = self.configurations.setdefault(active, Configuration(self, active))
        return found

    # -- SCXML's algorithm: what is exited, what is entered ------------------------------------------

    def is_final(self, node: Node, active: frozenset[int] | set[int]) -> bool:
        """SCXML's isInFinalState."""
        if node.state.parallel:
            return all(self.is_final(child, active) for child in node.real_children)
        return any(child.state.final and child.index in active for child in node.children)

    def domain(self, row: Row) -> Node | None:
        """The state inside which a row changes things: None when it has no target."""
        if row.dest is None:
            return None
        source = row.source
        if row.transition.internal and source.children and not source.state.parallel and row.dest.within(source):
            return source
        for node in source.ancestors():
            if (node is self.root or not node.state.parallel) and row.dest.within(node):
                return node
        return self.root

    def exits(self, row: Row, active: frozenset[int]) -> frozenset[int]:
        """The active states that a row leaves."""
        domain = self.domain(row)
        if domain is None:
            return frozenset()
        return frozenset(index for index in active if self.nodes[index].within(domain))

    def compatible(self, chosen: list[Row], active: frozenset[int]) -> tuple[Row, ...]:
        """SCXML's removeConflictingTransitions: document order wins, but a descendant's row before an ancestor's."""
        kept: list[Row] = []
        for row in chosen:
            exits = self.exits(row, active)
            rivals = [other for other in kept if exits & self.exits(other, active)]
            if all(row.source.within(other.source) for other in rivals):
                kept = [other for other in kept if other not in rivals]
                kept.append(row)
        return tuple(kept)

    def entries(self, rows: Iterable[Row], history: dict[int, frozenset[int]]) -> set[int]:
        """The states that rows enter, defaults, regions and history included."""
        entered: set[int] = set()
        for row in rows:
            domain = self.domain(row)
            if row.dest is not None and domain is not None:
                self._enter(row.dest, entered, history)
                self._enter_ancestors(row.dest, domain, entered, history)
        return entered

    def _enter(self, node: Node, entered: set[int], history: dict[int, frozenset[int]]) -> None:
        if node.state.history is not None:
            self._enter_history(node, entered, history)
            return
        entered.add(node.index)
        if node.state.parallel:
            self._enter_regions(node, entered, history)
        elif node.children:
            initial = self.initial_of(node)
            self._enter(initial, entered, history)
            self._enter_ancestors(initial, node, entered, history)

    def _enter_history(self, node: Node, entered: set[int], history: dict[int, frozenset[int]]) -> None:
        parent = node.parent
        assert parent is not None
        targets = [self.nodes[index] for index in sorted(history.get(node.index, ()))] or [self.initial_of(node)]
        for target in targets:
            self._enter(target, entered, history)
        for target in targets:
            self._enter_ancestors(target, parent, entered, history)

    def _enter_ancestors(self, node: Node, stop: Node, entered: set[int], history: dict[int, frozenset[int]]) -> None:
        for ancestor in node.ancestors():
            if ancestor is stop:
                return
            entered.add(ancestor.index)
            if ancestor.state.parallel:
                self._enter_regions(ancestor, entered, history)

    def _enter_regions(self, node: Node, entered: set[int], history: dict[int, frozenset[int]]) -> None:
        for child in node.real_children:
            if child.index not in entered and not any(self.nodes[index].within(child) for index in entered):
                self._enter(child, entered, history)

    def initial_of(self, node: Node) -> Node:
        """The default child of a compound state, or the default target of a history state."""
        name = node.state.initial
        parent = node.parent if node.state.history else node
        assert parent is not None
        if name is None:
            return parent.real_children[0]
        return self.tree[f"{parent.path}/{name}" if parent.path else name]

    def consequence(self, before: Configuration, rows: tuple[Row, ...], history: dict[int, frozenset[int]]) -> Micro:
        """Compile one microstep: exits in reverse document order, the rows' effects, entries in document order."""
        exits: set[int] = set().union(*(self.exits(row, before.active) for row in rows))
        entries = self.entries(rows, history | self.remembered(exits, before.active))
        after = (before.active - exits) | entries
        doings: list[Doing | Done] = []
        for index in sorted(exits, reverse=True):
            doings += self.nodes[index].state.on_exit
        for row in rows:
            doings += row.transition.effects
        for index in sorted(entries):
            doings += self.nodes[index].state.on_enter
            doings += self._done_events(self.nodes[index], after)
        return Micro(
            self.configuration(frozenset(after)),
            doings,
            frozenset(timer.name for index in exits for timer in self.nodes[index].state.timers),
            tuple((timer.name, timer.delay) for index in sorted(entries) for timer in self.nodes[index].state.timers),
            self.remembered(exits, before.active) or None,
            " + ".join(f"{row.source.path}->{row.dest.path if row.dest else '(stays)'}" for row in rows),
        )

    def remembered(self, exits: set[int], active: frozenset[int]) -> dict[int, frozenset[int]]:
        """What the history states of the exited states record."""
        found: dict[int, frozenset[int]] = {}
        for index in exits:
            node = self.nodes[index]
            for child in node.children:
                if child.state.history == "deep":
                    found[child.index] = frozenset(
                        i for i in active if self.nodes[i].atomic and self.nodes[i].within(node)
                    )
                elif child.state.history == "shallow":
                    found[child.index] = frozenset(i for i in active if self.nodes[i].parent is node)
        return found

    def _done_events(self, node: Node, active: frozenset[int] | set[int]) -> list[Done]:
        parent = node.parent
        if not node.state.final or parent is None or parent is self.root:
            return []
        events = [Done(parent.path)]
        grandparent = parent.parent
        if (
            grandparent is not None
            and grandparent is not self.root
            and grandparent.state.parallel
            and self.is_final(grandparent, active)
        ):
            events.append(Done(grandparent.path))
        return events

    def start(self) -> Micro:
        """The initial entry, from nothing."""
        entries: set[int] = set()
        self._enter(self.root, entries, {})
        doings: list[Doing | Done] = []
        for index in sorted(entries):
            doings += self.nodes[index].state.on_enter
            doings += self._done_events(self.nodes[index], entries)
        arms = tuple((timer.name, timer.delay) for index in sorted(entries) for timer in self.nodes[index].state.timers)
        return Micro(self.configuration(frozenset(entries)), doings, frozenset(), arms, None, "start")


def key_of(trigger: object) -> Hashable:
    """What a trigger is looked up by: a timer's name, an event's class, a done event itself, or None."""
    return trigger.timer if isinstance(trigger, After) else trigger
