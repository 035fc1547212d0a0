"""Trades a pairing code for an account's first tokens."""

import httpx
import msgspec

from .dialect import Dialect, PairingAnswer, PairingDenied
from .errors import PairingFailed
from .fetch import fetch
from .http import describe
from .store import Identity
from .vault import TokenPair, Vault


class Paired(msgspec.Struct, frozen=True):
    """What :meth:`CredentialStore.activate` wants."""

    pair: TokenPair
    identity: Identity


async def pair(
    client: httpx.AsyncClient,
    dialect: Dialect,
    base_url: str,
    code: str,
    *,
    device_id: str,
    user_id: str | None = None,
) -> Paired:
    """Redeem ``code``. A code works once, so nothing is tried again after an answer, nor after none.

    ``user_id`` is that of an earlier pairing, which the account keeps. If it no longer exists, the code is still good
    and is posted once more without it. ``device_id`` is the one that refreshes must name from now on.

    Raises:
        PairingFailed: no tokens. Neither its message nor its attributes quote the code.
        ConfigError: the device id cannot be sent.
    """
    answer = await _post(client, dialect, base_url, code, device_id, user_id)
    if isinstance(answer, PairingDenied) and answer.user_is_gone and user_id is not None:
        answer = await _post(client, dialect, base_url, code, device_id, None)
    if isinstance(answer, PairingDenied):
        raise PairingFailed(answer.code, _without(code, answer.reason))
    identity = Identity(
        device_id=device_id,
        user_id=answer.user_id,
        owner_id=answer.owner_id,
        agent_id=answer.agent_id,
        conversation_id=answer.conversation_id,
    )
    return Paired(answer.pair, identity)


async def _post(
    client: httpx.AsyncClient, dialect: Dialect, base_url: str, code: str, device_id: str, user_id: str | None
) -> PairingAnswer:
    request = dialect.pair_request(client, base_url, code, device_id=device_id, user_id=user_id)
    try:
        return await fetch(client, request, dialect.read_pairing)
    except httpx.HTTPError as error:
        return PairingDenied(code=None, reason=f"no answer: {describe(error)}")


def _without(code: str, reason: str) -> str:
    vault = Vault()
    vault.hide(code)
    return vault.redact(reason)
