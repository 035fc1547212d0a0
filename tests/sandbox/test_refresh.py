"""Refresh: strict single-use rotation, and every answer that a client must tell apart."""

from typing import Any

import httpx
import jwt
import pytest

from holdfast.sandbox import Gateway, GatewaySettings, Kind, serve

from .conftest import Clock
from .kit import dial, live, refresh

pytestmark = pytest.mark.anyio

DAY_S = 24 * 3600


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})  # pyright: ignore[reportUnknownMemberType]


async def test_rotation_gives_a_new_pair_and_kills_the_old_refresh_token(
    gateway: Gateway, http: httpx.AsyncClient
) -> None:
    issued = gateway.issue(device_id="dev-a")
    first = (await refresh(http, issued.refresh_token)).json()
    assert first["code"] == 0
    assert first["data"]["access_token"] != issued.access_token
    assert first["data"]["refresh_token"] != issued.refresh_token
    assert (await refresh(http, issued.refresh_token)).json()["code"] == 10003
    assert (await refresh(http, first["data"]["refresh_token"])).json()["code"] == 0
    assert gateway.counters.refresh_posts == 3
    assert sorted(gateway.refresh_posts_by_token.values()) == [1, 2]


async def test_the_old_access_token_stays_good_until_it_expires(gateway: Gateway, http: httpx.AsyncClient) -> None:
    issued = gateway.issue(device_id="dev-a")
    rotated = (await refresh(http, issued.refresh_token)).json()["data"]
    async with live(gateway, issued), dial(gateway) as peer:
        assert (await peer.greet(rotated["access_token"], "dev-b"))["event"] == "hello-ok"


async def test_access_tokens_are_jwts_with_the_sandboxs_times(
    gateway: Gateway, http: httpx.AsyncClient, clock: Clock
) -> None:
    issued = gateway.issue(device_id="dev-a")
    clock.now += 100
    renewed = (await refresh(http, issued.refresh_token)).json()["data"]["access_token"]
    old, new = claims_of(issued.access_token), claims_of(renewed)
    assert new["iat"] == clock.now
    assert new["exp"] == clock.now + DAY_S
    assert isinstance(new["exp"], int)
    assert old["jti"] != new["jti"]
    assert issued.access_expires_at == old["exp"]


async def test_opaque_tokens_and_short_lifetimes(clock: Clock) -> None:
    settings = GatewaySettings(access_format="opaque", access_lifetime_s=0.5)
    async with serve(settings=settings, wall=clock) as gateway:
        issued = gateway.issue()
        assert "." not in issued.access_token
        async with live(gateway, issued):
            clock.now += 0.5
        async with dial(gateway) as peer:
            assert (await peer.greet(issued.access_token))["event"] == "hello-fail"


async def test_a_short_lived_jwt_says_so_to_the_millisecond(gateway: Gateway, clock: Clock) -> None:
    claims = claims_of(gateway.issue(access_lifetime_s=0.25).access_token)
    assert claims["exp"] == clock.now + 0.25


@pytest.mark.parametrize("device_id", ["dev-b", "DEV-A"])
async def test_another_devices_token_is_dead_for_it(gateway: Gateway, http: httpx.AsyncClient, device_id: str) -> None:
    issued = gateway.issue(device_id="dev-a")
    assert (await refresh(http, issued.refresh_token, device_id)).json()["code"] == 10003
    assert (await refresh(http, issued.refresh_token, "dev-a")).json()["code"] == 0


async def test_unknown_revoked_and_expired_tokens(gateway: Gateway, http: httpx.AsyncClient, clock: Clock) -> None:
    revoked, expired = gateway.issue(device_id="dev-a"), gateway.issue(device_id="dev-a")
    gateway.revoke(revoked.user_id)
    clock.now += 60 * DAY_S
    for token in ("nobody's", revoked.refresh_token, expired.refresh_token):
        assert (await refresh(http, token)).json()["code"] == 10003


async def test_the_refresh_tokens_life_slides(gateway: Gateway, http: httpx.AsyncClient, clock: Clock) -> None:
    token = gateway.issue(device_id="dev-a").refresh_token
    for _ in range(3):
        clock.now += 59 * DAY_S
        answer = (await refresh(http, token)).json()
        assert answer["code"] == 0
        token = answer["data"]["refresh_token"]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b'{"refresh_token":"x"}'),
        ({"X-Device-Id": ""}, b'{"refresh_token":"x"}'),
        ({"X-Device-Id": "d" * 129}, b'{"refresh_token":"x"}'),
        ({"X-Device-Id": "dev-a", "Authorization": "Bearer x"}, b'{"refresh_token":"x"}'),
        ({"X-Device-Id": "dev-a"}, b"{}"),
        ({"X-Device-Id": "dev-a"}, b'{"refresh_token":7}'),
        ({"X-Device-Id": "dev-a"}, b"not json"),
        ({"X-Device-Id": "dev-a"}, b""),
        ({"X-Device-Id": "dev-a"}, b"[" * 100_000),
        ({"X-Device-Id": "dev-a"}, b'{"refresh_token":"\xff"}'),
    ],
)
async def test_bad_requests(http: httpx.AsyncClient, headers: dict[str, str], body: bytes) -> None:
    answer = await http.post("/v1/auth/refresh", headers=headers, content=body)
    assert answer.status_code == 200
    assert answer.json()["code"] == 400


async def test_a_device_id_beyond_ascii(gateway: Gateway, http: httpx.AsyncClient) -> None:
    issued = gateway.issue(device_id="Gerät")
    answer = await http.post(
        "/v1/auth/refresh", json={"refresh_token": issued.refresh_token}, headers=[(b"X-Device-Id", "Gerät".encode())]
    )
    assert answer.json()["code"] == 0


async def test_get_is_no_refresh(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/auth/refresh")
    assert (answer.status_code, answer.json()["code"]) == (405, 405)


async def test_outage(gateway: Gateway, http: httpx.AsyncClient) -> None:
    issued = gateway.issue(device_id="dev-a")
    gateway.outage()
    assert (await refresh(http, issued.refresh_token)).json()["code"] == 1
    async with dial(gateway) as peer:
        hello = await peer.greet(issued.access_token)
        assert hello["payload"]["reason"] == "remote auth service unavailable"
        assert await peer.closed() == 1006
    gateway.outage(False)
    assert (await refresh(http, issued.refresh_token)).json()["code"] == 0


@pytest.mark.parametrize("code", [10003, 400, 1])
async def test_scripted_codes(gateway: Gateway, http: httpx.AsyncClient, code: int) -> None:
    issued = gateway.issue(device_id="dev-a")
    gateway.inject("refresh", "code", code=code, times=2)
    for expected in (code, code, 0):
        assert (await refresh(http, issued.refresh_token)).json()["code"] == expected


async def test_scripted_status_and_garbage(gateway: Gateway, http: httpx.AsyncClient) -> None:
    issued = gateway.issue(device_id="dev-a")
    gateway.inject("refresh", "status", status=502)
    gateway.inject("refresh", "garbage")
    assert (await refresh(http, issued.refresh_token)).status_code == 502
    garbage = await refresh(http, issued.refresh_token)
    assert garbage.status_code == 200
    with pytest.raises(ValueError, match="Expecting value"):
        garbage.json()
    assert (await refresh(http, issued.refresh_token)).json()["code"] == 0


@pytest.mark.parametrize(("kind", "rotated"), [("drop", False), ("lose", True)])
async def test_a_dropped_answer(gateway: Gateway, http: httpx.AsyncClient, kind: Kind, rotated: bool) -> None:
    issued = gateway.issue(device_id="dev-a")
    gateway.inject("refresh", kind)
    with pytest.raises(httpx.TransportError):
        await refresh(http, issued.refresh_token)
    assert (await refresh(http, issued.refresh_token)).json()["code"] == (10003 if rotated else 0)


@pytest.mark.parametrize(("kind", "rotated"), [("never", False), ("swallow", True)])
async def test_no_answer(gateway: Gateway, http: httpx.AsyncClient, kind: Kind, rotated: bool) -> None:
    issued = gateway.issue(device_id="dev-a")
    gateway.inject("refresh", kind)
    with pytest.raises(httpx.ReadTimeout):
        await http.post(
            "/v1/auth/refresh", json={"refresh_token": issued.refresh_token}, headers={"X-Device-Id": "dev-a"},
            timeout=httpx.Timeout(10, read=0.05),
        )  # fmt: skip
    assert (await refresh(http, issued.refresh_token)).json()["code"] == (10003 if rotated else 0)


async def test_success_without_a_refresh_token(gateway: Gateway, http: httpx.AsyncClient) -> None:
    issued = gateway.issue(device_id="dev-a")
    gateway.inject("refresh", "no_refresh_token")
    answer = (await refresh(http, issued.refresh_token)).json()
    assert answer["code"] == 0
    assert list(answer["data"]) == ["access_token"]
    assert (await refresh(http, issued.refresh_token)).json()["code"] == 0


async def test_success_with_the_same_refresh_token(gateway: Gateway, http: httpx.AsyncClient) -> None:
    issued = gateway.issue(device_id="dev-a")
    gateway.inject("refresh", "same_token")
    answer = (await refresh(http, issued.refresh_token)).json()
    assert answer["data"]["refresh_token"] == issued.refresh_token
    assert (await refresh(http, issued.refresh_token)).json()["code"] == 0


async def test_many_refreshes_keep_the_book_small(gateway: Gateway, http: httpx.AsyncClient) -> None:
    token = gateway.issue(device_id="dev-a").refresh_token
    for _ in range(40):
        token = (await refresh(http, token)).json()["data"]["refresh_token"]
    assert len(gateway.state()["accounts"][0]["devices"][0]["access"]) <= 32
