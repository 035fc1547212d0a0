"""The committed diagrams show the charts as they are, all of them, and say so when they cannot be drawn."""

import html
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from holdfast.diagrams import CHARTS, MissingGraphviz, dot, export, mermaid, stale
from holdfast.engine import Event, State, Statechart, Transition, compile_chart

COMMITTED = Path(__file__).parents[2] / "diagrams"
needs_checkout = pytest.mark.skipif(not (COMMITTED / "dot.py").exists(), reason="pictures are not in the wheel")
needs_graphviz = pytest.mark.skipif(find_spec("pygraphviz") is None, reason="needs the diagrams extra")


class Nothing(msgspec.Struct, frozen=True):
    pass


class Pressed(Event, frozen=True):
    pass


LAMP = Statechart(
    name="lamp",
    context=Nothing,
    initial="off",
    states=(State(name="off"), State(name="on")),
    transitions=(
        Transition(trigger=Pressed, source="off", dest="on"),
        Transition(trigger=Pressed, source="on", dest="off"),
    ),
)


def every_state(states: tuple[State, ...], path: str = "") -> list[str]:
    found: list[str] = []
    for state in states:
        here = f"{path}/{state.name}" if path else state.name
        found += [here, *every_state(state.children, here)]
    return found


@needs_checkout
@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_the_committed_diagrams_are_current(chart: Statechart) -> None:
    assert stale(chart, COMMITTED) == [], "draw them anew with `holdfast diagrams`, look at them and commit them"


@needs_checkout
def test_a_changed_chart_makes_them_stale() -> None:
    chart = CHARTS[0]
    changed = msgspec.structs.replace(chart, transitions=chart.transitions[:-1])
    assert {path.name for path in stale(changed, COMMITTED)} >= {"account.mmd", "mirror.dot", "mirror.mmd"}


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_every_state_and_every_row_is_in_a_region_s_diagram(chart: Statechart) -> None:
    texts = {state.name: html.unescape(dot(chart, state.name)) for state in chart.states}
    for path in every_state(chart.states):
        text = texts[path.split("/")[0]]
        assert f'"{path}" [' in text or f'"cluster {path}"' in text
    words = {name: " ".join(re.sub(r"<[^>]+>", " ", text).split()) for name, text in texts.items()}
    for number, row in enumerate(chart.transitions, 1):
        for source in row.sources:
            assert f" #{number} {row.rules}".rstrip() + " " in words[source.split("/")[0]], f"row {number} of {source}"


def test_a_label_tells_the_event_the_guard_and_what_is_done() -> None:
    text = html.unescape(dot(CHARTS[0], "connection"))
    assert "<b>after 20 s: handshake_deadline</b>" in text
    assert "HelloRefused [rejects_token] / CloseSocket, Record" in text
    assert "^RefreshWanted" in text


def test_the_same_chart_gives_the_same_text_whatever_the_hash_seed() -> None:
    script = (
        "import hashlib; from holdfast.diagrams import CHARTS, dot, mermaid; "
        "print(hashlib.sha256(''.join(dot(c, r) + mermaid(c, r) for c in CHARTS "
        "for r in (None, *(s.name for s in c.states))).encode()).hexdigest())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


@needs_graphviz
def test_pictures_are_pictures(tmp_path: Path) -> None:
    compile_chart(LAMP)
    written = {path.suffix: path for path in export(LAMP, tmp_path)}
    assert set(written) == {".dot", ".mmd", ".svg", ".png"}
    assert written[".png"].read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert ElementTree.parse(written[".svg"]).getroot().tag.endswith("svg")
    assert stale(LAMP, tmp_path) == []
    written[".png"].unlink()
    assert stale(LAMP, tmp_path) == [written[".png"]]


def test_a_chart_of_one_state(tmp_path: Path) -> None:
    chart = Statechart(name="dot", context=Nothing, initial="only", states=(State(name="only"),), transitions=())
    assert '"only" [' in dot(chart)
    assert "[*] --> only" in mermaid(chart)


def test_an_unknown_region_and_an_unknown_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        dot(LAMP, "cellar")
    with pytest.raises(ValueError, match=r"unknown formats \['pdf'\]"):
        export(LAMP, tmp_path, ["pdf"])
    assert list(tmp_path.iterdir()) == []


def test_without_graphviz_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(MissingGraphviz, match=r"holdfast\[diagrams\]"):
        export(LAMP, tmp_path)
    assert list(tmp_path.iterdir()) == []  # nothing half written
    assert len(export(LAMP, tmp_path, ["dot", "mmd"])) == 2
