"""The refresh exchange: journal the intent, POST, store the answer. Between the answer and the store nothing awaits."""

from collections.abc import Callable

import anyio
import httpx

from holdfast.engine import Event
from holdfast.statecharts import (
    Credential,
    PostRefresh,
    RefreshFailed,
    RefreshSucceeded,
    RefreshSuperseded,
    RotationHeld,
    RotationStored,
    RotationUnstored,
    StoreRotation,
)

from .credentials import credential_of
from .dialect import Dialect, NotRotated, RefreshAnswer
from .errors import StoreError
from .refresher import post_refresh
from .store import CredentialStore
from .vault import Vault


class Exchange:
    """Carries out PostRefresh and StoreRotation for one account."""

    def __init__(
        self,
        *,
        account: str,
        store: CredentialStore,
        vault: Vault,
        dialect: Dialect,
        base_url: str,
        client: httpx.AsyncClient,
        device_id: Callable[[], str],
        wall: Callable[[], float],
    ) -> None:
        self._account = account
        self._store = store
        self._vault = vault
        self._dialect = dialect
        self._base_url = base_url
        self._client = client
        self._device_id = device_id
        self._wall = wall
        self._held_at = 0.0

    async def post(self, command: PostRefresh) -> Event:
        """One exchange, however it ends, within the command's deadline."""
        token = self._vault.refresh(command.generation)
        try:
            if token is None or not self._store.begin_refresh(self._account, command.generation, self._wall()):
                return RefreshSuperseded(command.refresh)
        except StoreError as error:
            return self._failed(command, "", f"not posted, since the intent cannot be journalled: {error}")
        try:
            with anyio.fail_after(command.deadline_s):
                answer = await post_refresh(
                    self._client, self._dialect, self._base_url, refresh_token=token, device_id=self._device_id()
                )
        except TimeoutError:
            return self._failed(command, "", f"no answer within {command.deadline_s:g} s")
        return self._commit(command, answer)  # no await from the answer to the store (P06)

    def _commit(self, command: PostRefresh, answer: RefreshAnswer) -> Event:
        if isinstance(answer, NotRotated):
            return self._settle(command, answer)
        changed = answer.pair.access != self._vault.access(command.generation)
        self._held_at = self._wall()
        self._vault.hold_pending(command.generation + 1, answer.pair)
        outcome = self._write(command.generation)
        if outcome is None:
            return RefreshSuperseded(command.refresh)
        if isinstance(outcome, StoreError):
            return RotationHeld(command.refresh, self._held(command.generation), self._vault.redact(str(outcome)))
        return RefreshSucceeded(command.refresh, outcome, changed)

    def store(self, command: StoreRotation) -> Event:
        """Try again to store a held pair."""
        outcome = self._write(command.generation)
        if outcome is None:
            return RefreshSuperseded(command.refresh)
        if isinstance(outcome, StoreError):
            return RotationUnstored(command.refresh, self._vault.redact(str(outcome)))
        return RotationStored(command.refresh, outcome)

    def _write(self, generation: int) -> Credential | StoreError | None:
        """Replace the pair of ``generation`` by the held one; None if the store has moved on."""
        pair = self._vault.pair(generation + 1)
        if pair is None:
            return None
        try:
            written = self._store.rotate(self._account, generation, pair, self._held_at)
        except StoreError as error:
            return error
        return None if written is None else self._held(generation)

    def _held(self, generation: int) -> Credential:
        pair = self._vault.pair(generation + 1)
        return credential_of(generation + 1, pair, self._held_at)

    def _settle(self, command: PostRefresh, answer: NotRotated) -> Event:
        """A readable refusal settles the intent; anything else may hide a rotation, and the intent stays (P06)."""
        try:
            if answer.code:
                self._store.settle_refresh(self._account, command.generation)
        except StoreError as error:
            return self._failed(command, answer.code, f"{answer.error} (and the store failed: {error})")
        return self._failed(command, answer.code, answer.error)

    def _failed(self, command: PostRefresh, code: str, error: str) -> RefreshFailed:
        return RefreshFailed(command.refresh, code, self._vault.redact(error))
