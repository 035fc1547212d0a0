"""Where the demo plays: a sandbox, a state folder, a link, and the eyes that watch them from outside."""

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec
from anyio.abc import TaskGroup

from .. import ClawChat, ConfigMirror, Identity, Link, Message, Policy, SqliteStore, Status, TokenPair, connect
from ..adapters import DEFAULT_ACCOUNT
from ..sandbox import Credentials, Gateway
from .show import Check, Show

POLL_S: Final = 0.02
SECTION: Final = ("channels", "clawchat")
CONFIG: Final[dict[str, Any]] = {
    "name": "my agent",
    "channels": {"clawchat": {"enabled": True, "token": "", "refreshToken": ""}},
}


class OnDisk(msgspec.Struct, frozen=True):
    """What the files say, read without a line of Holdfast. Its repr hides the tokens."""

    sqlite: tuple[str | None, str | None]
    config: tuple[str, str]
    identity: tuple[str | None, ...]
    other_settings: bool

    def __repr__(self) -> str:
        return f"OnDisk(identity={self.identity!r})"

    @property
    def stores(self) -> str:
        """What both stores hold, in a word."""
        if self.sqlite == self.config:
            return "the same tokens in both"
        blank = {None, ""}
        return "both blank" if blank.issuperset(self.sqlite) and blank.issuperset(self.config) else "different tokens"


class Stage:
    """What a scene acts on and looks at. ``tasks`` outlive the scenes."""

    def __init__(self, gateway: Gateway, folder: Path, policy: Policy, show: Show, tasks: TaskGroup) -> None:
        self.gateway = gateway
        self.show = show
        self.checks: list[Check] = []
        self.statuses: list[Status] = []
        self.messages: list[Message] = []
        self.notices: list[str] = []
        self.waiting_for = ""
        self.link: Link
        self._folder = folder
        self._policy = policy
        self._tasks = tasks
        self._running = AsyncExitStack()
        self._before = gateway.counters
        self._events_before = 0
        self.config_path = folder / "config.json"
        self.config_path.write_text(json.dumps(CONFIG, indent=2))
        self.store = SqliteStore(folder / "accounts.db")

    # -- acting ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the link, as a program does that is started."""
        self.link = await self._running.enter_async_context(
            connect(
                self.gateway.ws_url,
                base_url=self.gateway.base_url,
                dialect=ClawChat(),
                store=SqliteStore(self.store.path),
                mirror=ConfigMirror(self.config_path, SECTION),
                notify=self._on_notice,
                policy=self._policy,
            )
        )
        self._tasks.start_soon(self._follow, self.link)
        self._tasks.start_soon(self._listen, self.link)

    async def stop(self) -> None:
        """Stop the link."""
        await self._running.aclose()
        self._running = AsyncExitStack()

    def replace_tokens(self, credentials: Credentials) -> None:
        """Store other tokens of the same account beside the link, as another process can."""
        known = self.store.read(DEFAULT_ACCOUNT)
        identity = Identity(**{name: getattr(known, name) for name in Identity.__struct_fields__})
        pair = TokenPair(credentials.access_token, credentials.refresh_token)
        self.store.activate(DEFAULT_ACCOUNT, pair, identity, time.time())
        self.store.close()

    def issue(self, *, access_lifetime_s: float) -> Credentials:
        """Fresh tokens of the account's device, straight from the gateway."""
        device_id, user_id, *_ = self.on_disk.identity
        return self.gateway.issue(user_id, device_id=device_id or "", access_lifetime_s=access_lifetime_s)

    async def _follow(self, link: Link) -> None:
        async for status in link.statuses():
            self.statuses.append(status)
            self.show.status(status)

    async def _listen(self, link: Link) -> None:
        async for message in link:
            self.messages.append(message)
            self.show.say(f"<- {message.sender_name}: {message.text}")

    def _on_notice(self, level: str, text: str) -> None:
        self.notices.append(text)
        self.show.say(f"!! {text}")

    # -- looking ---------------------------------------------------------------------------------------------

    @property
    def on_disk(self) -> OnDisk:
        """The SQLite file and the configuration file, as they are now."""
        with closing(sqlite3.connect(f"{self.store.path.as_uri()}?mode=ro", uri=True)) as store:
            row = store.execute(
                "SELECT access, refresh, device_id, user_id, owner_id, agent_id FROM accounts"
            ).fetchone()
        config = json.loads(self.config_path.read_text())
        section = config["channels"]["clawchat"]
        tokens = (section.pop("token"), section.pop("refreshToken"))
        kept = config == {"name": "my agent", "channels": {"clawchat": {"enabled": True}}}
        access, refresh, *identity = row or (None,) * 6
        return OnDisk((access, refresh), tokens, tuple(identity), kept)

    def holds(self, secret: str) -> bool:
        """Whether any file of the state folder still holds this text."""
        return any(secret.encode() in path.read_bytes() for path in self._folder.iterdir() if path.is_file())

    def begin(self) -> None:
        """From here on counts what :meth:`since` counts."""
        self._before = self.gateway.counters
        self._events_before = self.gateway.events[-1].n if self.gateway.events else 0
        self.statuses.clear()

    def since(self, counter: str) -> int:
        """How often the gateway saw something, since the scene began."""
        return int(getattr(self.gateway.counters, counter) - getattr(self._before, counter))

    def order(self, *wanted: str) -> str:
        """In which order the gateway saw such events, since the scene began."""
        return ", ".join(
            event.event for event in self.gateway.events if event.n > self._events_before and event.event in wanted
        )

    def states(self) -> str:
        """The states that the link went through, since the scene began."""
        words: list[str] = []
        for status in self.statuses:
            if words[-1:] != [status.state]:
                words.append(status.state)
        return ", ".join(words)

    async def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait until it holds. The scene's deadline ends the wait, and names it."""
        self.waiting_for = what
        while not holds():  # noqa: ASYNC110 - files and counters send no events
            await anyio.sleep(POLL_S)
        self.waiting_for = ""

    async def until_connected(self) -> None:
        """Wait until the link is connected, both stores have it, and the gateway agrees."""
        await self.until("the link to be connected", lambda: self.link.status.connected)
        await self.until("the gateway to have one session", lambda: len(self.gateway.sessions) == 1)

    # -- judging ---------------------------------------------------------------------------------------------

    def expect(self, what: str, expected: object, seen: object) -> None:
        """Note what was expected and what was seen."""
        self.check(what, str(expected), seen, expected == seen)

    def check(self, what: str, expected: str, seen: object, ok: bool) -> None:
        """Note what was expected, and whether what was seen will do."""
        check = Check(what, expected, str(seen), ok)
        self.checks.append(check)
        self.show.check(check)
