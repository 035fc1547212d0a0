"""Why a gateway of OpenClaw's protocol refused or dropped us, as a table: which failure calls for what."""

from enum import StrEnum
from typing import Final

import msgspec

CHALLENGE_INCOMPLETE: Final = "CHALLENGE_INCOMPLETE"
"""Our own code: a challenge without nonce or time, so that nothing can be signed (S3-25)."""


class Phase(StrEnum):
    """How far the connection had come."""

    DIALLING = "dialling"  # no WebSocket yet
    HANDSHAKE = "handshake"  # a WebSocket, and no hello yet
    LIVE = "live"  # after the hello
    REQUEST = "request"  # one request was refused, and the connection stands


class Remedy(StrEnum):
    """What helps against a failure."""

    RETRY = "retry"  # with the next delay of the ladder
    RETRY_AFTER = "retry-after"  # the same, but no sooner than told
    TRY_DEVICE_TOKEN = "try-device-token"  # once more, with the device token beside the token
    CLEAR_DEVICE_TOKEN = "clear-device-token"  # it is dead; go on with the token, if there is one
    NEEDS_PAIRING = "needs-pairing"  # somebody must approve this device
    NEEDS_TOKEN = "needs-token"  # only another token helps
    TERMINAL = "terminal"  # the same again cannot help: a setting or a version must change


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one failure. Texts are scrubbed and bounded, times in seconds; what was not told is empty.

    ``error`` is the answer's ``error.code``, ``code`` and ``reason`` are its details', ``message`` is for people: the
    answer's, or else the close frame's reason. ``wait_then_retry`` and ``device_token_helps`` are the gateway's advice.
    ``device_token_spare`` is ours to say: there is a device token that this attempt did not send, and none was tried
    since the last hello. ``pairing_request`` is what the person who approves must name.
    """

    phase: Phase
    close_code: int = 0
    error: str = ""
    code: str = ""
    reason: str = ""
    message: str = ""
    retryable: bool = False
    retry_after_s: float = 0.0
    wait_then_retry: bool = False
    device_token_helps: bool = False
    device_token_spare: bool = False
    pairing_request: str = ""


class Judgement(msgspec.Struct, frozen=True):
    """What to do. ``retry_after_s`` is the least delay; a failure that is not ``counted`` moves the ladder no further
    and waits just so long.
    """

    remedy: Remedy
    retry_after_s: float = 0.0
    counted: bool = True


DEVICE_TOKEN_DELAY_S: Final = 0.25
"""Before the one attempt with the device token."""
STARTING_DELAY_S: Final = 0.5
STARTING_DELAYS_S: Final = (0.1, 2.0)
"""A starting gateway tells when to come again: its default, and the bounds of what it may tell."""

STARTING: Final = frozenset({"startup-sidecars"})
ABOUT_THE_TOKEN: Final = frozenset({"AUTH_TOKEN_MISMATCH", "AUTH_IDENTITY_HEADER_REQUIRED"})
"""Only of these does the gateway's word count that the device token would do."""

# A code that is not here is retried: of one never seen nobody knows that it is final.
BY_CODE: Final[dict[str, Remedy]] = {
    "AUTH_TOKEN_MISMATCH": Remedy.NEEDS_TOKEN,
    "AUTH_TOKEN_MISSING": Remedy.NEEDS_TOKEN,
    "AUTH_BOOTSTRAP_TOKEN_INVALID": Remedy.NEEDS_TOKEN,
    "AUTH_PASSWORD_MISSING": Remedy.NEEDS_TOKEN,
    "AUTH_PASSWORD_MISMATCH": Remedy.NEEDS_TOKEN,
    "AUTH_DEVICE_TOKEN_MISMATCH": Remedy.CLEAR_DEVICE_TOKEN,
    "PAIRING_REQUIRED": Remedy.NEEDS_PAIRING,
    "AUTH_SCOPE_MISMATCH": Remedy.TERMINAL,
    "AUTH_IDENTITY_HEADER_REQUIRED": Remedy.TERMINAL,
    "AUTH_VERIFIED_USER_REQUIRED": Remedy.TERMINAL,
    "DEVICE_IDENTITY_REQUIRED": Remedy.TERMINAL,
    "CONTROL_UI_DEVICE_IDENTITY_REQUIRED": Remedy.TERMINAL,
    "CONTROL_UI_ORIGIN_NOT_ALLOWED": Remedy.TERMINAL,
    "CONTROL_UI_BUILD_MISMATCH": Remedy.TERMINAL,
    "CLIENT_VERSION_MISMATCH": Remedy.TERMINAL,
    "PROTOCOL_MISMATCH": Remedy.TERMINAL,
    CHALLENGE_INCOMPLETE: Remedy.TERMINAL,
    # The official client gives up for good, although it is told when the lock ends.
    "AUTH_RATE_LIMITED": Remedy.RETRY,
    # Each challenge is a new one, and its time the gateway's own: these pass by themselves, if ever.
    "DEVICE_AUTH_SIGNATURE_EXPIRED": Remedy.RETRY,
    "DEVICE_AUTH_SIGNATURE_INVALID": Remedy.RETRY,
    "DEVICE_AUTH_NONCE_REQUIRED": Remedy.RETRY,
    "DEVICE_AUTH_NONCE_MISMATCH": Remedy.RETRY,
    "DEVICE_AUTH_DEVICE_ID_MISMATCH": Remedy.RETRY,
}

# Where no code is told, and where of an answer only the close frame arrived: its reason is the message, cut. Tried top
# to bottom.
BY_PHRASE: Final[tuple[tuple[str, Remedy], ...]] = (
    ("device token mismatch", Remedy.CLEAR_DEVICE_TOKEN),
    ("token scope mismatch", Remedy.TERMINAL),
    ("token mismatch", Remedy.NEEDS_TOKEN),
    ("token missing", Remedy.NEEDS_TOKEN),
    ("pairing required", Remedy.NEEDS_PAIRING),
    ("device identity required", Remedy.TERMINAL),
    ("origin not allowed", Remedy.TERMINAL),
    ("protocol mismatch", Remedy.TERMINAL),
)


def judge(failure: Failure) -> Judgement:
    """What to do. A connection that failed as nobody foresaw is retried, a request so refused is not."""
    if failure.phase is Phase.HANDSHAKE:
        return _judge_handshake(failure)
    if failure.phase is Phase.REQUEST and not failure.retryable:
        return Judgement(Remedy.TERMINAL)
    return _retried(failure)


def _judge_handshake(failure: Failure) -> Judgement:
    if failure.device_token_helps and failure.device_token_spare and failure.code in ABOUT_THE_TOKEN:
        return Judgement(Remedy.TRY_DEVICE_TOKEN, DEVICE_TOKEN_DELAY_S, counted=False)
    if failure.reason in STARTING or (failure.close_code, failure.message) == (1013, "gateway starting"):
        least, most = STARTING_DELAYS_S
        wait_s = min(max(failure.retry_after_s or STARTING_DELAY_S, least), most)
        return Judgement(Remedy.RETRY_AFTER, wait_s, counted=False)
    remedy = _remedy(failure)
    told_to_wait = remedy is Remedy.NEEDS_PAIRING and failure.wait_then_retry
    return _retried(failure) if told_to_wait or remedy is Remedy.RETRY else Judgement(remedy)


def _remedy(failure: Failure) -> Remedy:
    if failure.code:
        return BY_CODE.get(failure.code, Remedy.RETRY)
    if failure.error == "NOT_PAIRED":
        return Remedy.NEEDS_PAIRING
    message = failure.message.lower()
    return next((remedy for phrase, remedy in BY_PHRASE if phrase in message), Remedy.RETRY)


def _retried(failure: Failure) -> Judgement:
    wait_s = failure.retry_after_s
    return Judgement(Remedy.RETRY_AFTER, wait_s) if wait_s > 0 else Judgement(Remedy.RETRY)
