"""The JSON Schema of every line of ``holdfast run --jsonl``, out of the types that read and write them.

``python -m holdfast.cli.schema`` prints it, as it stands in ``docs/jsonl.schema.json``.
"""

import re
import sys
from typing import Any, Final

import msgspec

from .. import Inbound, Message, Paired, Status
from .ops import OPS, Id
from .results import RESULTS, Failure
from .telling import SIGNALS, Notice, SentLine

Schema = dict[str, Any]

_REF: Final = {"type": "integer", "minimum": 1}
_FORMS: Final[tuple[type[msgspec.Struct], ...]] = (
    *OPS.values(),
    *RESULTS.values(),
    *SIGNALS,
    Message,
    Paired,
    SentLine,
    Notice,
    Failure,
)


class _Lines:
    """Makes the schema of each line. ``closed``: fields that it does not name are none of it."""

    def __init__(self, *, closed: bool) -> None:
        self._closed = closed
        forms = [_without_raw(form) if issubclass(form, Inbound) else form for form in _FORMS]
        refs, components = msgspec.json.schema_components(forms, ref_template="#/$defs/{name}")
        names = (ref["$ref"].rpartition("/")[2] for ref in refs)
        self._forms = {form: components[name] for form, name in zip(_FORMS, names, strict=True)}
        lines = {form["title"] for form in self._forms.values()}
        self.parts = {name: part for name, part in components.items() if name not in lines}
        self.id = msgspec.json.schema(Id)

    def line(self, title: str, properties: Schema, optional: tuple[str, ...] = ()) -> Schema:
        line: Schema = {"title": title, "type": "object", "properties": properties}
        line["required"] = [name for name in properties if name not in optional]
        return line | ({"additionalProperties": False} if self._closed else {})

    def written(self, form: type[msgspec.Struct], title: str, head: Schema, optional: tuple[str, ...] = ()) -> Schema:
        """A line that we write. All fields of ``form`` are there, but those that may be unset."""
        unset = [field.name for field in msgspec.structs.fields(form) if field.default is msgspec.UNSET]
        found: Schema = dict(self._forms[form].get("properties", {}))
        for name in found.keys() - set(unset):
            found[name] = {key: value for key, value in found[name].items() if key != "default"}
        return self.line(title, head | found, (*optional, *unset))

    def read(self, op: str) -> Schema:
        """A line that we read."""
        form = self._forms[OPS[op]]
        line = self.line(op, {"op": {"const": op}, **form["properties"]})
        line["required"] = ["op", *form.get("required", ())]
        return line | {"description": form["description"]}

    def signal(self, form: type[Inbound], events: tuple[str, ...]) -> Schema:
        around = {
            "type": {"const": "signal"},
            "ref": _REF,
            "event": {"anyOf": [_event(event) for event in events]},
            "event_id": {"type": ["string", "null"]},
            "chat_id": {"type": ["string", "null"]},
            "payload": {},
        }
        line = self.written(form, f"signal: {form.__name__}", around, ("ref",))
        line["properties"]["event"] = around["event"]
        return line


def _without_raw(form: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The record of a frame as the line has it."""
    fields = msgspec.structs.fields(form)
    return msgspec.defstruct(form.__name__, [(field.name, field.type) for field in fields if field.name != "raw"])


def _event(name: str) -> Schema:
    if name.endswith("*"):
        return {"type": "string", "pattern": f"^{re.escape(name[:-1])}"}
    return {"const": name}


def schema(*, closed: bool = False) -> Schema:
    """The schema of a line, ``in`` or ``out``. ``closed``, it allows no field that is not written today."""
    lines = _Lines(closed=closed)
    head = {"type": {"const": "result"}, "id": lines.id, "op": {"enum": [*OPS]}, "ok": {"const": False}}
    results = [
        lines.written(form, f"result: {op}", head | {"op": {"const": op}, "ok": {"const": True}})
        for op, form in RESULTS.items()
    ]
    error = {"type": {"const": "error"}, "id": lines.id, "op": {"enum": [*OPS]}}
    out = [
        lines.written(Status, "status", {"type": {"const": "status"}}),
        *results,
        lines.written(Failure, "result: failure", head),
        lines.written(Message, "message", {"type": {"const": "message"}, "ref": _REF}, ("ref",)),
        *(lines.signal(form, events) for form, events in SIGNALS.items()),
        lines.written(SentLine, "sent", {"type": {"const": "sent"}}),
        lines.written(Paired, "paired", {"type": {"const": "paired"}}),
        lines.written(Notice, "notice", {"type": {"const": "notice"}}),
        lines.written(Failure, "error", error, ("id", "op", "kind")),
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The lines of holdfast run --jsonl",
        "description": "$defs/in is what a program writes, $defs/out is what it reads. See jsonl.md.",
        "anyOf": [{"$ref": "#/$defs/in"}, {"$ref": "#/$defs/out"}],
        "$defs": {"in": {"anyOf": [lines.read(op) for op in OPS]}, "out": {"anyOf": out}, **lines.parts},
    }


def printed() -> str:
    """The schema as it stands in the file."""
    return msgspec.json.format(msgspec.json.encode(schema()).decode(), indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(printed())
