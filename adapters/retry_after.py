"""Retry-After: when a busy server wants to hear from us again (RFC 9110, 10.2.3; P39)."""

from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

BUSY: Final = (429, 503)
DIGITS_MAX: Final = 10


def retry_after_s(status: int, headers: Iterable[tuple[str, str]]) -> float:
    """Seconds from now, 0 if the server asks for nothing that can be understood.

    A date counts from the answer's own Date, so that neither of the two clocks needs to be right; without one it
    counts for nothing.
    """
    if status not in BUSY:
        return 0.0
    found = {name.lower(): value.strip() for name, value in headers}
    wanted = found.get("retry-after", "")
    if wanted.isascii() and wanted.isdecimal():
        return float(wanted.lstrip("0")[:DIGITS_MAX] or 0)  # How much is too much is the chart's to say.
    try:
        distance = _moment(wanted) - _moment(found.get("date", ""))
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return max(0.0, distance.total_seconds())


def _moment(date: str) -> datetime:
    # One of the three forms of HTTP's dates names no zone, and none of them means any but this one.
    return parsedate_to_datetime(date).replace(tzinfo=UTC)
