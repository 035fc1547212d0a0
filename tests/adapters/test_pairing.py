"""Pairing against the sandbox gateway: a code works once, and no error quotes it."""

import logging

import httpx
import pytest

from holdfast.adapters import ClawChat, Identity, PairingFailed, http_client, http_pool, pair
from holdfast.sandbox import Gateway, serve

pytestmark = pytest.mark.anyio

DIALECT = ClawChat()
CODE = "p4iring-c0de-p4iring-c0de"


async def redeem(gateway: Gateway, code: str, *, user_id: str | None = None, device_id: str = "dev-1") -> Identity:
    async with http_pool() as pool, http_client(pool) as client:
        paired = await pair(
            client, DIALECT, gateway.base_url, code, lambda taken: taken, device_id=device_id, user_id=user_id
        )
    assert "hidden" in repr(paired)
    assert paired.pair.access not in repr(paired)
    return paired.identity


async def test_a_code_gives_tokens_and_who_the_account_is() -> None:
    async with serve() as gateway:
        identity = await redeem(gateway, gateway.pairing_code())
        issued = gateway.issue(identity.user_id)
    assert identity == Identity(
        device_id="dev-1",
        user_id=issued.user_id,
        owner_id=issued.owner_id,
        agent_id=issued.agent_id,
        conversation_id=issued.conversation_id,
    )


async def test_a_user_keeps_its_id_and_a_stale_one_is_dropped_once() -> None:
    async with serve() as gateway:
        first = await redeem(gateway, gateway.pairing_code())
        again = await redeem(gateway, gateway.pairing_code(), user_id=first.user_id)
        assert again.user_id == first.user_id
        assert first.user_id is not None
        gateway.forget(first.user_id)
        fresh = await redeem(gateway, gateway.pairing_code(), user_id=first.user_id)
        assert fresh.user_id != first.user_id
        assert gateway.counters.pairing_posts == 4


async def test_a_stale_user_is_not_tried_a_third_time() -> None:
    async with serve() as gateway:
        gateway.inject("pairing", "code", code=16001, times=None)
        with pytest.raises(PairingFailed) as caught:
            await redeem(gateway, CODE, user_id="u-gone")
        assert caught.value.code == 16001
        assert gateway.counters.pairing_posts == 2
        with pytest.raises(PairingFailed):
            await redeem(gateway, CODE)
        assert gateway.counters.pairing_posts == 3


@pytest.mark.parametrize(
    ("kind", "values", "code"),
    [
        ("code", {"code": 16000}, 16000),
        ("code", {"code": 1}, 1),
        ("status", {"status": 500}, None),
        ("garbage", {}, None),
        ("drop", {}, None),
        ("lose", {}, None),
    ],
)
async def test_after_any_answer_and_after_none_the_code_is_not_posted_again(
    kind: str, values: dict[str, int], code: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve() as gateway:
        gateway.pairing_code(CODE)
        gateway.inject("pairing", kind, **values)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with caplog.at_level(logging.DEBUG), pytest.raises(PairingFailed) as caught:
            await redeem(gateway, CODE)
        assert caught.value.code == code
        assert caught.value.spent
        assert gateway.counters.pairing_posts == 1
    shown = f"{caught.value} {caught.value!r} {vars(caught.value)} {caplog.text}"
    assert CODE not in shown


async def test_a_code_that_found_no_connection_is_still_good() -> None:
    async with serve() as gateway:
        pass
    with pytest.raises(PairingFailed, match="try the same one again") as caught:
        await redeem(gateway, CODE)
    assert (caught.value.code, caught.value.spent) == (None, False)
    assert CODE not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize(
    ("error", "spent"),
    [
        (httpx.ConnectError, False),
        (httpx.ConnectTimeout, False),
        (httpx.PoolTimeout, False),
        (httpx.ProxyError, False),
        (httpx.WriteError, True),
        (httpx.ReadTimeout, True),
        (httpx.RemoteProtocolError, True),
    ],
)
async def test_what_failed_tells_whether_the_code_left(error: type[httpx.TransportError], spent: bool) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error("no luck", request=request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(fail)) as client:
        with pytest.raises(PairingFailed) as caught:
            await pair(client, DIALECT, "https://host.example", CODE, lambda taken: taken, device_id="dev-1")
    assert caught.value.spent is spent


async def test_a_used_code_is_refused_by_its_number() -> None:
    async with serve() as gateway:
        code = gateway.pairing_code()
        await redeem(gateway, code)
        with pytest.raises(PairingFailed) as caught:
            await redeem(gateway, code)
    assert caught.value.code == 16000
    assert str(caught.value).startswith("pairing failed with code 16000 (pairing code unknown or used); ")
    assert code not in str(caught.value)


@pytest.mark.rule("P60")
async def test_a_service_that_echoes_the_code_finds_it_blotted_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve() as gateway:
        gateway.inject("pairing", "code", code=16000)
        monkeypatch.setattr("holdfast.adapters.clawchat_http._words", lambda envelope: f"unknown code {CODE}")  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
        with pytest.raises(PairingFailed) as caught:
            await redeem(gateway, CODE)
    assert caught.value.reason == "unknown code [redacted]"


@pytest.mark.parametrize("code", ["", "  ", "\ud800", "straße", "two\nlines", "x" * 201], ids=ascii)
async def test_what_cannot_be_a_code_is_neither_posted_nor_quoted(code: str) -> None:
    async with serve() as gateway:
        with pytest.raises(PairingFailed) as caught:
            await redeem(gateway, code)
        assert gateway.counters.pairing_posts == 0
    assert caught.value.code is None
    assert "1 to 200" in str(caught.value)
    assert not code.strip() or code not in str(caught.value)
