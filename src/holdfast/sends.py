"""Messages on their way: each waits for its acknowledgement, its refusal, or the loss of the connection."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from .adapters import Ack, ConnectionLost, Nack, SendRefused


class Sends:
    """The sends of one link that left and are not settled yet, by trace id."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[Ack]] = {}

    @contextmanager
    def expecting(self, trace_id: str) -> Generator[asyncio.Future[Ack]]:
        """The answer to come: resolved with the ack, or failed with SendRefused or ConnectionLost."""
        answer: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        self._waiting[trace_id] = answer
        try:
            yield answer
        finally:
            self._waiting.pop(trace_id, None)
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # seen, also if the sender failed before it came to look

    def settle(self, answer: Ack | Nack) -> bool:
        """An answer came. False if nobody waits for it."""
        waiting = self._waiting.pop(answer.trace_id, None)
        if waiting is None or waiting.done():
            return False
        if isinstance(answer, Ack):
            waiting.set_result(answer)
        else:
            waiting.set_exception(SendRefused(answer.code, answer.reason))
        return True

    def lose(self) -> None:
        """The connection is gone: whether the gateway has them, nobody knows."""
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionLost("unknown"))
