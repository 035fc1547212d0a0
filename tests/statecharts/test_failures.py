"""What each failure of an OpenClaw gateway calls for: the whole table, row by row."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.statecharts import CHALLENGE_INCOMPLETE, Failure, Judgement, Phase, Remedy, judge

RETRY = Judgement(Remedy.RETRY)
STARTING = Judgement(Remedy.RETRY_AFTER, 0.5, counted=False)
NEEDS_TOKEN = Judgement(Remedy.NEEDS_TOKEN)
NEEDS_PAIRING = Judgement(Remedy.NEEDS_PAIRING)
CLEAR = Judgement(Remedy.CLEAR_DEVICE_TOKEN)
TERMINAL = Judgement(Remedy.TERMINAL)
TRY_DEVICE_TOKEN = Judgement(Remedy.TRY_DEVICE_TOKEN, 0.25, counted=False)


def refused(code: str = "", error: str = "INVALID_REQUEST", **more: object) -> Failure:
    """A connect that was answered with an error."""
    return Failure(phase=Phase.HANDSHAKE, error=error, code=code, **more)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def closed(code: int, message: str = "", phase: Phase = Phase.HANDSHAKE, **more: float) -> Failure:
    """A connection that ended without an answer."""
    return Failure(phase=phase, close_code=code, message=message, **more)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("code", "judgement"),
    [
        ("AUTH_TOKEN_MISMATCH", NEEDS_TOKEN),
        ("AUTH_TOKEN_MISSING", NEEDS_TOKEN),
        ("AUTH_BOOTSTRAP_TOKEN_INVALID", NEEDS_TOKEN),
        ("AUTH_PASSWORD_MISSING", NEEDS_TOKEN),
        ("AUTH_PASSWORD_MISMATCH", NEEDS_TOKEN),
        ("AUTH_DEVICE_TOKEN_MISMATCH", CLEAR),
        ("AUTH_SCOPE_MISMATCH", TERMINAL),
        ("AUTH_IDENTITY_HEADER_REQUIRED", TERMINAL),
        ("AUTH_VERIFIED_USER_REQUIRED", TERMINAL),
        ("CONTROL_UI_ORIGIN_NOT_ALLOWED", TERMINAL),
        ("CONTROL_UI_BUILD_MISMATCH", TERMINAL),
        ("CLIENT_VERSION_MISMATCH", TERMINAL),
        ("PROTOCOL_MISMATCH", TERMINAL),
        ("DEVICE_AUTH_SIGNATURE_INVALID", RETRY),
        ("DEVICE_AUTH_SIGNATURE_EXPIRED", RETRY),
        ("DEVICE_AUTH_NONCE_REQUIRED", RETRY),
        ("DEVICE_AUTH_NONCE_MISMATCH", RETRY),
        ("DEVICE_AUTH_DEVICE_ID_MISMATCH", RETRY),
        ("A_CODE_NEVER_SEEN", RETRY),
    ],
)
def test_a_refusal_is_told_by_its_code(code: str, judgement: Judgement) -> None:
    assert judge(refused(code)) == judgement
    assert judge(refused(code, close_code=1008, message="whatever it says")) == judgement


@pytest.mark.parametrize("code", ["DEVICE_IDENTITY_REQUIRED", "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"])
def test_a_device_that_was_not_shown_is_not_a_pairing_to_wait_for(code: str) -> None:
    assert judge(refused(code, error="NOT_PAIRED")) == TERMINAL


@pytest.mark.rule("S3-25")
def test_a_challenge_that_cannot_be_signed_is_final() -> None:
    assert judge(refused(CHALLENGE_INCOMPLETE, error="")) == TERMINAL


@pytest.mark.parametrize(
    "message",
    [
        "invalid connect params: at root: unexpected property 'foo'",
        "invalid connect params: at /client/id: must be equal to one of the allowed values",
        "invalid role",
        "invalid handshake: first request must be connect",
        "",
    ],
)
def test_a_refusal_without_details_is_retried(message: str) -> None:
    assert judge(refused(message=message)) == RETRY


# -- tokens ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["AUTH_TOKEN_MISMATCH", "AUTH_IDENTITY_HEADER_REQUIRED"])
def test_the_device_token_is_tried_where_the_gateway_says_so_and_there_is_one(code: str) -> None:
    assert judge(refused(code, device_token_helps=True, device_token_spare=True)) == TRY_DEVICE_TOKEN
    for helps, spare in ((True, False), (False, True)):
        failure = refused(code, device_token_helps=helps, device_token_spare=spare)
        assert judge(failure).remedy not in (Remedy.TRY_DEVICE_TOKEN, Remedy.RETRY)


@pytest.mark.parametrize("code", ["AUTH_DEVICE_TOKEN_MISMATCH", "PAIRING_REQUIRED", "PROTOCOL_MISMATCH", "NEVER_SEEN"])
def test_the_device_token_is_tried_for_nothing_else(code: str) -> None:
    failure = refused(code, device_token_helps=True, device_token_spare=True)
    assert judge(failure).remedy is not Remedy.TRY_DEVICE_TOKEN


def test_a_lock_after_too_many_attempts_is_waited_for() -> None:
    locked = refused("AUTH_RATE_LIMITED", retryable=True, retry_after_s=19.986, wait_then_retry=True)
    assert judge(locked) == Judgement(Remedy.RETRY_AFTER, 19.986)
    assert judge(refused("AUTH_RATE_LIMITED")) == RETRY


# -- pairing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["not-paired", "scope-upgrade", "metadata-upgrade", "role-upgrade", ""])
def test_a_pairing_is_needed_until_the_gateway_says_that_it_will_come(reason: str) -> None:
    failure = refused("PAIRING_REQUIRED", error="NOT_PAIRED", reason=reason, pairing_request="r-1")
    assert judge(failure) == judge(refused(error="NOT_PAIRED")) == NEEDS_PAIRING
    waiting = refused("PAIRING_REQUIRED", error="NOT_PAIRED", reason=reason, wait_then_retry=True, retry_after_s=3.0)
    assert judge(waiting) == Judgement(Remedy.RETRY_AFTER, 3.0)
    assert judge(refused("PAIRING_REQUIRED", wait_then_retry=True)) == RETRY


# -- a gateway that starts, stops or restarts --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told_s", "waited_s"), [(0.0, 0.5), (0.5, 0.5), (0.001, 0.1), (2.0, 2.0), (60.0, 2.0), (math.inf, 2.0)]
)
def test_a_starting_gateway_is_tried_again_soon_and_costs_no_step(told_s: float, waited_s: float) -> None:
    failure = refused(error="UNAVAILABLE", reason="startup-sidecars", retryable=True, retry_after_s=told_s)
    assert judge(failure) == Judgement(Remedy.RETRY_AFTER, waited_s, counted=False)


def test_other_answers_of_a_busy_gateway_are_retried_no_sooner_than_told() -> None:
    for reason in ("gateway-restarting", "never-seen", ""):
        failure = refused(error="UNAVAILABLE", reason=reason, retryable=True, retry_after_s=1.0)
        assert judge(failure) == Judgement(Remedy.RETRY_AFTER, 1.0)
    assert judge(refused(error="UNAVAILABLE", retryable=True)) == RETRY


@pytest.mark.rule("S3-29")
@pytest.mark.parametrize(
    ("code", "reason", "judgement"),
    [
        (1000, "", RETRY),  # malformed JSON, or no connect frame within 15 s
        (1006, "", RETRY),
        (1009, "", RETRY),
        (1012, "service restart", RETRY),
        (1013, "gateway starting", STARTING),
        (1013, "gateway restart in progress", RETRY),
        (1002, "protocol mismatch", TERMINAL),
        (1002, "", RETRY),
        (1008, "", RETRY),
        (1008, "invalid request frame", RETRY),
        (1008, "connect challenge timeout", RETRY),
        (4000, "connect timeout", RETRY),
        (1008, "device signature invalid", RETRY),
        (1008, "unauthorized: gateway token mismatch (provide gateway auth token)", NEEDS_TOKEN),
        (1008, "unauthorized: gateway token missing (provide gateway auth token)", NEEDS_TOKEN),
        (1008, "unauthorized: device token mismatch (rotate/reissue device token)", CLEAR),
        (1008, "unauthorized: device token scope mismatch (re-pair or approve scope upgrade)", TERMINAL),
        (1008, "unauthorized: too many failed authentication attempts (retry later)", RETRY),
        (1008, "pairing required: device is not approved yet (requestId: r-1)", NEEDS_PAIRING),
        (1008, "Device identity required", TERMINAL),
        (1008, "origin not allowed (open the Control UI from the gateway host", TERMINAL),
        (4999, "never seen", RETRY),
    ],
)
def test_a_close_before_the_answer(code: int, reason: str, judgement: Judgement) -> None:
    assert judge(closed(code, reason)) == judgement


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1000, ""),
        (1006, ""),
        (1008, "repeated unauthorized calls"),
        (1008, "slow consumer"),
        (1009, ""),
        (1012, "service restart"),
        (4000, "tick timeout"),
        (4001, "device removed"),  # the token that comes next may be the rotated one: the next hello tells
        (4001, "gateway auth changed"),
        (4999, "device token mismatch, protocol mismatch, pairing required"),
    ],
)
def test_whatever_ends_a_live_connection_is_retried(code: int, reason: str) -> None:
    assert judge(closed(code, reason, Phase.LIVE)) == RETRY
    back_soon = closed(code, reason, Phase.LIVE, retry_after_s=1.5)
    assert judge(back_soon) == Judgement(Remedy.RETRY_AFTER, 1.5)


@pytest.mark.parametrize(
    "message",
    ["Connection refused", "HTTP 503: Gateway websocket admission closed", "HTTP 503: Too many unauthenticated sockets",
     "HTTP 408", "HTTP 401: token mismatch"],
)  # fmt: skip
def test_a_dial_that_fails_is_retried(message: str) -> None:
    assert judge(Failure(phase=Phase.DIALLING, message=message)) == RETRY
    told = Failure(phase=Phase.DIALLING, message=message, retry_after_s=7.0)
    assert judge(told) == Judgement(Remedy.RETRY_AFTER, 7.0)


# -- requests ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["gateway-restarting", "gateway-suspending", "startup-sidecars"])
def test_a_request_is_worth_repeating_only_where_the_gateway_says_so(reason: str) -> None:
    busy = Failure(phase=Phase.REQUEST, error="UNAVAILABLE", reason=reason, retryable=True, retry_after_s=1.0)
    assert judge(busy) == Judgement(Remedy.RETRY_AFTER, 1.0)
    assert judge(Failure(phase=Phase.REQUEST, error="UNAVAILABLE", retryable=True)) == RETRY


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        ("FORBIDDEN", "MISSING_SCOPE", "missing scope: operator.admin"),
        ("INVALID_REQUEST", "", "unknown method: ping"),
        ("INVALID_REQUEST", "", "invalid sessions.list params: at root: unexpected property 'bogus'"),
        ("UNAVAILABLE", "", "no model"),
        ("", "", ""),
    ],
)
def test_any_other_refused_request_is_final(error: str, code: str, message: str) -> None:
    assert judge(Failure(phase=Phase.REQUEST, error=error, code=code, message=message)) == TERMINAL


@given(st.builds(Failure, phase=st.sampled_from(Phase), retry_after_s=st.floats(0, 1e9), message=st.text()))
def test_every_failure_has_a_judgement_and_none_waits_less_than_nothing(failure: Failure) -> None:
    judgement = judge(failure)
    assert judgement.retry_after_s >= 0
    assert judgement.counted or judgement.retry_after_s > 0
