"""Any sequence of calls: both stores answer what a simple model says, also across a restart."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from holdfast.adapters import CredentialStore, Identity, MemoryStore, SqliteStore, TokenPair

ACCOUNTS = st.sampled_from(["default", "wörk 2/../x"])
REFRESHES = st.sampled_from([None, "r1", "r2"])
OFFSETS = st.sampled_from([-1, 0, 0, 0, 1])


@dataclass
class Model:
    generation: int = 0
    access: str | None = None
    refresh: str | None = None
    ever: bool = False
    intent: int | None = None
    user: str | None = None
    device: str | None = None
    greeted: bool = True

    def write(self, access: str | None, refresh: str | None) -> int:
        self.generation, self.access, self.refresh, self.intent = self.generation + 1, access, refresh, None
        self.ever = self.ever or access is not None
        return self.generation


@dataclass
class Answers:
    """What the same call to each store gave: it must be one answer."""

    stores: tuple[CredentialStore, ...]

    def of(self, method: str, *args: object) -> object:
        first, *others = [getattr(store, method)(*args) for store in self.stores]
        assert all(other == first for other in others)
        return first


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.sqlite = SqliteStore(Path(self.folder.name) / "store.db")
        self.both = Answers((self.sqlite, MemoryStore()))
        self.model: dict[str, Model] = {}
        self.serial = 0

    def teardown(self) -> None:
        self.sqlite.close()
        self.folder.cleanup()

    def of(self, account: str) -> Model:
        return self.model.setdefault(account, Model())

    def fresh(self, refresh: str | None) -> TokenPair:
        self.serial += 1
        return TokenPair(f"access-{self.serial}", refresh)

    @rule(account=ACCOUNTS, refresh=REFRESHES, user=st.sampled_from([None, "u1"]))
    def activate(self, account: str, refresh: str | None, user: str | None) -> None:
        model, pair = self.of(account), self.fresh(refresh)
        model.user, model.greeted = user, False
        expected = model.write(pair.access, pair.refresh)
        assert self.both.of("activate", account, pair, Identity(user_id=user), 1.0) == expected

    @rule(account=ACCOUNTS, refresh=REFRESHES)
    def seed(self, account: str, refresh: str | None) -> None:
        model, pair = self.of(account), self.fresh(refresh)
        expected = not model.ever
        if expected:
            model.user, model.greeted = None, True
            model.write(pair.access, pair.refresh)
        assert self.both.of("seed", account, pair, Identity()) == expected

    @rule(account=ACCOUNTS, refresh=REFRESHES, offset=OFFSETS)
    def rotate(self, account: str, refresh: str | None, offset: int) -> None:
        model, pair = self.of(account), self.fresh(refresh)
        generation = model.generation + offset
        expected = None
        if offset == 0 and model.access is not None:
            expected = model.write(pair.access, pair.refresh or model.refresh)
        assert self.both.of("rotate", account, generation, pair, 2.0) == expected

    @rule(account=ACCOUNTS, offset=st.one_of(st.none(), OFFSETS))
    def clear(self, account: str, offset: int | None) -> None:
        model = self.of(account)
        expected = None
        generation = None if offset is None else model.generation + offset
        if offset in (None, 0):
            expected = model.write(None, None)
        assert self.both.of("clear", account, generation) == expected

    @rule(account=ACCOUNTS, offset=OFFSETS)
    def begin_refresh(self, account: str, offset: int) -> None:
        model = self.of(account)
        generation = model.generation + offset
        expected = offset == 0 and model.refresh is not None
        if expected:
            model.intent = generation
        assert self.both.of("begin_refresh", account, generation, 3.0) == expected

    @rule(account=ACCOUNTS, offset=OFFSETS)
    def settle_refresh(self, account: str, offset: int) -> None:
        model = self.of(account)
        generation = model.generation + offset
        if model.intent == generation:
            model.intent = None
        self.both.of("settle_refresh", account, generation)

    @rule(account=ACCOUNTS, offset=OFFSETS)
    def greet(self, account: str, offset: int) -> None:
        model = self.of(account)
        expected = offset == 0 and model.access is not None and not model.greeted
        model.greeted = model.greeted or expected
        assert self.both.of("greet", account, model.generation + offset) == expected

    @rule(account=ACCOUNTS, device=st.text(st.characters(codec="utf-8"), max_size=5))
    def remember_device(self, account: str, device: str) -> None:
        self.of(account).device = device
        self.both.of("remember_device", account, device)

    @rule()
    def restart(self) -> None:
        self.sqlite.close()

    @invariant()
    def stores_hold_what_the_model_holds(self) -> None:
        for account, model in self.model.items():
            self.both.of("read", account)
            stored = self.sqlite.read(account)
            tokens = (None, None) if stored.pair is None else (stored.pair.access, stored.pair.refresh)
            assert (stored.generation, *tokens) == (model.generation, model.access, model.refresh)
            assert (stored.interrupted, stored.had_tokens) == (model.intent, model.ever)
            assert (stored.user_id, stored.resolved_device_id) == (model.user, model.device)
            assert stored.greeted == model.greeted


StoreMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=25)
TestStores = pytest.mark.rule("P04", "P08", "P11", "S0-62", "V06")(StoreMachine.TestCase)
