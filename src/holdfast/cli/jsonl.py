"""``holdfast run --jsonl``: operations come in; statuses, messages and results go out. The contract: docs/jsonl.md."""

import asyncio
import json
import logging
import traceback
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Final, cast

import anyio
import httpx
import msgspec
from anyio.abc import TaskGroup

from .. import (
    AckTimeout,
    ConnectionLost,
    HoldfastError,
    Inbound,
    Link,
    Message,
    PairingFailed,
    SendRefused,
)
from .lines import LINE_BYTES_MAX, LineWriter
from .ops import Activate, AskStatus, Malformed, Op, Rest, Send, StopNow, read_op
from .settings import LinkSettings
from .stopping import Stop

SEND_S: Final = 15.0
REST_S: Final = 30.0
ACTIVATE_S: Final = 30.0
DEADLINE_FLOOR_S: Final = 5.0
"""However time is scaled, a busy machine gets this long for a round trip."""
GRACE_S: Final = 2.0
"""For operations under way when the end of the input is reached: a script may send and leave."""
TELL_S: Final = 5.0
"""For messages that came before the end, to a reader that is slow."""
OPS_MAX: Final = 4096
"""Operations under way. More than that and somebody isn't waiting for results."""
ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024

Fields = dict[str, Any]

log = logging.getLogger("holdfast.jsonl")


class Failed(Exception):
    """An operation that did not work; its fields go into the result."""

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields["error"])
        self.fields = fields


class Conversation:
    """One link, talked to in lines. Operations run concurrently in ``tasks``."""

    def __init__(self, link: Link, out: LineWriter, stop: Stop, tasks: TaskGroup, settings: LinkSettings) -> None:
        self._link = link
        self._out = out
        self._stop = stop
        self._tasks = tasks
        self._settings = settings
        self._reading = anyio.CancelScope()
        self._ending = False
        self._under_way: set[anyio.CancelScope] = set()
        self._all_done = asyncio.Event()
        self._all_done.set()
        self._doing: dict[type[Op], Callable[[Any], Awaitable[Fields]]] = {
            Send: self._send,
            Rest: self._rest,
            Activate: self._activate,
            AskStatus: self._status,
            StopNow: self._end,
        }

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
                self.tell("notice", level="warning", text=status.reason)
            state, reason = status.state, status.reason
            await self._out.room()
        self._stop.ask()

    async def tell_inbound(self) -> None:
        """A line for each thing that the gateway sends. A reader that is slow slows the socket."""
        async for frame in self._link.inbound():
            self._out.put(described(frame))
            await self._out.room()

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
            return
        if len(self._under_way) >= OPS_MAX:
            problem = f"{OPS_MAX} operations are under way; wait for results"
            self._conclude(name, op.id, _failure(problem, "TooMany"))
            return
        scope = anyio.CancelScope()
        self._under_way.add(scope)
        self._all_done.clear()
        self._tasks.start_soon(self._carry_out, scope, name, op)

    def _tell_malformed(self, error: Malformed) -> None:
        if error.op is not None:
            self._conclude(error.op, error.id, _failure(error.problem, "Malformed"))
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

    async def _carry_out(self, scope: anyio.CancelScope, name: str, op: Op) -> None:
        failure: Fields | None = _ENDING  # until it turns out otherwise
        fields: Fields = {}
        try:
            with scope:
                fields, failure = await self._outcome(op), None
        except Failed as error:
            failure = error.fields
        finally:
            self._conclude(name, op.id, failure, **fields)
            self._under_way.discard(scope)
            if not self._under_way:
                self._all_done.set()

    async def _outcome(self, op: Op) -> Fields:
        try:
            return await self._doing[type(op)](op)
        except Failed:
            raise
        except HoldfastError as error:
            raise Failed(failure_of(error)) from None
        except TimeoutError:
            raise Failed(_failure("no answer in time", "TimedOut")) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Failed(_failure(f"no answer: {type(error).__name__}", "NoAnswer")) from None
        except Exception as error:
            # Its text could quote a token: the places in the code are enough to find the fault.
            places = "".join(traceback.format_tb(error.__traceback__))
            log.error("an operation failed in a way that it should not: %s\n%s", type(error).__name__, places)
            raise Failed(_failure(f"internal error: {type(error).__name__}", "InternalError")) from None

    def _conclude(self, name: str, id: Any, failure: Fields | None, **fields: Any) -> None:
        """The one result of an operation. Without an id it has none, but a failure is not kept quiet."""
        if id is not None:
            self.tell("result", id=id, op=name, ok=failure is None, **(failure or fields))
        elif failure is not None:
            self.tell("error", op=name, **failure)

    # -- the operations --------------------------------------------------------------------------------------

    def _deadline(self, seconds: float) -> float:
        return max(min(seconds, DEADLINE_FLOOR_S), seconds * self._settings.time_scale)

    async def _send(self, op: Send) -> Fields:
        ack = await self._link.send(op.chat_id, op.text, timeout=self._deadline(SEND_S))
        return {"message_id": ack.message_id, "accepted_at": ack.accepted_at}

    async def _rest(self, op: Rest) -> Fields:
        headers = {} if op.body is None else {"Content-Type": "application/json"}
        with anyio.fail_after(self._deadline(REST_S)):
            async with self._link.rest.stream(op.method, op.path, content=op.body, headers=headers) as response:
                return judged(response.status_code, await _content(response))

    async def _activate(self, op: Activate) -> Fields:
        with anyio.fail_after(self._deadline(ACTIVATE_S)):
            await self._link.activate(op.code, user_id=self._settings.identity.user_id)
        return {}

    async def _status(self, op: AskStatus) -> Fields:
        return msgspec.structs.asdict(self._link.status)

    async def _end(self, op: StopNow) -> Fields:
        self._stop.ask()
        return {}


async def converse(
    link: Link, lines: AsyncIterable[bytes | None], out: LineWriter, stop: Stop, settings: LinkSettings
) -> None:
    """Talk until somebody asks for the end. Every operation is answered then, and the last line says ``stopped``."""
    async with anyio.create_task_group() as tasks, anyio.create_task_group() as tellers:
        conversation = Conversation(link, out, stop, tasks, settings)
        tellers.start_soon(conversation.tell_statuses)
        tellers.start_soon(conversation.tell_inbound)
        tasks.start_soon(conversation.obey, lines)
        await stop.wait()
        await conversation.finish(0.0 if stop.code else GRACE_S)
        await link.stop()
        tellers.cancel_scope.deadline = anyio.current_time() + TELL_S


def encoded(fields: Fields) -> bytes:
    """One line of output."""
    try:
        return msgspec.json.encode(fields)
    except UnicodeEncodeError:  # Half a surrogate pair, out of a path for example, which JSON can hold if escaped.
        return json.dumps(fields, default=msgspec.to_builtins).encode()


def told(type_: str, **fields: Any) -> bytes:
    """One line of output, of a type."""
    return encoded({"type": type_, **fields})


def _failure(error: str, kind: str, **fields: Any) -> Fields:
    return {"error": error, "kind": kind, **fields}


_ENDING: Final = _failure("the process ends", "Stopped")


def failure_of(error: HoldfastError) -> Fields:
    """What a result says of an error."""
    fields = _failure(str(error), type(error).__name__)
    if isinstance(error, SendRefused | PairingFailed):
        fields["code"] = error.code
    if isinstance(error, ConnectionLost | AckTimeout):
        fields["sent"] = error.sent
    return fields


class _Envelope(msgspec.Struct, frozen=True):
    event: Any = None
    chat_id: Any = None
    payload: Any = None


def described(frame: Inbound) -> bytes:
    """The line about something that the gateway sent."""
    fields = {name: getattr(frame, name) for name in frame.__struct_fields__ if name != "raw"}
    if isinstance(frame, Message):
        return told("message", **fields)
    try:
        envelope = msgspec.json.decode(frame.raw, type=_Envelope)
    except (ValueError, RecursionError):  # Of the payload: the rest of it was understood before.
        envelope = _Envelope()
    return told("signal", **{"event_id": None, **msgspec.structs.asdict(envelope), **fields})


async def _content(response: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            problem = f"the answer is longer than {ANSWER_BYTES_MAX} bytes"
            raise Failed(_failure(problem, "AnswerTooLong", status=response.status_code))
    return bytes(content)


def judged(status: int, content: bytes) -> Fields:
    """The fields of a REST result: it worked if HTTP says 2xx and the envelope's code is 0.

    Raises:
        Failed: it did not.
    """
    try:
        body: Any = msgspec.json.decode(content)
    except (ValueError, RecursionError):
        body = content.decode(errors="replace")
    code: Any = _get(body, "code")
    if not httpx.codes.is_success(status):
        raise Failed(_failure(f"HTTP status {status}", "HttpStatus", status=status, body=body))
    if isinstance(code, bool) or not isinstance(code, int):
        raise Failed(_failure("the answer is no envelope with a code", "NoEnvelope", status=status, body=body))
    if code != 0:
        problem = f"code {code}: {_get(body, 'message')}"
        raise Failed(_failure(problem, "ServiceCode", code=code, status=status, body=body))
    return {"status": status, "body": body}


def _get(body: Any, name: str) -> Any:
    return cast("dict[str, Any]", body).get(name) if isinstance(body, dict) else None
