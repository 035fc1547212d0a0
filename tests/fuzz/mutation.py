"""What may become of a document on its way from a peer that is broken, old, new, or hostile. All by one seed."""

import json
import random
from collections.abc import Callable
from typing import Any, Final

from .corpus import SECRET

Data = str | bytes

DEEP: Final = 100_000
LONG: Final = 8 * 1024 * 1024
SHOWN: Final = 300

ODD: Final = (
    "null", "true", "false", "0", "-0", "7", "-1", "1.5", "1e3", "1e999", "-1e999", "NaN", "Infinity", "-Infinity",
    "9" * 30, "9" * 5_000, str(2**63), str(2**63 - 1), str(-(2**63)), '""', '"x"', r'"\u0000"', '"\x00"', r'"\ud800"',
    r'"\udc00\ud800"', '"\ud800"', '"\u202e\u200b"', '"\\n"', r'"\q"', '"', "[]", "{}", "[[[[]]]]",
    '{"a":{"a":{"a":[]}}}', "[" * 2_000 + "]" * 2_000, '{"a":' * 1_500 + "1" + "}" * 1_500, '{"a":1,"a":[2]}', "", ",",
    "undefined", "'x'", "01", "+1", ".5", '"' + "x" * 70_000 + '"', f'"{SECRET}"', f'["{SECRET}"]', f'{{"{SECRET}":7}}',
    '"connect.challenge"', '"message.ack"', '"cnv_1"', '"m-1"', '[{"kind":"text","text":7},7,null]',
)  # fmt: skip
"""What may stand where something else belongs, as JSON or not even that."""

_READABLE: Final = (
    "null", "true", "7", "-1", "1.5", '"x"', '""', r'"\u0000"', "[]", "{}", "[[]]", f'"{SECRET}"', str(2**64),
)  # fmt: skip

HEAVY: Final[tuple[Callable[[], str], ...]] = (
    lambda: "[" * DEEP,
    lambda: "[" * DEEP + "]" * DEEP,
    lambda: '{"a":' * DEEP + "1" + "}" * DEEP,
    lambda: '"' + "x" * LONG + '"',
    lambda: '"' + r"\ud800" * (LONG // 60) + '"',
    lambda: "[" + "1," * (LONG // 16) + "1]",
    lambda: '["' + '","'.join(["u"] * (LONG // 16)) + '"]',
    lambda: "9" * (LONG // 8),
)
"""What takes its time: for a few cases only."""

_MARK: Final = "\x07here\x07"
_MARK_JSON: Final = json.dumps(_MARK)


def rng(seed: int, case: int) -> random.Random:
    """The chance of one case."""
    return random.Random(seed * 1_000_003 + case)


def shown(data: Data) -> str:
    """As much of it as a report can bear."""
    return f"{len(data)} {type(data).__name__}: {data[:SHOWN]!r}"


def mutated(chance: random.Random, document: dict[str, Any]) -> Data:
    """The document with one to three things wrong with it, or none."""
    text = _with_odd_values(chance, document)
    text = chance.choices(_TEXTS, _TEXT_WEIGHTS)[0](chance, text)
    return chance.choices(_FORMS, _FORM_WEIGHTS)[0](chance, text)


def heavy(chance: random.Random, document: dict[str, Any], which: int) -> Data:
    """The document with something very long or very deep in it."""
    text = _placed(chance, document, HEAVY[which % len(HEAVY)]())
    return text if chance.random() < 0.5 else text.encode("utf-8", "surrogatepass")


# -- within the document -----------------------------------------------------------------------------------------------


def _with_odd_values(chance: random.Random, document: dict[str, Any]) -> str:
    document = json.loads(json.dumps(document))
    for _ in range(chance.choice((0, 0, 1, 1, 2))):
        holder, key = chance.choice(_places(document))
        if chance.random() < 0.3:
            del holder[key]
        else:
            holder[key] = json.loads(chance.choice(_READABLE))
    return _placed(chance, document, chance.choice(ODD)) if chance.random() < 0.5 else json.dumps(document)


def _placed(chance: random.Random, document: dict[str, Any], odd: str) -> str:
    """With ``odd`` for one of its values, or for one of its names a second time."""
    places = _places(document)
    if not places:
        return odd
    holder, key = chance.choice(places)
    if chance.random() < 0.25 and isinstance(holder, dict):
        return json.dumps(document).replace("{", "{" + f"{json.dumps(key)}:{odd},", 1)
    former, holder[key] = holder[key], _MARK
    text = json.dumps(document).replace(_MARK_JSON, odd)
    holder[key] = former
    return text


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Each place that holds something, at any depth: its holder, and its key or index."""
    found: list[tuple[Any, Any]] = []
    waiting: list[Any] = [value]
    while waiting:
        holder = waiting.pop()
        keys: list[Any] = list(holder) if hasattr(holder, "items") else list(range(len(holder)))
        found += [(holder, key) for key in keys]
        waiting += [holder[key] for key in keys if isinstance(holder[key], (dict, list))]
    return found


# -- its text, and its bytes -------------------------------------------------------------------------------------------


def _cut(chance: random.Random, text: str) -> str:
    return text[: chance.randrange(len(text) + 1)]


def _followed(chance: random.Random, text: str) -> str:
    return text + chance.choice(("}", "]", "x", "\x00", text, "{}", " \n", ",", "//", "\ufeff"))


def _preceded(chance: random.Random, text: str) -> str:
    return chance.choice(("\ufeff", " \t\r\n", "\x00", "[", ")]}',\n", "\x0b", "\xa0")) + text


def _pierced(chance: random.Random, text: str) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice(("\x00", "\ud800", '"', "\\", "{", "]", "\x1b", ",", "\U0001f600")) + text[at:]


def _replaced(chance: random.Random, text: str) -> str:
    return chance.choice(("", " ", "null", "[]", "{}", '""', "7", "[" * 50, text[::-1], text * 2))


def _as_it_is(chance: random.Random, text: str) -> str:
    return text


_TEXTS: Final = (_as_it_is, _cut, _followed, _preceded, _pierced, _replaced)
_TEXT_WEIGHTS: Final = (60, 8, 8, 8, 12, 4)


def _as_text(chance: random.Random, text: str) -> Data:
    return text


def _as_bytes(chance: random.Random, text: str) -> Data:
    return text.encode("utf-8", "surrogatepass")


def _in_another_encoding(chance: random.Random, text: str) -> Data:
    return text.encode(chance.choice(("utf-16", "utf-32", "latin-1", "utf-16-le")), "replace")


def _flipped(chance: random.Random, text: str) -> Data:
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(chance.randrange(1, 4)):
        if data:
            data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def _noise(chance: random.Random, text: str) -> Data:
    return chance.randbytes(chance.randrange(64))


_FORMS: Final = (_as_text, _as_bytes, _in_another_encoding, _flipped, _noise)
_FORM_WEIGHTS: Final = (64, 20, 2, 12, 2)
