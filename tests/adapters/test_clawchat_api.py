"""Typed answers of the service's REST interface: what is read, what is tolerated, and what is an error."""

import asyncio
import gzip
import json
import pickle
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.adapters import (
    AgentInfo,
    Bearer,
    Conversation,
    NotPaired,
    Profile,
    RestFailed,
    get_agent,
    get_conversation,
    get_profile,
    http_pool,
    rest_client,
)
from holdfast.sandbox import Credentials, Gateway, serve

pytestmark = pytest.mark.anyio

LIMIT_S = 30
TOKEN = "access-4711-of-the-account"
MIB = 1024 * 1024

Ask = Callable[[httpx.AsyncClient], Awaitable[Profile | Conversation | AgentInfo]]


async def ask_conversation(client: httpx.AsyncClient) -> Conversation:
    return await get_conversation(client, "cnv_1")


async def ask_agent(client: httpx.AsyncClient) -> AgentInfo:
    return await get_agent(client, "agt_1")


ASKS: list[Ask] = [get_profile, ask_conversation, ask_agent]


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), MIB // 4):
        yield content[at : at + MIB // 4]


class Service(httpx.AsyncBaseTransport):
    """Answers everything in one way, and keeps what was asked."""

    def __init__(self, content: bytes | AsyncIterator[bytes], status: int = 200, encoding: str = "identity") -> None:
        self.content = content
        self.status = status
        self.encoding = encoding
        self.asked: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        content = chunks(self.content) if isinstance(self.content, bytes) else self.content
        return httpx.Response(self.status, headers={"Content-Encoding": self.encoding}, content=content)

    def client(self) -> httpx.AsyncClient:
        async def refresh(cause: str, generation: int | None) -> Any:
            raise AssertionError("nobody asked for a refresh")

        return rest_client(self, "https://gateway.example/api", bearer=lambda: Bearer(1, TOKEN, "dev"), refresh=refresh)


def envelope(data: Any, code: Any = 0, message: Any = "ok") -> bytes:
    return json.dumps({"code": code, "message": message, "data": data}).encode()


async def failure(service: Service, ask: Ask = ask_conversation) -> RestFailed:
    with pytest.raises(RestFailed) as failed:
        await ask(service.client())
    return failed.value


# -- what is read ------------------------------------------------------------------------------------------------------


async def test_a_conversation_is_read_with_all_it_holds() -> None:
    data = {
        "id": "cnv_1", "type": "group", "title": "Tea", "description": "At five", "version": 7,
        "members": ["usr_1", {"user_id": "usr_2", "role": "owner"}, {"id": "usr_3"}], "muted": True,
    }  # fmt: skip
    found = await ask_conversation(Service(envelope(data)).client())
    assert found == Conversation(
        id="cnv_1", kind="group", title="Tea", description="At five", version=7,
        member_ids=("usr_1", "usr_2", "usr_3"), raw=data,
    )  # fmt: skip
    assert found.raw["muted"] is True
    assert "muted" not in repr(found)
    assert "title='Tea'" in repr(found)


async def test_a_profile_and_an_agent_are_read() -> None:
    profile = {"id": "x", "user_id": "usr_1", "nick_name": "Bot", "avatar_url": "https://a.example/b.png"}
    agent = {"id": "agt_1", "name": "Bot", "behavior": "Be kind.", "version": 2, "model": "m"}
    assert await get_profile(Service(envelope(profile)).client()) == Profile(
        user_id="usr_1", nick_name="Bot", avatar_url="https://a.example/b.png", raw=profile
    )
    assert await ask_agent(Service(envelope(agent)).client()) == AgentInfo(
        id="agt_1", name="Bot", behavior="Be kind.", version=2, raw=agent
    )


FIELDS = [
    "user_id", "type", "title", "description", "members", "version", "name", "behavior", "nick_name", "avatar_url",
    "owner_id",
]  # fmt: skip
WRONG = [None, True, 1.5, 10**30, [], {}, [[1], {"user_id": 3}, None], {"id": "x"}]


@pytest.mark.parametrize("wrong", WRONG)
async def test_only_the_id_is_needed_and_a_field_of_the_wrong_type_is_none(wrong: Any) -> None:
    data = {**dict.fromkeys(FIELDS, wrong), "id": "an id"}
    client = Service(envelope(data)).client()
    assert await get_profile(client) == Profile(user_id="an id", raw=data)
    assert await ask_conversation(client) == Conversation(id="an id", raw=data)
    assert await ask_agent(client) == AgentInfo(id="an id", raw=data)


@pytest.mark.parametrize(
    ("chat_id", "path"),
    [
        ("cnv_1", "cnv_1"),
        ("../users/me", "..%2Fusers%2Fme"),
        ("a?b#c", "a%3Fb%23c"),
        ("a b%2F", "a%20b%252F"),
        ("ü\n", "%C3%BC%0A"),
        (".a", ".a"),
    ],
)
async def test_an_id_stays_one_part_of_the_path(chat_id: str, path: str) -> None:
    service = Service(envelope({"id": "x"}))
    await get_conversation(service.client(), chat_id)
    await get_agent(service.client(), chat_id)
    base = "/api/v1/"
    assert [each.url.raw_path.decode() for each in service.asked] == [
        f"{base}conversations/{path}", f"{base}agents/{path}"
    ]  # fmt: skip


@pytest.mark.parametrize("chat_id", ["", ".", "..", "...", "x" * 513, "\ud800", "ü" * 300])
async def test_what_cannot_be_an_id_is_not_asked_for(chat_id: str) -> None:
    service = Service(envelope({"id": "x"}))
    for get in (get_conversation, get_agent):
        with pytest.raises(RestFailed) as failed:
            await get(service.client(), chat_id)
        assert (failed.value.status, failed.value.code) == (None, None)
    assert service.asked == []


# -- what is an error --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", ASKS)
async def test_a_refusal_is_told_with_its_codes(ask: Ask) -> None:
    refused = await failure(Service(envelope(None, 4040, "no such\nchat")), ask)
    assert (refused.status, refused.code) == (200, 4040)
    assert refused.reason == "HTTP 200, code 4040: no suchchat"
    missing = await failure(Service(envelope(None, 404, "not found"), 404), ask)
    assert (missing.status, missing.code) == (404, 404)
    assert str(refused) == "the service refused: HTTP 200, code 4040: no suchchat"
    assert str(missing) == "the service refused: HTTP 404, code 404: not found"
    again: RestFailed = pickle.loads(pickle.dumps(missing))
    assert (again.status, again.code, str(again)) == (404, 404, str(missing))


@pytest.mark.parametrize("status", [302, 400, 404, 429, 500, 503])
async def test_another_status_is_an_error_whatever_the_body(status: int) -> None:
    for body, code in ((b"<html>", None), (b"", None), (envelope({"id": "x"}), 0), (b" " * (MIB + 1), None)):
        failed = await failure(Service(body, status))
        assert (failed.status, failed.code) == (status, code)
        assert str(failed).startswith(f"the service refused: HTTP {status}")


UNREADABLE = {
    "nothing": b"",
    "no JSON": b"<html>",
    "no object": b"[]",
    "no code": b'{"data": {"id": "x"}}',
    "a code that is none": envelope({"id": "x"}, True),
    "a code in words": envelope({"id": "x"}, "0"),
    "no data": b'{"code": 0}',
    "null": envelope(None),
    "a list": envelope([{"id": "x"}]),
    "no id": envelope({"title": "x"}),
    "an empty id": envelope({"id": ""}),
    "an id that is none": envelope({"id": 7}),
    "broken UTF-8": b'{"code": 0, "data": {"id": "\xff\xfe"}}',
    "deep": b'{"code": 0, "data": {"id": "x", "a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}}",
    "deep outside": b"[" * 200_000,
    "cut": envelope({"id": "x"})[:-3],
    "still compressed": gzip.compress(envelope({"id": "x"})),
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_an_answer_that_cannot_be_read_is_an_error_that_quotes_nothing(body: bytes) -> None:
    failed = await failure(Service(body))
    assert failed.status == 200
    assert failed.code in (None, 0)
    assert str(failed).startswith("the service gave no answer to use: ")
    assert len(str(failed)) < 200


async def test_an_answer_that_is_too_long_is_not_read_to_its_end() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += MIB // 8
            yield b" " * (MIB // 8)

    failed = await failure(Service(endless()))
    assert (failed.status, failed.reason) == (200, "the answer is too long")
    assert sent == MIB + MIB // 8
    fits = envelope({"id": "x"}).ljust(MIB)
    assert (await ask_conversation(Service(fits).client())).id == "x"
    assert (await failure(Service(fits + b" "))).reason == "the answer is too long"


async def test_a_compressed_answer_is_read_within_the_same_bound_though_none_was_asked_for() -> None:
    good, bomb = (gzip.compress(body) for body in (envelope({"id": "x"}), b" " * (9 * MIB)))
    service = Service(good, encoding="gzip")
    assert (await ask_conversation(service.client())).id == "x"
    assert service.asked[0].headers["Accept-Encoding"] == "identity"
    assert (await failure(Service(bomb, encoding="gzip"))).reason == "the answer is too long"
    assert (await failure(Service(b"none", encoding="gzip"))).status is None


async def test_no_answer_is_an_error_without_status() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b'{"code": 0'
        raise httpx.ReadError("gone")

    failed = await failure(Service(broken()))
    assert (failed.status, failed.code, failed.reason) == (None, None, "ReadError: gone")


@pytest.mark.rule("P60")
async def test_a_service_that_repeats_the_token_is_not_quoted() -> None:
    for words in (TOKEN, f"Bearer {TOKEN}", "\u200b".join(TOKEN), TOKEN[:-4], f"{'x' * 190}{TOKEN}", [TOKEN]):
        failed = await failure(Service(envelope(None, 1, words)))
        assert TOKEN[:12] not in repr(failed) + str(failed) + failed.reason
        assert len(failed.reason) < 300


async def test_an_unpaired_account_says_so() -> None:
    def unpaired() -> Bearer:
        raise NotPaired("default")

    async def refresh(cause: str, generation: int | None) -> Any:
        raise AssertionError

    client = rest_client(Service(b""), "https://gateway.example", bearer=unpaired, refresh=refresh)
    with pytest.raises(NotPaired):
        await get_profile(client)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(["id", *FIELDS]), JSON)


def broken(body: bytes, at: int) -> bytes:
    return body[:at] + b"\xff" + body[at:]


BODIES = st.one_of(
    st.binary(),
    st.builds(envelope, OBJECTS),
    st.builds(envelope, OBJECTS | JSON, JSON, JSON),
    st.builds(broken, st.builds(envelope, OBJECTS), st.integers(0, 60)),
)


@given(body=BODIES, status=st.sampled_from([200, 200, 201, 204, 301, 404, 500]), ask=st.sampled_from(ASKS))
def test_whatever_comes_is_a_record_or_a_typed_error(body: bytes, status: int, ask: Ask) -> None:
    async def outcome() -> Profile | Conversation | AgentInfo | RestFailed:
        try:
            return await ask(Service(body, status).client())
        except RestFailed as failed:
            return failed

    found = asyncio.run(outcome())
    if isinstance(found, RestFailed):
        assert found.status == status
        assert len(str(found)) < 500
    else:
        assert status // 100 == 2
        assert found.user_id if isinstance(found, Profile) else found.id


# -- over real sockets -------------------------------------------------------------------------------------------------


@pytest.fixture
async def gateway() -> AsyncGenerator[Gateway, None]:
    async with serve() as running, asyncio.timeout(LIMIT_S):
        yield running


def client_to(gateway: Gateway, issued: Credentials, pool: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    class Refused:
        outcome = "permanent"

    async def refresh(cause: str, generation: int | None) -> Refused:
        return Refused()

    signed = Bearer(1, issued.access_token, issued.device_id)
    return rest_client(pool, gateway.base_url, bearer=lambda: signed, refresh=refresh)


async def test_over_real_http(gateway: Gateway) -> None:
    issued = gateway.issue()
    async with http_pool() as pool:
        client = client_to(gateway, issued, pool)
        profile = await get_profile(client)
        assert (profile.user_id, profile.owner_id) == (issued.user_id, issued.owner_id)
        conversation = await get_conversation(client, issued.conversation_id)
        assert conversation.id == issued.conversation_id
        assert issued.user_id in conversation.member_ids
        with pytest.raises(RestFailed) as failed:
            await get_conversation(client, "cnv_nowhere")
        assert failed.value.status == 404
        gateway.revoke(issued.user_id)
        with pytest.raises(RestFailed) as failed:
            await get_profile(client)
        assert failed.value.status == 401


@pytest.mark.parametrize("kind", ["drop", "status", "code", "garbage"])
async def test_what_goes_wrong_over_real_http(gateway: Gateway, kind: Any) -> None:
    issued = gateway.issue()
    async with http_pool() as pool:
        client = client_to(gateway, issued, pool)
        gateway.inject("rest", kind)
        with pytest.raises(RestFailed) as failed:
            await get_profile(client)
        assert failed.value.status == {"drop": None, "status": 503}.get(kind, 200)
        assert (await get_profile(client)).user_id == issued.user_id
