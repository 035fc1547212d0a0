"""Which signals were seen: they come again in a replay, and live (S0-57)."""

from collections import OrderedDict
from typing import Final

SEEN_MAX: Final = 4096
"""Far more than a replay holds, and some 400 KB at the most usual length of an event id."""


class SeenSignals:
    """Remembers the newest event ids of one account."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()

    def is_new(self, event_id: str) -> bool:
        """Whether this event id was not seen before. Asking makes it seen."""
        if event_id in self._seen:
            self._seen.move_to_end(event_id)
            return False
        self._seen[event_id] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        return True
