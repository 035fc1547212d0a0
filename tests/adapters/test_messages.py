"""What every message store promises, for the SQLite file and the memory alike."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.adapters import Handled, MemoryMessages, MessageStore, OutboxItem, SqliteMessages


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MessageStore]:
    store: MessageStore = SqliteMessages(tmp_path / "messages.db") if request.param == "sqlite" else MemoryMessages()
    yield store
    store.close()


def item(number: int, *, trace: str = "trace", frame: str = '{"v":2}', expires_at: float | None = None) -> OutboxItem:
    return OutboxItem(
        trace_id=f"{trace}-{number}",
        message_id=f"message-{number}",
        chat_id="cnv_1",
        frame=frame,
        queued_at=1000.25 + number,
        expires_at=expires_at,
    )


def test_a_store_says_whether_it_outlives_the_process(tmp_path: Path) -> None:
    assert SqliteMessages(tmp_path / "messages.db").durable
    assert not MemoryMessages().durable


def test_an_unknown_account_has_nothing(store: MessageStore) -> None:
    assert store.waiting("nobody") == []
    assert store.seen("nobody", "message-1") is None
    store.drop("nobody", ["trace-1"])


def test_what_is_kept_waits_in_its_order_and_byte_for_byte(store: MessageStore) -> None:
    odd = item(2, frame='{"text":"Grüße \U0001f980\\u0000\x00 \' -- \r\n"}', expires_at=1e10 + 0.125)
    store.keep("a", [item(3), odd])
    store.keep("a", [item(1)])
    assert store.waiting("a") == [item(3), odd, item(1)]
    store.close()
    assert store.waiting("a") == [item(3), odd, item(1)]


def test_a_message_is_kept_once_and_as_it_was_first(store: MessageStore) -> None:
    store.keep("a", [item(1), item(2), item(1, frame="other")])
    store.keep("a", [item(1, trace="later"), item(3), item(2)])
    assert store.waiting("a") == [item(1), item(2), item(3)]
    store.drop("a", ["later-1"])
    assert store.waiting("a") == [item(1), item(2), item(3)]


def test_what_is_settled_is_gone_and_may_be_kept_anew_at_the_end(store: MessageStore) -> None:
    store.keep("a", [item(1), item(2), item(3)])
    store.drop("a", ["trace-1", "trace-3", "trace-3", "trace-9"])
    store.drop("a", ["trace-1"])
    store.keep("a", [item(1)])
    assert store.waiting("a") == [item(2), item(1)]


def test_a_store_refuses_no_number_of_messages(store: MessageStore) -> None:
    store.keep("a", [item(number) for number in range(1000)])
    assert [kept.message_id for kept in store.waiting("a")] == [f"message-{number}" for number in range(1000)]


def test_nothing_to_do_is_done(store: MessageStore) -> None:
    store.keep("a", [])
    store.drop("a", [])
    store.handled("a", [])
    assert store.waiting("a") == []


def test_the_later_mark_of_a_message_counts(store: MessageStore) -> None:
    store.handled("a", [Handled("m-1", b"12345678"), Handled("m-2", b"\x00" * 16, True), Handled("m-1", b"abcdefgh")])
    assert store.seen("a", "m-1") == Handled("m-1", b"abcdefgh")
    assert store.seen("a", "m-2") == Handled("m-2", b"\x00" * 16, True)
    store.handled("a", [Handled("m-2", b"abcdefgh")])
    store.close()
    assert store.seen("a", "m-2") == Handled("m-2", b"abcdefgh")


@pytest.mark.parametrize("message_id", ["", "\ud800", "a\x00b", "' OR 1=1 --", "m" * 1_000_000])
def test_a_peers_id_is_whatever_a_peer_says(store: MessageStore, message_id: str) -> None:
    mark = Handled(message_id, b"12345678")
    store.handled("a", [mark])
    assert store.seen("a", message_id) == mark
    assert store.seen("a", message_id + "x") is None


def test_only_the_newest_marks_are_kept(store: MessageStore) -> None:
    store.handled("b", [Handled("m-0", b"12345678")])
    store.handled("a", [Handled(f"m-{number}", b"12345678") for number in range(10_003)])
    store.handled("a", [Handled("m-3", b"87654321")])  # The oldest one becomes the newest.
    assert [number for number in range(10_003) if store.seen("a", f"m-{number}") is None] == [0, 1, 2]
    store.handled("a", [Handled("m-new", b"12345678")])
    assert [number for number in range(10_003) if store.seen("a", f"m-{number}") is None] == [0, 1, 2, 4]
    assert store.seen("b", "m-0") is not None


def test_two_accounts_share_nothing(store: MessageStore) -> None:
    store.keep("a", [item(1)])
    store.keep("b", [item(1, frame="b's"), item(2)])
    store.drop("b", ["trace-1"])
    store.handled("a", [Handled("m-1", b"12345678")])
    assert (store.waiting("a"), store.waiting("b")) == ([item(1)], [item(2)])
    assert store.seen("b", "m-1") is None


@pytest.mark.rule("P60")
def test_nothing_prints_what_somebody_wrote(store: MessageStore) -> None:
    store.keep("a", [item(1, frame="between us")])
    assert "between us" not in repr(store) + repr(store.waiting("a")) + str(store.waiting("a")[0])
    assert repr(item(1)) == (
        "OutboxItem(trace_id='trace-1', message_id='message-1', chat_id='cnv_1', queued_at=1001.25, expires_at=None)"
    )
