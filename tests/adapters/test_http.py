"""The shared HTTP pool: what cancelled callers cannot do to it, what it shares, and what it keeps to itself."""

import asyncio
import gzip
import logging
import random
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import httpx
import pytest

from holdfast.adapters import ClawChat, HttpPool, PairingFailed, http_client, http_pool, pair

pytestmark = pytest.mark.anyio

LIMIT_S = 30
SECRET = "s3cr3t-s3cr3t-s3cr3t"
Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
"""Answers one request, whose head it gets."""


class Server:
    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.heads: list[bytes] = []
        self.connections = 0
        self.open: set[asyncio.Task[None]] = set()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    self.heads.append(head)
                    await self.answer(head, writer)
        finally:
            writer.transport.abort()
            self.open.discard(task)


@asynccontextmanager
async def serve(answer: Answer) -> AsyncGenerator[Server, None]:
    running = Server(answer)
    server = await asyncio.start_server(running.serve, "127.0.0.1", 0)
    running.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield running
    finally:
        server.close()
        tasks = [*running.open]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def response(body: bytes = b"ok", *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def ok(head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(response())


# -- cancelled callers -------------------------------------------------------------------------------------------------


async def read_whole(client: httpx.AsyncClient, url: str) -> None:
    assert len((await client.get(url)).content) == 100_000


async def read_stream(client: httpx.AsyncClient, url: str) -> None:
    async with client.stream("GET", url) as found:
        assert sum([len(chunk) async for chunk in found.aiter_bytes()]) == 100_000


async def cancelled_by_scope(client: httpx.AsyncClient, url: str) -> None:
    # An anyio scope cancels again at each await, also of those that clean up.
    with anyio.CancelScope() as scope:
        asyncio.get_running_loop().call_soon(scope.cancel)
        await read_whole(client, url)


@pytest.mark.rule("P09")
@pytest.mark.parametrize("read", [read_whole, read_stream, cancelled_by_scope])
@pytest.mark.parametrize("times", [1, 2])
async def test_cancelled_callers_do_not_ruin_the_pool(
    read: Callable[[httpx.AsyncClient, str], Awaitable[None]], times: int
) -> None:
    """Plain httpx ends with every connection "active" here, and a PoolTimeout for whoever comes next."""
    chance = random.Random(times)

    async def turns(most: int) -> None:
        for _ in range(chance.randrange(most)):
            await asyncio.sleep(0)

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        await turns(4)
        writer.write(response(b"x" * 100_000)[:50_000])
        await turns(6)
        writer.write(b"x" * (len(response(b"x" * 100_000)) - 50_000))
        await writer.drain()

    async def storm(client: httpx.AsyncClient, url: str) -> None:
        async def cancelled() -> None:
            task = asyncio.ensure_future(read(client, url))
            for _ in range(times):
                await turns(60)
                task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        for _ in range(12):
            await asyncio.gather(*[cancelled() for _ in range(12)])

    pool = HttpPool(httpx.Limits(max_connections=3))
    async with serve(answer) as server, http_client(pool) as client, asyncio.timeout(LIMIT_S):
        await storm(client, server.url)
        await asyncio.gather(*[read_whole(client, server.url) for _ in range(6)])
        await pool.aclose()


async def test_an_answer_that_comes_for_nobody_is_closed_unread() -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        if b"/held" in head:
            asked.set()
            await may_answer.wait()
        writer.write(response())

    pool = HttpPool(httpx.Limits(max_connections=1))
    async with serve(answer) as server, http_client(pool) as client, asyncio.timeout(LIMIT_S):
        task = asyncio.create_task(client.get(f"{server.url}held"))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        may_answer.set()
        assert (await client.get(server.url)).text == "ok"  # The only connection is free again.
        await pool.aclose()


async def test_a_request_for_nobody_does_not_last_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.adapters.http.ORPHAN_LIMIT_S", 0.01)
    asked, hung_up = asyncio.Event(), asyncio.Event()

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await hung_up.wait()

    class Noticing(asyncio.StreamReaderProtocol):
        def eof_received(self) -> bool:
            hung_up.set()
            return super().eof_received() or False

    running, loop = Server(answer), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Noticing(asyncio.StreamReader(), running.serve), "127.0.0.1", 0)
    async with server, asyncio.timeout(LIMIT_S):
        pool = HttpPool()
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        task = asyncio.create_task(http_client(pool).get(url, timeout=None))
        await asked.wait()
        task.cancel()
        await hung_up.wait()
        await pool.aclose()


async def test_the_end_of_the_pool_ends_what_is_under_way() -> None:
    asked = asyncio.Event()

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        if b"/body" in head:
            writer.write(response(b"x" * 10)[:-1])
        asked.set()

    for path in ("head", "body"):
        asked.clear()
        pool = HttpPool()
        async with serve(answer) as server, asyncio.timeout(LIMIT_S):
            before = asyncio.all_tasks()
            asking = asyncio.create_task(http_client(pool).get(f"{server.url}{path}"))
            await asked.wait()
            await pool.aclose()
            with pytest.raises(httpx.TransportError):
                await asking
            assert asyncio.all_tasks() - before <= server.open


# -- sharing -----------------------------------------------------------------------------------------------------------


async def test_one_pool_for_all_until_the_last_one_leaves() -> None:
    async with serve(ok) as server:
        async with http_pool() as first:
            async with http_pool() as second, http_client(second) as client:
                assert second is first
                await client.get(server.url)
            async with http_client(first) as client:  # Closing a client, and a user's leaving, closed nothing.
                await client.get(server.url)
            assert server.connections == 1
        async with http_pool() as third, http_client(third) as client:
            assert third is not first
            await client.get(server.url)
        assert server.connections == 2


async def test_a_client_follows_no_redirect_and_keeps_no_cookie() -> None:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"", "Location: /elsewhere", "Set-Cookie: session=1; Path=/", status="302 Found"))

    async with serve(answer) as server, http_pool() as pool, http_client(pool) as client:
        for _ in range(2):
            assert (await client.get(server.url)).status_code == 302
        assert b"cookie" not in b"".join(server.heads).lower()
        assert b"User-Agent: holdfast/" in server.heads[0]
        assert len(server.heads) == 2


@pytest.mark.rule("P60")
async def test_no_header_and_no_body_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(response(SECRET.encode()))

    with caplog.at_level(logging.DEBUG):
        async with serve(answer) as server, http_pool() as pool, http_client(pool) as client:
            headers = {"Authorization": f"Bearer {SECRET}"}
            request = client.build_request("POST", server.url, headers=headers, content=b"")
            assert (await client.send(request)).text == SECRET
            with pytest.raises(httpx.TransportError) as caught:
                await client.post("http://127.0.0.1:1/", headers=headers, content=SECRET)
    assert "HTTP Request: POST" in caplog.text
    assert SECRET not in caplog.text
    assert SECRET not in f"{request!r} {caught.value} {caught.value!r}"


BROKEN = pytest.mark.parametrize(
    "broken",
    [
        "HTTP/1.1 {token}\r\n\r\n",
        "{token}\r\n\r\n",
        "HTTP/1.1 200 OK\r\n{token}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: {token}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: {token}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{token}\r\n",
    ],
)


def breaking(broken: str) -> Answer:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(broken.format(token=f"Bearer {SECRET}").encode())

    return answer


@pytest.mark.rule("P60")
@BROKEN
async def test_a_broken_answer_is_not_quoted(broken: str) -> None:
    async with serve(breaking(broken)) as server, http_pool() as pool, http_client(pool) as client:
        with pytest.raises(httpx.RemoteProtocolError, match="broken HTTP") as caught:
            await client.get(server.url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.rule("P60")
@BROKEN
async def test_nor_is_a_broken_answer_with_tokens_in_it(broken: str) -> None:
    async with serve(breaking(broken)) as server, http_pool() as pool, http_client(pool) as client:
        with pytest.raises(PairingFailed, match="broken HTTP") as caught:
            await pair(
                client, ClawChat(), server.url.rstrip("/"), "a-pairing-code", lambda paired: None, device_id="dev"
            )
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.rule("P60")
async def test_a_request_that_cannot_be_sent_is_not_quoted() -> None:
    async with serve(ok) as server, http_pool() as pool, http_client(pool) as client:
        with pytest.raises(httpx.LocalProtocolError, match="cannot be sent") as caught:
            await client.get(server.url, headers={"X-Secret": f"{SECRET}\n"})
    assert SECRET not in "".join(traceback.format_exception(caught.value))


# -- proxies -----------------------------------------------------------------------------------------------------------


async def test_the_environments_proxy_is_used_but_not_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with serve(ok) as proxy, serve(ok) as server, http_pool() as pool, http_client(pool) as client:
        monkeypatch.setenv("http_proxy", proxy.url.removeprefix("http://"))
        monkeypatch.setenv("no_proxy", "direct.invalid")
        await client.get(server.url)
        assert (len(proxy.heads), len(server.heads)) == (0, 1)
        await client.get("http://gateway.invalid/x")
        assert proxy.heads[0].startswith(b"GET http://gateway.invalid/x ")
        with pytest.raises(httpx.ConnectError):
            await client.get("http://direct.invalid/")


async def test_a_proxy_that_cannot_be_used_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"nonsense://user:{SECRET}@proxy.invalid")
    async with http_pool() as pool, http_client(pool) as client:
        with pytest.raises(httpx.ProxyError) as caught:
            await client.get("http://gateway.invalid/")
    assert SECRET not in str(caught.value)


# -- compressed answers ------------------------------------------------------------------------------------------------


async def test_what_a_client_gets_is_decoded() -> None:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(response(gzip.compress(b"hello"), "Content-Encoding: gzip"))

    async with serve(answer) as server, http_pool() as pool, http_client(pool) as client:
        assert (await client.get(server.url)).text == "hello"
