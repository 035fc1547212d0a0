"""HTTP answers, from the right one to what is no HTTP at all. All by one seed."""

import gzip
import json
import random
import zlib
from collections.abc import Callable
from typing import Any, Final

from .corpus import SECRET
from .mutation import Data, mutated
from .peer import ok

_SECRET: Final = SECRET.encode()
STATUSES: Final = (
    b"201 Created", b"204 No Content", b"301 Moved", b"302 Found", b"307 Temporary Redirect", b"400 Bad", b"401 No",
    b"403 No", b"404 None", b"429 Later", b"500 Oops", b"502 Bad", b"503 Later", b"999 What", b"200", b"abc", b"",
    b"101 Switching Protocols", b"100 Continue", b"200 " + _SECRET, b"200 \xff\xfe", b"-1 x", b"2000 x",
)  # fmt: skip
HEADERS: Final = (
    b"Content-Encoding: gzip", b"Content-Encoding: br, zstd", b"Content-Encoding: \xff", b"Content-Encoding: deflate",
    b"Content-Type: text/html; charset=" + _SECRET, b"Content-Type: \xff\xfe", b"X-Odd: \xff\xfe\xfd", b"X-Empty:",
    b"X-Many: " + b"x" * 20_000, b"Transfer-Encoding: identity", b"Retry-After: 9" + b"9" * 400, b"Retry-After: \xb2",
    b"Retry-After: -1", b"Retry-After: Wed, 99 Foo 99999999 99:99:99 GMT", b"Date: Mon, 01 Jan 0001 00:00:00 GMT",
    b"Set-Cookie: " + _SECRET + b"=\xff; expires=Foo; port=\"x\"; version=x", b"Set-Cookie: ;;=;", b"Connection: \xff",
    b"Location: http://x:" + _SECRET + b"/", b"Location: //[", b"Location: http://xn--" + _SECRET + b".\xc3\xbc/",
    b"Location: \x7f", b"Location: http:", b"Location: " + b"a" * 70_000, b"Location: \xff", b"Location: http://[::1",
    b" folded", b"no colon", b": no name", b"X-Nul: \x00", b"X\x00: 1", b"WWW-Authenticate: Bearer " + _SECRET,
)  # fmt: skip


def answered(chance: random.Random, document: dict[str, Any]) -> bytes:
    """Something to answer with."""
    body = _bytes(mutated(chance, document)) if chance.random() < 0.8 else json.dumps(document).encode()
    status = b"200 OK" if chance.random() < 0.7 else chance.choice(STATUSES)
    headers = chance.sample(HEADERS, chance.choice((0, 0, 0, 1, 1, 2)))
    return chance.choices(_FRAMINGS, _FRAMING_WEIGHTS)[0](chance, body, status, headers)


def _bytes(data: Data) -> bytes:
    return data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data


Headers = list[bytes]
Framing = Callable[[random.Random, bytes, bytes, Headers], bytes]


def _true(chance: random.Random, body: bytes, status: bytes, headers: Headers) -> bytes:
    return ok(body, *headers, status=status)


def _head(status: bytes, headers: Headers) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 " + status, *headers, b"", b""))


def _until_the_end(chance: random.Random, body: bytes, status: bytes, headers: Headers) -> bytes:
    return _head(status, headers) + body


def _false_length(chance: random.Random, body: bytes, status: bytes, headers: Headers) -> bytes:
    length = chance.choice((b"9", b"0", b"-1", b"99999999", b"9" * 30, b"x", b"", b"1, 2", b"\xb2", b"0x10"))
    return _head(status, [*headers, b"Content-Length: " + length]) + body


def chunked(body: bytes) -> bytes:
    """As chunks of the transfer encoding, as it should be."""
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"


def _chunked(chance: random.Random, body: bytes, status: bytes, headers: Headers) -> bytes:
    chunks = chunked(body)
    at = chance.randrange(len(chunks))
    chunks = chance.choice((
        chunks, chunks[:at], chunks[:at] + b"\xff" + chunks[at:], b"fffffffffffffffff\r\n" + chunks, b"x" + chunks,
        chunks.replace(b"\r\n", b"\n"), chunks[:-2] + b"X-Trailer: \xff\r\n\r\n", b"-1\r\n" + chunks,
    ))  # fmt: skip
    return _head(status, [*headers, b"Transfer-Encoding: chunked"]) + chunks


def _compressed(chance: random.Random, body: bytes, status: bytes, headers: Headers) -> bytes:
    coding, packed = chance.choice((
        (b"gzip", gzip.compress(body)), (b"deflate", zlib.compress(body)), (b"gzip, gzip", gzip.compress(body)),
        (b"gzip", gzip.compress(body)[:-6]), (b"gzip", body), (b"deflate", body), (b"gzip", gzip.compress(body)[10:]),
    ))  # fmt: skip
    return ok(packed, b"Content-Encoding: " + coding, *headers, status=status)


def _cut(chance: random.Random, body: bytes, status: bytes, headers: Headers) -> bytes:
    whole = ok(body, *headers, status=status)
    return whole[: chance.randrange(len(whole))]


def _flipped(chance: random.Random, body: bytes, status: bytes, headers: Headers) -> bytes:
    whole = bytearray(ok(body, *headers, status=status))
    for _ in range(chance.randrange(1, 4)):
        whole[chance.randrange(len(whole))] = chance.randrange(256)
    return bytes(whole)


def _noise(chance: random.Random, body: bytes, status: bytes, headers: Headers) -> bytes:
    return chance.choice((b"", b"\r\n\r\n", chance.randbytes(200), b"\x00" * 500, b"HTTP/9.9 200 OK\r\n\r\n", body * 2))


_FRAMINGS: Final[tuple[Framing, ...]] = (
    _true, _until_the_end, _false_length, _chunked, _compressed, _cut, _flipped, _noise,
)  # fmt: skip
_FRAMING_WEIGHTS: Final = (50, 6, 8, 10, 8, 6, 8, 4)
