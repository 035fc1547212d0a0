"""One refresh exchange on the wire. Whether and when, and what then becomes of the pair, is decided elsewhere."""

import httpx

from .dialect import Dialect, NotRotated, RefreshAnswer
from .http import describe, fetch


async def post_refresh(
    client: httpx.AsyncClient, dialect: Dialect, base_url: str, *, refresh_token: str, device_id: str
) -> RefreshAnswer:
    """POST the refresh token once. Whatever the world does wrong is a :class:`NotRotated` without a code (S1-13).

    The error's text may quote the service: it goes through :meth:`Vault.redact` before it is shown.
    """
    request = dialect.refresh_request(client, base_url, refresh_token, device_id)
    try:
        return dialect.read_refresh(await fetch(client, request))
    except httpx.HTTPError as error:
        return NotRotated("", describe(error))
