"""The rules that hold the folders apart, as tests: who may import whom, what stays pure, what each package shows."""

import ast
import importlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# What each root folder may import of ours. The facade in src/holdfast may import them all.
MAY_IMPORT: dict[str, set[str]] = {
    "engine": set(),
    "statecharts": {"engine"},
    "adapters": {"engine", "statecharts"},
    "diagrams": {"engine", "statecharts"},
}
FACADE = "facade"

# The pure packages name what they may use, since a list of what they may not use is never complete. Time, chance,
# files, sockets, threads and loops are missing on purpose: what a decision needs of them arrives as event or stamp.
# fmt: off
PURE_STDLIB = {
    "abc", "bisect", "collections", "copy", "dataclasses", "enum", "fractions", "functools", "heapq", "inspect",
    "itertools", "json", "math", "operator", "re", "string", "types", "typing",
}
# fmt: on
PURE_PACKAGES = {"engine", "statecharts"}
IMPURE_BUILTINS = {"__import__", "breakpoint", "eval", "exec", "input", "open", "print"}

# The distribution's name, where it isn't the name one imports.
IMPORT_NAMES = {"pyjwt": "jwt", "python-ulid": "ulid"}
# Only these parts may count on an extra when they are imported. All others import an extra's library where they use it.
EXTRA_OF = {"holdfast.cli": "cli", "holdfast.diagrams": "diagrams", "holdfast.testing": "testing"}


class Import(NamedTuple):
    """One imported module, with its absolute name."""

    line: int
    name: str
    relative: bool
    eager: bool  # Runs when the module is imported: neither inside a function nor for type checkers only.


def _runs_later(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def _import_nodes(node: ast.AST, eager: bool = True) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, eager
        else:
            yield from _import_nodes(child, eager and not _runs_later(child))


def imports_of(module: str, source: str, *, is_package: bool = False) -> Iterator[Import]:
    """Every import of a module, relative ones resolved; ``from holdfast import x`` counts as ``holdfast.x``."""
    parts = module.split(".")
    for node, eager in _import_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name, False, eager) for alias in node.names)
            continue
        base = parts[: len(parts) + is_package - node.level] if node.level else []
        name = ".".join([*base, *([node.module] if node.module else [])])
        names = [f"{name}.{alias.name}" for alias in node.names] if name == "holdfast" else [name]
        yield from (Import(node.lineno, each, node.level > 0, eager) for each in names)


def _owner(module: str) -> str:
    """The package a dotted name belongs to: a root folder's name, ``facade``, or the first part of a foreign name."""
    first, *rest = module.split(".")
    if first != "holdfast":
        return first
    return rest[0] if rest and rest[0] in MAY_IMPORT else FACADE


def _own_fault(module: str, found: Import) -> str | None:
    """What is wrong with an import of ours, or None."""
    importer, target = _owner(module), _owner(found.name)
    if module.startswith("holdfast.sandbox") and not found.name.startswith("holdfast.sandbox"):
        return "the sandbox shares no code with the client, or a misreading of the protocol would agree with itself"
    if importer == target:
        return None if found.relative or importer == FACADE else "inside a package import relatively"
    if importer in MAY_IMPORT and target not in MAY_IMPORT[importer]:
        return f"{importer} may import only {sorted(MAY_IMPORT[importer]) or 'nothing'} of ours"
    if importer in MAY_IMPORT and found.relative:
        return f"across packages import from holdfast.{target}, not relatively"
    if target in MAY_IMPORT and found.name.count(".") > 1:
        return f"across packages import from the package root, holdfast.{target}"
    return None


def _declared(requirements: list[str]) -> set[str]:
    names = [re.split(r"[^\w-]", requirement)[0].lower() for requirement in requirements]
    return {IMPORT_NAMES.get(name, name) for name in names}


def _foreign_fault(module: str, found: Import) -> str | None:
    """What is wrong with an import of somebody else's library, or None."""
    top = found.name.split(".")[0]
    importer = _owner(module)
    if importer in PURE_PACKAGES:
        reference = importer == "engine" and top == "transitions" and not found.eager
        return None if top in PURE_STDLIB | {"msgspec"} or reference else f"{importer} is pure"
    if top in sys.stdlib_module_names or importer == "tests":
        return None
    extras = PROJECT["project"]["optional-dependencies"]
    own = [extra for part, extra in EXTRA_OF.items() if f"{module}.".startswith(f"{part}.")] if found.eager else extras
    allowed = _declared(PROJECT["project"]["dependencies"]).union(*(_declared(extras[extra]) for extra in own))
    return (
        None
        if top in allowed
        else "pyproject.toml doesn't declare it for this module; an extra is imported where it is used"
    )


def faults(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """Each import (and, in a pure package, each impure built-in) that breaks a rule, as ``line: name: reason``."""
    found: list[str] = []
    for each in imports_of(module, source, is_package=is_package):
        top = each.name.split(".")[0]
        if top in MAY_IMPORT:
            reason: str | None = f"the package is called holdfast.{top}"
        elif top == "holdfast":
            reason = _own_fault(module, each)
        else:
            reason = _foreign_fault(module, each)
        if reason:
            found.append(f"{each.line}: {each.name}: {reason}")
    if _owner(module) in PURE_PACKAGES:
        names = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
        found += [f"{node.lineno}: {node.id}(): the package is pure" for node in names if node.id in IMPURE_BUILTINS]
    return found


def _modules() -> Iterator[tuple[str, Path]]:
    """Every module of the library and of its tests, with its dotted name."""
    folders = {"holdfast": ROOT / "src/holdfast", "tests": ROOT / "tests"}
    folders |= {f"holdfast.{name}": ROOT / name for name in MAY_IMPORT}
    for prefix, folder in folders.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join([prefix, *(part for part in parts if part != "__init__")]), path


def test_imports_keep_to_the_rules() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{fault}"
        for module, path in _modules()
        for fault in faults(module, path.read_text(), is_package=path.name == "__init__.py")
    ]
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize(
    ("module", "source", "reason"),
    [
        ("holdfast.engine.x", "from holdfast.statecharts import account", "engine may import only nothing"),
        ("holdfast.statecharts.x.y", "from holdfast.adapters import Vault", "statecharts may import only"),
        ("holdfast.adapters.x", "import holdfast.diagrams", "adapters may import only"),
        ("holdfast.diagrams.x", "from holdfast import connect", "diagrams may import only"),
        ("holdfast.adapters.x", "if TYPE_CHECKING:\n from holdfast.link import Link", "adapters may import only"),
        ("holdfast.engine.x", "import engine.model", "called holdfast.engine"),
        ("tests.test_x", "from statecharts import account", "called holdfast.statecharts"),
        ("holdfast.engine.x", "from holdfast.engine import step", "import relatively"),
        ("holdfast.statecharts.x.y", "from ...engine import step", "not relatively"),
        ("holdfast.link", "from holdfast.engine.stepping import step", "from the package root"),
        ("holdfast.link", "from .engine.stepping import step", "from the package root"),
        ("tests.test_x", "import holdfast.engine.stepping", "from the package root"),
        ("holdfast.sandbox.x", "from ..adapters import ClawChat", "shares no code"),
        ("holdfast.engine.x", "def f():\n import time", "is pure"),
        ("holdfast.statecharts.x", "from datetime import datetime", "is pure"),
        ("holdfast.statecharts.x", "open('x')", "is pure"),
        ("holdfast.engine.x", "import transitions", "is pure"),
        ("holdfast.adapters.x", "import tomlkit", "doesn't declare"),
        ("holdfast.cli.x", "import hypothesis", "doesn't declare"),
        ("holdfast.adapters.x", "def f():\n import requests", "doesn't declare"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str, reason: str) -> None:
    assert [fault for fault in faults(module, source) if reason in fault]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("holdfast.engine.x.y", "from ..model import State\nfrom . import z\nimport msgspec, math"),
        ("holdfast.engine.x", "def f():\n from transitions.extensions import HierarchicalMachine"),
        ("holdfast.statecharts.x.y", "from holdfast.engine import step"),
        ("holdfast.adapters.x", "import time, jwt, ulid, anyio\ndef f():\n import tomlkit"),
        ("holdfast.cli.x", "import typer\nfrom holdfast.engine import step\nfrom ..link import connect"),
        ("holdfast.sandbox.x", "from . import y\nimport websockets"),
        ("tests.test_x", "import pytest\nfrom holdfast.testing.x import y\nfrom .helpers import z"),
    ],
)
def test_an_allowed_import_passes(module: str, source: str) -> None:
    assert faults(module, source) == []


@pytest.mark.parametrize("name", ["holdfast", *(f"holdfast.{name}" for name in MAY_IMPORT)])
def test_each_package_names_all_it_shows(name: str) -> None:
    """``__all__`` is complete, free of doubles, and every name in it exists. Its order is the linter's job (RUF022)."""
    module = importlib.import_module(name)
    exported: list[str] = getattr(module, "__all__", [])
    bound = {key for key, value in vars(module).items() if key[0] != "_" and not isinstance(value, ModuleType)}
    assert len(exported) == len(set(exported))
    assert bound <= set(exported), "missing from __all__"
    assert not [key for key in exported if not hasattr(module, key)]


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_a_root_folder_is_importable_only_as_part_of_holdfast(name: str) -> None:
    # -I: neither the current folder nor PYTHONPATH, so that only what is installed counts.
    run = [sys.executable, "-I", "-c"]
    subprocess.run([*run, f"import holdfast.{name}"], cwd=ROOT, check=True)
    failed = subprocess.run([*run, f"import {name}"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert f"No module named '{name}'" in failed.stderr


def test_each_root_folder_has_its_stub_and_its_place_in_the_wheel() -> None:
    stubs = {path.stem: path.read_text() for path in (ROOT / "src/holdfast").glob("*.pyi")}
    assert stubs == {name: f"from {name} import *\n" for name in MAY_IMPORT}
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["sources"] == {"src/holdfast": "holdfast"} | {name: f"holdfast/{name}" for name in MAY_IMPORT}
    assert wheel["only-include"] == list(wheel["sources"])


def test_an_installed_wheel_holds_the_package_and_nothing_beside_it() -> None:
    files = [str(file) for file in importlib.metadata.files("holdfast") or []]
    if "holdfast/__init__.py" not in files:
        pytest.skip("an editable install; .ci/run runs the suite against the wheel as well")
    installed = {file for file in files if file.startswith("holdfast/") and not file.endswith(".pyc")}
    wanted = {f"{module.replace('.', '/')}": path for module, path in _modules() if module.startswith("holdfast")}
    modules = {f"{name}/__init__.py" if path.name == "__init__.py" else f"{name}.py" for name, path in wanted.items()}
    assert modules | {"holdfast/py.typed"} <= installed
    assert {Path(file).suffix for file in installed if file.startswith("holdfast/diagrams/")} == {".py"}
    assert not [file for file in installed if file.endswith(".pyi")]
    assert not [
        file for file in files if not re.match(r"holdfast/|holdfast-[^/]+\.dist-info/|\.\./.*bin/holdfast$", file)
    ]


def test_the_readme_starts_with_the_two_commands() -> None:
    """``.ci/run`` runs the second one. Both are the first thing that a visitor tries."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (first, demo), (second, tests) = fences[:2]
    assert (first, second) == ("sh", "sh")
    assert "holdfast demo" in demo
    assert "pytest" in tests
    assert "sh" not in [language for language, _ in fences[2:]], "further commands belong into another fence (console)"


def test_the_documents_name_nothing_outside_of_the_repository() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "diagrams").rglob("*.md")]
    outside = re.compile(r"\.\./shared|(?<![\w.])/(?:work|root|home|tmp)/\w+")
    found = [f"{path.name}: {match[0]}" for path in documents for match in outside.finditer(path.read_text())]
    assert not found
