"""What ClawChat tells a paired account over REST: its profile, its conversations, its agent."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote

import httpx
import msgspec

from .clawchat_http import _decode, _Envelope, _Unreadable
from .errors import HoldfastError
from .fetch import assembled
from .http import ANSWER_BYTES_MAX, describe
from .text import TEXT_CHARS_MAX, clean_text
from .vault import Vault
from .wire_values import whole

ANSWER_LIMIT_S: Final = 60.0
"""For a whole answer, however slowly it drips. A token may have to be refreshed on the way."""
ID_BYTES_MAX: Final = 512
"""Of an id in a URL, which may come from a frame. The service's have some 30."""

T = TypeVar("T")


class RestFailed(HoldfastError):
    """The service refused a request, did not answer it, or not with what was asked for.

    ``status`` is the answer's HTTP status, None if there was no whole answer; ``code`` is the service's own, None where
    it gave none. ``reason`` is for people, and holds neither a token nor the answer.
    """

    def __init__(self, status: int | None, code: int | None, reason: str) -> None:
        refused = bool(code) or not (status is None or httpx.codes.is_success(status))
        super().__init__(
            f"the service refused: {reason}"
            if refused
            else f"the service gave no answer to use: {reason}; try again later, or check the id"
        )
        self.status = status
        self.code = code
        self.reason = reason


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """``raw`` is the object as the service sent it, with what has no field here. It is left out of the repr."""

    raw: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name != "raw")
        return f"{type(self).__name__}({', '.join(shown)})"


class Profile(_Told, frozen=True, kw_only=True):
    """The account's own user. What the service does not tell, or tells in another form, is None."""

    user_id: str
    nick_name: str | None = None
    avatar_url: str | None = None
    owner_id: str | None = None


class Conversation(_Told, frozen=True, kw_only=True):
    """A chat. ``kind`` is ``direct``, ``group`` or what else the service has; ``version`` grows with its metadata."""

    id: str
    kind: str | None = None
    title: str | None = None
    description: str | None = None
    member_ids: tuple[str, ...] = ()
    version: int | None = None


class AgentInfo(_Told, frozen=True, kw_only=True):
    """An agent and how it is to behave, which its owner writes."""

    id: str
    name: str | None = None
    behavior: str | None = None
    version: int | None = None


async def get_profile(client: httpx.AsyncClient) -> Profile:
    """The account's own user.

    Raises:
        RestFailed: no answer, a refusal, or an answer that cannot be read.
        NotPaired: as the client says; likewise ``Stopped``.
    """
    return await _get(client, "/v1/users/me", _profile)


async def get_conversation(client: httpx.AsyncClient, chat_id: str) -> Conversation:
    """A conversation that the account is in. Raises as :func:`get_profile`, also for what cannot be an id."""
    return await _get(client, f"/v1/conversations/{_segment(chat_id)}", _conversation)


async def get_agent(client: httpx.AsyncClient, agent_id: str) -> AgentInfo:
    """An agent. Raises as :func:`get_profile`, also for what cannot be an id."""
    return await _get(client, f"/v1/agents/{_segment(agent_id)}", _agent)


async def _get(client: httpx.AsyncClient, path: str, read: Callable[[dict[str, Any]], T | None]) -> T:
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S):
            response, body = await _answer(client, path)
    except TimeoutError:
        raise RestFailed(None, None, f"no whole answer within {ANSWER_LIMIT_S:g} seconds") from None
    except httpx.HTTPError as error:
        raise RestFailed(None, None, describe(error)) from None
    found = read(_data(response, body))
    if found is None:
        raise RestFailed(response.status_code, 0, "the answer names no id")
    return found


async def _answer(client: httpx.AsyncClient, path: str) -> tuple[httpx.Response, bytes]:
    # An answer that is compressed could be a bomb.
    async with client.stream("GET", path, headers={"Accept-Encoding": "identity"}) as response:
        body = await _body(response)
        if len(body) > ANSWER_BYTES_MAX:
            raise _unreadable(response, "the answer is too long")
        return response, body


async def _body(response: httpx.Response) -> bytes:
    """As much of it as tells whether it is too long."""
    if response.is_stream_consumed:  # a refused token: read before it was refreshed
        return response.content
    chunks: list[bytes] = []
    count = 0
    async for chunk in response.aiter_raw():
        chunks.append(chunk)
        count += len(chunk)
        if count > ANSWER_BYTES_MAX:
            break
    return assembled(response, chunks, ANSWER_BYTES_MAX).content


def _data(response: httpx.Response, body: bytes) -> dict[str, Any]:
    """The object that a good answer holds."""
    try:
        envelope = _decode(body, _Envelope)
        if response.is_success and envelope.code == 0:
            return _decode(envelope.data, dict[str, Any])
    except _Unreadable as error:
        raise _unreadable(response, str(error)) from None
    raise RestFailed(response.status_code, envelope.code, _refusal(response, envelope))


def _unreadable(response: httpx.Response, why: str) -> RestFailed:
    """What a refusal says is no matter: its status is enough."""
    return RestFailed(response.status_code, None, why if response.is_success else f"HTTP {response.status_code}")


def _refusal(response: httpx.Response, envelope: _Envelope) -> str:
    """Status, code and the service's words, which could quote the token that it was sent."""
    vault = Vault()
    vault.hide(response.request.headers.get("Authorization", "").removeprefix("Bearer "))
    words = envelope.message if isinstance(envelope.message, str) else ""
    # Cleaned first: what is invisible in the midst of a token would hide it. Cut last: so would a cut.
    words = vault.redact(clean_text(words, 2 * TEXT_CHARS_MAX), TEXT_CHARS_MAX)
    told = f"HTTP {response.status_code}, code {envelope.code}"
    return f"{told}: {words}" if words else told


def _segment(found: str) -> str:
    """An id as a part of a URL's path, which it cannot leave."""
    try:
        encoded = found.encode()
    except UnicodeEncodeError:
        encoded = b""
    # Dots alone go up in the path, and no encoding keeps every server from reading them so.
    if not encoded.strip(b".") or len(encoded) > ID_BYTES_MAX:
        raise RestFailed(None, None, "this cannot be an id")
    return quote(encoded, safe="")


# What answers look like. Names in a row are tried in turn.


def _profile(found: dict[str, Any]) -> Profile | None:
    user_id = _text(found, "user_id", "id")
    if not user_id:
        return None
    return Profile(
        user_id=user_id,
        nick_name=_text(found, "nick_name"),
        avatar_url=_text(found, "avatar_url"),
        owner_id=_text(found, "owner_id"),
        raw=found,
    )


def _conversation(found: dict[str, Any]) -> Conversation | None:
    chat_id = _text(found, "id", "conversation_id", "chat_id")
    if not chat_id:
        return None
    return Conversation(
        id=chat_id,
        kind=_text(found, "kind", "type", "chat_type"),
        title=_text(found, "title"),
        description=_text(found, "description"),
        member_ids=_member_ids(found.get("members", found.get("member_ids"))),
        version=whole(found.get("version")),
        raw=found,
    )


def _agent(found: dict[str, Any]) -> AgentInfo | None:
    agent_id = _text(found, "id", "agent_id")
    if not agent_id:
        return None
    return AgentInfo(
        id=agent_id,
        name=_text(found, "name", "nick_name"),
        behavior=_text(found, "behavior"),
        version=whole(found.get("version")),
        raw=found,
    )


def _text(found: dict[str, Any], *names: str) -> str | None:
    """The first of these fields that is text."""
    return next((value for name in names if isinstance(value := found.get(name), str)), None)


def _member_ids(found: object) -> tuple[str, ...]:
    """Members come as ids, or as objects with one: what else there is, is left out."""
    members = cast("list[object]", found) if isinstance(found, list) else []
    return tuple(filter(None, map(_member_id, members)))


def _member_id(found: object) -> str | None:
    if isinstance(found, dict):
        return _text(cast("dict[str, Any]", found), "user_id", "id")
    return found if isinstance(found, str) else None
