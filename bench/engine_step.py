"""How long one step takes: the engine beside a hand-written table and the `transitions` library.

    python bench/engine_step.py [--json] [--events N] [--runs N]

Before anything is timed, states, context and commands are compared after each event. The numbers are CPU time
per event, of runs that take turns in one process. Judge by the ratios: absolute times say more about the machine.
"""

import argparse
import gc
import json
import platform
import random
import statistics
import time
from collections import Counter
from typing import NamedTuple

import link
import small
import transitions
from transitions.extensions import HierarchicalMachine
from transitions.extensions.nesting import NestedState

from holdfast.engine import SEPARATOR, Effect, Stamp, State, Unhandled, compile_chart, start, step, to_transitions

STAMP = Stamp(0.0, 0.0)


class Workload(NamedTuple):
    name: str
    source: object
    kinds: list
    table_step: object
    table_start: tuple


WORKLOADS = (
    Workload("connection", link.CHART, link.EVENTS, link.table_step, link.TABLE_START),
    Workload("flat", small.FLAT, small.FLAT_EVENTS, small.flat_step, small.FLAT_START),
    Workload("regions", small.REGIONS, small.REGION_EVENTS, small.regions_step, small.REGIONS_START),
)


# -- the three contestants ---------------------------------------------------------------------------------------


def run_engine(chart, first, events):
    snapshot = first
    for event in events:
        snapshot, _ = step(chart, snapshot, event, STAMP)
    return snapshot


def run_table(table_step, first, events):
    snapshot = first
    for event in events:
        snapshot, _ = table_step(snapshot, event)
    return snapshot


def run_reference(model, events):
    trigger = model.triggers
    for event in events:
        model.event = event
        trigger[event.__class__]()


class Model:
    """What a user of `transitions` keeps: a context and the commands collected so far."""

    def __init__(self, source):
        self.context = source.context()
        self.commands = []
        self.event = None

    def doing(self, thing):
        if not isinstance(thing, Effect):
            return lambda: self.commands.append(thing)

        def run():
            self.context, emitted = thing.action(self.context, self.event, STAMP)
            self.commands.extend(emitted)

        return run

    def guard(self, thing):
        if hasattr(thing, "state"):
            return lambda: thing.state in self.state
        return lambda: thing(self.context, self.event, STAMP)


class Separated(NestedState):
    separator = SEPARATOR


class Machine(HierarchicalMachine):
    state_cls = Separated


def reference(workload):
    source, model = workload.source, Model(workload.source)
    config = to_transitions(source)
    _dress_states(config["states"], source.states, model)
    for row, transition in zip(config["transitions"], source.transitions, strict=True):
        row["before"] = [model.doing(thing) for thing in transition.effects]
        row["conditions"] = [model.guard(thing) for thing in transition.conditions]
    if source.parallel:
        _move_into_regions(config)
    Machine(model, auto_transitions=False, ignore_invalid_triggers=True, **config)
    model.triggers = {kind: getattr(model, kind.__name__, lambda: None) for kind in workload.kinds}
    model.commands.clear()
    return model


def _dress_states(configs, states: tuple[State, ...], model):
    for config, state in zip(configs, states, strict=True):
        config["on_enter"] = [model.doing(thing) for thing in state.on_enter]
        config["on_exit"] = [model.doing(thing) for thing in state.on_exit]
        _dress_states(config.get("children", config.get("parallel", [])), state.children, model)


def _move_into_regions(config):
    """Give each region its own rows: of rows beside parallel states `transitions` runs some once for each region."""
    rows = config.pop("transitions")
    for region in config["states"]:
        inside = region["name"] + SEPARATOR
        region["transitions"] = [
            {**row, "source": [path.removeprefix(inside) for path in row["source"]], "dest": _relative(row, inside)}
            for row in rows
            if row["source"][0].startswith(inside)
        ]


def _relative(row, inside):
    return None if row["dest"] is None else row["dest"].removeprefix(inside)


# -- events, and the proof that all do the same -------------------------------------------------------------------


def make_events(workload, chart, first, count, seed=7):
    """About 53 % transitions, 35 % internal ones and 12 % that nobody handles, as far as each state allows."""
    draw = random.Random(seed)
    instances = [kind() for kind in workload.kinds]
    snapshot, events, kinds = first, [], Counter()
    for _ in range(count):
        sorts = {"moves": [], "stays": [], "ignored": []}
        for event in instances:
            after, commands = step(chart, snapshot, event, STAMP)
            ignored = commands and isinstance(commands[0], Unhandled)
            sort = "ignored" if ignored else "moves" if after.config is not snapshot.config else "stays"
            sorts[sort].append((event, after))
        weights = [share if sorts[sort] else 0.0 for sort, share in zip(sorts, (0.47, 0.41, 0.12), strict=True)]
        sort = draw.choices(list(sorts), weights)[0]
        event, snapshot = draw.choice(sorts[sort])
        events.append(event)
        kinds[sort] += 1
    return events, {sort: round(n / count, 3) for sort, n in kinds.items()}


def verify(workload, chart, first, events):
    """Compare state, context and commands after every event, and count the commands."""
    snapshot, table = first, workload.table_start
    model, emitted = reference(workload), 0
    for place, event in enumerate(events):
        snapshot, commands = step(chart, snapshot, event, STAMP)
        commands = () if commands and isinstance(commands[0], Unhandled) else commands
        table, expected = workload.table_step(table, event.__class__.__name__)
        model.event = event
        model.triggers[event.__class__]()
        context = tuple(getattr(snapshot.context, field) for field in snapshot.context.__struct_fields__)
        states = model.state if isinstance(model.state, list) else [model.state]
        mine = (snapshot.states, context, commands)
        by_hand = (table[0] if isinstance(table[0], tuple) else (table[0],), table[1], expected)
        # `transitions` runs no effect between exit and entry: its commands of one event are compared unordered.
        theirs = (tuple(states), model.context, Counter(map(repr, model.commands)))
        assert in_order(mine, by_hand), f"event {place}: {mine} != {by_hand}"
        assert (snapshot.states, snapshot.context, Counter(map(repr, commands))) == theirs, (
            f"event {place} {event}: {mine} != {theirs}"
        )
        model.commands.clear()
        emitted += len(commands)
    return emitted / len(events)


def in_order(mine, by_hand):
    """Equal, commands in order (of several regions: SCXML leaves them in reverse document order, a table need not)."""
    if len(mine[0]) == 1:
        return mine == by_hand
    return mine[:2] == by_hand[:2] and Counter(mine[2]) == Counter(by_hand[2])


# -- timing ------------------------------------------------------------------------------------------------------


def cpu_ns(function, *arguments, events):
    gc.collect()
    gc.disable()
    begun = time.process_time_ns()
    function(*arguments, events)
    taken = time.process_time_ns() - begun
    gc.enable()
    return taken / len(events)


def measure(workload, count, runs):
    chart = compile_chart(workload.source)
    first, _ = start(chart, workload.source.context(), STAMP)
    events, shares = make_events(workload, chart, first, count)
    commands = verify(workload, chart, first, events)
    names = [event.__class__.__name__ for event in events]
    few = events[: max(1, count // 20)]
    times = {"hand-written table": [], "holdfast step": [], "transitions HierarchicalMachine": []}
    for _ in range(runs):
        times["hand-written table"].append(cpu_ns(run_table, workload.table_step, workload.table_start, events=names))
        times["holdfast step"].append(cpu_ns(run_engine, chart, first, events=events))
        times["transitions HierarchicalMachine"].append(cpu_ns(run_reference, reference(workload), events=few))
    return {"workload": workload.name, "events": count, "shares": shares, "commands": commands, "times": summary(times)}


def summary(times):
    bound = min(times["hand-written table"])
    return {
        name: {"median_ns": statistics.median(runs), "min_ns": min(runs), "ratio": min(runs) / bound}
        for name, runs in times.items()
    }


def show(result):
    shares = ", ".join(f"{share:.1%} {sort}" for sort, share in sorted(result["shares"].items()))
    print(f"\n{result['workload']}: {result['events']:,} events ({shares}; {result['commands']:.2f} commands each)")
    print(f"  {'':34}{'median ns':>10}{'min ns':>10}{'x table':>9}")
    for name, row in result["times"].items():
        print(f"  {name:34}{row['median_ns']:>10,.0f}{row['min_ns']:>10,.0f}{row['ratio']:>9.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--only", choices=[workload.name for workload in WORKLOADS])
    options = parser.parse_args()
    chosen = [workload for workload in WORKLOADS if options.only in (None, workload.name)]
    results = [measure(workload, options.events, options.runs) for workload in chosen]
    if options.json:
        versions = {"python": platform.python_version(), "transitions": transitions.__version__}
        print(json.dumps({"versions": versions, "results": results}, indent=2))
    else:
        print(f"CPython {platform.python_version()}, transitions {transitions.__version__}; CPU time, runs interleaved")
        for result in results:
            show(result)


if __name__ == "__main__":
    main()
