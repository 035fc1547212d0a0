"""The codec against a real gateway: let in, asked, refused, with each choice of credentials, and told of its end."""

import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from holdfast.adapters import (
    ClientProfile,
    DeviceIdentity,
    GatewayDecoded,
    GatewayEvent,
    RpcAnswer,
    ShutdownNotice,
    build_connect,
    build_request,
    decode_frame,
    open_identity,
)
from holdfast.statecharts import Challenged, Failure, Phase, Remedy, judge

from .real import RealGateway

pytestmark = [pytest.mark.anyio, pytest.mark.openclaw, pytest.mark.slow]

SOCKET = 1
PROFILE = ClientProfile()


async def decoded(socket: ClientConnection) -> GatewayDecoded:
    return decode_frame(SOCKET, await socket.recv())


@asynccontextmanager
async def dialled(gateway: RealGateway) -> AsyncGenerator[ClientConnection]:
    async with websockets.connect(gateway.url, max_size=None, compression=None, proxy=None) as socket:
        yield socket


async def greeted(socket: ClientConnection, identity: DeviceIdentity, **credentials: str) -> GatewayDecoded:
    """The answer to connect: a hello or a failure."""
    challenge = (await decoded(socket)).event
    assert isinstance(challenge, Challenged)
    await socket.send(build_connect(identity, PROFILE, challenge=challenge.nonce, **credentials))
    return await decoded(socket)


async def refused(gateway: RealGateway, identity: DeviceIdentity, **credentials: str) -> tuple[Failure, int, str]:
    """The failure, and the code and reason of the close that follows."""
    async with dialled(gateway) as socket:
        failure = (await greeted(socket, identity, **credentials)).failure
        assert failure is not None
        _, code, reason = await until_closed(socket)
        return failure, code, reason


async def until_closed(socket: ClientConnection) -> tuple[list[GatewayDecoded], int, str]:
    """The frames that still come, and the code and reason of the close frame."""
    frames: list[GatewayDecoded] = []
    with suppress(websockets.ConnectionClosed):
        while True:
            frames.append(await decoded(socket))
    assert socket.close_code is not None
    return frames, socket.close_code, socket.close_reason or ""


async def asked(socket: ClientConnection, method: str, params: object) -> RpcAnswer:
    """The answer to a request. Events that come before it are left out."""
    request_id = str(uuid4())
    await socket.send(build_request(request_id, method, params))
    while True:
        inbound = (await decoded(socket)).inbound
        if isinstance(inbound, RpcAnswer) and inbound.id == request_id:
            return inbound


async def payload_of(socket: ClientConnection, method: str, params: object) -> Any:
    answer = await asked(socket, method, params)
    assert answer.failure is None
    return msgspec.json.decode(answer.payload)


@pytest.mark.rule("S3-24", "S3-27", "S3-28", "S3-61")
async def test_a_session_with_a_real_gateway(gateway: RealGateway) -> None:
    """One test, because one gateway goes through it: paired, asked, refused, stopped."""
    identity = open_identity(gateway.folder / "device.json")
    async with dialled(gateway) as socket:
        hello = await greeted(socket, identity, token=gateway.token)
        assert hello.hello is not None
        assert hello.device_token is not None
        assert (hello.hello.tick_s, hello.hello.max_payload, hello.hello.method) == (30.0, 26_214_400, "token")
        assert hello.hello.scopes == PROFILE.scopes
        await ask_what_needs_no_model(socket)
        await send_a_chat_message(socket)
    device_token = hello.device_token.access
    await log_in_with_each_credential(gateway, identity, device_token)
    await be_told_of_the_end(gateway, identity, device_token)


async def ask_what_needs_no_model(socket: ClientConnection) -> None:
    assert (await payload_of(socket, "health", {}))["ok"] is True
    assert "runtimeVersion" in await payload_of(socket, "status", {})
    assert (await payload_of(socket, "sessions.list", {"limit": 5}))["limitApplied"] == 5
    odd = (await asked(socket, "sessions.list", {"bogus": 1})).failure
    assert odd is not None
    assert "unexpected property 'bogus'" in odd.message
    assert judge(odd).remedy is Remedy.TERMINAL
    unheard = (await asked(socket, "ping", {})).failure
    assert unheard is not None
    assert unheard.phase is Phase.REQUEST
    assert judge(unheard).remedy is Remedy.TERMINAL


async def send_a_chat_message(socket: ClientConnection) -> None:
    """Without a model the run fails, and its events tell so."""
    run = str(uuid4())
    params = {"sessionKey": "agent:main:main", "message": "hi", "idempotencyKey": run}
    request_id = str(uuid4())
    await socket.send(build_request(request_id, "chat.send", params))
    answers: list[RpcAnswer] = []
    events: list[GatewayEvent] = []
    while not (answers and any(is_end_of(run, event) for event in events)):
        inbound = (await decoded(socket)).inbound
        if isinstance(inbound, RpcAnswer):
            answers.append(inbound)
        elif isinstance(inbound, GatewayEvent):
            events.append(inbound)
    assert [(answer.id, answer.failure, answer.accepted) for answer in answers] == [(request_id, None, False)]
    assert msgspec.json.decode(answers[0].payload) == {"runId": run, "status": "started"}
    numbers = [event.seq for event in events]
    assert numbers[0] is not None
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def is_end_of(run: str, event: GatewayEvent) -> bool:
    payload = msgspec.json.decode(event.payload)
    return event.event == "chat" and payload["runId"] == run and payload["state"] == "error"


async def log_in_with_each_credential(gateway: RealGateway, identity: DeviceIdentity, device_token: str) -> None:
    for credentials in ({"device_token": device_token}, {"token": "another-token", "device_token": device_token}):
        async with dialled(gateway) as socket:
            hello = await greeted(socket, identity, **credentials)
            assert hello.hello is not None
            assert hello.hello.method == "device-token"
            assert hello.device_token is not None
            assert hello.device_token.access == device_token
    failure, code, reason = await refused(gateway, identity, token="another-token")
    assert (failure.code, failure.device_token_helps, code) == ("AUTH_TOKEN_MISMATCH", True, 1008)
    assert judge(failure).remedy is Remedy.NEEDS_TOKEN
    assert judge(msgspec.structs.replace(failure, device_token_spare=True)).remedy is Remedy.TRY_DEVICE_TOKEN
    assert judge(Failure(phase=Phase.HANDSHAKE, close_code=code, message=reason)).remedy is Remedy.NEEDS_TOKEN
    for stale in ({"device_token": "stale" * 8}, {"token": "another-token", "device_token": "stale" * 8}):
        failure, code, reason = await refused(gateway, identity, **stale)
        assert judge(failure).remedy is Remedy.CLEAR_DEVICE_TOKEN
        assert judge(Failure(phase=Phase.HANDSHAKE, close_code=code, message=reason)) == judge(failure)


async def be_told_of_the_end(gateway: RealGateway, identity: DeviceIdentity, device_token: str) -> None:
    async with dialled(gateway) as socket:
        assert (await greeted(socket, identity, device_token=device_token)).hello is not None
        gateway.signal(signal.SIGTERM)
        frames, code, reason = await until_closed(socket)
    notices = [frame.inbound for frame in frames if isinstance(frame.inbound, ShutdownNotice)]
    assert [(notice.reason, notice.restart_expected_s) for notice in notices] == [("gateway stopping", None)]
    end = Failure(phase=Phase.LIVE, close_code=code, message=reason)
    assert (end.close_code, judge(end).remedy) == (1012, Remedy.RETRY)
    assert gateway.stop() == 0
