"""Which signals were seen: they come again in a replay, and live (S0-57)."""

from collections import OrderedDict
from typing import Final

from .messages import key_of

SEEN_MAX: Final = 4096
"""Far more than a replay holds, and some 600 KB, however long the ids are."""


class SeenSignals:
    """Remembers the newest event ids of one account."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def is_new(self, event_id: str) -> bool:
        """Whether this event id was not seen before. Asking makes it seen."""
        key = key_of(event_id)
        if key in self._seen:
            self._seen.move_to_end(key)
            return False
        self._seen[key] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        return True
