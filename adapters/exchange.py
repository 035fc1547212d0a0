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
from .http import describe
from .refresher import post_refresh
from .store import CredentialStore
from .vault import TokenPair, Vault


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

    async def post(self, command: PostRefresh, report: Callable[[Event], None]) -> None:
        """One exchange, however it ends, within the command's deadline; reported once, and as soon as it is known."""
        token = self._begin(command)
        if not isinstance(token, str):
            report(token)
            return
        answered = False

        def take(answer: RefreshAnswer) -> None:
            nonlocal answered
            answered = True
            report(self._commit(command, answer))  # no await from the answer to the store (P06)

        problem = f"no answer within {command.deadline_s:g} s"
        with anyio.move_on_after(command.deadline_s):
            problem = await self._post(token, take)
        if not answered:  # a deadline that passed after the answer was taken changes nothing
            take(NotRotated("", problem))

    def _begin(self, command: PostRefresh) -> str | Event:
        """The refresh token to post, its intent journalled; or why there is no posting."""
        token = self._vault.refresh(command.generation)
        try:
            if token is None or not self._store.begin_refresh(self._account, command.generation, self._wall()):
                return RefreshSuperseded(command.refresh)
        except StoreError as error:
            return self._failed(command, "", f"not posted, since the intent cannot be journalled: {error}")
        return token

    async def _post(self, token: str, take: Callable[[RefreshAnswer], None]) -> str:
        try:
            await post_refresh(
                self._client, self._dialect, self._base_url, take, refresh_token=token, device_id=self._device_id()
            )
        except httpx.HTTPError as error:
            return describe(error)
        return ""

    def _commit(self, command: PostRefresh, answer: RefreshAnswer) -> Event:
        if isinstance(answer, NotRotated):
            return self._settle(command, answer)
        generation = command.generation
        changed = answer.pair.access != self._vault.access(generation)
        self._held_at = self._wall()
        try:
            written = self._store.rotate(self._account, generation, answer.pair, self._held_at)
        except StoreError as error:
            if self._vault.access(generation) is None:  # somebody else's pair, or a logout, came in the meantime
                return self._superseded(command, answer.pair)
            self._vault.hold_pending(generation + 1, answer.pair)
            return RotationHeld(command.refresh, self._held(generation), self._vault.redact(str(error)))
        if written is None:
            return self._superseded(command, answer.pair)
        self._vault.hold_pending(written, answer.pair)
        return RefreshSucceeded(command.refresh, self._held(generation), changed)

    def _superseded(self, command: PostRefresh, pair: TokenPair) -> Event:
        """Never held: by then the vault may hold a pair of somebody else under this very generation."""
        self._vault.hide(pair.access)
        self._vault.hide(pair.refresh or "")
        return RefreshSuperseded(command.refresh)

    def store(self, command: StoreRotation) -> Event:
        """Try again to store a held pair."""
        pair = self._vault.pair(command.generation + 1)
        if pair is None:
            return RefreshSuperseded(command.refresh)
        try:
            written = self._store.rotate(self._account, command.generation, pair, self._held_at)
        except StoreError as error:
            return RotationUnstored(command.refresh, self._vault.redact(str(error)))
        if written is None:
            return RefreshSuperseded(command.refresh)
        return RotationStored(command.refresh, self._held(command.generation))

    def _held(self, generation: int) -> Credential:
        pair = self._vault.pair(generation + 1)
        return credential_of(generation + 1, pair, self._held_at)

    def _settle(self, command: PostRefresh, answer: NotRotated) -> Event:
        """A readable refusal settles the intent; anything else may hide a rotation, and the intent stays (P06)."""
        try:
            if answer.code:
                self._store.settle_refresh(self._account, command.generation)
        except StoreError as error:
            told = f"{answer.error} (and the store failed: {error})"
            return self._failed(command, answer.code, told, answer.retry_after_s)
        return self._failed(command, answer.code, answer.error, answer.retry_after_s)

    def _failed(self, command: PostRefresh, code: str, error: str, retry_after_s: float = 0.0) -> RefreshFailed:
        return RefreshFailed(command.refresh, code, self._vault.redact(error), retry_after_s)
