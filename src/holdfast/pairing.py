"""Pairing an account: a code becomes tokens in the store, beside a live link or without one."""

import httpx
from ulid import ULID

from .adapters import CredentialStore, Dialect, pair


async def activate(
    store: CredentialStore,
    account: str,
    dialect: Dialect,
    base_url: str,
    code: str,
    client: httpx.AsyncClient,
    *,
    device_id: str | None,
    user_id: str | None = None,
    wall: float,
) -> int:
    """Redeem a pairing code and store what it gave; a live link of the account notices within a second.

    The device id is the given one, else that of a former pairing, else a new one. The user id is that of a former
    pairing, else the given one. Returns the new generation. Cancelled after the answer came, it has stored it.

    Raises:
        PairingFailed: the code was refused, or no answer came; ``spent`` says whether a new one is needed.
        StoreError: the store cannot be used. The code may be spent then: get a new one.
    """
    known = store.read(account)
    return await pair(
        client,
        dialect,
        base_url,
        code,
        lambda paired: store.activate(account, paired.pair, paired.identity, wall),
        device_id=device_id or known.device_id or f"holdfast-{ULID()}",
        user_id=known.user_id or user_id,
    )
