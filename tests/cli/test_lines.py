"""Lines out of a stream of bytes."""

import asyncio
import os

from hypothesis import given
from hypothesis import strategies as st

from holdfast.cli.lines import LineSplitter, LineWriter


def split(chunks: list[bytes], bytes_max: int) -> list[bytes | None]:
    splitter = LineSplitter(bytes_max)
    return [*(line for chunk in chunks for line in splitter.feed(chunk)), *splitter.finish()]


@given(st.lists(st.binary(max_size=8).map(lambda data: data.replace(b"a", b"\n"))), st.integers(0, 8))
def test_where_the_chunks_end_changes_nothing(chunks: list[bytes], bytes_max: int) -> None:
    whole = b"".join(chunks)
    expected = whole.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert split(chunks, bytes_max) == [line if len(line) <= bytes_max else None for line in expected]


def test_a_line_that_is_too_long_is_not_kept() -> None:
    splitter = LineSplitter(10)
    for _ in range(1000):
        assert list(splitter.feed(b"x" * 10)) == []
        assert sum(map(len, splitter._parts)) <= 10
    assert list(splitter.feed(b"\nnext\n")) == [None, b"next"]


def test_what_was_written_is_told_and_what_could_not_be_is_not() -> None:
    told: list[str] = []
    broken: list[OSError] = []

    async def write(descriptor: int, name: str) -> None:
        writer = LineWriter(descriptor, broken.append)
        writer.put(b"a line", lambda: told.append(name))
        await writer.close()
        await asyncio.sleep(0)

    reading, writing = os.pipe()
    asyncio.run(write(writing, "written"))
    assert (told, os.read(reading, 100)) == (["written"], b"a line\n")
    os.close(reading)
    asyncio.run(write(writing, "lost"))
    os.close(writing)
    assert (told, len(broken)) == (["written"], 1)
