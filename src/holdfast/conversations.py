"""What is known of the account's conversations, its agent and itself: fetched when asked for, and after changes."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, Generic, TypeVar

import httpx

from .adapters import (
    AgentInfo,
    Conversation,
    HoldfastError,
    Identity,
    Profile,
    RedactingLogger,
    RestFailed,
    Stopped,
    get_agent,
    get_conversation,
    get_profile,
)
from .statecharts import Invalidation, newer, plan_refetch

CONVERSATIONS_MAX: Final = 1000
"""Kept at a time, and versions remembered. Whoever has more chats has most of them silent."""
CONCURRENT_MAX: Final = 4
"""Fetches at a time that nobody waits for. A session begins with up to ``CONVERSATIONS_MAX`` of them."""
REFUSED: Final = (401, 403, 404, 410)
"""HTTP statuses after which nothing is fetched again unasked: the first two have the token refreshed, which begins a
session, which fetches anew."""

Metadata = Conversation | AgentInfo | Profile
T = TypeVar("T", bound=Metadata)
Ask = Callable[[httpx.AsyncClient], Awaitable[T]]
_Key = tuple[str, str]
_PROFILE: Final = ("profile", "")


class Conversations:
    """Asks the service once, and again after each change of which it tells.

    ``client``, ``who`` and ``log`` give what is in force at that moment; what is kept of another user is forgotten. A
    fetch that nobody waits for and that fails is logged, and left until somebody asks, a session begins or another
    change is told.
    """

    def __init__(
        self,
        client: Callable[[], httpx.AsyncClient],
        who: Callable[[], Identity],
        log: Callable[[], RedactingLogger],
    ) -> None:
        self._who = who
        self._user_id: str | None = None
        self._versions: OrderedDict[str, int] = OrderedDict()
        self._kept = _Kept(client, log, self._is_older)

    async def get(self, chat_id: str) -> Conversation:
        """The conversation: as it is kept, or else fetched. Callers at the same time share one fetch.

        Raises:
            RestFailed: the service refused, or gave no answer to use.
            NotPaired: the account has no credentials.
            Stopped: the link has stopped.
        """
        return await self._of_now().get(("conversation", chat_id), partial(get_conversation, chat_id=chat_id))

    async def agent(self) -> AgentInfo | None:
        """The account's agent; None if the pairing named none. Raises as :meth:`get`."""
        agent_id = self._who().agent_id
        if agent_id is None:
            return None
        return await self._of_now().get(("agent", agent_id), partial(get_agent, agent_id=agent_id))

    async def profile(self) -> Profile:
        """The account's own profile. Raises as :meth:`get`."""
        return await self._of_now().get(_PROFILE, get_profile)

    def invalidated(self, invalidation: Invalidation) -> None:
        """Fetch anew what is known and has changed (S0-59, S0-60, S0-64). What nobody asked for stays unfetched."""
        kept, chat_id = self._of_now(), invalidation.chat_id
        seen = self._versions.get(chat_id)
        refetch = plan_refetch(invalidation, seen)
        self._remember(chat_id, newer(invalidation.version, seen))
        if refetch is None:
            return
        if refetch.conversation:
            kept.outdate(("conversation", chat_id))
        if refetch.behavior:
            kept.outdate(("agent", self._who().agent_id or ""))

    def on_ready(self) -> None:
        """A session began: fetch anew all that is known, since nobody told of changes meanwhile (S0-62)."""
        self._of_now().outdate_all()

    def forget(self) -> None:
        """The account was logged out: nothing of it is kept. Who waits for something waits for the next user's."""
        self._versions.clear()
        self._kept.forget()

    async def end(self) -> None:
        """End what is under way: who waits for it gets :class:`Stopped`. Nothing is fetched any more."""
        await self._kept.end()

    def _of_now(self) -> "_Kept":
        """What is kept of the user that the account has now."""
        user_id = self._who().user_id
        if user_id != self._user_id:
            self._user_id = user_id
            self.forget()
        return self._kept

    def _remember(self, chat_id: str, version: int | None) -> None:
        if version is None:
            return
        self._versions[chat_id] = version
        self._versions.move_to_end(chat_id)
        if len(self._versions) > CONVERSATIONS_MAX:
            self._versions.popitem(last=False)  # At worst, a late invalidation of that chat costs one fetch.

    def _is_older(self, key: _Key, value: object) -> bool:
        """Whether it is older than what was announced of that chat. An agent counts its versions on its own."""
        if not isinstance(value, Conversation) or value.version is None:
            return False
        return newer(self._versions.get(key[1]), value.version) != value.version


class _Entry(Generic[T]):
    """Something that can be fetched, and its fetch under way."""

    def __init__(self, key: _Key, ask: Ask[T]) -> None:
        self.key = key
        self.ask = ask
        self.value: T | None = None
        self.fresh = False
        self.outdated = False
        """It changed after the fetch under way began."""
        self.task: asyncio.Task[T] | None = None


class _Kept:
    """The last values, at most ``CONVERSATIONS_MAX``: the one asked for longest ago gives way. One fetch of each."""

    def __init__(
        self,
        client: Callable[[], httpx.AsyncClient],
        log: Callable[[], RedactingLogger],
        is_older: Callable[[_Key, object], bool],
    ) -> None:
        self._client = client
        self._log = log
        self._is_older = is_older
        self._entries: OrderedDict[_Key, _Entry[Any]] = OrderedDict()
        self._due: OrderedDict[_Key, None] = OrderedDict()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ended = False

    async def get(self, key: _Key, ask: Ask[T]) -> T:
        """What is kept, or else what a fetch brings that began after the last change known by now."""
        while not (entry := self._entry(key, ask)).fresh:
            task, outdated = entry.task or self._begin(entry), entry.outdated
            await asyncio.wait((task,))
            if not outdated and not task.cancelled():  # Cancelled by the end, or since everything was forgotten.
                return task.result()
        assert entry.value is not None
        return entry.value

    def outdate(self, key: _Key) -> None:
        """It changed: if it is known, it is fetched anew, once for all changes during one fetch."""
        entry = self._entries.get(key)
        if entry is None:
            return
        entry.fresh = False
        if entry.task is not None:
            entry.outdated = True
        else:
            self._due[key] = None
            self._go_on()

    def outdate_all(self) -> None:
        """All may have changed. Fetched first is what was asked for last."""
        for key in list(reversed(self._entries)):
            self.outdate(key)

    def forget(self) -> None:
        """Begin anew."""
        self._entries.clear()
        self._due.clear()
        for task in self._tasks:
            task.cancel()

    async def end(self) -> None:
        self._ended = True
        self.forget()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _entry(self, key: _Key, ask: Ask[T]) -> _Entry[T]:
        if self._ended:
            raise Stopped
        entry = self._entries.setdefault(key, _Entry(key, ask))
        self._entries.move_to_end(key)
        return entry

    def _go_on(self) -> None:
        while self._due and len(self._tasks) < CONCURRENT_MAX:
            key = next(iter(self._due))
            self._begin(self._entries[key], unasked=True)

    def _begin(self, entry: _Entry[T], *, unasked: bool = False) -> asyncio.Task[T]:
        """In a task of its own, so that it is nobody's whose caller is cancelled."""
        self._due.pop(entry.key, None)
        entry.outdated = False
        entry.task = task = asyncio.create_task(self._fetch(entry))
        self._tasks.add(task)
        task.add_done_callback(partial(self._settle, entry, unasked))
        return task

    async def _fetch(self, entry: _Entry[T]) -> T:
        value = await entry.ask(self._client())
        if self._is_older(entry.key, value):
            entry.outdated = False  # What changed until now is what the next answer is to show.
            value = await entry.ask(self._client())
            if self._is_older(entry.key, value):
                self._log().warning("%s %s: the service tells an older version than it announced", *entry.key)
        return value

    def _settle(self, entry: _Entry[T], unasked: bool, task: "asyncio.Task[T]") -> None:
        self._tasks.discard(task)
        entry.task = None
        error = None if task.cancelled() else task.exception()
        if not task.cancelled() and self._entries.get(entry.key) is entry:
            self._take(entry, unasked, task, error)
        self._go_on()

    def _take(self, entry: _Entry[T], unasked: bool, task: "asyncio.Task[T]", error: BaseException | None) -> None:
        if error is None:
            entry.value, entry.fresh = task.result(), not entry.outdated
        elif unasked:
            self._report(entry, error)
        if entry.outdated:
            self._due[entry.key] = None
        elif entry.value is None or _is_refusal(error):
            del self._entries[entry.key]
        self._make_room()

    def _report(self, entry: _Entry[Any], error: BaseException) -> None:
        kind, name = entry.key
        if isinstance(error, HoldfastError):
            self._log().warning("%s %s could not be fetched anew: %s", kind, name, error)
        else:
            self._log().error("%s %s could not be fetched anew, which is a bug", kind, name, exc_info=error)

    def _make_room(self) -> None:
        while len(self._entries) > CONVERSATIONS_MAX:
            idle = next((key for key, entry in self._entries.items() if entry.task is None), None)
            if idle is None:
                return
            del self._entries[idle]
            self._due.pop(idle, None)


def _is_refusal(error: BaseException | None) -> bool:
    return isinstance(error, RestFailed) and error.status in REFUSED
