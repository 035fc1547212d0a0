"""Trades a pairing code for an account's first tokens."""

from collections.abc import Callable
from typing import Final, TypeVar

import httpx
import msgspec

from .dialect import Dialect, PairingDenied, PairingGranted
from .errors import PairingFailed
from .fetch import fetch
from .http import describe
from .store import Identity
from .vault import TokenPair, Vault

CODE_CHARS_MAX: Final = 200
UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
"""No connection could be made, so that the request never left."""

T = TypeVar("T")


class Grant(msgspec.Struct, frozen=True):
    """What :meth:`CredentialStore.activate` wants."""

    pair: TokenPair
    identity: Identity


def check_pairing_code(code: str) -> None:
    """Refuse what cannot be a pairing code, before it is posted or hidden anywhere.

    Raises:
        PairingFailed: it is blank, not printable ASCII, or longer than 200 characters. The code is not quoted.
    """
    if not (code.strip() and code.isascii() and code.isprintable() and len(code) <= CODE_CHARS_MAX):
        raise PairingFailed(None, f"a code is printable ASCII of 1 to {CODE_CHARS_MAX} characters")


async def pair(
    client: httpx.AsyncClient,
    dialect: Dialect,
    base_url: str,
    code: str,
    take: Callable[[Grant], T],
    *,
    device_id: str,
    user_id: str | None = None,
) -> T:
    """Redeem ``code``, and give ``take`` what it brought before anything else can happen, also a cancellation (P06).

    What ``take`` returns or raises is the outcome. A code works once, so nothing is tried again after an answer, nor
    after none. One that found no connection is still good. ``user_id`` is that of an earlier pairing, which the account
    keeps. If it no longer exists, the code is still good and is posted once more without it. ``device_id`` is the one
    that refreshes must name from now on.

    Raises:
        PairingFailed: no tokens. Neither its message nor its attributes quote the code.
        ConfigError: the device id cannot be sent.
    """
    check_pairing_code(code)

    def read(response: httpx.Response) -> T | PairingDenied:
        answer = dialect.read_pairing(response)
        return answer if isinstance(answer, PairingDenied) else take(_grant(answer, device_id))

    async def post(user_id: str | None) -> T | PairingDenied:
        request = dialect.pair_request(client, base_url, code, device_id=device_id, user_id=user_id)
        try:
            return await fetch(client, request, read)
        except UNSENT as error:
            raise PairingFailed(None, _without(code, f"no connection: {describe(error)}"), spent=False) from None
        except httpx.HTTPError as error:
            return PairingDenied(code=None, reason=f"no answer: {describe(error)}")

    taken = await post(user_id)
    if isinstance(taken, PairingDenied) and taken.user_is_gone and user_id is not None:
        taken = await post(None)
    if isinstance(taken, PairingDenied):
        raise PairingFailed(taken.code, _without(code, taken.reason))
    return taken


def _grant(answer: PairingGranted, device_id: str) -> Grant:
    identity = Identity(
        device_id=device_id,
        user_id=answer.user_id,
        owner_id=answer.owner_id,
        agent_id=answer.agent_id,
        conversation_id=answer.conversation_id,
    )
    return Grant(answer.pair, identity)


def _without(code: str, reason: str) -> str:
    vault = Vault()
    with vault.hiding(code):
        return vault.redact(reason)
