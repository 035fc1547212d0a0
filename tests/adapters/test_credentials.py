"""What a token says of its lifetime, and that nothing makes the reader raise."""

import base64
import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.adapters import read_lifetime

NEITHER = (None, None)


def token(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, "a key that is long enough for the algorithm", algorithm="HS256")  # pyright: ignore[reportUnknownMemberType]


def raw(payload: bytes, header: bytes = b'{"alg":"none"}') -> str:
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (header, payload, b"sig"))


def test_a_signed_token_tells_both() -> None:
    assert read_lifetime(token({"iat": 1_000, "exp": 87_400})) == (1_000.0, 87_400.0)


def test_a_token_without_signature_tells_as_much() -> None:
    assert read_lifetime(token({"exp": 5}).rpartition(".")[0]) == (None, 5.0)


def test_an_expired_token_and_one_of_tomorrow_are_read_all_the_same() -> None:
    assert read_lifetime(raw(b'{"iat": 4e9, "exp": 1.5, "nbf": 4e9, "aud": "x", "iss": 3}')) == (4e9, 1.5)


@pytest.mark.rule("S1-38")
@pytest.mark.parametrize("value", [True, None, "5", [], {}, float("nan"), float("inf"), -float("inf"), 10**400])
def test_a_claim_that_is_no_finite_number_is_none(value: object) -> None:
    payload = json.dumps({"exp": value, "iat": 7}).encode()
    assert read_lifetime(raw(payload)) == (7.0, None)


@pytest.mark.rule("S1-38")
@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        b"a.b.c",
        "",
        "opaque",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "a.b.c.d.e",
        raw(b"[]"),
        raw(b"nope"),
        raw(b"\xff"),
        "\ud800.a",
    ],
)
def test_what_is_no_token_tells_nothing(value: object) -> None:
    assert read_lifetime(value) == NEITHER


@pytest.mark.rule("S1-38")
def test_deep_nesting_is_no_way_to_make_it_raise() -> None:
    assert read_lifetime(raw(b"[" * 100_000)) == NEITHER


@pytest.mark.rule("S1-38")
@given(st.one_of(st.text(), st.lists(st.text("abcXYZ019-_=", max_size=20)).map(".".join), st.binary().map(raw)))
def test_it_never_raises(value: str) -> None:
    assert len(read_lifetime(value)) == 2
