"""HTTP for all accounts of an event loop: one connection pool, made when it is first used, closed with its last user.

Each step of a request runs in a task of its own. Cancelling one in the middle, even in the last await of a close, ruins
httpx's pool: in the end every connection counts as active, for ever. So a caller that is cancelled only stops waiting,
and what arrives late is closed unread.
"""

import asyncio
import urllib.request
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import anyio
import httpx

from .about import USER_AGENT
from .text import clean_text
from .tls import shared_ssl_context
from .url import _is_loopback

ANSWER_BYTES_MAX: Final = 1024 * 1024
"""Of an answer with tokens in it, which has a few kilobytes."""
ORPHAN_LIMIT_S: Final = 30.0
"""For a request whose caller is gone to end by itself. Longer than a refresh may take."""
CLOSE_LIMIT_S: Final = 5.0
TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)
LIMITS: Final = httpx.Limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=30.0)
"""Wide enough for thousands of accounts that refresh at random times, and below the usual limit of open files."""

DETACHED: Final = "holdfast.detached"
"""A request's extension: its task is one that no caller cancels (see :func:`fetch`), so that it needs no other."""

T = TypeVar("T")


class HttpPool(httpx.AsyncBaseTransport):
    """The connections. Hand it to :func:`http_client`, which makes any number of clients over it."""

    def __init__(self, limits: httpx.Limits = LIMITS) -> None:
        self._limits = limits
        self._routes: dict[str | None, httpx.AsyncHTTPTransport] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and wait for the head of its response.

        Raises:
            httpx.TransportError: as any transport of httpx.
        """
        if DETACHED in request.extensions:
            own = asyncio.current_task()
            assert own is not None
            self._adopt(own)
            return await self._ask(request)
        task = self.spawn(self._ask(request))
        try:
            response = await _outcome(task)
        except asyncio.CancelledError:
            self.spawn(_discard(task))
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        body = _Body(self, response.stream)
        return httpx.Response(
            response.status_code, headers=response.headers, stream=body, extensions=response.extensions
        )

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        with quoting_nobody():
            response = await self._route(request).handle_async_request(request)
        # httpx logs the peer's wording of the status, which could quote a token (P60): its own table words it as well.
        response.extensions.pop("reason_phrase", None)
        _drop_odd_location(response, request.url)
        return response

    async def aclose(self) -> None:
        """Abandon what is under way and close all connections."""
        while self._tasks:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for route in self._routes.values():
            await route.aclose()
        self._routes.clear()

    def spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run ``work`` detached from the caller, until :meth:`aclose` at the latest."""
        task = asyncio.create_task(work)
        self._adopt(task)
        return task

    def _adopt(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _route(self, request: httpx.Request) -> httpx.AsyncHTTPTransport:
        proxy = _proxy_for(request.url)
        if proxy not in self._routes:
            try:
                self._routes[proxy] = httpx.AsyncHTTPTransport(
                    verify=shared_ssl_context(), limits=self._limits, proxy=proxy, trust_env=False
                )
            except (ImportError, ValueError):  # A proxy's URL may hold its password: not quoted.
                raise httpx.ProxyError("this environment's proxy cannot be used", request=request) from None
        return self._routes[proxy]


class _Body(httpx.AsyncByteStream):
    """A response's body, read chunk by chunk in tasks of the pool."""

    def __init__(self, pool: HttpPool, stream: httpx.AsyncByteStream) -> None:
        self._pool = pool
        self._stream = stream

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        chunks = aiter(self._stream)
        while (chunk := await _outcome(self._pool.spawn(_next(chunks)))) is not None:
            yield chunk

    async def aclose(self) -> None:
        # A read that is still under way ends with an error that nobody sees: it must not be cancelled either.
        await _outcome(self._pool.spawn(self._stream.aclose()))


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    with quoting_nobody():
        return await anext(chunks, None)


@contextmanager
def quoting_nobody() -> Generator[None]:
    """A broken protocol told in our own words: the library's quote what was sent, which could be a token (P60)."""
    try:
        yield
    except httpx.RemoteProtocolError:
        raise httpx.RemoteProtocolError("the answer is broken HTTP, or ended too early") from None
    except httpx.LocalProtocolError:
        raise httpx.LocalProtocolError("the request cannot be sent as HTTP") from None


async def _outcome(task: "asyncio.Task[T]") -> T:
    """Wait for a task of the pool. Being cancelled here leaves the task alone."""
    task.add_done_callback(_retrieve)
    await asyncio.wait((task,))
    if task.cancelled():
        raise httpx.ReadError("the connection pool was closed")
    return task.result()


def _retrieve(task: "asyncio.Task[Any]") -> None:
    """Nobody may be left to take a late error: then asyncio would log it, and the request with it."""
    if not task.cancelled():
        task.exception()


async def _discard(task: "asyncio.Task[httpx.Response]") -> None:
    """Close the response that nobody waits for any more."""
    await asyncio.wait((task,), timeout=ORPHAN_LIMIT_S)
    if not task.done():
        task.cancel()
    elif not task.cancelled() and task.exception() is None:
        await task.result().aclose()


def _drop_odd_location(response: httpx.Response, url: httpx.URL) -> None:
    """httpx works out where a redirect leads even if it is not followed, and fails with what the peer wrote (P60)."""
    try:
        place = httpx.URL(response.headers.get("Location", ""))
        if place.scheme and not place.host:
            place.copy_with(host=url.host)
        url.join(place)
    except (httpx.InvalidURL, ValueError):
        del response.headers["Location"]


def _proxy_for(url: httpx.URL) -> str | None:
    # As the WebSocket transport does it, whose library asks the same functions.
    if _is_loopback(url.host) or urllib.request.proxy_bypass(url.host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


class _Borrowed(httpx.AsyncBaseTransport):
    """A pool that stays open when a client over it is closed."""

    def __init__(self, pool: httpx.AsyncBaseTransport) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._pool.handle_async_request(request)


def http_client(
    pool: httpx.AsyncBaseTransport, *, base_url: str = "", auth: httpx.Auth | None = None
) -> httpx.AsyncClient:
    """A client over ``pool``, which is cheap: 3 KB. Closing it leaves the pool open.

    It follows no redirects, and keeps no cookies, so that accounts can share it.
    """
    return httpx.AsyncClient(
        transport=_Borrowed(pool),
        base_url=base_url,
        auth=auth,
        headers={"User-Agent": USER_AGENT},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=TIMEOUT,
        follow_redirects=False,
    )


class _Shared:
    def __init__(self) -> None:
        self.pool = HttpPool()
        self.users = 0


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = WeakKeyDictionary()


@asynccontextmanager
async def http_pool() -> AsyncGenerator[HttpPool, None]:
    """The running loop's pool, shared by all who are in such a block."""
    loop = asyncio.get_running_loop()
    shared = _shared.setdefault(loop, _Shared())
    shared.users += 1
    try:
        yield shared.pool
    finally:
        shared.users -= 1
        if not shared.users:
            del _shared[loop]
            with anyio.move_on_after(CLOSE_LIMIT_S, shield=True):
                await shared.pool.aclose()


def describe(error: httpx.HTTPError) -> str:
    """What went wrong, for people: the kind of error, and its text if it has one."""
    name, text = type(error).__name__, clean_text(str(error))
    return f"{name}: {text}" if text else name
