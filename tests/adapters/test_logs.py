"""With every logger at DEBUG, no log line holds a token: ours, those of websockets, those of httpx."""

import asyncio
import logging

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from holdfast.adapters import RedactingLogger, TokenPair, Vault, quiet_logger

ACCESS, REFRESH = "access-s3cret-000000", "refresh-s3cret-00000"


@pytest.fixture
def vault() -> Vault:
    vault = Vault()
    vault.load(1, TokenPair(ACCESS, REFRESH))
    return vault


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


@pytest.mark.rule("P60")
def test_messages_arguments_and_tracebacks_are_redacted(vault: Vault, caplog: pytest.LogCaptureFixture) -> None:
    log = RedactingLogger("holdfast.link", vault)
    log.info("plain %s", "words")
    log.info(f"token {ACCESS}")
    log.warning("frame %s of %d", {"token": ACCESS}, 3)
    try:
        raise ValueError(f"bad {REFRESH}")
    except ValueError as error:
        log.exception("it failed")
        log.error("again", exc_info=error)
        log.error("and again", exc_info=(type(error), error, error.__traceback__))
    assert "s3cret" not in caplog.text
    assert [record.getMessage() for record in caplog.records][:3] == [
        "plain words",
        "token [redacted]",
        "frame {'token': '[redacted]'} of 3",
    ]
    assert caplog.text.count("ValueError: bad [redacted]") == 3
    assert {record.funcName for record in caplog.records} == {
        "test_messages_arguments_and_tracebacks_are_redacted"  # The caller, and not the wrapper.
    }


def test_what_is_not_logged_is_not_even_formatted(vault: Vault, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="holdfast.link")
    RedactingLogger("holdfast.link", vault).debug("%d", "no number, so formatting it would raise")
    assert caplog.records == []


def test_the_quiet_logger_speaks_from_info_on(caplog: pytest.LogCaptureFixture) -> None:
    log = quiet_logger()
    log.debug("> TEXT %s", ACCESS)
    log.info("connection open")
    assert not log.isEnabledFor(logging.DEBUG)
    assert [record.getMessage() for record in caplog.records] == ["connection open"]


@pytest.mark.rule("P60")
@pytest.mark.anyio
async def test_websockets_frames_stay_out_of_the_logs(caplog: pytest.LogCaptureFixture) -> None:
    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0, logger=quiet_logger()) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", logger=quiet_logger(), proxy=None) as client:
            await client.send(ACCESS)
            assert await client.recv() == ACCESS
    assert "s3cret" not in caplog.text


@pytest.mark.rule("P60")
@pytest.mark.anyio
async def test_httpx_keeps_headers_and_bodies_out_of_the_logs(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"access_token":"%s"}' % ACCESS.encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/auth/refresh"
        async with httpx.AsyncClient(trust_env=False) as client:
            headers = {"Authorization": f"Bearer {ACCESS}"}
            response = await client.post(url, headers=headers, json={"refresh_token": REFRESH})
    assert response.json() == {"access_token": ACCESS}
    assert "httpcore" in caplog.text
    assert "s3cret" not in caplog.text
