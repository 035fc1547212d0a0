"""What ClawChat's HTTP answers mean: an envelope ``{code, message, data}`` under HTTP 200, or nothing that counts."""

from typing import Annotated, Any, Final, TypeVar

import httpx
import msgspec

from .dialect import NotRotated, PairingAnswer, PairingDenied, PairingGranted, RefreshAnswer, Rotated
from .http import ANSWER_BYTES_MAX
from .retry_after import retry_after_s
from .text import clean_text
from .vault import TokenPair, token_pair
from .wire_values import NUMBER_MAX

HTTP_OK: Final = 200
USER_GONE: Final = 16001

T = TypeVar("T")


class _Envelope(msgspec.Struct):
    code: Annotated[int, msgspec.Meta(ge=-NUMBER_MAX, le=NUMBER_MAX)]
    message: Any = None
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Tokens(msgspec.Struct):
    access_token: str
    refresh_token: str | None = None


class _Agent(msgspec.Struct):
    id: str | None = None
    user_id: str | None = None
    owner_id: str | None = None


class _Conversation(msgspec.Struct):
    id: str | None = None


class _Pairing(_Tokens):
    agent: _Agent | None = None
    conversation: _Conversation | None = None


class _Unreadable(Exception):
    """The answer tells nothing. The message quotes nothing of it: it may hold tokens."""


def read_refresh(response: httpx.Response) -> RefreshAnswer:
    """See :meth:`Dialect.read_refresh`."""
    try:
        envelope = _envelope(response)
        if envelope.code != 0:
            return NotRotated(str(envelope.code), _message(envelope))
        return Rotated(_pair(_decode(envelope.data, _Tokens)))
    except _Unreadable as error:
        asked = retry_after_s(response.status_code, response.headers.multi_items())
        return NotRotated("", str(error), asked)


def read_pairing(response: httpx.Response) -> PairingAnswer:
    """See :meth:`Dialect.read_pairing`. Tokens are all it needs: a spent code is not wasted for a missing name."""
    try:
        envelope = _envelope(response)
        if envelope.code != 0:
            gone = envelope.code == USER_GONE
            return PairingDenied(code=envelope.code, reason=_words(envelope), user_is_gone=gone)
        found = _decode(envelope.data, _Pairing)
        pair = _pair(found)
    except _Unreadable as error:
        return PairingDenied(code=None, reason=str(error))
    agent, conversation = found.agent or _Agent(), found.conversation or _Conversation()
    return PairingGranted(
        pair=pair,
        user_id=agent.user_id,
        owner_id=agent.owner_id,
        agent_id=agent.id,
        conversation_id=conversation.id,
    )


def _envelope(response: httpx.Response) -> _Envelope:
    if response.status_code != HTTP_OK:
        raise _Unreadable(f"the service answered HTTP {response.status_code}")
    if len(response.content) > ANSWER_BYTES_MAX:
        raise _Unreadable("the answer is too long")
    return _decode(response.content, _Envelope)


def _decode(data: bytes | msgspec.Raw, form: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=form)
    except (ValueError, RecursionError):
        raise _Unreadable("the answer is not what this request gets") from None


def _pair(found: _Tokens) -> TokenPair:
    try:
        pair = token_pair(found.access_token, found.refresh_token)
    except ValueError:
        pair = None
    if pair is None:
        raise _Unreadable("the answer holds no usable token")
    return pair


def _message(envelope: _Envelope) -> str:
    words = _words(envelope)
    return f"{envelope.code}: {words}" if words else str(envelope.code)


def _words(envelope: _Envelope) -> str:
    return clean_text(envelope.message) if isinstance(envelope.message, str) else ""
