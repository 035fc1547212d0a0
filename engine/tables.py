"""Compiled tables: what each configuration of a chart does at each event, worked out once.

A :class:`Configuration` (the set of active states) is interned, and memoises for each trigger a
:class:`Plan`: the candidate rows of every region in order, with region questions (:class:`In`) already
answered. Taking rows leads to a :class:`Micro`: the effects exit → transition → entry in one flat tuple,
the timers to cancel and arm, and the next configuration. So a step is a look-up and not a search.
"""

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

from . import scxml
from .model import Action, Delay, Doing, Done, Effect, Event, Stamp, Statechart, TimerFired
from .scxml import Active, History, Memory
from .tree import Node, Row, Test, in_order, key_of, plant

if TYPE_CHECKING:
    from .snapshot import Snapshot

# A candidate of the shortest way: its test, and the configuration, constants and effects it leads to, or else
# the microstep that has to be settled.
Candidate = tuple[Test | None, "Micro | None", "Configuration", tuple[Any, ...], tuple[tuple[Action, Any], ...]]


class Micro:
    """The compiled consequence of taking one set of rows in one configuration.

    ``commands`` are the constants before the first effect; ``actions`` pairs each effect with the constants
    that follow it. While ``raising``, events may be among what they give.
    """

    __slots__ = ("actions", "arms", "cancels", "commands", "history", "label", "raising", "rest", "target")

    def __init__(
        self,
        target: "Configuration",
        doings: Iterable[Doing | Done],
        cancels: frozenset[str] = frozenset(),
        arms: tuple[tuple[str, Delay], ...] = (),
        history: Memory | None = None,
        label: str = "",
    ) -> None:
        doings = tuple(doings)
        self.target = target
        self.cancels = cancels
        self.arms = arms
        self.history = history
        self.label = label
        self.commands, self.actions = _grouped(doings)
        self.raising = any(_raises(doing) for doing in doings)
        # Nothing but a look-up is left to do: no timer, no history, no further microstep.
        self.rest = not (cancels or arms or history or self.raising or target.eventless)


def _grouped(doings: tuple[Doing | Done, ...]) -> tuple[tuple[Any, ...], tuple[tuple[Action, tuple[Any, ...]], ...]]:
    first: tuple[Any, ...] = ()
    groups: list[tuple[Action, tuple[Any, ...]]] = []
    for doing in doings:
        if isinstance(doing, Effect):
            groups.append((doing.action, ()))
        elif groups:
            groups[-1] = (groups[-1][0], (*groups[-1][1], doing))
        else:
            first = (*first, doing)
    return first, tuple(groups)


def _raises(doing: Doing | Done) -> bool:
    if isinstance(doing, Effect):
        return any(issubclass(kind, Event) for kind in doing.emits)
    return isinstance(doing, (Event, Done))


class Plan:
    """What a configuration may do at one trigger: for each region the candidate rows, innermost first."""

    __slots__ = ("correlates", "groups")

    def __init__(self, groups: tuple[tuple[Row, ...], ...], correlates: str | None) -> None:
        self.groups = groups
        self.correlates = correlates

    def stale(self, context: Any, event: Any) -> bool:
        """True for the outcome of something superseded."""
        field = self.correlates
        return field is not None and getattr(event, field) != getattr(context, field)

    def choose(self, context: Any, event: Any, stamp: Stamp) -> tuple[Row, ...]:
        """In each region the first row whose guards hold; conflicts are not resolved yet."""
        chosen: list[Row] = []
        for group in self.groups:
            for row in group:
                if row.guard is None or row.guard(context, event, stamp):
                    if row not in chosen:
                        chosen.append(row)
                    break
        return tuple(chosen)


class Configuration:
    """A set of active states, interned by its chart, so that equal configurations are one object."""

    __slots__ = ("active", "atoms", "chart", "done", "eventless", "micros", "names", "plans", "short")

    def __init__(self, chart: "Chart", active: Active) -> None:
        nodes = in_order(active)
        self.chart = chart
        self.active = active
        self.atoms = tuple(node for node in nodes if node.atomic)
        self.names = tuple(node.path for node in self.atoms)
        self.done = scxml.is_final(chart.root, active)
        self.eventless = not self.done and any(None in node.rows for node in nodes)
        self.plans: dict[Hashable, Plan | None] = {}
        self.micros: dict[tuple[tuple[Row, ...], History], Micro] = {}
        # For each event class the candidates of the shortest way, or None where there is more to it.
        self.short: dict[type, tuple[Candidate, ...] | None] = {}

    def __repr__(self) -> str:
        return f"<{' + '.join(self.names)}>"

    def __contains__(self, path: str) -> bool:
        """True when the state at ``path`` is active."""
        return self.chart.tree.get(path) in self.active

    def plan(self, key: Hashable) -> Plan | None:
        """The plan for a trigger, or None when no state handles it."""
        try:
            return self.plans[key]
        except KeyError:
            return self.plans.setdefault(key, self._plan(key))

    def _plan(self, key: Hashable) -> Plan | None:
        if self.done:
            return None
        # A dict and not a set: regions keep their order, and rows of a common ancestor are tried once.
        groups = dict.fromkeys(group for atom in self.atoms if (group := self._candidates(atom, key)))
        return Plan(tuple(groups), getattr(key, "correlates", None)) if groups else None

    def _candidates(self, atom: Node, key: Hashable) -> tuple[Row, ...]:
        found: list[Row] = []
        for node in (atom, *atom.ancestors()):
            for row in node.rows.get(key, ()):
                if row.open_in(self.active):
                    found.append(row)
                    if row.guard is None:
                        return tuple(found)
        return tuple(found)

    def shortest(self, kind: type) -> tuple[Candidate, ...] | None:
        """The candidates of an event class when one region alone decides, by guards alone; otherwise None."""
        return self.short.setdefault(kind, self._shortest(kind))

    def _shortest(self, kind: type) -> tuple[Candidate, ...] | None:
        plan = self.plan(kind)
        if kind is TimerFired or self.chart.historic:
            return None
        if plan is None:
            return ()
        if plan.correlates is not None or len(plan.groups) > 1:
            return None
        return tuple(_candidate(row, self.micro((row,), ())) for group in plan.groups for row in group)

    def micro(self, rows: tuple[Row, ...], history: History) -> Micro:
        """The consequence of taking ``rows`` together, conflicts resolved, worked out at first use."""
        try:
            return self.micros[rows, history]
        except KeyError:
            return self.micros.setdefault((rows, history), self._micro(rows, dict(history)))

    def _micro(self, rows: tuple[Row, ...], memory: Memory) -> Micro:
        """Compile one microstep: exits in reverse document order, the rows' effects, entries in document order."""
        rows = scxml.compatible(rows, self.active, memory)
        exits = {node for row in rows for node in scxml.exits(row, self.active, memory)}
        recorded = scxml.remembered(exits, self.active)
        kept = self.active - exits
        # SCXML would enter again what lies around a remembered state and was not left.
        entries = scxml.entries(rows, {**memory, **recorded}) - kept
        target = self.chart.configuration(kept | entries)
        doings: list[Doing | Done] = [doing for node in in_order(exits, reverse=True) for doing in node.state.on_exit]
        doings += [doing for row in rows for doing in row.transition.effects]
        doings += _entry_doings(entries, kept)
        # A chart that reached its end waits for nothing any more.
        left = self.active if target.done else exits
        cancels = frozenset(timer.name for node in left for timer in node.state.timers)
        arms = () if target.done else _arms(entries)
        return Micro(target, doings, cancels, arms, recorded, " + ".join(map(repr, rows)))


def _candidate(row: Row, micro: Micro) -> Candidate:
    return row.guard, None if micro.rest else micro, micro.target, micro.commands, micro.actions


def _entry_doings(entries: set[Node], kept: Active) -> list[Doing | Done]:
    doings: list[Doing | Done] = []
    active = set(kept)
    for node in in_order(entries):
        active.add(node)
        doings += node.state.on_enter
        doings += scxml.done_events(node, active)
    return doings


def _arms(entries: set[Node]) -> tuple[tuple[str, Delay], ...]:
    return tuple((timer.name, timer.delay) for node in in_order(entries) for timer in node.state.timers)


class Chart:
    """A compiled chart. Made by :func:`holdfast.engine.compile_chart`; stateless apart from its memo tables."""

    def __init__(self, source: Statechart) -> None:
        self.source = source
        self.name = source.name
        self.nodes = plant(source.top)
        self.root = self.nodes[0]
        self.tree = {node.path: node for node in self.nodes}
        self.rows = self._compile_rows()
        self.historic = any(node.state.history for node in self.nodes)
        self.timers = {timer.name: node for node in self.nodes for timer in node.state.timers}
        self.configurations: dict[Active, Configuration] = {}
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
            if plan and (kind.__struct_fields__ or plan.choose(context, kind(), stamp)):
                names.add(kind.__name__)
        for armed in snapshot.timers:
            plan = config.plan(armed.timer)
            if plan and plan.choose(context, TimerFired(armed.timer, armed.serial), stamp):
                names.add(f"after_{armed.timer}")
        return frozenset(names)

    def configuration(self, active: Active) -> Configuration:
        """The one object for a set of active states."""
        try:
            return self.configurations[active]
        except KeyError:
            return self.configurations.setdefault(active, Configuration(self, active))

    def start(self) -> Micro:
        """The initial entry, from nothing."""
        entered = scxml.initial_entries(self.root)
        target = self.configuration(frozenset(entered))
        arms = () if target.done else _arms(entered)
        return Micro(target, _entry_doings(entered, frozenset()), arms=arms, label="start")

    def _compile_rows(self) -> tuple[Row, ...]:
        rows: list[Row] = []
        for transition in self.source.transitions:
            for path in transition.sources:
                row = Row(self.tree[path], transition, self.tree)
                rows.append(row)
                row.source.rows.setdefault(key_of(transition.trigger), []).append(row)
        return tuple(rows)
