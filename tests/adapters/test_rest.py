"""The REST client: signed requests, one refresh and one retry for a refused token, and no token for anybody else."""

import asyncio
import logging
import pickle
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress

import httpx
import msgspec
import pytest

from holdfast.adapters import (
    Bearer,
    BodyNotReplayable,
    ClawChat,
    HttpPool,
    NotPaired,
    NotRotated,
    http_client,
    http_pool,
    rest_client,
)
from holdfast.sandbox import Credentials, Gateway, serve

pytestmark = pytest.mark.anyio

LIMIT_S = 30
BASE_URL = "https://gateway.example/api"


class Refreshed(msgspec.Struct, frozen=True):
    outcome: str


class Account:
    """Stands in for a link: a token by its generation, and refreshes that end as the test says."""

    def __init__(self, *outcomes: str) -> None:
        self.generation = 1
        self.outcomes = iter(outcomes)
        self.asked: list[tuple[str, int | None]] = []

    def bearer(self) -> Bearer:
        return Bearer(self.generation, f"access-{self.generation}", "dev-1")

    async def refresh(self, cause: str, generation: int | None) -> Refreshed:
        self.asked.append((cause, generation))
        await asyncio.sleep(0)
        outcome = next(self.outcomes)
        self.generation += outcome == "success"
        return Refreshed(outcome)


class Service(httpx.AsyncBaseTransport):
    """Answers by a function of the request, and keeps what it saw."""

    def __init__(self, status: Callable[[httpx.Request], int]) -> None:
        self.status = status
        self.seen: list[httpx.Request] = []
        self.bodies: list[bytes] = []
        self.tokens: list[str | None] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        self.tokens.append(request.headers.get("Authorization"))
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self.bodies.append(b"".join([chunk async for chunk in request.stream]))
        status = self.status(request)
        return httpx.Response(status, json={"status": status}, headers={"Location": "https://elsewhere.example/"})


def accepts(*tokens: str, status: int = 401) -> Callable[[httpx.Request], int]:
    good = {f"Bearer {token}" for token in tokens}
    return lambda request: 200 if request.headers.get("Authorization") in good else status


def client_of(service: Service, account: Account) -> httpx.AsyncClient:
    return rest_client(service, BASE_URL, bearer=account.bearer, refresh=account.refresh)


# -- the refused token -------------------------------------------------------------------------------------------------


async def test_a_request_is_signed_with_token_and_device() -> None:
    service = Service(accepts("access-1"))
    found = await client_of(service, Account()).get("/v1/users/me", params={"a": "b"})
    assert found.status_code == 200
    (request,) = service.seen
    assert str(request.url) == f"{BASE_URL}/v1/users/me?a=b"
    assert (request.headers["Authorization"], request.headers["X-Device-Id"]) == ("Bearer access-1", "dev-1")


@pytest.mark.rule("S0-49", "V15")
@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_token_is_refreshed_and_the_request_retried_once(status: int) -> None:
    service, account = Service(accepts("access-2", status=status)), Account("success")
    found = await client_of(service, account).post("/x", json={"a": 1})
    assert found.status_code == 200
    assert account.asked == [("rest-401", 1)]
    assert service.tokens == ["Bearer access-1", "Bearer access-2"]
    assert service.bodies == [b'{"a":1}'] * 2


@pytest.mark.rule("S0-50", "P14")
async def test_a_second_refusal_is_the_callers() -> None:
    service, account = Service(accepts()), Account("success")
    found = await client_of(service, account).get("/x")
    assert (found.status_code, found.json()) == (401, {"status": 401})
    assert len(account.asked) == 1
    assert len(service.seen) == 2


@pytest.mark.rule("S0-51")
@pytest.mark.parametrize("outcome", ["permanent", "transient", "skipped"])
async def test_without_a_new_token_the_caller_gets_the_refusal_as_it_came(outcome: str) -> None:
    service, account = Service(accepts(status=403)), Account(outcome)
    found = await client_of(service, account).get("/x")
    assert (found.status_code, found.json()) == (403, {"status": 403})
    assert len(service.seen) == 1
    with pytest.raises(httpx.HTTPStatusError):
        found.raise_for_status()


class Endless(httpx.AsyncByteStream):
    """A body that goes on until somebody has had enough."""

    def __init__(self) -> None:
        self.read = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.read += 1024
            yield b"x" * 1024

    async def aclose(self) -> None:
        self.closed = True


async def test_a_refusal_that_does_not_end_is_given_up() -> None:
    body = Endless()
    account = Account()
    transport = httpx.MockTransport(lambda request: httpx.Response(401, stream=body))
    client = rest_client(transport, BASE_URL, bearer=account.bearer, refresh=account.refresh)
    with pytest.raises(httpx.ReadError, match="does not end"):
        await client.get("/x")
    assert body.read <= 66 * 1024
    assert body.closed
    assert account.asked == []


@pytest.mark.rule("S0-52")
@pytest.mark.parametrize("status", [302, 400, 402, 404, 429, 500, 503])
async def test_any_other_answer_is_the_callers(status: int) -> None:
    service, account = Service(lambda request: status), Account()
    assert (await client_of(service, account).get("/x")).status_code == status
    assert (len(service.seen), account.asked) == (1, [])


@pytest.mark.rule("S0-52")
async def test_an_error_of_the_network_is_the_callers() -> None:
    def fail(request: httpx.Request) -> int:
        raise httpx.ReadTimeout("slow", request=request)

    account = Account()
    with pytest.raises(httpx.ReadTimeout):
        await client_of(Service(fail), account).get("/x")
    assert account.asked == []


@pytest.mark.rule("S0-49")
async def test_a_late_refusal_of_an_older_token_is_retried_without_a_refresh() -> None:
    account = Account()

    def overtaken(request: httpx.Request) -> int:
        account.generation = 2  # Somebody else has refreshed meanwhile.
        return accepts("access-2")(request)

    service = Service(overtaken)
    assert (await client_of(service, account).get("/x")).status_code == 200
    assert account.asked == []
    assert service.tokens == ["Bearer access-1", "Bearer access-2"]


async def test_a_success_that_changed_nothing_is_no_reason_to_retry() -> None:
    class Idle(Account):
        async def refresh(self, cause: str, generation: int | None) -> Refreshed:
            return Refreshed("success")

    account = Idle()
    service = Service(accepts())
    assert (await client_of(service, account).get("/x")).status_code == 401
    assert len(service.seen) == 1


async def test_an_account_without_a_token_says_what_is_wrong() -> None:
    def unpaired() -> Bearer:
        raise NotPaired("default")

    service = Service(accepts())
    client = rest_client(service, BASE_URL, bearer=unpaired, refresh=Account().refresh)
    with pytest.raises(NotPaired):
        await client.get("/x")
    assert service.seen == []


# -- bodies ------------------------------------------------------------------------------------------------------------


async def once_async() -> AsyncIterator[bytes]:
    yield b"only once"


@pytest.mark.parametrize("content", [once_async, lambda: AsyncFile(b"only once")])
async def test_a_body_that_can_be_read_only_once_is_not_sent_half(
    content: Callable[[], AsyncIterator[bytes]],
) -> None:
    service, account = Service(accepts("access-2")), Account("success")
    client = client_of(service, account)
    with pytest.raises(BodyNotReplayable):
        await client.post("/x", content=content())
    assert len(account.asked) == 1  # The token is fresh now, so that repeating the request works.
    assert (await client.post("/x", content=content())).status_code == 200
    assert service.bodies == [b"only once"] * 2


async def test_a_streamed_body_is_no_trouble_while_the_token_is_good_nor_when_no_retry_comes() -> None:
    assert (await client_of(Service(accepts("access-1")), Account()).post("/x", content=once_async())).is_success
    refused = await client_of(Service(accepts()), Account("transient")).post("/x", content=once_async())
    assert refused.status_code == 401


class AsyncFile:
    """Read to its end, it gives nothing a second time, and no error."""

    def __init__(self, data: bytes) -> None:
        self.chunks: Iterable[bytes] = iter([data])

    def __aiter__(self) -> "AsyncFile":
        return self

    async def __anext__(self) -> bytes:
        for chunk in self.chunks:
            return chunk
        raise StopAsyncIteration


# -- nobody else's business --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/x",
        "https://gateway.example.evil.example/x",
        "https://gateway.example:8443/x",
        "http://gateway.example/x",
        "https://other.gateway.example/x",
    ],
)
async def test_the_token_goes_to_no_other_origin(url: str) -> None:
    service, account = Service(accepts()), Account()
    found = await client_of(service, account).get(url)
    assert found.status_code == 401
    (request,) = service.seen
    assert not {"authorization", "x-device-id"} & set(request.headers)
    assert account.asked == []


async def test_the_same_origin_may_be_named_in_full() -> None:
    service = Service(accepts("access-1"))
    client = client_of(service, Account())
    for url in ("https://gateway.example/x", "https://gateway.example:443/x", "https://GATEWAY.example/x"):
        assert (await client.get(url)).status_code == 200


async def test_a_redirect_is_not_followed_and_takes_no_token_along_when_it_is_asked_for() -> None:
    service = Service(lambda request: 200 if request.url.host == "elsewhere.example" else 302)
    client = client_of(service, Account())
    assert (await client.get("/x")).status_code == 302
    assert (await client.get("/x", follow_redirects=True)).status_code == 200
    assert service.tokens == ["Bearer access-1", "Bearer access-1", None]


@pytest.mark.rule("P60")
async def test_nothing_shows_the_token(caplog: pytest.LogCaptureFixture) -> None:
    service, account = Service(accepts("access-2")), Account("success")
    client = client_of(service, account)
    with caplog.at_level(logging.DEBUG):
        found = await client.get("/x")
    shown = f"{client!r} {vars(client)} {found!r} {found.request!r} {found.request.headers!r} {account.bearer()!r}"
    assert "access-" not in shown + caplog.text
    with pytest.raises(TypeError):
        pickle.dumps(account.bearer())


def test_it_is_not_for_synchronous_clients() -> None:
    auth = client_of(Service(accepts()), Account()).auth
    with pytest.raises(RuntimeError, match="AsyncClient"):
        httpx.Client(auth=auth, transport=httpx.MockTransport(lambda request: httpx.Response(200))).get(BASE_URL)


# -- over real sockets -------------------------------------------------------------------------------------------------


class Live:
    """A link's part in it: one refresh at a time, whose outcome all who wait get (S1-02)."""

    def __init__(self, gateway: Gateway, issued: Credentials, pool: HttpPool) -> None:
        self.gateway = gateway
        self.device_id = issued.device_id
        self.access = issued.access_token
        self.refresh_token = issued.refresh_token
        self.generation = 1
        self.flight: asyncio.Task[Refreshed] | None = None
        self.client = http_client(pool)

    def bearer(self) -> Bearer:
        return Bearer(self.generation, self.access, self.device_id)

    async def refresh(self, cause: str, generation: int | None) -> Refreshed:
        if self.flight is None or self.flight.done():
            self.flight = asyncio.create_task(self._post())
        return await asyncio.shield(self.flight)

    async def _post(self) -> Refreshed:
        dialect = ClawChat()
        request = dialect.refresh_request(self.client, self.gateway.base_url, self.refresh_token, self.device_id)
        answer = dialect.read_refresh(await self.client.send(request))
        if isinstance(answer, NotRotated):
            return Refreshed("transient")
        self.access, self.refresh_token = answer.pair.access, answer.pair.refresh or self.refresh_token
        self.generation += 1
        return Refreshed("success")


@pytest.mark.rule("S0-49", "S0-55")
async def test_many_refused_at_once_cost_one_refresh() -> None:
    async with serve() as gateway, http_pool() as pool, asyncio.timeout(LIMIT_S):
        issued = gateway.issue()
        live = Live(gateway, issued, pool)
        client = rest_client(pool, gateway.base_url, bearer=live.bearer, refresh=live.refresh)
        gateway.revoke(issued.user_id, refresh=False)
        found = await asyncio.gather(*[client.get("/v1/users/me") for _ in range(12)])
        assert [each.status_code for each in found] == [200] * 12
        assert found[0].json()["data"]["user_id"] == issued.user_id
        assert gateway.counters.refresh_posts == 1


@pytest.mark.rule("P09")
async def test_cancelled_callers_leave_the_client_whole() -> None:
    chance = random.Random(1)

    async with serve() as gateway, asyncio.timeout(LIMIT_S):
        pool = HttpPool(httpx.Limits(max_connections=10))
        issued = gateway.issue()
        live = Live(gateway, issued, pool)
        client = rest_client(pool, gateway.base_url, bearer=live.bearer, refresh=live.refresh)

        async def cancelled() -> None:
            task = asyncio.create_task(client.get("/v1/users/me"))
            for _ in range(chance.randrange(80)):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        for _ in range(10):
            gateway.revoke(issued.user_id, refresh=False)
            await asyncio.gather(*[cancelled() for _ in range(20)])
        found = await asyncio.gather(*[client.get("/v1/users/me") for _ in range(20)])
        assert {each.status_code for each in found} == {200}
        assert set(gateway.refresh_posts_by_token.values()) <= {1}  # No refresh token went out twice.
        await pool.aclose()
