"""One account, run: its chart, its driver, and the ports that carry out its commands."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Protocol

import anyio
import httpx
import msgspec
from anyio.abc import TaskGroup

from holdfast.engine import Command, Event, Snapshot, Stamp
from holdfast.statecharts import (
    Account,
    AccountState,
    Authenticate,
    BlankMirror,
    ClearCredentials,
    CloseSocket,
    Deliver,
    DropMessage,
    ExpectHandling,
    ForgetTokens,
    Greet,
    KeepMessage,
    LoadCredentials,
    LoadMessages,
    NotGreeted,
    Notify,
    OpenSocket,
    Policy,
    PostRefresh,
    Record,
    RefreshRequested,
    RememberDevice,
    ReportFrame,
    SendPing,
    SendReceipt,
    SettleRefresh,
    SettleSend,
    Status,
    StopRequested,
    StoreRotation,
    TransmitMessage,
    UseCredential,
    WriteMirror,
    account_chart,
    project,
)

from .clock import Alarm, Clock
from .dialect import Dialect
from .driver import Driver, Port
from .errors import StoreError
from .exchange import Exchange
from .inbound import Inbound, Paired
from .keeper import Keeper
from .logs import RedactingLogger
from .messages import MessageStore, OutboxItem, owner_of
from .mirror import ConfigMirror
from .notifier import Hook, Notifier
from .outbox import Outbox
from .receipts import Receipts
from .sockets import Sockets
from .store import CredentialStore
from .transport import Transport
from .url import usable_device_id
from .vault import Vault

WATCH_S: Final = 1.0
"""How often the store is looked at for what other processes changed. A look costs microseconds."""


def _start(tasks: TaskGroup, work: Callable[[Any], Coroutine[Any, Any, None]], command: Command) -> None:
    tasks.start_soon(work, command)


class RefreshOutcome(msgspec.Struct, frozen=True):
    """How a refresh ended: ``success``, ``permanent``, ``transient`` or ``skipped``, and why."""

    outcome: str
    reason: str = ""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an account is run with. ``device_id`` is the configured one, used verbatim wherever one is asked for."""

    account: str
    url: str
    base_url: str
    dialect: Dialect
    store: CredentialStore
    messages: MessageStore
    transport: Transport
    clock: Clock
    policy: Policy
    device_id: str | None = None
    mirror: ConfigMirror | None = None
    notify: Hook | None = None


class Settlement(msgspec.Struct, frozen=True):
    """How it ended with a message: ``answer`` is the gateway's, if it gave one; ``kept``: a durable message store has
    it; ``trouble`` is the last that the message store had.
    """

    command: SettleSend
    item: OutboxItem | None
    answer: Inbound | None
    kept: bool
    trouble: StoreError | None


class Listener(Protocol):
    """What the front door hears of a running account. Called in the event loop; must not raise."""

    def on_status(self, status: Status) -> None:
        """The status changed."""
        ...

    def on_inbound(self, inbound: Inbound) -> None:
        """A frame for the user."""
        ...

    def on_paired(self, paired: Paired) -> None:
        """The first session of a pairing has begun."""
        ...

    def on_bad_frame(self, error: str) -> None:
        """A frame that could not be understood."""
        ...

    def on_kept(self, traces: tuple[str, ...]) -> None:
        """These messages are in the message store."""
        ...

    def on_settled(self, settlement: Settlement) -> None:
        """It is over with a message."""
        ...


class Runner:
    """Runs one account until it is stopped. :meth:`run` owns every task, socket and timer of it."""

    def __init__(self, settings: Settings, client: httpx.AsyncClient, listener: Listener) -> None:
        self.settings = settings
        self.vault = Vault()
        self.log = RedactingLogger("holdfast.account", self.vault)
        self._listener = listener
        self._waiters: list[asyncio.Future[RefreshOutcome]] = []
        self._finished = anyio.Event()
        self.begun = anyio.Event()
        self._look: Alarm | None = None
        wall = self._wall
        self.keeper = Keeper(
            account=settings.account,
            store=settings.store,
            vault=self.vault,
            mirror=settings.mirror,
            wall=wall,
            log=self.log,
        )
        self._exchange = Exchange(
            account=settings.account,
            store=settings.store,
            vault=self.vault,
            dialect=settings.dialect,
            base_url=settings.base_url,
            client=client,
            device_id=self.refresh_device_id,
            wall=wall,
        )
        self.status = Status(state=AccountState.CONNECTING, connected=False, configured=False, running=False)
        self._tasks = anyio.create_task_group()
        self.sockets = Sockets(
            url=settings.url,
            transport=settings.transport,
            dialect=settings.dialect,
            vault=self.vault,
            tasks=self._tasks,
            report=self.report,
            device_id=self.connect_device_id,
            arrived=lambda: self.receipts.arrived(),
        )
        self.outbox = Outbox(
            account=settings.account,
            whose=self._whose,
            messages=settings.messages,
            stamp=settings.clock.stamp,
            report=self.report,
            write=self.sockets.write,
            kept=listener.on_kept,
            log=self.log,
        )
        self.receipts = Receipts(
            whose=self._whose,
            messages=settings.messages,
            report=self.report,
            tell=self._acknowledge,
            log=self.log,
        )
        context = Account(policy=settings.policy)
        self.driver = Driver(account_chart, context, settings.clock, self._ports(), self._on_change)

    # -- life ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until the chart has ended. Cancelling it drops everything at once; an exchange is then abandoned.

        Raises:
            Exception: a bug of ours, out of a port or the chart.
        """
        try:
            async with self._tasks:
                self.driver.begin()
                self._watch_store()
                self.begun.set()
                await self._finished.wait()
                self._tasks.cancel_scope.cancel()
        finally:
            self._end()
        if self.driver.failed is not None:
            raise self.driver.failed

    def _ports(self) -> dict[type[Command], Port]:
        keeper, sockets, exchange, tasks = self.keeper, self.sockets, self._exchange, self._tasks
        outbox, receipts = self.outbox, self.receipts
        return {
            LoadCredentials: lambda command: self.report(keeper.load(command)),
            ClearCredentials: lambda command: self.report(keeper.clear(command)),
            ForgetTokens: keeper.forget,
            UseCredential: keeper.use,
            WriteMirror: lambda command: self.report(keeper.write_mirror(command)),
            BlankMirror: lambda command: self.report(keeper.blank_mirror(command)),
            Greet: self._greet,
            RememberDevice: keeper.remember_device,
            Record: keeper.record,
            PostRefresh: partial(_start, tasks, self._post),
            StoreRotation: lambda command: self.report(exchange.store(command)),
            SettleRefresh: self._settle,
            OpenSocket: sockets.open,
            Authenticate: sockets.authenticate,
            CloseSocket: sockets.close,
            SendPing: sockets.ping,
            Deliver: lambda command: self._listener.on_inbound(self.driver.attachment),
            ReportFrame: self._report_frame,
            LoadMessages: lambda command: self.report(outbox.load(command)),
            KeepMessage: outbox.keep,
            DropMessage: outbox.drop,
            TransmitMessage: outbox.transmit,
            SettleSend: self._settle_send,
            ExpectHandling: receipts.expect,
            SendReceipt: receipts.send,
            Notify: Notifier(tasks, self.log, self.settings.notify).notify,
        }

    def _end(self) -> None:
        if self._look is not None:
            self._look.cancel()
        self.driver.close()
        self.sockets.drop_all()
        self._settle(SettleRefresh("skipped", "stopped"))
        self.outbox.flush()
        self.receipts.end()

    # -- events in, changes out ------------------------------------------------------------------------------

    def report(self, event: Event, attachment: Inbound | None = None) -> None:
        """Something happened."""
        self.driver.dispatch(event, attachment)

    def stop(self) -> None:
        """Ask for the end. :meth:`run` returns once it is reached."""
        self.outbox.flush()  # so that whoever is told of the end is told what is kept
        self.report(StopRequested())

    def refresh(self, cause: str, generation: int | None = None) -> "asyncio.Future[RefreshOutcome]":
        """Ask for a fresh token. All who wait get the same outcome; one that is cancelled harms nobody (P09)."""
        waiter: asyncio.Future[RefreshOutcome] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self.report(RefreshRequested(cause, generation))
        if self.driver.done:
            self._settle(SettleRefresh("skipped", "stopped"))
        return waiter

    def look(self) -> None:
        """Look at the store now, for what somebody else changed."""
        event = self.keeper.look()
        if event is not None:
            self.report(event)

    def _greet(self, command: Greet) -> None:
        outcome = self.keeper.greet(command)
        if isinstance(outcome, NotGreeted):
            self.report(outcome)
        else:
            self._listener.on_paired(outcome)

    async def _post(self, command: PostRefresh) -> None:
        await self._exchange.post(command, self.report)

    def _settle(self, command: SettleRefresh) -> None:
        waiters, self._waiters = self._waiters, []
        outcome = RefreshOutcome(command.outcome, command.reason)
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(outcome)

    def _report_frame(self, command: ReportFrame) -> None:
        self.log.warning("a frame could not be understood: %s", command.error)
        self._listener.on_bad_frame(command.error)

    def _settle_send(self, command: SettleSend) -> None:
        outbox = self.outbox
        kept = self.settings.messages.durable and outbox.is_kept(command.trace)
        item = outbox.get(command.trace)
        self._listener.on_settled(Settlement(command, item, self.driver.attachment, kept, outbox.trouble))
        outbox.settled(command.trace)

    def _acknowledge(self, command: SendReceipt) -> None:
        frame = self.settings.dialect.receipt(kind=command.kind, number=command.number, epoch=command.epoch)
        if frame is not None:
            self.sockets.write(command.socket, frame)

    def _on_change(self, before: Snapshot, after: Snapshot, stamp: Stamp) -> None:
        if after.config is not before.config or after.context is not before.context:
            status = project(after, stamp)
            if status != self.status:
                self.status = status
                self._listener.on_status(status)
        if self.driver.done:
            self._finished.set()

    def _watch_store(self) -> None:
        self.look()
        clock = self.settings.clock
        self._look = clock.call_at(clock.stamp().now + WATCH_S, self._watch_store)

    # -- who and which device we are ---------------------------------------------------------------------------------

    def refresh_device_id(self) -> str:
        """The configured id, else the pairing's, else the dialect's constant (S0-08, S1-39)."""
        paired = usable_device_id(self.keeper.stored.device_id)
        return self.settings.device_id or paired or self.settings.dialect.default_device_id

    def connect_device_id(self) -> str:
        """The configured id, else the last one the gateway resolved, else as for refreshing (S0-14)."""
        resolved = usable_device_id(self.keeper.stored.resolved_device_id)
        return self.settings.device_id or resolved or self.refresh_device_id()

    def _whose(self) -> str:
        return owner_of(self.settings.account, self.keeper.stored.user_id)

    def _wall(self) -> float:
        return self.settings.clock.stamp().wall
