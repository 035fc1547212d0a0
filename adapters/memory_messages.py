"""A message store that is gone with the process: for tests, demos, and applications that keep messages themselves."""

from collections.abc import Sequence
from itertools import islice

from .messages import HANDLED_MAX, Handled, OutboxItem, key_of


class MemoryMessages:
    """Keeps everything in this object; :meth:`close` forgets nothing."""

    durable = False

    def __init__(self) -> None:
        self._outbox: dict[str, dict[str, OutboxItem]] = {}
        self._handled: dict[str, dict[bytes, tuple[bytes, bool]]] = {}

    def __repr__(self) -> str:
        return f"MemoryMessages(waiting={sum(map(len, self._outbox.values()))})"

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to close."""

    def keep(self, account: str, items: Sequence[OutboxItem]) -> None:
        """See :meth:`MessageStore.keep`."""
        outbox = self._outbox.setdefault(account, {})
        for item in items:
            outbox.setdefault(item.message_id, item)

    def waiting(self, account: str) -> Sequence[OutboxItem]:
        """See :meth:`MessageStore.waiting`."""
        return list(self._outbox.get(account, {}).values())

    def drop(self, account: str, trace_ids: Sequence[str]) -> None:
        """See :meth:`MessageStore.drop`."""
        settled = frozenset(trace_ids)
        outbox = self._outbox.get(account, {})
        self._outbox[account] = {key: item for key, item in outbox.items() if item.trace_id not in settled}

    def handled(self, account: str, marks: Sequence[Handled]) -> None:
        """See :meth:`MessageStore.handled`."""
        kept = self._handled.setdefault(account, {})
        for mark in marks:
            key = key_of(mark.message_id)
            kept.pop(key, None)  # A dictionary keeps the place of the first: the newest goes to the end.
            kept[key] = (mark.digest, mark.merged)
        for key in list(islice(kept, max(len(kept) - HANDLED_MAX, 0))):
            del kept[key]

    def seen(self, account: str, message_id: str) -> Handled | None:
        """See :meth:`MessageStore.seen`."""
        mark = self._handled.get(account, {}).get(key_of(message_id))
        return None if mark is None else Handled(message_id, *mark)
