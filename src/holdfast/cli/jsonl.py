"""``holdfast run --jsonl``: operations come in; statuses, messages and results go out. The contract: docs/jsonl.md."""

import asyncio
from collections.abc import AsyncIterable
from functools import partial
from typing import Any, Final

import anyio
import msgspec
from anyio.abc import TaskGroup

from .. import Ack, Inbound, Link, Paired, Unsent
from ..adapters import DEFAULT_ACCOUNT, Nack
from .doing import Doing, Refs
from .lines import LINE_BYTES_MAX, LineWriter
from .ops import Malformed, Op, StopNow, read_op
from .results import Failed, Nothing, failure, fields_of
from .settings import LinkSettings
from .stopping import Stop
from .telling import Posts, described, notice, told

GRACE_S: Final = 2.0
"""For operations under way when the end of the input is reached: a script may send and leave."""
TELL_S: Final = 5.0
"""For messages that came before the end, to a reader that is slow."""
BAD_FRAMES_S: Final = 1.0
"""Between two notices about frames that could not be understood, which may come in thousands."""
OPS_MAX: Final = 4096
"""Operations under way. More than that and somebody isn't waiting for results."""

_ENDING: Final = failure("the process ends", "Stopped")


class Conversation:
    """One link, talked to in lines. Operations run concurrently in ``tasks``."""

    def __init__(self, link: Link, out: LineWriter, stop: Stop, tasks: TaskGroup, settings: LinkSettings) -> None:
        self._link = link
        self._out = out
        self._stop = stop
        self._tasks = tasks
        self._explicit = settings.explicit
        self._refs = Refs()
        self._posts = Posts(settings.messages.waiting(DEFAULT_ACCOUNT))
        self._doing = Doing(link, settings, self._refs, self._posts)
        self._reading = anyio.CancelScope()
        self._ending = False
        self._under_way: set[anyio.CancelScope] = set()
        self._all_done = asyncio.Event()
        self._all_done.set()

    # -- what goes out ---------------------------------------------------------------------------------------

    def tell(self, type_: str, **fields: Any) -> None:
        """Write one line."""
        self._out.put(told(type_, **fields))

    async def tell_statuses(self) -> None:
        """A line whenever the state is another one, until the link has stopped."""
        state, reason = None, ""
        async for status in self._link.statuses():
            if status.state is not state:
                self.tell("status", **msgspec.structs.asdict(status))
            elif status.reason and status.reason != reason:
                self._out.put(notice("warning", status.reason))
            state, reason = status.state, status.reason
            await self._out.room()
        self._stop.ask()

    async def tell_inbound(self) -> None:
        """A line for each thing that comes in. A reader that is slow slows the socket.

        It is handled once its line was written, or when the program says so.
        """
        async for frame in self._link.inbound(by_hand=True):
            self._tell_frame(frame)
            await self._out.room()

    def _tell_frame(self, frame: Inbound) -> None:
        handled = partial(self._link.handled, frame)
        if isinstance(frame, Ack | Nack | Unsent):
            self._out.put(self._posts.ended(frame), handled)
        elif self._explicit and not isinstance(frame, Paired):
            self._out.put(described(frame, ref=self._refs.number(frame)))
        else:
            self._out.put(described(frame), handled)

    async def tell_bad_frames(self) -> None:
        """A line for all that could not be understood meanwhile, until the end."""
        known, ended = 0, False
        while not ended:
            with anyio.move_on_after(BAD_FRAMES_S) as pause:
                await self._stop.wait()
            ended, count = not pause.cancelled_caught, self._link.bad_frames
            if count > known:
                text = f"{count - known} of the gateway's frames could not be understood"
                self._out.put(notice("warning", text, bad_frames=count))
            known = count

    # -- what comes in ---------------------------------------------------------------------------------------

    async def obey(self, lines: AsyncIterable[bytes | None]) -> None:
        """Begin the operations as they come, until the input ends."""
        with self._reading:
            async for line in lines:
                if line is None:
                    self.tell("error", error=f"the line is longer than {LINE_BYTES_MAX} bytes")
                elif line.strip():
                    self._begin(line)
                await self._out.room()
            self._stop.ask()

    def _begin(self, line: bytes) -> None:
        try:
            name, op = read_op(line)
        except Malformed as error:
            self._tell_malformed(error)
            return
        if self._ending:
            self._conclude(name, op.id, _ENDING)
        elif isinstance(op, StopNow):
            self._ending = True
            self._conclude(name, op.id, Nothing())
            self._stop.ask()
        elif len(self._under_way) >= OPS_MAX:
            problem = f"{OPS_MAX} operations are under way; wait for results"
            self._conclude(name, op.id, failure(problem, "TooMany"))
        else:
            scope = anyio.CancelScope()
            self._under_way.add(scope)
            self._all_done.clear()
            self._tasks.start_soon(self._carry_out, scope, name, op)

    def _tell_malformed(self, error: Malformed) -> None:
        if error.op is not None:
            self._conclude(error.op, error.id, failure(error.problem, "Malformed"))
        elif error.id is not None:
            self.tell("error", id=error.id, error=error.problem)
        else:
            self.tell("error", error=error.problem)

    async def finish(self, grace_s: float) -> None:
        """Wait for the operations under way, and tell those that take longer, and new ones, that it is over."""
        self._ending = True
        with anyio.move_on_after(grace_s):
            await self._all_done.wait()
        for scope in tuple(self._under_way):
            scope.cancel()
        await self._all_done.wait()
        self._reading.cancel()
        await self._doing.end()

    async def _carry_out(self, scope: anyio.CancelScope, name: str, op: Op) -> None:
        outcome: msgspec.Struct | Failed = _ENDING  # until it turns out otherwise
        try:
            with scope:
                outcome = await self._doing.do(op)
        except Failed as error:
            outcome = error
        finally:
            self._conclude(name, op.id, outcome)
            self._under_way.discard(scope)
            if not self._under_way:
                self._all_done.set()

    def _conclude(self, name: str, id: Any, outcome: msgspec.Struct | Failed) -> None:
        """The one result of an operation. Without an id it has none, but a failure is not kept quiet."""
        failed = isinstance(outcome, Failed)
        fields = fields_of(outcome.failure if isinstance(outcome, Failed) else outcome)
        if id is not None:
            self.tell("result", id=id, op=name, ok=not failed, **fields)
        elif failed:
            self.tell("error", op=name, **fields)


async def converse(
    link: Link, lines: AsyncIterable[bytes | None], out: LineWriter, stop: Stop, settings: LinkSettings
) -> None:
    """Talk until somebody asks for the end. Every operation is answered then, and the last line says ``stopped``."""
    async with anyio.create_task_group() as tasks, anyio.create_task_group() as tellers:
        conversation = Conversation(link, out, stop, tasks, settings)
        tellers.start_soon(conversation.tell_statuses)
        tellers.start_soon(conversation.tell_inbound)
        tellers.start_soon(conversation.tell_bad_frames)
        tasks.start_soon(conversation.obey, lines)
        await stop.wait()
        await conversation.finish(0.0 if stop.code else GRACE_S)
        await link.stop()
        tellers.cancel_scope.deadline = anyio.current_time() + TELL_S
