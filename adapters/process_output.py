"""What a child writes: read to the end so that it never blocks, kept in part, and logged without noise and secrets."""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Final

from holdfast.statecharts import NoiseRule, noise_of

from .logs import RedactingLogger
from .text import clean_text
from .vault import REDACTED, Vault

TAIL_LINES: Final = 120
"""Lines of stderr that are kept of each child (S3-69)."""
TAIL_CHARS_MAX: Final = 4000
"""Characters of them that an event carries: the last ones, which say why."""
LINE_CHARS_MAX: Final = 500
_CHUNK: Final = 64 * 1024
_LINE_BYTES_MAX: Final = 16 * 1024
_SECRET_NAMES: Final = ("TOKEN", "PASSWORD", "SECRET", "KEY")


class Tail:
    """The stderr of one child."""

    def __init__(self, noise: tuple[NoiseRule, ...], vault: Vault, log: RedactingLogger) -> None:
        self._noise = noise
        self._vault = vault
        self._log = log
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)

    def take(self, line: str) -> None:
        """A line came. Noise is not kept, nor are secrets; those are looked for before it is cut."""
        line = self._vault.redact(line, LINE_CHARS_MAX)
        noise = noise_of(self._noise, line)
        if noise is None:
            self._lines.append(line)
        if noise is None or not noise.drop:
            self._log.log(logging.WARNING if noise is None else logging.DEBUG, "gateway: %s", line)

    def text(self) -> str:
        """The last lines."""
        return "\n".join(self._lines)[-TAIL_CHARS_MAX:]


async def read_lines(descriptor: int, take: Callable[[str], None]) -> None:
    """Read a pipe to its end and close it. A line that never ends is taken in pieces."""
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", 0)
    loop = asyncio.get_running_loop()
    transport: asyncio.ReadTransport | None = None
    try:
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        rest = b""
        while chunk := await reader.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LINE_BYTES_MAX:
                lines, rest = [*lines, rest], b""
            _take_all(lines, take)
        _take_all([rest], take)
    finally:
        if transport is not None:
            transport.close()
        pipe.close()


def _take_all(lines: list[bytes], take: Callable[[str], None]) -> None:
    for line in lines:
        if text := clean_text(line.decode("utf-8", "replace"), _LINE_BYTES_MAX).strip():
            take(text)


def hide_secrets(vault: Vault, argv: tuple[str, ...], env: Mapping[str, str], flags: tuple[str, ...]) -> None:
    """Let the vault know what must not be shown: values after secret flags, and variables named like secrets."""
    for flag, value in pairwise(argv):
        if flag in flags:
            vault.hide(value)
    for argument in argv:
        name, _, value = argument.partition("=")
        if name in flags:
            vault.hide(value)
    for name, value in env.items():
        if name.upper().endswith(_SECRET_NAMES):
            vault.hide(value)


def shown(argv: tuple[str, ...], flags: tuple[str, ...]) -> str:
    """A command line as it may be logged (S3-68)."""
    words: list[str] = []
    hidden = False
    for argument in argv:
        name, equals, _ = argument.partition("=")
        if hidden:
            words.append(REDACTED)
        elif equals and name in flags:
            words.append(f"{name}={REDACTED}")
        else:
            words.append(argument)
        hidden = not hidden and argument in flags
    return " ".join(words)
