"""Which rules there are, which the charts carry out, and which the tests prove: read from their sources."""

import ast
import re
from collections import defaultdict
from pathlib import Path

from holdfast.statecharts import CHARTS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/rules.md"
PLACES = ("chart", "data", "adapter", "none")

# How many rules each family has; the page lists those of the account and of the gateway process.
FAMILIES = {"S0-": 64, "S1-": 44, "S2-": 22, "S3-": 73, "S4-": 35, "V": 49, "P": 60}
KNOWN = {f"{family}{number:02}" for family, count in FAMILIES.items() for number in range(1, count + 1)}


def _rows() -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if re.match(r"\| [SVP]\d", line)]


def listed() -> dict[str, str]:
    """The rules on the public page, each with its place."""
    return {cells[0]: cells[-1].split(":")[0] for cells in _rows()}


def reasons() -> dict[str, str]:
    """Why a rule has no counterpart here."""
    places = {cells[0]: cells[-1].partition(": ") for cells in _rows()}
    return {rule: why for rule, (place, _, why) in places.items() if place == "none"}


def claimed() -> set[str]:
    """The rules that this release promises."""
    return {rule for rule, place in listed().items() if place != "none"}


def charted() -> dict[str, list[str]]:
    """The rules that the rows of the shipped charts name, each with those rows."""
    found: dict[str, list[str]] = defaultdict(list)
    for chart in CHARTS:
        for row in chart.transitions:
            for rule in row.rules.split():
                found[rule].append(f"{chart.name}: {row.source} -> {row.dest}")
    return dict(found)


def named(folder: Path = ROOT / "tests") -> dict[str, set[str]]:
    """The rules that ``@pytest.mark.rule`` names, each with the files that do."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(folder.rglob("*.py")):
        for rule in named_in(path.read_text()):
            found[rule].add(str(path.relative_to(folder)))
    return dict(found)


def named_in(source: str) -> list[str]:
    """The rules that the markers of one module name."""
    return [
        argument.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.rule")
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]
