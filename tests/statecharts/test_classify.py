"""The failure classifier, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.statecharts import EXACT, SEED, Rule, Verdict, classify

PHRASES = [
    "authentication failed",
    "invalid token",
    "token expired",
    "unauthorized",
    "auth failed",
    "invalid credentials",
]


@pytest.mark.rule("S0-02")
@pytest.mark.parametrize(
    "reason", ["auth service unavailable", "remote auth service unavailable", "temporarily unavailable"]
)
@pytest.mark.parametrize("table", [SEED, EXACT])
def test_an_outage_of_the_auth_service(reason: str, table: tuple[Rule, ...]) -> None:
    assert classify(table, reason) is classify(table, reason.upper()) is Verdict.AUTH_UNAVAILABLE


@pytest.mark.rule("S0-03")
@pytest.mark.parametrize("phrase", PHRASES)
def test_a_rejected_token(phrase: str) -> None:
    for reason in (phrase, phrase.title(), f"4001: {phrase}."):
        assert classify(SEED, reason) is Verdict.TOKEN_REJECTED


@pytest.mark.rule("S0-04")
@pytest.mark.parametrize("phrase", PHRASES)
def test_an_outage_wins_over_a_rejection_named_with_it(phrase: str) -> None:
    assert classify(SEED, "Temporarily unavailable; unauthorized") is Verdict.AUTH_UNAVAILABLE
    assert classify(SEED, f"{phrase}: auth service unavailable") is Verdict.AUTH_UNAVAILABLE


@pytest.mark.rule("S0-05", "P40")
@pytest.mark.parametrize(
    "reason", [None, "", "nonce mismatch", "invalid connect event", "invalid connect payload", "boom"]
)
def test_anything_else_is_generic(reason: str | None) -> None:
    assert classify(SEED, reason) is classify(EXACT, reason) is Verdict.GENERIC


@pytest.mark.rule("V14")
def test_the_exact_table_knows_one_rejection_only() -> None:
    assert classify(EXACT, "authentication failed") is Verdict.TOKEN_REJECTED
    assert classify(EXACT, "Authentication Failed") is Verdict.TOKEN_REJECTED
    assert classify(EXACT, "authentication failed: try later") is Verdict.GENERIC
    assert {classify(EXACT, phrase) for phrase in PHRASES[1:]} == {Verdict.GENERIC}


@pytest.mark.rule("S0-05", "P40")
@given(st.none() | st.text())
def test_every_reason_has_a_verdict(reason: str | None) -> None:
    assert classify(SEED, reason) in Verdict
    assert classify(EXACT, reason) in Verdict
