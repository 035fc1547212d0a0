"""The gateway itself: what a test or a program scripts, and what serves the port."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from . import control, rest
from .faults import Fault, Kind, Point
from .frames import build, check_chat_id, new_chat_id, new_id, new_message_id
from .http_wire import Fate, HttpRequest, Respond
from .journal import Counters, Event
from .mail import StoredMessage
from .sessions import Session, Sessions
from .settings import GatewaySettings
from .state import snapshot
from .tokens import Credentials, new_code
from .wire import Connection
from .world import World
from .ws_wire import check_close

STOP_LIMIT_S = 2.0


class Gateway:
    """A running sandbox gateway. Made by :func:`serve`. Everything here must be called in its event loop."""

    def __init__(self, world: World, host: str) -> None:
        self._world = world
        self._host = host
        self._port = 0
        self._sessions = Sessions()
        self._connections: set[Connection] = set()

    def __repr__(self) -> str:
        return f"<sandbox Gateway {self.base_url}>"

    # Where it is and what happened so far.

    @property
    def base_url(self) -> str:
        """Root of the REST routes."""
        return f"http://{_in_url(self._host)}:{self._port}"

    @property
    def ws_url(self) -> str:
        """The WebSocket's address."""
        return f"ws://{_in_url(self._host)}:{self._port}/ws"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def settings(self) -> GatewaySettings:
        """What it was started with."""
        return self._world.settings

    @property
    def now(self) -> float:
        """Epoch seconds by the sandbox's clock."""
        return self._world.now

    @property
    def counters(self) -> Counters:
        """A copy of the counters."""
        return msgspec.structs.replace(self._world.journal.counters)

    @property
    def refresh_posts_by_token(self) -> dict[str, int]:
        """Refresh POSTs by the short digest of the refresh token they carried: each should be 1."""
        return dict(self._world.journal.refresh_posts_by_token)

    @property
    def events(self) -> tuple[Event, ...]:
        """The newest events, oldest first."""
        return tuple(self._world.journal.events)

    @property
    def sessions(self) -> tuple[tuple[str, str], ...]:
        """User id and device id of each live session."""
        return tuple((session.user_id, session.device_id) for session in self._sessions.live())

    def messages(self, user_id: str) -> tuple[StoredMessage, ...]:
        """What the user sent, oldest first; a duplicate is stored once.

        Raises:
            LookupError: no such user.
        """
        self._world.book.account(user_id)
        return tuple(self._world.mailbox(user_id).sent.values())

    def state(self) -> dict[str, Any]:
        """Accounts, sessions, counters, faults and events as JSON values, with tokens as short digests only."""
        return {"ws_url": self.ws_url, "base_url": self.base_url, **snapshot(self._world, self._sessions)}

    async def wait(self, predicate: "Callable[[Gateway], bool]") -> None:
        """Wait until the predicate holds; it is asked now and after each event. Bound it by ``asyncio.timeout``."""
        await self.when(predicate)

    def when(self, predicate: "Callable[[Gateway], bool]") -> "asyncio.Future[None]":
        """:meth:`wait` as a future, for callers that are no coroutine.

        Raises:
            RuntimeError: too many wait already.
        """
        return self._world.journal.when(lambda: predicate(self))

    # Accounts and credentials.

    def issue(
        self, user_id: str | None = None, *, device_id: str = "dev-sandbox", access_lifetime_s: float | None = None
    ) -> Credentials:
        """Credentials of a freshly paired device, of a new account unless a user id is given.

        Raises:
            LookupError: no such user.
            BookFull: no room for another account.
        """
        world = self._world
        account = world.book.add_account() if user_id is None else world.book.account(user_id)
        pair = world.mint.pair(account.user_id, device_id, world.now, access_lifetime_s)
        world.book.pair(account, device_id, pair, world.now)
        world.commit()
        world.journal.note("issued", user_id=account.user_id, device_id=device_id)
        return Credentials(
            user_id=account.user_id, agent_id=account.agent_id, owner_id=account.owner_id,
            conversation_id=account.conversation_id, device_id=device_id, access_token=pair.access,
            refresh_token=pair.refresh, access_expires_at=pair.access_expires_at,
            refresh_expires_at=pair.refresh_expires_at,
        )  # fmt: skip

    def pairing_code(self, code: str | None = None) -> str:
        """A single-use pairing code. One given by name that was used before stays used.

        Raises:
            BookFull: too many codes.
        """
        fresh = code or new_code()
        self._world.book.add_code(fresh)
        self._world.commit()
        self._world.journal.note("pairing-code")
        return fresh

    def add_conversation(self, user_id: str, chat_id: str | None = None) -> str:
        """Make the user a member of a conversation, a new one unless its id is given.

        Raises:
            LookupError: no such user.
            ValueError: the id doesn't start with ``cnv_``.
        """
        chosen = new_chat_id() if chat_id is None else check_chat_id(chat_id)
        self._world.book.account(user_id)
        self._world.book.join(chosen, user_id)
        self._world.commit()
        return chosen

    def leave_conversation(self, user_id: str, chat_id: str) -> None:
        """End a membership: the user's sends there are refused from now on."""
        self._world.book.leave(chat_id, user_id)
        self._world.commit()

    def revoke(self, user_id: str, *, access: bool = True, refresh: bool = True) -> None:
        """Kill the user's tokens. A live session stays: a token is checked only at connect.

        Raises:
            LookupError: no such user.
        """
        self._world.book.revoke(user_id, access=access, refresh=refresh)
        self._world.commit()
        self._world.journal.note("revoked", user_id=user_id)

    def forget(self, user_id: str) -> None:
        """The user no longer exists: tokens are dead, pairing with this user id answers 16001, sessions are dropped.

        Raises:
            LookupError: no such user.
        """
        self._world.forget(user_id)
        self.drop(user_id)
        self._world.commit()
        self._world.journal.note("forgotten", user_id=user_id)

    def resolve_device(self, user_id: str, device_id: str | None) -> None:
        """From now on hello-ok names this device id whatever is presented; None ends that."""
        self._world.resolved.pop(user_id, None)
        if device_id is not None:
            self._world.resolved[user_id] = device_id

    def advance(self, seconds: float) -> None:
        """Set the sandbox's clock forward: tokens expire. Timers of the gateway and of its clients don't notice."""
        self._world.advance(seconds)
        self._world.commit()
        self._world.journal.note("advanced", detail=f"{seconds:g} s")

    # Misbehaviour.

    def inject(
        self, point: Point, kind: Kind, *, times: int | None = 1, reason: str = "", status: int = 503, code: int = 1,
        seconds: float = 0.0,
    ) -> None:  # fmt: skip
        """Script a fault, see :class:`Fault` for the kinds and values; ``times=None`` lasts until cleared.

        Raises:
            ValueError: the point has no such kind, or a value is out of range.
        """
        self.inject_fault(
            Fault(point=point, kind=kind, times=times, reason=reason, status=status, code=code, seconds=seconds)
        )

    def inject_fault(self, fault: Fault) -> None:
        """:meth:`inject` for a fault that is made already.

        Raises:
            ValueError: too many faults are pending.
        """
        self._world.faults.inject(fault)

    def clear(self, point: Point | None = None) -> None:
        """End all faults, or those of one point; held answers go out. A point-less clear ends an outage too."""
        if point is None:
            self._world.outage = False
        self._world.faults.clear(point)

    def release(self, point: Point | None = None) -> int:
        """Send the answers that a ``hold`` keeps back; returns how many."""
        return self._world.faults.release(point)

    def outage(self, down: bool = True) -> None:
        """The auth backend is down (or up again): hello-fail ``remote auth service unavailable``, refresh code 1."""
        self._world.outage = down
        self._world.journal.note("outage", detail="down" if down else "up")

    def drop(self, user_id: str | None = None) -> int:
        """Abort the live sockets, of one user or all; returns how many. The client sees 1006."""
        sessions = self._sessions.live(user_id)
        for session in sessions:
            session.wire.abort()
        return len(sessions)

    def drop_all(self) -> int:
        """Abort every connection, HTTP and half-made ones included; returns how many."""
        connections = list(self._connections)
        for connection in connections:
            connection.abort()
        return len(connections)

    def kick(self, user_id: str | None = None, code: int | None = None, reason: str = "") -> int:
        """Close the live sessions, of one user or all. Without a code the client sees 1005.

        Raises:
            ValueError: no code that may be sent, or a reason without a code or too long.
        """
        check_close(code, reason)
        sessions = self._sessions.live(user_id)
        for session in sessions:
            session.end(code, reason)
        return len(sessions)

    def silence(self, user_id: str | None = None) -> int:
        """The live sessions go silent, of one user or all: still open, and nothing is answered, pings included."""
        sessions = self._sessions.live(user_id)
        for session in sessions:
            session.freeze()
        return len(sessions)

    # Frames to clients.

    def push_message(
        self, user_id: str, chat_id: str | None = None, text: str = "", *, event: str = "message.send",
        message_id: str | None = None, sender_id: str | None = None, message_mode: str = "normal",
        mentions: Sequence[object] | None = (),
    ) -> str:  # fmt: skip
        """Say something to the user, in the account's conversation unless another is named; returns the message id.

        It goes to each of the user's devices, at once or in the replay of its next session.

        Raises:
            LookupError: no such user.
            ValueError: the chat id doesn't start with ``cnv_``, or the frame is too large.
        """
        account = self._world.book.account(user_id)
        chosen = check_chat_id(chat_id or account.conversation_id)
        self._world.book.join(chosen, user_id)
        message_id = message_id or new_message_id()
        content = {
            "body": {"fragments": [{"kind": "text", "text": text}]},
            "context": {"mentions": mentions, "reply": None},
            "streaming": {},
        }
        self.push_frame(
            user_id, event, {"message_id": message_id, "message_mode": message_mode, "message": content},
            chat_id=chosen, chat_type="direct",
            sender={"id": sender_id or account.owner_id, "type": "user", "nick_name": "Owner"},
        )  # fmt: skip
        return message_id

    def push_signal(
        self, user_id: str, kind: str, entity_id: str, *, version: int = 1, event_id: str | None = None
    ) -> str:
        """A ``notify.signal``; returns its event id."""
        event_id = event_id or new_id("evt")
        payload = {
            "type": kind, "entity_id": entity_id, "version": version, "event_id": event_id,
            "message_id": f"notify:{kind}:{entity_id}",
        }  # fmt: skip
        self.push_frame(user_id, "notify.signal", payload)
        return event_id

    def push_frame(self, user_id: str, event: str, payload: Mapping[str, Any], **fields: Any) -> None:
        """Any frame, with envelope fields such as ``chat_id``, to each of the user's devices, live or later.

        Raises:
            LookupError: no such user.
            ValueError: the frame is too large.
        """
        self._world.book.account(user_id)
        frame = build(event, payload, now_ms=self._world.now_ms, **fields)
        if len(frame.encode()) > self.settings.frame_bytes_max:
            raise ValueError(f"the frame has {len(frame.encode())} bytes, more than {self.settings.frame_bytes_max}")
        self._world.mailbox(user_id).queue(frame, self.settings.messages_max)
        self._world.commit()
        self._world.journal.note("pushed", user_id=user_id, detail=event[:64])
        for session in self._sessions.live(user_id):
            session.pump()

    def push_raw(self, user_id: str, data: str | bytes) -> int:
        """Send exactly this to the user's live sessions, text or binary, never queued; returns to how many."""
        sessions = self._sessions.live(user_id)
        for session in sessions:
            if isinstance(data, str):
                session.wire.send(data)
            else:
                session.wire.send_binary(data)
        return len(sessions)

    # Serving.

    def new_connection(self) -> Connection:
        """The protocol of a connection that is being accepted."""
        return Connection(self._world, self._connections, self._on_request, self._new_session)

    def _new_session(self) -> Session:
        return Session(self._world, self._sessions)

    def _on_request(self, request: HttpRequest, respond: Respond) -> None:
        try:
            if request.path.startswith(control.PREFIX):
                control.handle(self, request, respond)
            else:
                rest.handle(self._world, request, respond)
        except Exception as error:
            # A state file that can't be written, mostly. Only the type: the text might quote what the client sent.
            self._world.journal.note("internal-error", detail=type(error).__name__)
            respond(Fate.DROP)

    def listening_on(self, port: int) -> None:
        """The port is open."""
        self._port = port
        self._world.commit()  # A state file that can't be written should say so now.
        if self.settings.pairing_code is not None:
            self.pairing_code(self.settings.pairing_code)

    async def stop(self) -> None:
        """End every connection, and wait until they are gone."""
        for connection in list(self._connections):
            connection.end()
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                await self._world.journal.when(lambda: not self._connections)
        except TimeoutError:
            pass
        finally:  # Also when the wait is cancelled: nothing must be left over.
            self.drop_all()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
