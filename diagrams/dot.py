"""A chart, or one region of it, as Graphviz DOT.

``transitions`` draws through Graphviz too, but it knows no timers, commands, eventless rows or questions about
regions, and puts a label beside its edge, where forty of them lie on top of each other. So each bundle of rows is a
node of its own here, on the way from its source to its destination, and Graphviz finds room for it.
"""

import json
from collections.abc import Iterator
from html import escape
from textwrap import wrap

from holdfast.engine import State, Statechart, Transition, name_of

from .drawing import Box, Bundle, bundles, common, initial, root, staying
from .labels import doings, guard, label, seconds, trigger

WIDTH = 40
"""Characters of a line. Longer ones make boxes that Graphviz cannot pack."""
FONT = "DejaVu Sans"
GREY = "#5f6b7a"
COLOURS = (
    "#1f4e9c", "#a8321f", "#23713a", "#7b3fa0", "#8a5a00",
    "#00686b", "#9c2a6b", "#3f4a5a", "#4f5f00", "#70401c",
)  # fmt: skip
"""By source state, so that an edge can be followed; dark enough to tell from white in greyscale."""


def dot(chart: Statechart, region: str | None = None) -> str:
    """The DOT text of one region in full detail; without ``region`` of the whole chart, with the events only.

    A chart without regions is drawn in full detail.

    Raises:
        KeyError: the chart has no such region.
    """
    return "\n".join(_Graph(chart, region).lines()) + "\n"


class _Graph:
    def __init__(self, chart: Statechart, region: str | None) -> None:
        self.chart = chart
        self.top = root(chart, region)
        self.detailed = region is not None or not chart.parallel
        self.boxes = {box.path: box for box in self.top.walk()}
        paths = (path for path in self.boxes if path != self.top.path)
        self.colours = {path: COLOURS[place % len(COLOURS)] for place, path in enumerate(paths)}
        self.bundles = bundles(chart, self.top)
        self.leaving = {source for bundle in self.bundles for source in bundle.sources}

    def lines(self) -> Iterator[str]:
        """The whole text."""
        yield f"digraph {_quote(self.top.path or self.chart.name)} {{"
        yield f"  graph [compound=true fontname={_quote(FONT)} rankdir=LR splines=true nodesep=0.18 ranksep=0.45];"
        yield f'  node [fontname={_quote(FONT)} fontsize=11 margin="0.06,0.04"];'
        yield f"  edge [fontname={_quote(FONT)} arrowsize=0.8 penwidth=1.3];"
        for line in self._box(self.top):
            yield f"  {line}"
        for line in (*self._initial_edges(), *self._edges()):
            yield f"  {line}"
        yield "}"

    # -- boxes -----------------------------------------------------------------------------------------------

    def _box(self, box: Box) -> Iterator[str]:
        if not box.children:
            yield self._state(box)
            return
        yield f"subgraph {_quote(f'cluster {box.path}')} {{"
        for line in self._inside(box):
            yield f"  {line}"
        yield "}"

    def _state(self, box: Box) -> str:
        frame = _attributes(
            shape="box", style="rounded,filled", fillcolor="#e8eef7", color=self.colours[box.path],
            penwidth="1.8", peripheries="2" if box.state.final else "1",
        )  # fmt: skip
        return f"{_quote(box.path)} [{frame} label={self._contents(box)}];"

    def _inside(self, box: Box) -> Iterator[str]:
        frame = _attributes(
            labeljust="l", fontsize="13", penwidth="1.5", margin="14", fillcolor="#f6f7f9",
            style="dashed,rounded" if self._is_region(box) else "rounded,filled",
            color=self._colour_of(box.path),
        )  # fmt: skip
        yield f"graph [{frame} label=<<b>{escape(box.state.name or self.chart.name)}</b>>];"
        if not box.state.parallel:
            blob = _attributes(
                shape="circle", style="filled", fillcolor="black", label="", width="0.14", fixedsize="true"
            )
            yield f"{_quote(_start(box))} [{blob}];"
        if self._has_own_node(box):
            frame = _attributes(shape="box", style="filled,dashed", fillcolor="white", color=self._colour_of(box.path))
            yield f"{_quote(_whole(box))} [{frame} label={self._contents(box)}];"
        for child in box.children:
            yield from self._box(child)
        for bundle in self.bundles:
            if common((*bundle.sources, bundle.dest), self.top.path) == box.path:
                yield self._chip(bundle)

    def _is_region(self, box: Box) -> bool:
        return box.path == self.top.path or (not self.top.path and self.chart.parallel and "/" not in box.path)

    def _has_own_node(self, box: Box) -> bool:
        """A compound state's own rows need a place to begin, and its timers one to stand."""
        return box.path in self.leaving or (self.detailed and bool(_facts(self.chart, box)))

    def _contents(self, box: Box) -> str:
        facts = _facts(self.chart, box) if self.detailed else []
        title = f"<tr><td><b>{escape(box.state.name)}</b></td></tr>"
        rule = "<hr/>" if facts else ""
        return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="2">{title}{rule}{_rows(facts)}</table>>'

    # -- rows ------------------------------------------------------------------------------------------------

    def _chip(self, bundle: Bundle) -> str:
        tip = "\n".join(label(self.chart, row) + (f"  ({row.rules})" if row.rules else "") for _, row in bundle.rows)
        frame = _attributes(
            shape="box", style="filled,rounded", fillcolor="#fffdf5", penwidth="0.8",
            color=self._colour(bundle), tooltip=tip,
        )  # fmt: skip
        lines = [line for number, row in bundle.rows for line in _row(self.chart, number, row)]
        if not self.detailed:
            lines = list(dict.fromkeys(escape(trigger(self.chart, row)) or "<i>at once</i>" for _, row in bundle.rows))
        table = f'<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{_rows(lines)}</table>'
        return f"{_quote(_id(bundle))} [{frame} label=<{table}>];"

    def _colour(self, bundle: Bundle) -> str:
        return self._colour_of(bundle.sources[0]) if len(bundle.sources) == 1 else "#222222"

    def _colour_of(self, path: str) -> str:
        return self.colours.get(path, "#333333")

    def _initial_edges(self) -> Iterator[str]:
        for box in self.boxes.values():
            if box.children and not box.state.parallel:
                yield f"{_quote(_start(box))} -> {self._into(self.boxes[initial(box)], 'black')}"

    def _edges(self) -> Iterator[str]:
        for bundle in self.bundles:
            chip = _quote(_id(bundle))
            for source in bundle.sources:
                box = self.boxes[source]
                begin = _quote(_whole(box) if box.children else box.path)
                yield f"{begin} -> {chip} [{_attributes(color=self._colour_of(source), arrowhead='none')}];"
            yield f"{chip} -> {self._into(self.boxes[bundle.dest], self._colour(bundle))}"

    def _into(self, box: Box, colour: str) -> str:
        if not box.children:
            return f"{_quote(box.path)} [{_attributes(color=colour)}];"
        return f"{_quote(_start(box))} [{_attributes(color=colour, lhead=f'cluster {box.path}')}];"


def _facts(chart: Statechart, box: Box) -> list[str]:
    """What a state does by itself: on entry, on exit, its timers, the rows that lead nowhere, and its note."""
    state: State = box.state
    lines = [line for word, things in (("entry", state.on_enter), ("exit", state.on_exit)) if things
             for line in _wrapped(f"{word} {doings(things) or '/ ' + ', '.join(map(name_of, things))}")]  # fmt: skip
    lines += [escape(f"timer {timer.name}: {seconds(chart, timer) or name_of(timer.delay)}") for timer in state.timers]
    lines += [line for number, row in staying(chart, box.path) for line in _row(chart, number, row)]
    return lines + [_small(line) for line in wrap(state.note, WIDTH)]


def _row(chart: Statechart, number: int, row: Transition) -> list[str]:
    """A row in lines: the event, its guard and what is done, and small the row's number and rules."""
    event, asks, does = trigger(chart, row), guard(row), doings(row.effects)
    head = f"<b>{escape(event)}</b>" if event else ""
    if event and asks and len(event) + len(asks) < WIDTH:
        head, asks = f"{head} {escape(asks)}", ""
    if event and does and not asks and len(event) + len(guard(row)) + len(does) < WIDTH:
        head, does = f"{head} {escape(does)}", ""
    lines = [head] if head else []
    lines += [*_wrapped(asks), *_wrapped(does)]
    return [*(lines or ["<i>otherwise</i>"]), *(_small(line) for line in wrap(f"#{number} {row.rules}", WIDTH + 8))]


def _wrapped(text: str) -> list[str]:
    return [escape(line) for line in wrap(text, WIDTH, break_long_words=False)]


def _small(text: str) -> str:
    return f'<font color="{GREY}" point-size="8">{escape(text)}</font>'


def _rows(lines: list[str]) -> str:
    """A table row each: lines of two sizes in one cell would lie on top of each other."""
    return "".join(f'<tr><td align="left">{line}</td></tr>' for line in lines)


def _attributes(**values: str) -> str:
    return " ".join(f"{name}={_quote(value)}" for name, value in values.items())


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _start(box: Box) -> str:
    return f"{box.path} initial"


def _whole(box: Box) -> str:
    return f"{box.path} any"


def _id(bundle: Bundle) -> str:
    return f"row {bundle.rows[0][0]}"
