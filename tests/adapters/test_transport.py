"""The WebSocket transport against a peer that keeps to the protocol, and against one that doesn't."""

import asyncio
import logging
import shutil
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.frames import Close, Frame, Opcode

from holdfast.adapters import ConnectionLost, NotConnected, OpenError, WebSocketTransport

from .peer import LIMIT_S, Ear, Peer, serve, text

pytestmark = pytest.mark.anyio

BIG = "x" * 65536


async def accept_and_wait(peer: Peer) -> None:
    await peer.accept()
    await peer.hung_up()


# -- opening -----------------------------------------------------------------------------------------------------------


@pytest.mark.rule("V25")
async def test_a_frame_in_the_packet_of_the_upgrade_is_heard_after_open_has_returned() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept(text("challenge"), text("more"))
        await peer.hung_up()

    async with serve(script) as url:
        ear = Ear()
        connection = await WebSocketTransport().open(url, ear)
        assert ear.heard == []
        assert await ear.count(2) == ["challenge", "more"]
        connection.abort()
        await ear.closed()


async def test_a_close_in_the_packet_of_the_upgrade_is_heard_too() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept(text("last words"), Frame(Opcode.CLOSE, Close(4001, "taken over").serialize()))
        await peer.until(Opcode.CLOSE)

    async with serve(script) as url:
        ear = Ear()
        await WebSocketTransport().open(url, ear)
        assert await ear.closed() == (4001, "taken over")
        assert ear.heard[0] == "last words"


@pytest.mark.parametrize("status", [200, 302, 401, 503])
async def test_an_answer_that_is_no_upgrade_fails_and_a_redirect_is_not_followed(status: int) -> None:
    dials: list[bytes] = []

    async def script(peer: Peer) -> None:
        dials.append(await peer.reader.readuntil(b"\r\n\r\n"))
        head = f"HTTP/1.1 {status} S3cret\r\nLocation: /elsewhere?s3cret\r\nContent-Length: 6\r\n\r\ns3cret"
        peer.writer.write(head.encode())
        await peer.hung_up()

    async with serve(script) as url:
        ear = Ear()
        with pytest.raises(OpenError, match=f"HTTP {status}") as caught:
            await WebSocketTransport().open(url, ear)
        assert "cret" not in str(caught.value)
        assert caught.value.__cause__ is None
    assert len(dials) == 1
    assert b"User-Agent: holdfast/" in dials[0]
    assert ear.heard == []


async def test_garbage_and_silence_and_nobody_there_fail_too() -> None:
    async def garbage(peer: Peer) -> None:
        peer.writer.write(b"s3cret\r\n\r\n")
        await peer.hung_up()

    async def hang_up(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")

    for script in (garbage, hang_up):
        async with serve(script) as url:
            with pytest.raises(OpenError, match="handshake failed") as caught:
                await WebSocketTransport().open(url, Ear())
            assert "s3cret" not in str(caught.value)
    with pytest.raises(OpenError, match=r"^Connection refused$"):
        await WebSocketTransport().open(url, Ear())


async def test_a_cancelled_open_leaves_no_socket_behind() -> None:
    dialled, over = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        dialled.set()
        await peer.hung_up()
        over.set()

    async with serve(script) as url:
        ear = Ear()
        task = asyncio.create_task(WebSocketTransport().open(url, ear))
        await dialled.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(LIMIT_S):
            await over.wait()
    assert ear.heard == []


async def test_no_proxy_is_asked_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://user:s3cret@127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    async with serve(accept_and_wait) as url:
        ear = Ear()
        (await WebSocketTransport().open(url, ear)).abort()
        await ear.closed()
    for proxy, problem in (("http://user:s3cret@127.0.0.1:1", "."), ("nonsense://user:s3cret@host", "the proxy")):
        monkeypatch.setenv("https_proxy", proxy)
        with pytest.raises(OpenError, match=problem) as caught:
            await WebSocketTransport().open("wss://gateway.invalid/ws", Ear())
        assert "s3cret" not in str(caught.value)


async def test_tls_needs_a_certificate_that_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("makes its certificate with the openssl command")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    await asyncio.to_thread(
        subprocess.run,
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(certificate, key)

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        await peer.accept(text("secure"))
        await peer.until(Opcode.CLOSE)
        writer.close()

    server = await asyncio.start_server(play, "localhost", 0, ssl=server_side)
    url = f"wss://localhost:{server.sockets[0].getsockname()[1]}/ws"
    async with server:
        with pytest.raises(OpenError, match="certificate is not trusted"):
            await WebSocketTransport().open(url, Ear())
        trusting = ssl.create_default_context(cafile=str(certificate))
        monkeypatch.setattr("holdfast.adapters.transport.shared_ssl_context", lambda: trusting)
        ear = Ear()
        connection = await WebSocketTransport().open(url, ear)
        assert await ear.count(1) == ["secure"]
        await connection.close(1000, "", LIMIT_S)
        assert await ear.closed() == (1000, "")


# -- frames ------------------------------------------------------------------------------------------------------------


async def test_fragments_are_put_together_around_control_frames() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        snowman = "\N{SNOWMAN}".encode()
        peer.send(text(b"a" + snowman[:1], fin=False), Frame(Opcode.PING, b"p"), Frame(Opcode.PONG, b""))
        peer.send(text(snowman[1:], fin=False, opcode=Opcode.CONT), text(b"", opcode=Opcode.CONT))
        peer.send(text(b"\x00\xff", fin=False, opcode=Opcode.BINARY), text(b"\xfe", opcode=Opcode.CONT), text(""))
        assert (await peer.until(Opcode.PONG)).data == b"p"

    async with serve(script) as url:
        ear = Ear()
        await WebSocketTransport().open(url, ear)
        assert await ear.closed() == (1006, "")
        assert ear.heard[:-1] == ["<pong>", "a\N{SNOWMAN}", b"\x00\xff\xfe", ""]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([text("x" * 101)], 1009),
        ([text("x" * 60, fin=False), text("x" * 41, opcode=Opcode.CONT)], 1009),
        ([text(b"\xff")], 1007),
        ([text(b"\xe2\x98", fin=False), text(b"", opcode=Opcode.CONT)], 1007),
        ([text("", opcode=Opcode.CONT)], 1002),
        ([text("", fin=False), text("")], 1002),
        ([Frame(Opcode.CLOSE, b"\x00")], 1002),
    ],
)
async def test_a_peer_that_breaks_the_rules_is_told_and_left(frames: list[Frame], code: int) -> None:
    told: list[Frame] = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(text("before"), *frames, text("after"))
        told.append(await peer.until(Opcode.CLOSE))

    async with serve(script) as url:
        ear = Ear()
        await WebSocketTransport(max_size=100).open(url, ear)
        assert (await ear.closed())[0] == code
        assert ear.heard[:-1] == ["before"]
    assert Close.parse(told[0].data).code == code


async def test_the_peers_own_close_goes_before_what_was_wrong_with_its_last_frame() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(text(b"\xff"), Frame(Opcode.CLOSE, Close(4001, "taken over").serialize()))
        await peer.until(Opcode.CLOSE)

    async with serve(script) as url:
        ear = Ear()
        await WebSocketTransport().open(url, ear)
        assert await ear.closed() == (4001, "taken over")
        assert len(ear.heard) == 1


async def test_compression_is_off_unless_asked_for() -> None:
    offers: list[str | None] = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(text("plain"))
        await peer.hung_up()

    async def note_offer(peer: Peer) -> None:
        head = (await peer.reader.readuntil(b"\r\n\r\n")).decode()
        offers.append(next((line for line in head.splitlines() if "permessage-deflate" in line), None))

    async with serve(script) as url:
        for transport in (WebSocketTransport(), WebSocketTransport(compression="deflate")):
            ear = Ear()
            connection = await transport.open(url, ear)
            assert await ear.count(1) == ["plain"]
            connection.abort()
            await ear.closed()
    async with serve(note_offer) as url:
        for transport in (WebSocketTransport(), WebSocketTransport(compression="deflate")):
            with pytest.raises(OpenError):
                await transport.open(url, Ear())
    assert offers[0] is None
    assert offers[1] is not None


async def test_a_paused_connection_lets_the_peer_feel_it_and_loses_nothing() -> None:
    number = 300  # Of 64 KiB: more than the buffers of both ends hold.
    wrote_all = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.accept()
        for _ in range(number):
            peer.send(text(BIG))
            await peer.writer.drain()
        wrote_all.set()

    async with serve(script) as url:
        ear = Ear()
        connection = await WebSocketTransport().open(url, ear)
        connection.pause()
        connection.pause()
        for _ in range(1000):
            await asyncio.sleep(0)
        before = len(ear.heard)
        for _ in range(1000):
            await asyncio.sleep(0)
        assert len(ear.heard) == before < number
        assert not wrote_all.is_set()
        connection.resume()
        await ear.count(number)
        await ear.closed()
    assert ear.heard == [*[BIG] * number, (1006, "")]


async def test_a_reader_that_is_slow_stops_the_flood_from_within() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        with suppress(ConnectionError):
            for _ in range(200):
                peer.send(text(BIG))
                await peer.writer.drain()

    class Slow(Ear):
        def on_frame(self, data: str | bytes) -> None:
            super().on_frame(data)
            connection.pause()

    async with serve(script) as url:
        ear = Slow()
        connection = await WebSocketTransport().open(url, ear)
        await ear.count(1)
        for _ in range(1000):
            await asyncio.sleep(0)
        assert len(ear.heard) <= 5  # One read of 256 KiB, and a rest before it.
        connection.abort()
        assert await ear.closed() == (1006, "")


# -- sending and pinging -----------------------------------------------------------------------------------------------


async def test_what_is_sent_arrives_masked_and_in_order_and_pongs_are_heard() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        assert [bytes((await peer.until(Opcode.TEXT)).data) for _ in range(3)] == [b"one", b"two", b"\xe2\x98\x83"]
        await peer.hung_up()

    async with serve(script) as url:
        ear = Ear()
        connection = await WebSocketTransport().open(url, ear)
        for message in ("one", "two", "\N{SNOWMAN}"):
            await connection.send(message)
        with pytest.raises(UnicodeEncodeError):
            await connection.send("\ud800")  # A caller's mistake, and no reason to lose the connection.
        await connection.ping()
        assert await ear.count(0) == []
        connection.abort()
        await ear.closed()


async def test_a_ping_is_answered() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.until(Opcode.PING)
        await peer.hung_up()

    async with serve(script) as url:
        ear = Ear()
        connection = await WebSocketTransport().open(url, ear)
        await connection.ping()
        assert await ear.count(1) == ["<pong>"]
        connection.abort()
        await ear.closed()


async def test_nothing_is_sent_on_a_connection_that_is_gone() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()

    async with serve(script) as url:
        ear = Ear()
        connection = await WebSocketTransport().open(url, ear)
        await ear.closed()
        with pytest.raises(NotConnected):
            await connection.send("late")
        await connection.ping()
        await connection.close(1000, "", LIMIT_S)
        connection.abort()
        connection.pause()
        connection.resume()
    assert len(ear.heard) == 1


async def test_a_send_that_waits_learns_of_the_loss() -> None:
    stuck = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.accept()
        await stuck.wait()  # Reads nothing: the client's buffers run full.
        peer.writer.transport.abort()

    async with serve(script) as url:
        ear = Ear()
        connection = await WebSocketTransport().open(url, ear)
        sending = asyncio.create_task(connection.send("x" * 50_000_000))
        await asyncio.sleep(0)
        assert not sending.done()
        stuck.set()
        with pytest.raises(ConnectionLost) as caught:
            await sending
        assert caught.value.sent == "unknown"
        assert await ear.closed() == (1006, "")


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "heard"),
    [
        (Close(4001, "taken over").serialize(), (4001, "taken over")),
        (Close(1000, "a\nb\x1b[31m\u202e").serialize(), (1000, "ab[31m")),
        (b"", (1005, "")),
    ],
)
async def test_a_close_frame_is_reported_once_with_its_code(payload: bytes, heard: tuple[int, str]) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(Frame(Opcode.CLOSE, payload))
        await peer.until(Opcode.CLOSE)

    async with serve(script) as url:
        ear = Ear()
        await WebSocketTransport().open(url, ear)
        assert await ear.closed() == heard


async def test_a_drop_is_1006() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.writer.transport.abort()

    async with serve(script) as url:
        ear = Ear()
        await WebSocketTransport().open(url, ear)
        assert await ear.closed() == (1006, "")


async def test_closing_tells_the_peer_and_discards_what_still_comes() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        frame = await peer.until(Opcode.CLOSE)
        assert Close.parse(frame.data) == Close(1000, "\N{SNOWMAN}" * 41)
        peer.send(text("too late"))
        peer.protocol.data_to_send()
        peer.send(Frame(Opcode.CLOSE, frame.data))

    async with serve(script) as url:
        ear = Ear()
        connection = await WebSocketTransport().open(url, ear)
        connection.pause()  # Must not keep it from hearing the peer's close frame.
        await connection.close(1000, "\N{SNOWMAN}" * 100, LIMIT_S)
        code, reason = await ear.closed()
        assert (code, reason) == (1000, "\N{SNOWMAN}" * 41)
        assert len(ear.heard) == 1


@pytest.mark.rule("V40")
async def test_closing_is_bounded_and_ends_in_a_drop() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.hung_up()  # Never answers the close frame.

    async with serve(script) as url:
        ear = Ear()
        connection = await WebSocketTransport().open(url, ear)
        async with asyncio.timeout(LIMIT_S):
            await connection.close(1000, "bye", 0.01)
        assert await ear.closed() == (1000, "bye")  # What we sent; nobody said anything else.


async def test_a_cancelled_close_is_a_drop() -> None:
    async with serve(accept_and_wait) as url:
        ear = Ear()
        connection = await WebSocketTransport().open(url, ear)
        closing = asyncio.create_task(connection.close(1000, "", LIMIT_S))
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await ear.closed()


@pytest.mark.parametrize("frame", [Frame(Opcode.CLOSE, Close(1000, "").serialize()), text(b"\xff")])
async def test_a_peer_that_never_hangs_up_is_dropped(frame: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.adapters.transport.HANG_UP_LIMIT_S", 0.01)

    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(frame)
        await peer.hung_up()

    async with serve(script) as url:
        ear = Ear()
        await WebSocketTransport().open(url, ear)
        await ear.closed()


async def test_nothing_is_heard_after_an_abort_but_the_end() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(text("one"), text("two"))
        await peer.hung_up()

    class Aborting(Ear):
        def on_frame(self, data: str | bytes) -> None:
            super().on_frame(data)
            connection.abort()

    async with serve(script) as url:
        ear = Aborting()
        connection = await WebSocketTransport().open(url, ear)
        assert await ear.closed() == (1006, "")
        assert ear.heard[0] == "one"
        assert len(ear.heard) == 2


# -- secrets -----------------------------------------------------------------------------------------------------------


@pytest.mark.rule("P60")
async def test_frames_are_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.until(Opcode.TEXT)
        peer.send(text("s3cret echoed"))
        await peer.until(Opcode.CLOSE)

    with caplog.at_level(logging.DEBUG):
        async with serve(script) as url:
            ear = Ear()
            connection = await WebSocketTransport().open(url, ear)
            await connection.send('{"token": "s3cret"}')
            await ear.count(1)
            assert "s3cret" not in repr(connection)
            await connection.close(1000, "", LIMIT_S)
            await ear.closed()
    assert "s3cret" not in caplog.text
