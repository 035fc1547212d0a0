"""The pure parts: the account book's and the mailbox's bounds and rules."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.sandbox.book import GRANTS_MAX, Book, Pages, Refused
from holdfast.sandbox.mail import DEVICES_MAX, Mailbox, StoredMessage
from holdfast.sandbox.settings import GatewaySettings
from holdfast.sandbox.tokens import Mint, TokenPair, digest, short

MINT = Mint(GatewaySettings())


def pair(now: float = 0.0) -> TokenPair:
    return MINT.pair("u", "d", now)


def test_at_most_one_refresh_token_of_a_grant_lives() -> None:
    book = Book()
    account = book.add_account()
    pairs = [pair()]
    grant = book.pair(account, "d", pairs[0], 0.0)
    for _ in range(5):
        pairs.append(pair())
        book.rotate(grant, pairs[-1], 0.0)
    assert [book.find_refresh(each.refresh, "d", 0.0) is grant for each in pairs] == [False] * 5 + [True]
    assert all(book.find_access(each.access, 0.0) is grant for each in pairs)


def test_the_book_reads_its_own_pages_back() -> None:
    book = Book()
    account = book.add_account("usr_1")
    tokens = pair()
    book.pair(account, "d", tokens, 0.0)
    book.add_code("A")
    again = Book(msgspec.json.decode(msgspec.json.encode(book.pages), type=Pages))
    assert again.pages == book.pages
    assert again.find_refresh(tokens.refresh, "d", 0.0) is not None
    assert again.find_access(tokens.access, 0.0) is not None
    assert again.redeem("A", "usr_1") is again.account("usr_1")
    assert again.redeem("A", None) is Refused.CODE


def test_the_oldest_device_gives_way() -> None:
    book = Book()
    account = book.add_account()
    pairs = [pair() for _ in range(GRANTS_MAX + 1)]
    for number, tokens in enumerate(pairs):
        book.pair(account, f"d{number}", tokens, 0.0)
    assert len(account.grants) == GRANTS_MAX
    assert book.find_access(pairs[0].access, 0.0) is None
    assert book.find_access(pairs[1].access, 0.0) is not None


def test_only_the_start_of_a_digest_is_shown() -> None:
    tokens = pair()
    assert short(digest(tokens.refresh)) == f"sha256:{digest(tokens.refresh)[:12]}"
    assert short(None) is None
    assert tokens.refresh not in repr(tokens)
    assert tokens.access not in repr(tokens)


@given(st.lists(st.one_of(st.just("push"), st.sampled_from(["a", "b"]))))
def test_each_device_gets_each_kept_frame_once_and_in_order(steps: list[str]) -> None:
    mailbox, pushed = Mailbox(), 0
    got: dict[str, list[int]] = {"a": [], "b": []}
    for step in steps:
        if step == "push":
            mailbox.queue(str(pushed), 4)
            pushed += 1
        elif (frame := mailbox.peek(step)) is not None:
            mailbox.advance(step)
            got[step].append(int(frame))
    for device_id, frames in got.items():
        while (frame := mailbox.peek(device_id)) is not None:
            mailbox.advance(device_id)
            frames.append(int(frame))
        assert frames == sorted(set(frames))
        assert frames[-4:] == list(range(pushed))[-4:]


def test_cursors_are_bounded() -> None:
    mailbox = Mailbox()
    mailbox.queue("x", 1)
    for number in range(DEVICES_MAX + 5):
        mailbox.advance(f"d{number}")
    assert len(mailbox.cursors) == DEVICES_MAX


def test_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.sandbox.mail.BYTES_MAX", 25)
    mailbox = Mailbox()
    for number in range(5):
        mailbox.queue("x" * 10, 100)
        mailbox.store(
            StoredMessage(message_id=str(number), chat_id="c", device_id="d", text="x" * 10, accepted_at=0), 100
        )
    assert (len(mailbox.frames), mailbox.first) == (2, 3)
    assert list(mailbox.sent) == ["3", "4"]
