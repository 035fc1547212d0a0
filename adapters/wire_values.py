"""What a field of a frame must be to count. Anything else counts as absent: a mistake there costs no frame."""

from typing import Final

from .text import clean_text

NUMBER_MAX: Final = 2**63 - 1
"""Numbers of the services have 64 bits."""
ID_CHARS_MAX: Final = 128
"""Of the ids that the account's chart gets to see: ClawChat's own limit, which makes them with less than 40."""


def text_or_none(value: object) -> str | None:
    """``value`` if it is text."""
    return value if isinstance(value, str) else None


def text_or_empty(value: object) -> str:
    """``value`` if it is text, else an empty one."""
    return value if isinstance(value, str) else ""


def short_id(value: object) -> str:
    """``value`` if it can be an id that the chart may keep, else an empty one."""
    text = text_or_empty(value)
    return text if len(text) <= ID_CHARS_MAX and text.isprintable() else ""


def whole(value: object) -> int | None:
    """``value`` if it is an integer of 64 bits."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= NUMBER_MAX else None


def said(value: object) -> str | None:
    """A reason or code for people, None where there is none (S1-43)."""
    if isinstance(value, str):
        return clean_text(value) or None
    code = whole(value)
    return None if code is None else str(code)
