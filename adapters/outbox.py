"""The outbox's bodies: kept in the message store, written when told, forgotten when settled."""

import asyncio
from collections.abc import Callable, Sequence

from holdfast.engine import Event, Stamp
from holdfast.statecharts import (
    DropMessage,
    KeepMessage,
    LoadMessages,
    MessagesFound,
    MessagesKept,
    MessagesNotKept,
    MessagesUnreadable,
    Queued,
    TransmitMessage,
)

from .errors import StoreError
from .logs import RedactingLogger
from .messages import MessageStore, OutboxItem

FORMER_PROCESS = -1
"""The socket of what an earlier process had kept: whether it ever left, nobody knows."""


class Outbox:
    """Carries out the commands about outgoing messages for one account. A loop turn's are one write to the store.

    ``whose`` names account and user: what one user had queued is never sent for another.
    """

    def __init__(
        self,
        *,
        account: str,
        whose: Callable[[], str],
        messages: MessageStore,
        stamp: Callable[[], Stamp],
        report: Callable[[Event], None],
        write: Callable[[int, str], None],
        kept: Callable[[tuple[str, ...]], None],
        log: RedactingLogger,
    ) -> None:
        self._account = account
        self._whose = whose
        self._messages = messages
        self._stamp = stamp
        self._report = report
        self._write = write
        self._kept = kept
        self._log = log
        self._items: dict[str, OutboxItem] = {}
        self._stored: dict[str, str] = {}  # by trace: whose it is
        self._to_keep: list[str] = []
        self._to_drop: dict[str, list[str]] = {}
        self._turn: asyncio.Handle | None = None
        self.trouble: StoreError | None = None
        """Why the store would not keep the last that it did not."""

    def load(self, command: LoadMessages) -> Event:
        """What the message store keeps of this user. What was queued before it was known who that is comes along."""
        stamp = self._stamp()
        whose = dict.fromkeys((self._account, self._whose()))
        try:
            kept = [(name, item) for name in whose for item in self._messages.waiting(name)]
        except StoreError as error:
            self._log.warning("%s", error)
            return MessagesUnreadable()
        dropped = {trace for traces in self._to_drop.values() for trace in traces}
        found = [(name, item) for name, item in kept if item.trace_id not in dropped]
        self._items = {trace: item for trace, item in self._items.items() if self._stored.get(trace) in (None, *whose)}
        self._items |= {item.trace_id: item for _, item in found}
        self._stored |= {item.trace_id: name for name, item in found}
        return MessagesFound(tuple(_queued(item, stamp) for _, item in found))

    def put(self, item: OutboxItem) -> None:
        """Take a message in, before the chart hears of it."""
        self._items[item.trace_id] = item

    def get(self, trace: str) -> OutboxItem | None:
        """The message, until it is settled."""
        return self._items.get(trace)

    def with_id(self, message_id: str) -> OutboxItem | None:
        """The message of this id, if it is on its way already."""
        return next((item for item in self._items.values() if item.message_id == message_id), None)

    def is_kept(self, trace: str) -> bool:
        """The message store has it."""
        return trace in self._stored

    def settled(self, trace: str) -> None:
        """It is over with this one. Of what was refused before it was queued, the chart says no more than that."""
        if trace not in self._stored and trace not in self._to_keep:
            self._items.pop(trace, None)

    def keep(self, command: KeepMessage) -> None:
        """Store it with the others of this turn, and tell then."""
        self._to_keep.append(command.trace)
        self._soon()

    def drop(self, command: DropMessage) -> None:
        """Forget it."""
        self._items.pop(command.trace, None)
        whose = self._stored.pop(command.trace, None)
        if whose is not None:
            self._to_drop.setdefault(whose, []).append(command.trace)
            self._soon()

    def transmit(self, command: TransmitMessage) -> None:
        """Write its frame."""
        item = self._items.get(command.trace)
        if item is not None:
            self._write(command.socket, item.frame)

    def _soon(self) -> None:
        if self._turn is None:
            self._turn = asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Write what this turn has brought."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        keep, self._to_keep = self._to_keep, []
        drop, self._to_drop = self._to_drop, {}
        for whose, traces in drop.items():
            self._drop(whose, traces)
        wanted = [trace for trace in keep if trace in self._items]
        if wanted:
            self._keep(wanted)

    def _keep(self, traces: Sequence[str]) -> None:
        whose = self._whose()
        try:
            self._messages.keep(whose, [self._items[trace] for trace in traces])
        except StoreError as error:
            self.trouble = error
            self._log.warning("%s", error)
            self._report(MessagesNotKept(tuple(traces)))
        else:
            self._stored.update((trace, whose) for trace in traces)
            self._kept(tuple(traces))
            self._report(MessagesKept(tuple(traces)))

    def _drop(self, whose: str, traces: Sequence[str]) -> None:
        try:
            self._messages.drop(whose, traces)
        except StoreError as error:
            self._log.warning("settled messages stay in the store for now: %s", error)
            self._to_drop.setdefault(whose, []).extend(traces)  # with the next flush, the last one at the latest


def _queued(item: OutboxItem, stamp: Stamp) -> Queued:
    left = None if item.expires_at is None else item.expires_at - stamp.wall
    return Queued(
        trace=item.trace_id,
        chat=item.chat_id,
        size=len(item.frame),
        due=None if left is None else stamp.now + left,
        lasting=True,
        kept=True,
        sent_on=FORMER_PROCESS,
    )
