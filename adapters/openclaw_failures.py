"""What OpenClaw's gateway says of a refusal. What to do about it is the chart's to say."""

import re
from typing import Final

import msgspec

from holdfast.statecharts import Failure, Phase

from .openclaw_forms import Details, Error, read, seconds
from .text import clean_text
from .wire_values import short_id, whole

_WORD: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def failure_of(error: msgspec.Raw, phase: Phase) -> Failure:
    """The failure that an answer tells, whatever its ``error`` looks like."""
    found = read(error, Error) or Error()
    details = read(found.details, Details) or Details()
    return Failure(
        phase=phase,
        error=_word(found.code),
        code=_word(details.code),
        reason=_word(details.reason),
        message=_message(error, found),
        retryable=found.retryable is True,
        retry_after_s=seconds(found.retry_after_ms) or 0.0,
        wait_then_retry=details.recommended_next_step == "wait_then_retry" or details.pause_reconnect is False,
        device_token_helps=details.can_retry_with_device_token is True,
        pairing_request=short_id(details.request_id),
    )


def _word(value: object) -> str:
    """A code. Older gateways have numbers."""
    if isinstance(value, str):
        return value if _WORD.fullmatch(value) else ""
    number = whole(value)
    return "" if number is None else str(number)


def _message(raw: msgspec.Raw, error: Error) -> str:
    """What it says, or else all of it (S3-61)."""
    said = clean_text(error.message) if isinstance(error.message, str) else ""
    return said or clean_text(bytes(raw).decode(errors="replace"))
