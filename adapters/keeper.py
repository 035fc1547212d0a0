"""The credentials' way between store, vault and mirror. Quick and synchronous: local files and memory."""

from collections.abc import Callable

import msgspec

from holdfast.engine import Event
from holdfast.statecharts import (
    BlankMirror,
    ClearCredentials,
    ClearFailed,
    Credential,
    CredentialsChanged,
    CredentialsCleared,
    CredentialsRead,
    ForgetTokens,
    Greet,
    LoadCredentials,
    MirrorFailed,
    MirrorWritten,
    NotGreeted,
    Record,
    RememberDevice,
    StoreFailed,
    UseCredential,
    WriteMirror,
)

from .credentials import credential_of
from .errors import ConfigError, StoreError
from .inbound import Paired
from .logs import RedactingLogger
from .mirror import ConfigMirror
from .store import CredentialStore, HistoryRow, Stored
from .vault import Vault


class Keeper:
    """Carries out the commands about stored credentials for one account, and notices what others change."""

    def __init__(
        self,
        *,
        account: str,
        store: CredentialStore,
        vault: Vault,
        mirror: ConfigMirror | None,
        wall: Callable[[], float],
        log: RedactingLogger,
    ) -> None:
        self._account = account
        self._store = store
        self._vault = vault
        self._mirror = mirror
        self._wall = wall
        self._log = log
        self._version: object = None
        self._told = -1  # the newest generation the chart knows of
        self._trouble = ""  # what the last look failed of, logged once
        self.stored = Stored()

    def load(self, command: LoadCredentials) -> Event:
        """Read the store into the vault."""
        try:
            self._take(self._store.read(self._account))
        except StoreError as error:
            return StoreFailed(str(error))
        stored = self.stored
        interrupted = stored.interrupted == stored.generation
        return CredentialsRead(stored.generation, self._credential(), interrupted, stored.greeted, stored.user_id)

    def look(self) -> Event | None:
        """What somebody else changed since the last look, if anything."""
        told = self._told
        try:
            version = self._store.version()
            if version == self._version:
                return None
            self._take(self._store.read(self._account))
        except StoreError as error:
            if str(error) != self._trouble:
                self._log.warning("%s", error)  # the next look, or the chart's next command, meets it again
            self._trouble = str(error)
            return None
        self._version, self._trouble = version, ""
        if self._told == told:
            return None
        return CredentialsChanged(self._told, self._credential(), self.stored.greeted, self.stored.user_id)

    def _take(self, stored: Stored) -> None:
        self.stored = stored
        self._told = stored.generation
        self._vault.load(stored.generation, stored.pair)

    def _credential(self) -> Credential | None:
        stored = self.stored
        return None if stored.pair is None else credential_of(stored.generation, stored.pair, stored.obtained_at)

    def use(self, command: UseCredential) -> None:
        """From now on the vault hands out this generation's tokens."""
        self._vault.use(command.generation)
        self._told = max(self._told, command.generation)

    def forget(self, command: ForgetTokens) -> None:
        """The vault hands out nothing any more."""
        self._vault.forget()

    def clear(self, command: ClearCredentials) -> Event:
        """Blank the tokens on disk and in memory."""
        self._vault.forget()
        try:
            generation = self._store.clear(self._account, command.generation)
        except StoreError as error:
            return ClearFailed(str(error))
        superseded = command.generation or 0  # the next look tells what has come since
        self._told = superseded if generation is None else generation
        return CredentialsCleared(self._told)

    def greet(self, command: Greet) -> Paired | NotGreeted:
        """Stored first, then told: if we die in between, the user never hears of it, but never twice either."""
        try:
            if not self._store.greet(self._account, command.generation):
                return NotGreeted()
        except StoreError as error:
            self._log.warning("the pairing cannot be greeted: %s", error)
            return NotGreeted()
        stored = self.stored
        return Paired(
            conversation_id=stored.conversation_id,
            user_id=stored.user_id,
            owner_id=stored.owner_id,
            agent_id=stored.agent_id,
            raw="",
        )

    def write_mirror(self, command: WriteMirror) -> Event:
        """Copy the pair in force to the mirror."""
        pair = self._vault.pair(command.generation)
        return self._mirrored(lambda mirror: None if pair is None else mirror.write(pair))

    def blank_mirror(self, command: BlankMirror) -> Event:
        """Blank the tokens in the mirror."""
        return self._mirrored(lambda mirror: mirror.blank())

    def _mirrored(self, write: Callable[[ConfigMirror], None]) -> Event:
        try:
            if self._mirror is not None:
                write(self._mirror)
        except (ConfigError, StoreError, OSError) as error:
            self._log.error("the configuration mirror cannot be written: %s", error)
            return MirrorFailed(str(error))
        return MirrorWritten()

    def remember_device(self, command: RememberDevice) -> None:
        """For the next dial at once, and for the next process best effort: without it that one presents the former."""
        if command.device_id and command.device_id != self.stored.resolved_device_id:
            self.stored = msgspec.structs.replace(self.stored, resolved_device_id=command.device_id)
            self._best_effort(lambda: self._store.remember_device(self._account, command.device_id))

    def record(self, command: Record) -> None:
        """A row for the history, best effort, and a line for the log."""
        reason = self._vault.redact(" — ".join(part for part in (command.reason, command.detail) if part))
        self._log.info("%s %s %s", command.kind, command.state, reason)
        row = HistoryRow(
            at=self._wall(), kind=command.kind, state=command.state, code=command.code, reason=reason or None
        )
        self._best_effort(lambda: self._store.record(self._account, row))

    def _best_effort(self, write: Callable[[], None]) -> None:
        try:
            write()
        except StoreError as error:
            self._log.warning("%s", error)
