"""The account's REST client: it signs each request, and lets a refused token be refreshed, once (S0-49 to S0-52)."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final, NoReturn, Protocol

import httpx

from .errors import BodyNotReplayable
from .http import http_client

AUTH_FAILURES: Final = (401, 403)
CAUSE: Final = "rest-401"
REFUSAL_BYTES_MAX: Final = 64 * 1024
"""Of an answer that refuses the token. Small, since it may be compressed a thousand times."""


class Bearer:
    """What a request is signed with: the access token in force, its generation, and the device. Its repr hides it."""

    __slots__ = ("access", "device_id", "generation")

    def __init__(self, generation: int, access: str, device_id: str) -> None:
        self.generation = generation
        self.access = access
        self.device_id = device_id

    def __repr__(self) -> str:
        return f"Bearer(generation={self.generation}, device_id={self.device_id!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("tokens are not pickled")


class Outcome(Protocol):
    """How a refresh ended."""

    @property
    def outcome(self) -> str:
        """``success``, ``permanent``, ``transient`` or ``skipped``."""
        ...


Refresh = Callable[[str, int | None], Awaitable[Outcome]]
"""Asks the account for a fresh token: the cause, and the generation that was refused. Single flight is its job."""


def rest_client(
    pool: httpx.AsyncBaseTransport, base_url: str, *, bearer: Callable[[], Bearer], refresh: Refresh
) -> httpx.AsyncClient:
    """A client for ``base_url`` over the shared pool. Relative URLs are enough, and no other origin sees the token.

    ``bearer`` gives the token in force at the moment of each attempt, or raises what the caller is to get instead
    (``NotPaired``, ``Stopped``). Besides that and the errors of httpx, a request raises :class:`BodyNotReplayable`.
    """
    return http_client(pool, base_url=base_url, auth=_Auth(httpx.URL(base_url), bearer, refresh))


class _Auth(httpx.Auth):
    """Holds no lock and keeps no state: any number of requests run through it at once."""

    def __init__(self, base_url: httpx.URL, bearer: Callable[[], Bearer], refresh: Refresh) -> None:
        self._origin = _origin(base_url)
        self._bearer = bearer
        self._refresh = refresh

    def sync_auth_flow(self, request: httpx.Request) -> NoReturn:
        raise RuntimeError("this client is asynchronous: use it with httpx.AsyncClient")

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sign, send; if the token is refused, refresh it and send once more."""
        if _origin(request.url) != self._origin:
            yield request
            return
        bearer = self._bearer()
        response = yield _signed(request, bearer)
        if response.status_code not in AUTH_FAILURES:
            return
        # Its connection must be free for the refresh and the retry, or a full pool stands still.
        response.stream = _Bounded(response.stream)
        await response.aread()
        fresh = await self._fresher(bearer)
        if fresh is None:
            return  # The caller gets the refusal as it came (S0-51).
        if not _is_replayable(request):
            raise BodyNotReplayable
        yield _signed(request, fresh)

    async def _fresher(self, refused: Bearer) -> Bearer | None:
        """A newer token than the refused one. A late refusal of an older token needs no refresh."""
        bearer = self._bearer()
        if bearer.generation == refused.generation:
            outcome = await self._refresh(CAUSE, refused.generation)
            if outcome.outcome != "success":
                return None
            bearer = self._bearer()
        return bearer if bearer.generation != refused.generation else None


class _Bounded(httpx.AsyncByteStream):
    """The body of a refusal, which nobody asked for: without this a peer could send it for ever."""

    def __init__(self, stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> None:
        assert isinstance(stream, httpx.AsyncByteStream)
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        async for chunk in self._stream:
            count += len(chunk)
            if count > REFUSAL_BYTES_MAX:
                raise httpx.ReadError("the token was refused, in an answer that does not end")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _signed(request: httpx.Request, bearer: Bearer) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {bearer.access}"
    request.headers["X-Device-Id"] = bearer.device_id
    return request


def _is_replayable(request: httpx.Request) -> bool:
    """Whether the body is in memory. A stream, a file and a form with files may give another body the second time."""
    try:
        _ = request.content
    except httpx.RequestNotRead:
        return False
    return True


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)
