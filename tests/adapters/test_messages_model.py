"""Any sequence of calls: both message stores answer what a simple model says, also across a restart."""

import tempfile
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from holdfast.adapters import Handled, MemoryMessages, MessageStore, OutboxItem, SqliteMessages

KEPT_MAX = 4  # Instead of ten thousand, so that a few calls reach it.
ACCOUNTS = st.sampled_from(["default", "wörk 2/../x"])
NAMES = st.sampled_from(["m1", "m2", "m3", "ü\x00", "", "M1"])
PEERS = st.sampled_from(["m1", "m2", "m3", "m4", "m5", "m6", "m7", "\ud800"])
ITEMS = st.builds(
    OutboxItem,
    trace_id=NAMES,
    message_id=NAMES,
    chat_id=NAMES,
    frame=st.text(st.characters(codec="utf-8"), max_size=8),
    queued_at=st.floats(0, 1e12),
    expires_at=st.none() | st.floats(0, 1e12),
)
MARKS = st.builds(Handled, PEERS, st.binary(min_size=8, max_size=16), st.booleans())


class MessagesMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for module in ("sqlite_messages", "memory_messages"):
            self.patch.setattr(f"holdfast.adapters.{module}.HANDLED_MAX", KEPT_MAX)
        self.folder = tempfile.TemporaryDirectory()
        self.sqlite = self.opened()
        self.memory = MemoryMessages()
        self.outbox: dict[str, list[OutboxItem]] = defaultdict(list)
        self.marks: dict[str, list[Handled]] = defaultdict(list)

    def teardown(self) -> None:
        self.sqlite.close()
        self.folder.cleanup()
        self.patch.undo()

    def opened(self) -> SqliteMessages:
        return SqliteMessages(Path(self.folder.name) / "messages.db")

    @property
    def stores(self) -> tuple[MessageStore, ...]:
        return self.sqlite, self.memory

    @rule(account=ACCOUNTS, items=st.lists(ITEMS, max_size=4))
    def keep(self, account: str, items: list[OutboxItem]) -> None:
        outbox = self.outbox[account]
        for item in items:
            if item.message_id not in [kept.message_id for kept in outbox]:
                outbox.append(item)
        for store in self.stores:
            store.keep(account, items)

    @rule(account=ACCOUNTS, trace_ids=st.lists(NAMES, max_size=3))
    def drop(self, account: str, trace_ids: list[str]) -> None:
        self.outbox[account] = [item for item in self.outbox[account] if item.trace_id not in trace_ids]
        for store in self.stores:
            store.drop(account, trace_ids)

    @rule(account=ACCOUNTS, marks=st.lists(MARKS, max_size=6))
    def handle(self, account: str, marks: list[Handled]) -> None:
        for mark in marks:
            others = [kept for kept in self.marks[account] if kept.message_id != mark.message_id]
            self.marks[account] = [*others, mark]
        if marks:
            del self.marks[account][:-KEPT_MAX]
        for store in self.stores:
            store.handled(account, marks)

    @rule(anew=st.booleans())
    def restart(self, anew: bool) -> None:
        self.sqlite.close()
        if anew:
            self.sqlite = self.opened()

    @invariant()
    def stores_hold_what_the_model_holds(self) -> None:
        for store in self.stores:
            for account in ("default", "wörk 2/../x"):
                assert store.waiting(account) == self.outbox[account]
                known = {mark.message_id: mark for mark in self.marks[account]}
                for name in ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "\ud800"):
                    assert store.seen(account, name) == known.get(name)


MessagesMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=20)
TestMessages = MessagesMachine.TestCase
