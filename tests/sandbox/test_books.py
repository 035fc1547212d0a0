"""The pure parts: the account book's and the mailbox's bounds and rules."""

import json
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.sandbox.book import GRANTS_MAX, Book, Pages, Refused
from holdfast.sandbox.delivery import Delivery, place_of, seq_of
from holdfast.sandbox.mail import DEVICES_MAX, Mailbox, StoredMessage
from holdfast.sandbox.settings import GatewaySettings, Reliable
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


def delivery(mailbox: Mailbox, device_id: str, level: Reliable = "off") -> Delivery:
    mailbox.enter(device_id)
    return Delivery(mailbox, device_id, level, echoes=False, skips=lambda: False)


@given(st.lists(st.one_of(st.just("push"), st.sampled_from(["a", "b"]))))
def test_each_device_gets_each_kept_frame_once_and_in_order(steps: list[str]) -> None:
    mailbox, pushed = Mailbox(), 0
    got: dict[str, list[int]] = {"a": [], "b": []}
    sessions = {device_id: delivery(mailbox, device_id) for device_id in got}
    for step in steps:
        if step == "push":
            mailbox.queue(str(pushed), 4)
            pushed += 1
        elif (frame := sessions[step].take()) is not None:
            got[step].append(int(frame))
            sessions[step] = delivery(mailbox, step)
    for device_id, frames in got.items():
        while (frame := sessions[device_id].take()) is not None:
            frames.append(int(frame))
        assert frames == sorted(set(frames))
        assert frames[-4:] == list(range(pushed))[-4:]


class ReliableDevice(RuleBasedStateMachine):
    """A device that loses its connection at any time, and acks when it likes what it has handled."""

    level: Reliable = "v2"

    @initialize()
    def connect(self) -> None:
        self.mailbox, self.pushed = Mailbox(), 0
        self.handled: set[int] = set()
        self.session = delivery(self.mailbox, "d", self.level)

    @rule()
    def push(self) -> None:
        self.mailbox.queue(f'{{"n":{self.pushed}}}', 1_000)
        self.pushed += 1

    @rule()
    def answer(self) -> None:
        self.session.answer("{}")

    @rule()
    def read(self) -> None:
        frame = self.session.take()
        if frame is not None:
            fields = json.loads(frame)
            self.handled |= {fields["n"]} if "n" in fields else set()

    @rule(back=st.integers(0, 3))
    def ack(self, back: int) -> None:
        if self.session.sent and self.session.knows(self.session.sent - back):
            self.session.ack(self.session.sent - back)

    @rule()
    def reconnect(self) -> None:
        self.session = delivery(self.mailbox, "d", self.level)

    @invariant()
    def nothing_unhandled_is_past_the_cursor(self) -> None:
        assert set(range(self.mailbox.cursors["d"])) <= self.handled

    def teardown(self) -> None:
        self.reconnect()
        while not self.session.caught_up:
            self.read()
        assert self.handled == set(range(self.pushed))
        if self.session.sent:
            self.session.ack(self.session.sent)
        assert self.mailbox.unconfirmed("d") == 0


class SparselyReliableDevice(ReliableDevice):
    level: Reliable = "v1"


TestReliableDevice = ReliableDevice.TestCase
TestSparselyReliableDevice = SparselyReliableDevice.TestCase


def test_seq_rises_unevenly_and_is_read_back() -> None:
    numbers = [seq_of(place) for place in range(50)]
    assert {later - earlier for earlier, later in pairwise(numbers)} == {2, 4}
    assert [place_of(number) for number in numbers] == list(range(50))
    others = set(range(numbers[0] - 100, numbers[-1])) - set(numbers)
    assert {place_of(number) for number in others} == {None}


def test_an_early_v1_ack_spares_the_client_what_it_has_handled() -> None:
    mailbox = Mailbox()
    for number in range(3):
        mailbox.queue(f'{{"n":{number}}}', 10)
    session = delivery(mailbox, "d", "v1")
    assert session.ack(seq_of(1))
    assert json.loads(session.take() or "") == {"n": 2, "seq": seq_of(2)}
    assert session.take() is None


def test_a_full_v1_window_holds_back_the_mailbox_and_no_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.sandbox.delivery.IN_FLIGHT_MAX", 1)
    mailbox = Mailbox()
    mailbox.queue('{"n":0}', 10)
    mailbox.queue('{"n":1}', 10)
    session = delivery(mailbox, "d", "v1")
    assert session.take() is not None
    session.answer("{}")
    assert (session.take(), session.take()) == ("{}", None)
    session.ack(session.sent)
    assert session.take() is not None


def test_a_cursor_never_goes_back() -> None:
    mailbox = Mailbox()
    assert mailbox.confirm("d", 2)
    assert not mailbox.confirm("d", 1)
    assert mailbox.cursors == {"d": 2}


def test_cursors_are_bounded() -> None:
    mailbox = Mailbox()
    mailbox.queue("x", 1)
    for number in range(DEVICES_MAX + 5):
        mailbox.confirm(f"d{number}", 1)
    assert len(mailbox.cursors) == DEVICES_MAX


def test_origins_go_with_their_frames() -> None:
    mailbox = Mailbox()
    for number in range(5):
        mailbox.queue("x", 2, origin=str(number))
    assert mailbox.origins == {3: "3", 4: "4"}
    again = msgspec.json.decode(msgspec.json.encode(mailbox), type=Mailbox)
    assert again == mailbox


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
