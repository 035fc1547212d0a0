"""What the operations do: each asks the link, within its time, and comes to a result or a failure."""

import logging
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Final, cast

import anyio
import httpx
import msgspec

from .. import HoldfastError, Inbound, Link
from . import ops
from .results import (
    Acked,
    Agented,
    Answered,
    Conversed,
    Failed,
    Nothing,
    Posted,
    Profiled,
    Refreshed,
    Remembered,
    failure,
    failure_of,
)
from .settings import LinkSettings
from .telling import Posts

SEND_S: Final = 15.0
WAIT_S: Final = 30.0
"""For whatever else has to wait for somebody."""
DEADLINE_FLOOR_S: Final = 5.0
"""However time is scaled, a busy machine gets this long for a round trip."""
TYPING_MAX: Final = 1000
"""Chats that we write in at a time."""
ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024

log = logging.getLogger("holdfast.jsonl")


class Refs:
    """The lines that the program has to call handled, by number."""

    def __init__(self) -> None:
        self._frames: dict[int, Inbound] = {}
        self._last = 0

    def number(self, frame: Inbound) -> int:
        """The next number, for this one."""
        self._last += 1
        self._frames[self._last] = frame
        return self._last

    def take(self, ref: int) -> Inbound | None:
        """What has this number; None if it is handled already.

        Raises:
            Failed: nothing has it.
        """
        if ref > self._last:
            raise failure(f"no line had the ref {ref}", "UnknownRef")
        return self._frames.pop(ref, None)


class Doing:
    """Carries out operations on one link."""

    def __init__(self, link: Link, settings: LinkSettings, refs: Refs, posts: Posts) -> None:
        self._link = link
        self._settings = settings
        self._refs = refs
        self._posts = posts
        self._writing: dict[str, AbstractAsyncContextManager[None]] = {}
        self._doing: dict[type[ops.Op], Callable[[Any], Awaitable[msgspec.Struct]]] = {
            ops.Send: self._send,
            ops.Post: self._post,
            ops.SetTyping: self._typing,
            ops.Handle: self._handle,
            ops.Rest: self._rest,
            ops.AskConversation: self._conversation,
            ops.AskAgent: self._agent,
            ops.AskProfile: self._profile,
            ops.Activate: self._activate,
            ops.AskRefresh: self._refresh,
            ops.Logout: self._logout,
            ops.Resume: self._resume,
            ops.AskStatus: self._status,
            ops.AskHistory: self._history,
        }

    async def do(self, op: ops.Op) -> msgspec.Struct:
        """Do it.

        Raises:
            Failed: it did not work.
        """
        try:
            return await self._doing[type(op)](op)
        except Failed:
            raise
        except HoldfastError as error:
            raise failure_of(error) from None
        except TimeoutError:
            raise failure("no answer in time", "TimedOut") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise failure(f"no answer: {type(error).__name__}", "NoAnswer") from None
        except Exception as error:
            # Its text could quote a token: the places in the code are enough to find the fault.
            places = "".join(traceback.format_tb(error.__traceback__))
            log.error("an operation failed in a way that it should not: %s\n%s", type(error).__name__, places)
            raise failure(f"internal error: {type(error).__name__}", "InternalError") from None

    async def end(self) -> None:
        """Nobody writes any more."""
        for chat_id in tuple(self._writing):
            await self._writing.pop(chat_id).__aexit__(None, None, None)

    def _deadline(self, seconds: float) -> float:
        return max(min(seconds, DEADLINE_FLOOR_S), seconds * self._settings.time_scale)

    def _in_time(self, seconds: float = WAIT_S) -> AbstractContextManager[object]:
        return anyio.fail_after(self._deadline(seconds))

    # -- messages --------------------------------------------------------------------------------------------

    async def _send(self, op: ops.Send) -> Acked:
        timeout = self._deadline(SEND_S) if op.timeout is msgspec.UNSET else op.timeout
        ack = await self._link.send(op.chat_id, op.text, timeout=timeout, message_id=op.message_id)
        return Acked(ack.message_id, ack.accepted_at)

    async def _post(self, op: ops.Post) -> Posted:
        with self._in_time(SEND_S):
            message_id = await self._link.post(op.chat_id, op.text, message_id=op.message_id)
        self._posts.begun(message_id, op.chat_id)
        return Posted(message_id)

    async def _typing(self, op: ops.SetTyping) -> Nothing:
        notice = self._writing.get(op.chat_id)
        if op.is_typing and notice is None:
            if len(self._writing) >= TYPING_MAX:
                raise failure(f"you write in {TYPING_MAX} chats; stop in one", "TooMany")
            notice = self._link.typing(op.chat_id)
            await notice.__aenter__()
            self._writing[op.chat_id] = notice
        elif not op.is_typing and notice is not None:
            del self._writing[op.chat_id]
            await notice.__aexit__(None, None, None)
        return Nothing()

    async def _handle(self, op: ops.Handle) -> Nothing:
        frame = self._refs.take(op.ref)
        if frame is not None:
            self._link.handled(frame)
        return Nothing()

    # -- what the service knows ------------------------------------------------------------------------------

    async def _rest(self, op: ops.Rest) -> Answered:
        headers = {} if op.body is None else {"Content-Type": "application/json"}
        with self._in_time():
            async with self._link.rest.stream(op.method, op.path, content=op.body, headers=headers) as response:
                return judged(response.status_code, await _content(response))

    async def _conversation(self, op: ops.AskConversation) -> Conversed:
        with self._in_time():
            return Conversed(await self._link.conversations.get(op.chat_id))

    async def _agent(self, op: ops.AskAgent) -> Agented:
        with self._in_time():
            return Agented(await self._link.conversations.agent())

    async def _profile(self, op: ops.AskProfile) -> Profiled:
        with self._in_time():
            return Profiled(await self._link.conversations.profile())

    # -- the account -----------------------------------------------------------------------------------------

    async def _activate(self, op: ops.Activate) -> Nothing:
        with self._in_time():
            await self._link.activate(op.code, user_id=self._settings.identity.user_id)
        return Nothing()

    async def _refresh(self, op: ops.AskRefresh) -> Refreshed:
        with self._in_time():
            told = await self._link.refresh()
        if told.outcome != "success":
            problem = f"no fresh token ({told.outcome}): {told.reason}"
            raise failure(problem, "NotRefreshed", outcome=told.outcome, reason=told.reason)
        return Refreshed(told.outcome, told.reason)

    async def _logout(self, op: ops.Logout) -> Nothing:
        with self._in_time():
            await self._link.logout()
        return Nothing()

    async def _resume(self, op: ops.Resume) -> Nothing:
        self._link.resume()
        return Nothing()

    async def _status(self, op: ops.AskStatus) -> msgspec.Struct:
        return self._link.status

    async def _history(self, op: ops.AskHistory) -> Remembered:
        return Remembered(list(self._link.history(op.limit)))


async def _content(response: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            problem = f"the answer is longer than {ANSWER_BYTES_MAX} bytes"
            raise failure(problem, "AnswerTooLong", status=response.status_code)
    return bytes(content)


def judged(status: int, content: bytes) -> Answered:
    """The result of a REST operation: it worked if HTTP says 2xx and the envelope's code is 0.

    Raises:
        Failed: it did not.
    """
    try:
        body: Any = msgspec.json.decode(content)
    except (ValueError, RecursionError):
        body = content.decode(errors="replace")
    code: Any = _get(body, "code")
    if not httpx.codes.is_success(status):
        raise failure(f"HTTP status {status}", "HttpStatus", status=status, body=body)
    if isinstance(code, bool) or not isinstance(code, int):
        raise failure("the answer is no envelope with a code", "NoEnvelope", status=status, body=body)
    if code != 0:
        raise failure(f"code {code}: {_get(body, 'message')}", "ServiceCode", code=code, status=status, body=body)
    return Answered(status, body)


def _get(body: Any, name: str) -> Any:
    return cast("dict[str, Any]", body).get(name) if isinstance(body, dict) else None
