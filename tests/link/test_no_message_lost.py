"""Killed, dropped, kicked and restarted all the time, no message is lost in either direction (P56, P58, P59)."""

import asyncio
import random
import sys
from collections import defaultdict
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from holdfast import Identity, SqliteMessages, SqliteStore, TokenPair
from holdfast.adapters import DEFAULT_ACCOUNT, owner_of
from holdfast.sandbox import Credentials, Gateway, GatewaySettings, serve
from holdfast.sandbox.persist import Saved

from .chatting import message_id

pytestmark = pytest.mark.anyio

CHATS = [f"cnv_{name}" for name in "abcde"]
LIMIT_S = 600
IDLE_S = 0.5


class Service:
    """A gateway that can be restarted: what it had stored it has again, on the same port."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.saved = Saved()
        self.stack = AsyncExitStack()
        self.gateway: Gateway
        self.port = 0
        self.before = 0
        # An ideal disk: a file of megabytes for each of thousands of messages would be the test's own undoing.
        monkeypatch.setattr("holdfast.sandbox.world.load", self._load)
        monkeypatch.setattr("holdfast.sandbox.world.save", self._save)

    def _load(self, path: Path) -> Saved:
        return self.saved

    def _save(self, path: Path, saved: Saved) -> None:
        assert saved is self.saved

    async def start(self) -> None:
        settings = GatewaySettings(messages_max=100_000)
        self.gateway = await self.stack.enter_async_context(
            serve(port=self.port, settings=settings, state_file="ideal")
        )
        self.port = self.gateway.port

    async def restart(self) -> None:
        self.before = self.happened()
        await self.stack.aclose()
        await self.start()

    def happened(self) -> int:
        """Something that grows while the client is at work."""
        counters = self.gateway.counters
        return self.before + counters.messages_received + counters.frames_delivered + counters.upgrades + counters.acks

    async def progress(self, amount: int) -> None:
        """Wait until so much more has happened, or nothing more happens."""
        goal = self.happened() + amount
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_S):
                await self.gateway.wait(lambda found: self.happened() >= goal)


class Client:
    """The other process, which is killed."""

    def __init__(self, service: Service, issued: Credentials, folder: Path, count: int) -> None:
        self.service, self.issued, self.folder, self.count = service, issued, folder, count
        self.kills = 0
        self.committed: set[str] = set()
        self.repeated: list[str] = []
        self.read = 0
        self.heard: dict[str, list[int]] = defaultdict(list)
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        store = SqliteStore(self.folder / "store.db")
        identity = Identity(device_id=self.issued.device_id, user_id=self.issued.user_id)
        store.activate(
            DEFAULT_ACCOUNT, TokenPair(self.issued.access_token, self.issued.refresh_token), identity, 1_800_000_000.0
        )
        store.close()
        program = str(Path(__file__).with_name("chatting.py"))
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, program, self.service.gateway.ws_url, str(self.folder), str(self.count), *CHATS,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        await self.tell("go")

    async def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    async def kill(self) -> None:
        """Kill it; what it had handled and committed by then must never be handled again."""
        await self.tell("kill")
        assert self.process.stdout is not None
        assert await self.process.stdout.readline() == b"-9\n"
        self.kills += 1
        self.look()

    def look(self) -> None:
        """Read what was newly written down, and what of it is committed."""
        journal = self.folder / "heard"
        text = journal.read_bytes() if journal.exists() else b""
        fresh, self.read = text[self.read :], len(text)
        messages = SqliteMessages(self.folder / "messages.db")
        for line in fresh.decode().splitlines():
            name, chat, number = line.split()
            if name in self.committed:
                self.repeated.append(line)
            if int(number) not in self.heard[chat]:
                self.heard[chat].append(int(number))
        for line in fresh.decode().splitlines():
            name = line.split()[0]
            if messages.seen(owner_of(DEFAULT_ACCOUNT, self.issued.user_id), name) is not None:
                self.committed.add(name)
        messages.close()

    def has_heard_all(self) -> bool:
        return (self.folder / "heard").exists() and len(
            {line.split()[0] for line in (self.folder / "heard").read_bytes().splitlines()}
        ) >= self.count

    async def end(self) -> None:
        self.process.kill()
        await self.process.wait()


async def disturb(service: Service, client: Client, dice: random.Random, every: int, rounds: int) -> None:
    """Every so many frames something goes wrong."""
    user = client.issued.user_id
    for _ in range(rounds):
        await service.progress(dice.randint(every // 2, every))
        match dice.choice(("drop", "kick", "lose", "skip", "restart", "kill", "kill")):
            case "drop":
                service.gateway.drop(user)
            case "kick":
                service.gateway.kick(user)
            case "lose":
                service.gateway.inject("send", "lose")
            case "skip":
                service.gateway.inject("frame", "skip")
            case "restart":
                await service.restart()
            case _:
                await client.kill()
                await client.tell("go")


async def push(service: Service, user: str, count: int, ahead: int) -> None:
    """The gateway's side of the conversation, in step with the client's."""
    for number in range(count):
        while number > len(service.gateway.messages(user)) + ahead:
            await service.progress(1)
        chat = CHATS[number % len(CHATS)]
        service.gateway.push_message(user, chat, str(number), message_id=message_id(1_000_000 + number))


async def converse(service: Service, client: Client, dice: random.Random, every: int, rounds: int) -> None:
    user = client.issued.user_id
    pushing = asyncio.create_task(push(service, user, client.count, every // 10))
    await disturb(service, client, dice, every, rounds)
    service.gateway.clear()
    await pushing
    while not client.has_heard_all() or len(service.gateway.messages(user)) < client.count:
        await service.progress(1)
    while service.gateway.unconfirmed(user).get(client.issued.device_id):
        await service.progress(1)


async def run(monkeypatch: pytest.MonkeyPatch, folder: Path, count: int, every: int, rounds: int, seed: int) -> None:
    service = Service(monkeypatch)
    await service.start()
    issued = service.gateway.issue(device_id="dev-chatting")
    for chat in CHATS:
        service.gateway.add_conversation(issued.user_id, chat)
    client = Client(service, issued, folder, count)
    try:
        await client.start()
        async with asyncio.timeout(LIMIT_S):
            await converse(service, client, random.Random(seed), every, rounds)
        await client.kill()
    finally:
        await client.end()
        await service.stack.aclose()
    expected = {chat: list(range(place, count, len(CHATS))) for place, chat in enumerate(CHATS)}
    said: dict[str, list[int]] = defaultdict(list)
    for message in service.saved.mail[issued.user_id].sent.values():
        said[message.chat_id].append(int(message.text))
    assert said == expected  # each once, in the order of its chat
    assert client.heard == expected
    assert client.committed
    assert client.repeated == []
    assert client.kills > rounds / 10


@pytest.mark.rule("P06", "P56", "P58", "P59")
async def test_a_few_hundred_messages_survive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    await run(monkeypatch, tmp_path, count=300, every=60, rounds=12, seed=1)


@pytest.mark.slow
@pytest.mark.rule("P56", "P58", "P59")
async def test_ten_thousand_messages_in_each_direction_survive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    await run(monkeypatch, tmp_path, count=10_000, every=500, rounds=60, seed=2)
