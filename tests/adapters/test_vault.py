"""The vault: which token a generation may use, and that no text keeps one."""

import copy
import json
import pickle
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.adapters import TokenPair, Vault, token_pair

OLD = TokenPair("access-old-00000000", "refresh-old-0000000")
NEW = TokenPair("access-new-11111111", "refresh-new-1111111")
TOKENS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=12, max_size=60)


def test_a_pair_hides_itself() -> None:
    assert OLD.access not in repr(OLD) + str(OLD) + f"{OLD}"
    assert OLD.refresh not in repr(OLD) + repr([OLD])  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    for leak in (pickle.dumps, msgspec.json.encode, json.dumps):
        with pytest.raises(TypeError):
            leak(OLD)
    assert copy.deepcopy(OLD) is copy.copy(OLD) is OLD


def test_a_pair_is_a_value() -> None:
    assert TokenPair("a", "b") == TokenPair("a", "b") != TokenPair("a", None)
    assert len({TokenPair("a"), TokenPair("a")}) == 1
    assert TokenPair("a") != "a"
    with pytest.raises(AttributeError):
        OLD.access = "other"
    with pytest.raises(AttributeError):
        del OLD.access


@pytest.mark.parametrize("token", ["", " ", " s3cret", "s3cret\n", "s3crét", "a\x00s3cret", "a\r\nX-Evil: s3cret"])
def test_what_cannot_be_a_token_is_refused_without_repeating_it(token: str) -> None:
    for access, refresh in ((token, None), ("fine", token)):
        with pytest.raises(ValueError, match="must be printable ASCII") as caught:
            TokenPair(access, refresh)
        assert "s3cr" not in str(caught.value)


@pytest.mark.rule("S0-06")
def test_stored_settings_are_trimmed_and_blank_is_none() -> None:
    assert token_pair("  a ", " r\n") == TokenPair("a", "r")
    assert token_pair("a", "  ") == TokenPair("a", None)
    assert token_pair(" ", "r") is None
    assert token_pair(None, None) is None


def test_only_the_generation_in_force_gets_a_token() -> None:
    vault = Vault()
    assert (vault.access(1), vault.refresh(1), vault.pair(1)) == (None, None, None)
    vault.load(1, OLD)
    assert (vault.access(1), vault.refresh(1), vault.pair(1)) == (OLD.access, OLD.refresh, OLD)
    assert (vault.access(0), vault.access(2), vault.refresh(2), vault.pair(2)) == (None, None, None, None)


@pytest.mark.rule("V01", "V02")
def test_a_pending_pair_is_kept_unused_and_the_spent_token_is_not_handed_out_again() -> None:
    vault = Vault()
    vault.load(1, OLD)
    vault.hold_pending(2, NEW)
    assert vault.pair(2) == NEW
    assert vault.access(1) == OLD.access
    assert vault.access(2) is None
    assert vault.refresh(1) is vault.refresh(2) is None
    vault.use(2)
    assert (vault.access(1), vault.access(2), vault.refresh(2)) == (None, NEW.access, NEW.refresh)
    vault.use(7)
    assert vault.access(2) == NEW.access


@pytest.mark.rule("P08")
def test_a_pending_pair_without_refresh_token_keeps_the_old_one() -> None:
    vault = Vault()
    vault.load(1, OLD)
    vault.hold_pending(2, TokenPair("access-only"))
    vault.use(2)
    assert vault.refresh(2) == OLD.refresh


@pytest.mark.rule("V06", "P11")
def test_a_pending_pair_that_the_store_has_overtaken_is_dropped() -> None:
    vault = Vault()
    vault.load(1, OLD)
    vault.hold_pending(2, NEW)
    vault.load(2, None)  # A logout took generation 2.
    assert (vault.pair(2), vault.access(2)) == (None, None)
    vault.use(2)
    assert vault.access(2) is None


def test_forgetting_leaves_nothing_but_what_redaction_needs() -> None:
    vault = Vault()
    vault.load(1, OLD)
    vault.hold_pending(2, NEW)
    vault.forget()
    assert (vault.access(1), vault.pair(1), vault.pair(2)) == (None, None, None)
    assert vault.redact(f"{OLD.access} {NEW.refresh}") == "[redacted] [redacted]"
    assert OLD.access not in repr(vault)


@pytest.mark.rule("P60")
@given(access=TOKENS, refresh=TOKENS, code=TOKENS, before=st.text(max_size=20), after=st.text(max_size=20))
def test_no_known_secret_survives_redaction(access: str, refresh: str, code: str, before: str, after: str) -> None:
    vault = Vault()
    vault.load(1, TokenPair(access, refresh))
    vault.hold_pending(2, TokenPair(code + "x", refresh + "y"))
    vault.use(2)
    vault.hide(code)
    assert code not in vault.redact(f"{before}{code}{after}", codes=False)
    for secret in (access, refresh, code, code + "x", refresh + "y"):
        for form in (secret, quote(secret, safe=""), json.dumps(secret), json.dumps(secret).replace("/", r"\/")):
            said = vault.redact(f"{before}{form}{after}", limit=10_000)
            assert form not in said
            assert all(secret[at : at + 12] not in said for at in range(len(secret) - 11))


@pytest.mark.rule("P60")
@given(st.data())
def test_a_piece_of_twelve_characters_is_a_secret_too(data: st.DataObject) -> None:
    token = data.draw(TOKENS)
    vault = Vault()
    vault.load(1, TokenPair(token))
    start = data.draw(st.integers(0, len(token) - 12))
    piece = token[start : data.draw(st.integers(start + 12, len(token)))]
    limit = data.draw(st.integers(1, 200))
    said = vault.redact(f"reason: bad token {piece}, sorry", limit)
    assert all(token[at : at + 12] not in said for at in range(len(token) - 11))


def test_a_cut_never_leaves_a_piece_and_keeps_the_bound() -> None:
    vault = Vault()
    vault.load(1, TokenPair("A" * 40))
    assert vault.redact("x" * 100, limit=10) == "x" * 9 + "…"
    assert len(vault.redact("ü" * 10_000)) == 500
    assert "A" * 12 not in vault.redact("tail " + "A" * 39, limit=30)


def test_an_empty_vault_changes_nothing() -> None:
    assert Vault().redact("all is well") == "all is well"


def test_what_is_remembered_for_redaction_is_bounded() -> None:
    vault = Vault()
    for number in range(1000):
        vault.load(number, TokenPair(f"access-{number:012}", f"refresh-{number:012}"))
    assert "000000000999" not in vault.redact("access-000000000999")
    assert "000000000995" not in vault.redact("refresh-000000000995")
    assert len(vault._tokens()) <= 18


@pytest.mark.parametrize(
    "code", ["a", "auth", "authentication failed", "\ud800x", "\ud800x-and-more-of-it", "ü" * 20, ""]
)
def test_a_code_is_hidden_while_its_block_runs_and_never_where_something_is_decided(code: str) -> None:
    vault = Vault()
    vault.load(1, OLD)
    with vault.hiding(code), vault.hiding(code):
        assert vault.redact(f"<{code}>") == ("<[redacted]>" if code else "<>")
        assert vault.redact("authentication failed", codes=False) == "authentication failed"
        assert vault.redact(f"not {OLD.access}", codes=False) == "not [redacted]"
    assert vault.redact(f"<{code}>") == f"<{code}>"


@pytest.mark.parametrize("strange", ["", "auth", "\ud800x", "\ud800x-and-more-of-it"])
def test_a_strange_token_breaks_nothing_and_a_short_one_damages_no_word(strange: str) -> None:
    vault = Vault()
    vault.hide(strange)
    vault.load(1, TokenPair("auth", "failed"))
    assert vault.redact("authentication failed") == "authentication failed"
    assert vault.redact(f"<{strange}>") == ("<[redacted]>" if len(strange) > 8 else f"<{strange}>")
