"""The gateway itself: what a test or a program scripts, and what serves the port."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from . import control, rest
from .accounts import Accounts
from .faults import Fault, Kind, Point
from .http_wire import Fate, HttpRequest, Respond
from .journal import Counters, Event
from .mail import StoredMessage
from .pushes import Pushes
from .registry import Sessions
from .sessions import Session
from .settings import GatewaySettings
from .state import snapshot
from .wire import Connection
from .world import World
from .ws_wire import check_close

STOP_LIMIT_S = 2.0


class Gateway(Accounts, Pushes):
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
    def rest_reads(self) -> dict[str, int]:
        """GET requests by path, refused ones included."""
        return dict(self._world.journal.rest_reads)

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

    def unconfirmed(self, user_id: str) -> dict[str, int]:
        """By device, how many of the frames that are kept for the user it is not known to have.

        A frame counts as had once it was sent, or with reliable delivery once it was acked.

        Raises:
            LookupError: no such user.
        """
        self._world.book.account(user_id)
        mailbox = self._world.mailbox(user_id)
        return {device_id: mailbox.unconfirmed(device_id) for device_id in mailbox.cursors}

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

    # Misbehaviour.

    def forget(self, user_id: str) -> None:
        """The user no longer exists: tokens are dead, pairing with this user id answers 16001, sessions are dropped.

        Raises:
            LookupError: no such user.
        """
        self._world.forget(user_id)
        self.drop(user_id)
        self._world.commit()
        self._world.journal.note("forgotten", user_id=user_id)

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
