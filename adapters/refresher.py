"""One refresh exchange on the wire. Whether and when, and what then becomes of the pair, is decided elsewhere."""

from collections.abc import Callable
from typing import TypeVar

import httpx

from .dialect import Dialect, RefreshAnswer
from .fetch import fetch

T = TypeVar("T")


async def post_refresh(
    client: httpx.AsyncClient,
    dialect: Dialect,
    base_url: str,
    then: Callable[[RefreshAnswer], T],
    *,
    refresh_token: str,
    device_id: str,
) -> T:
    """POST the refresh token once, and give ``then`` what the answer means before anything else can happen (P06).

    Raises:
        httpx.HTTPError: no answer, or a broken one. Its text goes through :meth:`Vault.redact` before it is shown.
    """
    request = dialect.refresh_request(client, base_url, refresh_token, device_id)
    return await fetch(client, request, lambda response: then(dialect.read_refresh(response)))
