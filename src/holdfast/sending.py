"""Who waits for what was sent: each is told how it ended, once."""

import asyncio
import copy
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial

from .adapters import (
    Ack,
    AckTimeout,
    ConnectionLost,
    HoldfastError,
    Nack,
    NotConnected,
    NotPaired,
    OutboxFull,
    OutboxItem,
    Runner,
    SendRefused,
    Settlement,
)
from .reading import Reading
from .statecharts import SendRequested, SendWithdrawn

_Waiter = asyncio.Future[Ack | None]


class Sending:
    """The messages of one link that somebody waits for, by trace id."""

    def __init__(self, account: str, reading: Reading) -> None:
        self._account = account
        self._reading = reading
        self._waiters: dict[str, list[_Waiter]] = {}
        self._posts: dict[str, list[_Waiter]] = {}
        self._promised: set[str] = set()

    async def send(self, runner: Runner, item: OutboxItem, life_s: float | None) -> Ack:
        """Queue a message, and wait until it is answered, for ``life_s`` seconds at most."""
        with self._waiting(runner, self._waiters, item) as (trace, waiter), self._reading.for_an_answer():
            if trace == item.trace_id:
                _queue(runner, item, life_s, lasting=False)
                answer = await waiter
            else:
                with _at_most(runner, waiter, life_s):
                    answer = await waiter
        assert answer is not None
        return answer

    async def post(self, runner: Runner, item: OutboxItem) -> None:
        """Queue a message, and wait until it is kept."""
        with self._waiting(runner, self._posts, item) as (trace, waiter):
            if trace == item.trace_id:
                _queue(runner, item, None, lasting=True)
            if runner.outbox.is_kept(trace):
                self._promised.add(trace)
            else:
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
            others = len(self._waiters.get(trace, ())) + len(self._posts.get(trace, ())) - 1
            if not others and (waiters is self._posts or trace not in self._promised):
                runner.report(SendWithdrawn(trace))
            raise
        finally:
            waiters[trace] = [one for one in waiters.get(trace, ()) if one is not waiter]
            if not waiters[trace]:
                del waiters[trace]

    def on_kept(self, traces: tuple[str, ...]) -> None:
        """These are in the message store."""
        for trace in self._posts.keys() & set(traces):
            self._promised.add(trace)
            for waiter in self._posts[trace]:
                if not waiter.done():
                    waiter.set_result(None)

    def on_settled(self, settlement: Settlement) -> bool:
        """It is over with this one. False if nobody waits for it, or who posted it is to hear of it, too."""
        command = settlement.command
        is_promised = command.trace in self._promised
        self._promised.discard(command.trace)
        waiters = [*self._waiters.get(command.trace, ()), *self._posts.get(command.trace, ())]
        for waiter in waiters:
            if waiter.done():
                continue
            if isinstance(settlement.answer, Ack):
                waiter.set_result(settlement.answer)
            else:
                waiter.set_exception(self._error(settlement))
        return bool(waiters) and not is_promised

    def end(self) -> None:
        """Nothing will be answered any more."""
        for waiter in (one for waiters in (*self._waiters.values(), *self._posts.values()) for one in waiters):
            if not waiter.done():
                waiter.set_exception(ConnectionLost("unknown"))

    def _error(self, settlement: Settlement) -> HoldfastError:
        """What the outcome is called in Python. One for each who waits: a raised exception is changed by raising it."""
        command, answer = settlement.command, settlement.answer
        if isinstance(answer, Nack):
            return SendRefused(answer.code, answer.reason, sent=command.sent)
        match command.outcome:
            case "expired":
                return NotConnected() if command.sent == "no" else AckTimeout(command.sent)
            case "full" | "dropped":
                return OutboxFull()
            case "unpaired":
                return NotPaired(self._account, command.sent)
            case "unkept":
                return copy.copy(settlement.trouble) or OutboxFull()
            case "ended":
                return ConnectionLost(command.sent, kept=settlement.kept)
            case "acked":
                raise AssertionError("an acknowledgement comes with its frame")
            case "refused":
                why = _WHY_REFUSED.get(command.code, _WHY_SHUNNED)
                return SendRefused(command.code, why, sent=command.sent)


_WHY_SHUNNED = "the service refused this chat a while ago, and nothing has come from it since"
_WHY_REFUSED = {"message_too_large": "the service closed the connection over its size"}


def _queue(runner: Runner, item: OutboxItem, life_s: float | None, *, lasting: bool) -> None:
    runner.outbox.put(item)
    runner.report(SendRequested(item.trace_id, item.chat_id, len(item.frame), life_s, lasting))


@contextmanager
def _at_most(runner: Runner, waiter: _Waiter, life_s: float | None) -> Generator[None]:
    """Who shares somebody else's message waits no longer than they asked to, however long that one has."""
    clock = runner.settings.clock
    alarm = None if life_s is None else clock.call_at(clock.stamp().now + life_s, partial(_give_up, waiter))
    try:
        yield
    finally:
        if alarm is not None:
            alarm.cancel()


def _give_up(waiter: _Waiter) -> None:
    if not waiter.done():
        waiter.set_exception(AckTimeout("unknown"))
