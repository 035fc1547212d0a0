"""What every credential store promises, for the SQLite store and the memory store alike."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from holdfast.adapters import (
    AccountBusy,
    CredentialStore,
    HistoryRow,
    Identity,
    MemoryStore,
    SqliteStore,
    Stored,
    TokenPair,
)

ME = Identity(device_id="dev-1", user_id="usr-1", owner_id="own-1", agent_id="agt-1", conversation_id="cnv_1")
PAIR0 = TokenPair("access-0", "refresh-0")
PAIR1 = TokenPair("access-1", "refresh-1")
PAIR2 = TokenPair("access-2", "refresh-2")


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CredentialStore]:
    store: CredentialStore = SqliteStore(tmp_path / "store.db") if request.param == "sqlite" else MemoryStore()
    yield store
    store.close()


@pytest.mark.rule("V05")
def test_a_store_says_whether_it_outlives_the_process(tmp_path: Path) -> None:
    assert SqliteStore(tmp_path / "store.db").durable
    assert not MemoryStore().durable


def test_an_unknown_account_is_empty(store: CredentialStore) -> None:
    assert store.read("nobody") == Stored()
    assert store.history("nobody") == []
    assert store.rotate("nobody", 0, PAIR1, 1.0) is None
    assert not store.begin_refresh("nobody", 0, 1.0)


@pytest.mark.rule("S0-23")
def test_activation_stores_the_pair_and_who_it_is(store: CredentialStore) -> None:
    assert store.activate("a", PAIR0, ME, 100.5) == 1
    stored = store.read("a")
    assert (stored.generation, stored.pair, stored.obtained_at, stored.had_tokens) == (1, PAIR0, 100.5, True)
    assert all(getattr(stored, name) == getattr(ME, name) for name in Identity.__struct_fields__)
    assert store.read("b") == Stored()


@pytest.mark.rule("S0-14")
def test_pairing_anew_replaces_the_identity_and_keeps_the_resolved_device(store: CredentialStore) -> None:
    store.remember_device("a", "dev-resolved")
    assert store.read("a").generation == 0
    store.activate("a", PAIR0, ME, 1.0)
    assert store.activate("a", PAIR1, Identity(user_id="usr-2"), 2.0) == 2
    stored = store.read("a")
    assert (stored.user_id, stored.owner_id, stored.resolved_device_id) == ("usr-2", None, "dev-resolved")


@pytest.mark.rule("S0-07")
def test_a_seed_goes_into_an_empty_store_only(store: CredentialStore) -> None:
    assert store.seed("a", PAIR0, ME)
    assert (store.read("a").pair, store.read("a").obtained_at) == (PAIR0, None)
    assert not store.seed("a", PAIR1, ME)
    assert store.read("a").pair == PAIR0
    store.clear("a")
    assert not store.seed("a", PAIR1, ME)
    assert store.read("a").pair is None


def test_a_logout_of_an_account_that_never_had_tokens_does_not_bar_a_seed(store: CredentialStore) -> None:
    assert store.clear("a") == 1
    assert store.seed("a", PAIR0, ME)
    assert store.read("a").generation == 2


@pytest.mark.rule("P04", "V06")
def test_a_rotation_is_a_compare_and_swap(store: CredentialStore) -> None:
    store.activate("a", PAIR0, ME, 1.0)
    assert store.rotate("a", 1, PAIR1, 2.0) == 2
    before = store.read("a")
    assert (before.pair, before.obtained_at, before.user_id) == (PAIR1, 2.0, "usr-1")
    version = store.version()
    assert store.rotate("a", 1, PAIR2, 3.0) is None
    assert store.rotate("a", 3, PAIR2, 3.0) is None
    assert store.read("a") == before
    assert store.version() == version


@pytest.mark.rule("P08")
def test_a_rotation_without_refresh_token_keeps_the_stored_one(store: CredentialStore) -> None:
    store.activate("a", PAIR0, ME, 1.0)
    assert store.rotate("a", 1, TokenPair("access-1"), 2.0) == 2
    assert store.read("a").pair == TokenPair("access-1", "refresh-0")


@pytest.mark.rule("S0-45")
def test_clearing_blanks_both_tokens_and_keeps_who_it_is(store: CredentialStore) -> None:
    store.activate("a", PAIR0, ME, 1.0)
    store.remember_device("a", "dev-resolved")
    assert store.clear("a", 1) == 2
    stored = store.read("a")
    assert (stored.generation, stored.pair, stored.obtained_at) == (2, None, None)
    assert (stored.user_id, stored.owner_id, stored.device_id) == ("usr-1", "own-1", "dev-1")
    assert stored.resolved_device_id == "dev-resolved"


@pytest.mark.rule("P11", "V06")
def test_after_a_logout_no_late_answer_is_stored(store: CredentialStore) -> None:
    store.activate("a", PAIR0, ME, 1.0)
    assert store.begin_refresh("a", 1, 2.0)
    assert store.clear("a") == 2
    assert store.rotate("a", 1, PAIR1, 3.0) is None
    assert store.rotate("a", 2, PAIR1, 3.0) is None  # Not even one that learned the new generation.
    assert store.read("a").pair is None


@pytest.mark.rule("P04", "S0-44")
def test_a_fenced_logout_leaves_a_newer_pair_alone(store: CredentialStore) -> None:
    store.activate("a", PAIR0, ME, 1.0)
    store.rotate("a", 1, PAIR1, 2.0)
    assert store.clear("a", 1) is None
    assert store.read("a").pair == PAIR1
    assert store.clear("a", 2) == 3
    assert store.clear("a", 2) is None


@pytest.mark.rule("P06", "V06")
def test_an_interrupted_refresh_is_remembered_until_it_is_dealt_with(store: CredentialStore) -> None:
    store.activate("a", PAIR0, ME, 1.0)
    assert store.begin_refresh("a", 1, 5.0)
    assert (store.read("a").interrupted, store.read("a").interrupted_at) == (1, 5.0)
    store.settle_refresh("a", 7)
    assert store.read("a").interrupted == 1
    assert store.begin_refresh("a", 1, 6.0)  # The next start tries once more.
    store.settle_refresh("a", 1)
    assert (store.read("a").interrupted, store.read("a").interrupted_at) == (None, None)


@pytest.mark.rule("P06")
def test_any_new_pair_and_any_logout_settles_the_refresh(store: CredentialStore) -> None:
    store.activate("a", PAIR0, ME, 1.0)
    store.begin_refresh("a", 1, 1.0)
    store.rotate("a", 1, PAIR1, 2.0)
    assert store.read("a").interrupted is None
    store.begin_refresh("a", 2, 3.0)
    store.activate("a", PAIR2, ME, 4.0)
    assert store.read("a").interrupted is None
    store.begin_refresh("a", 3, 5.0)
    store.clear("a")
    assert store.read("a").interrupted is None


@pytest.mark.rule("P03", "P14")
def test_a_refresh_of_a_superseded_or_missing_token_is_not_begun(store: CredentialStore) -> None:
    store.activate("a", TokenPair("access-only"), ME, 1.0)
    assert not store.begin_refresh("a", 1, 1.0)
    store.activate("a", PAIR0, ME, 1.0)
    assert not store.begin_refresh("a", 1, 1.0)
    assert store.read("a").interrupted is None


@pytest.mark.rule("S0-62")
def test_a_pairing_is_greeted_once(store: CredentialStore) -> None:
    assert not store.greet("nobody", 0)
    store.activate("a", PAIR0, ME, 1.0)
    store.rotate("a", 1, PAIR1, 2.0)
    assert not store.read("a").greeted
    assert not store.greet("a", 1)  # Superseded.
    assert [store.greet("a", 2), store.greet("a", 2)] == [True, False]
    store.rotate("a", 2, PAIR2, 3.0)
    assert store.read("a").greeted
    assert not store.greet("a", 3)
    store.activate("a", PAIR0, ME, 4.0)
    assert store.greet("a", 4)


@pytest.mark.rule("S0-62")
def test_what_came_from_settings_or_was_logged_out_is_not_greeted(store: CredentialStore) -> None:
    store.seed("a", PAIR0, ME)
    assert not store.greet("a", 1)
    store.activate("a", PAIR1, ME, 1.0)
    store.clear("a")
    assert not store.greet("a", 3)


def test_history_comes_newest_first_and_is_bounded(store: CredentialStore) -> None:
    for number in range(1003):
        store.record("a", HistoryRow(at=float(number), kind="connection", state="disconnected", code=number))
    store.record("b", HistoryRow(at=1.0, kind="logout", state="logged_out", reason="r" * 5000))
    assert [row.code for row in store.history("a", 3)] == [1002, 1001, 1000]
    kept = store.history("a", 10_000)
    assert (len(kept), kept[-1].code) == (1000, 3)
    assert store.history("a", 0) == store.history("a", -1) == []
    assert [len(row.reason or "") for row in store.history("b")] == [500]


def test_a_history_row_holds_whatever_a_peer_says(store: CredentialStore) -> None:
    store.record("a", HistoryRow(at=1.0, kind="refresh", state="failed", reason="\ud800\x00'; DROP TABLE accounts; --"))
    assert store.history("a")[0].reason == "?\x00'; DROP TABLE accounts; --"


def test_every_write_changes_the_version_and_no_read_does(store: CredentialStore) -> None:
    seen = [store.version()]
    store.activate("a", PAIR0, ME, 1.0)
    seen.append(store.version())
    store.record("a", HistoryRow(at=1.0, kind="refresh", state="ok"))
    seen.append(store.version())
    store.read("a")
    store.history("a")
    assert store.version() == seen[-1]
    store.clear("a")
    seen.append(store.version())
    assert len(set(map(str, seen))) == 4


@pytest.mark.rule("P02")
def test_one_lease_per_account(store: CredentialStore) -> None:
    lease = store.lease("a")
    with pytest.raises(AccountBusy) as caught:
        store.lease("a")
    assert caught.value.account == "a"
    with store.lease("b"):
        pass
    lease.release()
    with store.lease("a"):
        lease.release()  # A second release takes nothing from the next owner.
        with pytest.raises(AccountBusy):
            store.lease("a")
    store.lease("a").release()


@pytest.mark.rule("P60")
def test_no_record_prints_or_serializes_a_token(store: CredentialStore) -> None:
    store.activate("a", TokenPair("access-s3cret", "refresh-s3cret"), ME, 1.0)
    assert "s3cret" not in repr(store.read("a")) + repr(store)
    with pytest.raises(TypeError):
        msgspec.json.encode(store.read("a"))


def test_a_closed_store_opens_again_by_itself(store: CredentialStore) -> None:
    store.activate("a", PAIR0, ME, 1.0)
    store.close()
    store.close()
    assert store.rotate("a", 1, PAIR1, 2.0) == 2
    store.open()
    assert store.read("a").pair == PAIR1
