"""The envelope of ClawChat's frames, and the delivery numbers in it."""

import re
from typing import Any, Final

import msgspec

from .wire_values import NUMBER_MAX

NULL: Final = msgspec.Raw(b"null")

_NUMBER: Final = re.compile(rb"[1-9][0-9]{0,18}")
_TOKEN: Final = re.compile(
    rb"""[\s,:]* (?:
      (?P<text> "[^"\\]*(?:\\.[^"\\]*)*")
    | (?P<open> [\[{]) | (?P<close> [\]}])
    | (?P<atom> -?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)? | true | false | null)
    )\s*""",
    re.DOTALL | re.VERBOSE,
)


class Header(msgspec.Struct):
    """The fields that several events share. Of wrong types they count as absent; payloads are read by event."""

    event: str
    trace_id: Any = None
    chat_id: Any = None
    chat_type: Any = None
    origin_device_id: Any = None
    sender: msgspec.Raw = NULL
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    seq: msgspec.Raw = NULL
    dseq: msgspec.Raw = NULL


HEADER: Final = msgspec.json.Decoder(Header)


def number(raw: msgspec.Raw | bytes) -> int | None:
    """A delivery number: a positive integer of 64 bits, anything else is none."""
    value = int(raw) if _NUMBER.fullmatch(raw := bytes(raw)) else 0
    return value if 0 < value <= NUMBER_MAX else None


def numbers_of_unreadable(data: str | bytes) -> tuple[int | None, int | None]:
    """``seq`` and ``dseq`` of a frame whose header could not be decoded; none if it is no JSON.

    A frame that a decoder dislikes (nested too deep, half a surrogate pair) counts all the same: taken for a gap, it
    would end the connection, come again in the replay, and so on for ever. Hence no recursion and no decoding here.
    """
    try:
        data = data.encode() if isinstance(data, str) else data
        data.decode()
    except UnicodeError:
        return None, None
    found = _outermost(data)
    return number(found.get(b'"seq"', b"")), number(found.get(b'"dseq"', b""))


def _outermost(data: bytes) -> dict[bytes, bytes]:
    """The numbers and literals of the outermost object, by their names in quotes."""
    found: dict[bytes, bytes] = {}
    depth, name, end = 0, b"", 0
    while (depth or not end) and (token := _TOKEN.match(data, end)):
        end = token.end()
        depth += {"open": 1, "close": -1}.get(token.lastgroup or "", 0)
        if depth == 1 and token.lastgroup == "text":
            name = token["text"]
        elif depth == 1 and token.lastgroup == "atom":
            found[name] = token["atom"]
    is_one_object = data.lstrip().startswith(b"{") and depth == 0 and end == len(data)
    return found if is_one_object else {}
