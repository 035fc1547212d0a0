"""The export: what ``transitions`` loads."""

from typing import Any

from holdfast.engine import After, Done, In, Timer, machine, to_transitions

from .kit import Back, Go, Other, Say, chart, counted, never, row, s


class Model:
    state: Any = None

    def counted(self) -> bool:
        return True

    def never(self) -> bool:
        return False


def example() -> Any:
    return chart(
        [
            s("backing_off", timers=(Timer("retry", lambda context, stamp: 1.0),)),
            s(
                "p",
                s("x", s("x1"), s("xe", final=True)),
                s("y", s("y1"), s("y2"), s("h", history="deep", initial="y2")),
                parallel=True,
            ),
        ],
        row(After("retry"), "backing_off", "p", Say("now"), conditions=(counted,), unless=(never,), rules="R1"),
        row(Go, "p/x/x1", "p/x/xe", conditions=(In("p/y/y1"),)),
        row(Done("p/x"), "p", "backing_off"),
        row(Other, "p/y/y1", "p/y/h"),
        row(Other, "p/y/y2", "p/y/y1"),
        row(None, "p/y/y2", "backing_off", conditions=(never,)),
        row(Back, "p", "backing_off"),
    ).source


def test_names_and_structure() -> None:
    config = to_transitions(example())
    assert config["initial"] == "backing_off"
    assert [state["name"] for state in config["states"]] == ["backing_off", "p"]
    assert [region["name"] for region in config["states"][1]["parallel"]] == ["x", "y"]
    assert [child["name"] for child in config["states"][1]["parallel"][1]["children"]] == ["y1", "y2"]
    assert [row["trigger"] for row in config["transitions"]] == [
        *("after_retry", "Go", "done_p_x", "Other", "Other", "always", "Back")
    ]
    assert config["transitions"][0] == {
        "trigger": "after_retry",
        "source": ["backing_off"],
        "dest": "p",
        "conditions": ["counted"],
        "unless": ["never"],
    }
    assert config["transitions"][1]["conditions"] == ["in p/y/y1"]
    assert config["transitions"][3]["dest"] == "p/y/y2"


def test_a_live_machine_loads_and_runs_it() -> None:
    model: Any = Model()
    setattr(model, "in p/y/y1", lambda: True)
    machine(example(), model)
    assert model.state == "backing_off"
    assert model.after_retry()
    assert model.state == ["p/x/x1", "p/y/y1"]
    assert model.Go()
    assert model.state == ["p/x/xe", "p/y/y1"]
    assert not model.always()
    assert model.done_p_x()
    assert model.state == "backing_off"


def test_a_parallel_chart_starts_in_the_atomic_states_of_its_regions() -> None:
    regions = [s("x", s("x1"), s("x2")), s("y")]
    rows = (row(Go, "x/x1", "x/x2"), row(Go, "x/x2", "x/x1"))
    model: Any = Model()
    machine(chart(regions, *rows, parallel=True).source, model)
    assert model.state == ["x/x1", "y"]
