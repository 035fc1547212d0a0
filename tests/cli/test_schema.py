"""The schema of the JSON lines, and what the page says of them."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest

import holdfast
from holdfast.cli.ops import OPS
from holdfast.cli.results import Kind
from holdfast.cli.schema import printed, schema

from .kit import check

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "jsonl.md").read_text()


@pytest.fixture
def jsonschema_rs() -> Any:
    return pytest.importorskip("jsonschema_rs", reason="comes with the development tools")


def lines(direction: str) -> list[dict[str, Any]]:
    return list(schema()["$defs"][direction]["anyOf"])


def test_the_file_is_what_the_types_say() -> None:
    found = (DOCS / "jsonl.schema.json").read_text()
    assert found == printed(), "write it anew: .venv/bin/python -m holdfast.cli.schema > docs/jsonl.schema.json"


def test_it_is_a_schema(jsonschema_rs: Any) -> None:
    jsonschema_rs.meta.validate(schema())


def test_it_tells_good_lines_from_bad_ones(jsonschema_rs: Any) -> None:
    validator = jsonschema_rs.validator_for(schema())
    assert validator.is_valid({"op": "send", "id": 1, "chat_id": "cnv_x", "text": "hi", "timeout": None})
    assert not validator.is_valid({"op": "send", "id": 1, "chat_id": "cnv_x"})
    assert validator.is_valid({"type": "notice", "level": "info", "text": "x", "new": "field"})
    with pytest.raises(jsonschema_rs.ValidationError):
        check({"type": "notice", "level": "info", "text": "x", "new": "field"})


# The start of a link fails with the first three, and the last is a gateway process's, which no operation concerns.
NOT_OF_AN_OPERATION = {holdfast.ConfigError, holdfast.AccountBusy, holdfast.NotEntered, holdfast.ProcessFailed}


def concrete(error: type[Exception]) -> set[type[Exception]]:
    return {each for child in error.__subclasses__() for each in concrete(child)} or {error}


def test_every_error_that_an_operation_can_meet_is_a_kind() -> None:
    ours = {error.__name__ for error in concrete(holdfast.HoldfastError) - NOT_OF_AN_OPERATION}
    assert ours & set(holdfast.__all__) <= set(get_args(Kind))


@pytest.mark.parametrize("op", OPS)
def test_every_operation_is_on_the_page(op: str) -> None:
    assert f"\n| `{op}` |" in PAGE


def test_every_line_field_and_word_is_on_the_page() -> None:
    for line in (*lines("in"), *lines("out")):
        type_ = line["properties"].get("type", {}).get("const")
        assert type_ is None or f"\n### `{type_}`\n" in PAGE
        for name, form in line["properties"].items():
            assert f"`{name}`" in PAGE, (line["title"], name)
            for word in form.get("enum", ()):
                assert f"`{word}`" in PAGE, (line["title"], name, word)


def test_every_example_on_the_page_is_valid(jsonschema_rs: Any) -> None:
    validator = jsonschema_rs.validator_for(schema())
    blocks = PAGE.split("```json\n")[1:]
    examples = [line for block in blocks for line in _joined(block.split("```")[0])]
    assert len(examples) > 10
    for example in examples:
        validator.validate(json.loads(example))


def _joined(block: str) -> list[str]:
    """Long lines are broken for the page: what begins with a blank belongs to the line before."""
    return block.replace("\n ", "").splitlines()
