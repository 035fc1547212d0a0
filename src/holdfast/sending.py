"""Who waits for what was sent: each is told how it ended, once."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from .adapters import (
    Ack,
    AckTimeout,
    ConnectionLost,
    HoldfastError,
    Inbound,
    Nack,
    NotConnected,
    NotPaired,
    OutboxFull,
    OutboxItem,
    Runner,
    SendRefused,
)
from .reading import Reading
from .statecharts import SendRequested, SendWithdrawn, SettleSend

_Waiter = asyncio.Future[Ack | None]


class Sending:
    """The messages of one link that somebody waits for, by trace id."""

    def __init__(self, account: str, reading: Reading) -> None:
        self._account = account
        self._reading = reading
        self._waiters: dict[str, list[_Waiter]] = {}
        self._posts: dict[str, list[_Waiter]] = {}

    async def send(self, runner: Runner, item: OutboxItem, life_s: float | None) -> Ack:
        """Queue a message, and wait until it is answered, for ``life_s`` seconds at most."""
        with self._waiting(runner, self._waiters, item) as (trace, waiter), self._reading.for_an_answer():
            _queue(runner, item, trace, life_s)
            answer = await waiter
        assert answer is not None
        return answer

    async def post(self, runner: Runner, item: OutboxItem) -> None:
        """Queue a message, and wait until it is kept."""
        with self._waiting(runner, self._posts, item) as (trace, waiter):
            _queue(runner, item, trace, None)
            await waiter

    @contextmanager
    def _waiting(
        self, runner: Runner, waiters: dict[str, list[_Waiter]], item: OutboxItem
    ) -> Generator[tuple[str, _Waiter]]:
        """A message that is on its way already, since it has the same id, is waited for and not queued again."""
        known = runner.outbox.with_id(item.message_id)
        trace = item.trace_id if known is None else known.trace_id
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        waiters.setdefault(trace, []).append(waiter)
        try:
            yield trace, waiter
        except asyncio.CancelledError:
            if len(self._waiters.get(trace, ())) + len(self._posts.get(trace, ())) == 1:
                runner.report(SendWithdrawn(trace))
            raise
        finally:
            waiters[trace] = [one for one in waiters.get(trace, ()) if one is not waiter]
            if not waiters[trace]:
                del waiters[trace]

    def on_kept(self, traces: tuple[str, ...]) -> None:
        """These are in the message store."""
        for trace in traces:
            for waiter in self._posts.get(trace, ()):
                if not waiter.done():
                    waiter.set_result(None)

    def on_settled(self, command: SettleSend, answer: Inbound | None, trouble: HoldfastError | None) -> bool:
        """It is over with this one. False if nobody waits for it."""
        waiters = [*self._waiters.get(command.trace, ()), *self._posts.get(command.trace, ())]
        for waiter in waiters:
            if waiter.done():
                continue
            if isinstance(answer, Ack):
                waiter.set_result(answer)
            else:
                waiter.set_exception(self._error(command, answer, trouble))
        return bool(waiters)

    def _error(self, command: SettleSend, answer: Inbound | None, trouble: HoldfastError | None) -> HoldfastError:
        """What the outcome is called in Python. One for each who waits: a raised exception is changed by raising it."""
        if isinstance(answer, Nack):
            return SendRefused(answer.code, answer.reason, sent=command.sent)
        errors: dict[str, HoldfastError] = {
            "refused": SendRefused(command.code, _WHY_REFUSED.get(command.code, _WHY_SHUNNED), sent=command.sent),
            "expired": NotConnected() if command.sent == "no" else AckTimeout(command.sent),
            "full": OutboxFull(),
            "dropped": OutboxFull(),
            "unpaired": NotPaired(self._account, command.sent),
            "unkept": trouble or OutboxFull(),
            "ended": ConnectionLost(command.sent),
        }
        return errors[command.outcome]


_WHY_SHUNNED = "the service refused this chat a while ago, and nothing has come from it since"
_WHY_REFUSED = {"message_too_large": "the service closed the connection over its size"}


def _queue(runner: Runner, item: OutboxItem, trace: str, life_s: float | None) -> None:
    if trace == item.trace_id:
        runner.outbox.put(item)
        runner.report(SendRequested(trace, item.chat_id, len(item.frame), life_s))
