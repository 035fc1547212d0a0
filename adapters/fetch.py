"""One answer, read to its end and taken at once: nothing can come between its last byte and what is done with it."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import httpx

from .http import ANSWER_BYTES_MAX, DETACHED, quoting_nobody

T = TypeVar("T")

CODINGS: Final = ("", "identity", "gzip", "deflate")
"""What an answer may be encoded as, although nobody asks for it. One within another would be a bomb within a bomb."""
SLICE_BYTES: Final = 1024
"""Decoded at a time: a thousandfold of it may come out."""

_NOT_OF_THE_BODY: Final = (b"content-encoding", b"content-length", b"transfer-encoding")


async def fetch(
    client: httpx.AsyncClient,
    request: httpx.Request,
    then: Callable[[httpx.Response], T],
    *,
    bytes_max: int = ANSWER_BYTES_MAX,
) -> T:
    """Send, read the answer, and give it to ``then``: synchronously, with no ``await`` after its last byte (P06).

    An answer of more than ``bytes_max`` is not read to its end, and has more than that in its ``content``. A caller
    that is cancelled before the end only stops waiting, and ``then`` is not called any more.

    Raises:
        httpx.HTTPError: no answer, or a broken one.
    """
    wanted = [True]
    task = asyncio.create_task(_fetch(client, request, then, bytes_max, wanted))
    task.add_done_callback(_retrieve)
    try:
        await asyncio.wait((task,))
    except asyncio.CancelledError:
        wanted.clear()
        raise
    if task.cancelled():
        raise httpx.ReadError("the connection pool was closed", request=request)
    return task.result()


async def _fetch(
    client: httpx.AsyncClient,
    request: httpx.Request,
    then: Callable[[httpx.Response], T],
    bytes_max: int,
    wanted: list[bool],
) -> T:
    request.extensions[DETACHED] = True
    # An answer that is compressed could be a bomb.
    request.headers["Accept-Encoding"] = "identity"
    response = await client.send(request, stream=True, auth=None, follow_redirects=False)
    try:
        with quoting_nobody():
            answer = assembled(response, await _chunks_of(response, bytes_max, wanted), bytes_max)
        if not wanted:
            raise httpx.ReadError("nobody waits for the answer any more", request=request)
        return then(answer)
    finally:
        await response.aclose()


async def _chunks_of(response: httpx.Response, bytes_max: int, wanted: list[bool]) -> list[bytes]:
    chunks: list[bytes] = []
    count = 0
    # Not aiter_bytes(): it awaits the connection's end of work after the last chunk, before it lets go of it.
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for chunk in response.stream:
        chunks.append(chunk)
        count += len(chunk)
        if count > bytes_max or not wanted:
            break
    return chunks


def assembled(response: httpx.Response, chunks: list[bytes], bytes_max: int) -> httpx.Response:
    """The answer with its body in memory, decoded as far as ``bytes_max``, and little further.

    Raises:
        httpx.DecodingError: it is not encoded as it says, or in a way that is not accepted.
    """
    if response.headers.get("Content-Encoding", "").strip().lower() not in CODINGS:
        raise httpx.DecodingError("the answer is encoded in a way that nobody asked for", request=response.request)
    coded = httpx.Response(
        response.status_code, headers=response.headers, stream=_Chunks(chunks), request=response.request
    )
    body = bytearray()
    for chunk in coded.iter_bytes():
        body += chunk
        if len(body) > bytes_max:
            break
    # As bytes: a header may hold anything, and httpx takes text for ASCII.
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _NOT_OF_THE_BODY]
    return httpx.Response(response.status_code, headers=headers, content=bytes(body), request=response.request)


class _Chunks(httpx.SyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return (chunk[at : at + SLICE_BYTES] for chunk in self._chunks for at in range(0, len(chunk), SLICE_BYTES))


def _retrieve(task: "asyncio.Task[T]") -> None:
    """Nobody may be left to take a late error: then asyncio would log it."""
    if not task.cancelled():
        task.exception()
