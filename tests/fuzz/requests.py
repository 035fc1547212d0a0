"""Each request that can be made, and a server that answers it as a test wants."""

import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Final

import httpx

from holdfast import PairingFailed, RefreshOutcome
from holdfast.adapters import (
    Bearer,
    RestFailed,
    get_agent,
    get_conversation,
    get_profile,
    http_client,
    http_pool,
    pair,
    rest_client,
)

from .corpus import SECRET
from .harness import DIALECT, FRAGMENT
from .peer import http_server

Ask = Callable[[httpx.AsyncClient, httpx.AsyncClient, str], Coroutine[None, None, str]]
"""From a plain client, a REST client and an address to the name of what came of it."""


class Server:
    """Answers with what is next, over and over."""

    def __init__(self) -> None:
        self.next = b""
        self.asked = 0

    def answer(self, head: bytes) -> bytes:
        self.asked += 1
        return self.next


async def _pair(client: httpx.AsyncClient, rest: httpx.AsyncClient, url: str) -> str:
    try:
        return await pair(client, DIALECT, url, SECRET, lambda paired: "paired", device_id="dev-9", user_id="usr_1")
    except PairingFailed as error:
        _tells_nothing(error)
        return "PairingFailed"


def _rest(get: Callable[[httpx.AsyncClient], Awaitable[object]]) -> Ask:
    async def ask(client: httpx.AsyncClient, rest: httpx.AsyncClient, url: str) -> str:
        try:
            return type(await get(rest)).__name__
        except RestFailed as error:
            _tells_nothing(error)
            return "RestFailed"

    return ask


def _tells_nothing(error: Exception) -> None:
    assert FRAGMENT not in "".join(traceback.format_exception(error)) + repr(error.__dict__)


REQUESTS: Final[dict[str, Ask]] = {
    "pairing": _pair,
    "profile": _rest(get_profile),
    "conversation": _rest(lambda client: get_conversation(client, "cnv_1")),
    "agent": _rest(lambda client: get_agent(client, "agt_1")),
}


async def _refused(cause: str, generation: int | None) -> RefreshOutcome:
    return RefreshOutcome("transient")


@asynccontextmanager
async def asking(server: Server) -> AsyncGenerator[tuple[httpx.AsyncClient, httpx.AsyncClient, str], None]:
    """Two clients, the second of which signs with the secret; and the server's address."""
    bearer = Bearer(1, SECRET, "dev-9")
    async with (
        http_server(server.answer) as url,
        http_pool() as pool,
        http_client(pool) as client,
        rest_client(pool, url, bearer=lambda: bearer, refresh=_refused) as rest,
    ):
        yield client, rest, url
