"""One account's link to its gateway."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from math import inf
from types import TracebackType
from typing import Any, Final

import anyio
import httpx

from .adapters import (
    Ack,
    Bearer,
    Connection,
    HistoryRow,
    Identity,
    Inbound,
    Message,
    NotConnected,
    NotEntered,
    NotPaired,
    NotSupported,
    OutboxItem,
    RefreshOutcome,
    Runner,
    Settings,
    Stopped,
    check_pairing_code,
    http_client,
    http_pool,
    is_own_echo,
    rest_client,
)
from .conversations import Conversations
from .listening import Listening
from .pairing import activate
from .reading import Reading
from .receiving import Frames, Messages, Receiving
from .sending import Sending
from .statecharts import (
    LogoutRequested,
    ReadingPaused,
    ReadingResumed,
    ResumeRequested,
    Status,
)
from .statuses import Statuses
from .typing_notice import typing_notice
from .undisturbed import undisturbed

SEND_S: Final = 15.0
GRACE_S: Final = 1.0
"""For what has to end, beyond the time that the policy gives it."""


class Link:
    """A live link. Made by :func:`connect`, and usable inside its ``async with`` block: else :class:`NotEntered`.

    Entering takes the account's lease and begins to connect, without waiting for it: a link of an unpaired account or
    to a gateway that is down is a link all the same. Leaving closes the socket, lets an exchange that is under way
    store its pair, and leaves nothing behind.

    Raises (on entering):
        AccountBusy: another live link owns the account.
        Stopped: it was stopped, or has been entered before.
        StoreError: the store cannot be used.
        ConfigError: the mirror's file is broken.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._statuses = Statuses()
        self._reading = Reading(settings.clock, settings.policy.ping_s, self._connection, self._report)
        self._receiving = Receiving(self._reading, lambda: self._entered().receipts, self._is_echo)
        self._sending = Sending(settings.account, self._reading)
        self._resources = AsyncExitStack()
        self._runner: Runner | None = None
        self._task: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._client: httpx.AsyncClient
        self._rest: httpx.AsyncClient | None = None
        self._conversations = Conversations(
            lambda: self.rest, lambda: self._entered().keeper.stored, lambda: self._entered().log
        )
        self._listening = Listening(self._statuses, self._receiving, self._sending, self._conversations)

    def __repr__(self) -> str:
        return f"<Link {self._settings.account!r} {self.status.state}>"

    # -- life ------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> "Link":
        if self._task is not None or self._ending is not None:
            raise Stopped
        try:
            await self._begin()
        except BaseException as error:
            unwinding = asyncio.create_task(self._unwind())
            await undisturbed(unwinding)
            if not unwinding.cancelled() and unwinding.exception() is not None:
                error.add_note(f"and what had been opened could not be closed: {unwinding.exception()}")
            raise
        return self

    async def _begin(self) -> None:
        settings, resources = self._settings, self._resources
        settings.store.open()
        resources.callback(settings.store.close)
        settings.messages.open()
        resources.callback(settings.messages.close)
        resources.enter_context(settings.store.lease(settings.account))
        self._seed()
        pool = await resources.enter_async_context(http_pool())
        self._client = await resources.enter_async_context(http_client(pool))
        self._runner = runner = Runner(settings, self._client, self._listening)
        self._rest = await resources.enter_async_context(
            rest_client(pool, settings.base_url, bearer=self._bearer, refresh=runner.refresh)
        )
        resources.push_async_callback(self._conversations.end)
        self._task = asyncio.create_task(self._run(runner), name=f"holdfast {settings.account}")
        resources.push_async_callback(self._end, runner, self._task)
        await runner.begun.wait()
        if self._ending is not None:
            raise Stopped

    async def _unwind(self) -> None:
        """Close what was opened; also what came after a :meth:`stop` that was faster."""
        if self._ending is not None:
            await asyncio.wait((self._ending,))
        await self._resources.aclose()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await undisturbed(self._begin_to_end())
        self._tell()

    def _seed(self) -> None:
        """An empty store begins with what the mirror holds; when that was issued, nobody knows (S0-06, S0-07)."""
        pair = self._settings.mirror.read() if self._settings.mirror is not None else None
        if pair is not None:
            self._settings.store.seed(self._settings.account, pair, Identity())

    async def _run(self, runner: Runner) -> None:
        try:
            await runner.run()
        finally:
            self._conclude()

    def _conclude(self) -> None:
        self._receiving.end()
        self._sending.end()
        self._reading.end()
        self._statuses.end()

    async def stop(self) -> None:
        """Close the socket, let an exchange under way be stored, end every task. Bounded, and safe to call twice.

        Who is cancelled while waiting here leaves the link stopping. One that was not entered yet never can be then.

        Raises:
            Exception: the link had died of a bug of ours; this is it.
        """
        await asyncio.wait((self._begin_to_end(),))
        self._tell()

    def _begin_to_end(self) -> asyncio.Task[None]:
        """In a task of its own, so that it may be asked for by what it is going to end."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._close())
        return self._ending

    async def _close(self) -> None:
        try:
            await self._resources.aclose()
        finally:
            self._conclude()

    async def _end(self, runner: Runner, task: asyncio.Task[None]) -> None:
        runner.stop()
        await asyncio.wait((task,), timeout=self._settings.policy.stop_s + GRACE_S)
        task.cancel()
        await asyncio.wait((task,), timeout=GRACE_S)
        if not task.done():
            runner.log.error("the link stopped, and left behind a notification hook that does not end when cancelled")

    def _tell(self) -> None:
        """Raise what went wrong."""
        for task in (self._ending, self._task):
            if task is not None and task.done() and not task.cancelled():
                task.result()

    def _is_echo(self, inbound: Inbound) -> bool:
        """Our own words, relayed by the gateway as it does to every connection of the user."""
        stored = self._entered().keeper.stored
        return is_own_echo(inbound, stored.user_id, stored.resolved_device_id)

    def _entered(self) -> Runner:
        if self._runner is None:
            raise self._unusable()
        return self._runner

    def _running(self) -> Runner:
        if self._runner is None or self._task is None:
            raise self._unusable()
        if self._task.done():
            raise Stopped
        return self._runner

    def _unusable(self) -> NotEntered | Stopped:
        return NotEntered() if self._ending is None else Stopped()

    # -- what it is doing ------------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """A current picture."""
        return self._statuses.newest

    @property
    def bad_frames(self) -> int:
        """Frames that could not be understood, since the start."""
        return self._listening.bad_frames

    def statuses(self) -> AsyncIterator[Status]:
        """The present status, then each change, until the link has stopped."""
        return self._statuses.stream()

    async def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until the link is connected.

        Raises:
            NotConnected: it was not within ``timeout`` seconds.
            Stopped: the link has stopped.
        """
        self._running()
        try:
            with anyio.fail_after(timeout):
                ready = await self._statuses.wait(lambda status: status.connected)
        except TimeoutError:
            raise NotConnected from None
        if ready is None:
            raise Stopped

    # -- messages --------------------------------------------------------------------------------------------

    def inbound(self, *, by_hand: bool = False) -> AsyncIterator[Inbound]:
        """Everything the gateway sends, in order and once: messages, signals, and what this dialect has no type for.

        One consumer at a time, and always one: a slow one slows the socket, and nothing is dropped. Acknowledgements
        come on the same socket: where thousands of frames wait for nobody, those are no longer read either. Waiting for
        a frame may be cancelled, and the iteration goes on. It ends when the link has stopped.

        What is handled is remembered, and acknowledged to a gateway that wants to know: a frame when the same iteration
        asks for the next one (or another does, once that one is gone), or with ``by_hand`` when :meth:`handled` is
        told, in any order. What is not comes again. With ``by_hand``, each frame wants to be told, since a forgotten
        one holds up the receipts of all that came after it, and with them the reading.

        Raises:
            NotEntered: the link was not entered yet.
        """
        if self._runner is None and self._ending is None:
            raise NotEntered
        return Frames(self._receiving, by_hand=by_hand)

    def __aiter__(self) -> AsyncIterator[Message]:
        return Messages(self.inbound())

    def handled(self, frame: Inbound) -> None:
        """The user is done with a frame of :meth:`inbound`: stored, then acknowledged, a fifth of a second later.

        Told of a frame that needs none (an :class:`Ack`, :class:`Nack`, :class:`Unsent` or :class:`Paired`), or twice,
        it does nothing. After the end of the link it is stored at once.
        """
        self._receiving.handled(frame)

    async def send(
        self, chat_id: str, text: str, *, timeout: float | None = SEND_S, message_id: str | None = None
    ) -> Ack:
        """Send a text message, and wait for its acknowledgement, at most ``timeout`` seconds in all.

        It waits in the outbox for a connection, behind earlier messages of its chat, and is sent again, the same bytes,
        after a connection was lost. Cancelled before it left, it never leaves. ``message_id`` (``msg-`` and a ULID) is
        one of your own: sent twice, also by two processes, it is one message.

        Raises:
            SendRefused: the service, or a check of our own, refused it for good.
            NotPaired: the account has no credentials.
            NotConnected: there was no connection in time; it never left.
            AckTimeout: no answer in time, or none to three attempts; it may have arrived.
            OutboxFull: too many wait, and the policy says who is to go.
            ConnectionLost: the link ended before the answer. What a durable message store has is sent by the next one.
            StoreError: the message store cannot be written; it never left.
            Stopped: the link has stopped.
            ValueError: ``timeout`` is not a number above zero.
        """
        life_s = _checked(timeout)
        item = self._item(chat_id, text, message_id, life_s)
        return await self._sending.send(self._running(), item, life_s)

    async def post(self, chat_id: str, text: str, *, message_id: str | None = None) -> str:
        """Queue a text message for as long as it takes, and return its id as soon as the message store has it.

        How it ends is told by :meth:`inbound`: an :class:`Ack`, a :class:`Nack` or an :class:`Unsent`. With a durable
        message store it survives the process. With the id of a :meth:`send` under way it is that one, in its time.

        Raises:
            SendRefused, NotPaired, OutboxFull, ConnectionLost, StoreError, Stopped: as for :meth:`send`.
        """
        item = self._item(chat_id, text, message_id, None)
        await self._sending.post(self._running(), item)
        return item.message_id

    def _item(self, chat_id: str, text: str, message_id: str | None, life_s: float | None) -> OutboxItem:
        if not isinstance(text, str):
            raise TypeError(f"text must be str, not {type(text).__name__}")
        outgoing = self._settings.dialect.message(chat_id=chat_id, text=text, message_id=message_id)
        wall = self._settings.clock.stamp().wall
        return OutboxItem(
            trace_id=outgoing.trace_id,
            message_id=outgoing.message_id,
            chat_id=outgoing.chat_id,
            frame=outgoing.frame,
            queued_at=wall,
            expires_at=None if life_s is None else wall + life_s,
        )

    def typing(self, chat_id: str) -> AbstractAsyncContextManager[None]:
        """Tell the chat that we are writing, while the ``async with`` block runs. Best effort.

        Raises:
            NotSupported: this dialect has no such thing.
            SendRefused: this is no chat of the service.
            NotEntered, Stopped: the link was not entered yet, or has stopped.
        """
        self._running()
        return typing_notice(self._settings.dialect, self._settings.clock, self._say, chat_id)

    def _say(self, frame: str) -> None:
        """Send it, unless there is no session: in a handshake anything else is an offence."""
        runner = self._entered()
        if runner.status.connected and not runner.driver.done:
            runner.sockets.say(frame)

    async def request(self, method: str, params: Any = None, *, timeout: float = 30.0) -> Any:
        """A remote procedure call, where the dialect has them.

        Raises:
            NotSupported: this dialect has none.
        """
        raise NotSupported(f"request({method!r}) in dialect {self._settings.dialect.name!r}")

    @property
    def rest(self) -> httpx.AsyncClient:
        """The service's REST interface: a client whose refused token is refreshed, once.

        Raises:
            NotEntered: the link was not entered yet.
        """
        if self._rest is None:
            raise self._unusable()
        return self._rest

    @property
    def conversations(self) -> Conversations:
        """The account's conversations, agent and profile, fetched once and again when they change.

        Raises:
            NotEntered: the link was not entered yet.
        """
        self._entered()
        return self._conversations

    def history(self, limit: int = 100) -> Sequence[HistoryRow]:
        """What happened to the account, newest first: connections, refreshes and logouts, with reasons.

        Raises:
            StoreError: the store cannot be read.
        """
        return self._settings.store.history(self._settings.account, limit)

    # -- credentials -----------------------------------------------------------------------------------------

    async def refresh(self) -> RefreshOutcome:
        """Ask for a fresh token now. Callers at the same time share one exchange, and cancelling one harms nobody.

        Raises:
            Stopped: the link has stopped.
        """
        return await self._running().refresh("user")

    async def activate(self, code: str, *, user_id: str | None = None) -> None:
        """Pair the account with a code; the link connects by itself then. ``user_id`` is for a store that knows none.

        Raises:
            PairingFailed: the code was refused or cannot be one, or no answer came. Get a new code, unless its
                ``spent`` is False: then there was no connection, and the same code can be tried again.
            StoreError: the new tokens could not be stored.
            Stopped: the link has stopped.
        """
        runner = self._running()
        settings = self._settings
        check_pairing_code(code)
        with runner.vault.hiding(code):
            await activate(
                settings.store, settings.account, settings.dialect, settings.base_url, code, self._client,
                device_id=settings.device_id, user_id=user_id, wall=settings.clock.stamp().wall,
            )  # fmt: skip
        runner.look()

    async def logout(self) -> None:
        """Forget the tokens, here and on disk; who the account is stays known. Waits to be paired again.

        If the store refuses, ``status.reason`` says so, and blanking it is tried until it works.

        Raises:
            Stopped: the link has stopped.
        """
        runner = self._running()
        runner.look()  # what is to be forgotten is what the store holds now, also if somebody paired a moment ago
        runner.report(LogoutRequested())
        await self._statuses.wait(lambda status: not status.configured)

    def resume(self) -> None:
        """Dial again after the link gave up on its own, as ``status.reason`` says. Otherwise nothing happens.

        Raises:
            Stopped: the link has stopped.
        """
        self._running().report(ResumeRequested())

    def _bearer(self) -> Bearer:
        runner = self._running()
        signed = runner.vault.in_force()
        if signed is None:
            raise NotPaired(self._settings.account)
        return Bearer(*signed, runner.refresh_device_id())

    # -- what the reading needs ------------------------------------------------------------------------------

    def _connection(self) -> Connection | None:
        return None if self._runner is None else self._runner.sockets.current

    def _report(self, event: ReadingPaused | ReadingResumed) -> None:
        self._running().report(event)


def _checked(timeout: float | None) -> float | None:
    """Seconds, or None for as long as it takes."""
    if timeout is None or timeout == inf:
        return None
    if not timeout > 0:
        raise ValueError(f"timeout must be above zero or None, not {timeout!r}")
    return timeout
