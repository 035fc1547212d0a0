"""One WebSocket's conversation with the service: challenge, hello, replay, then messages both ways."""

import asyncio
from collections.abc import Callable, Mapping

from .book import Grant
from .faults import Fault
from .frames import (
    Frame,
    Greeting,
    NotAFrame,
    Rejected,
    build,
    greeting,
    is_connect,
    message,
    message_id_of,
    new_nonce,
    parse,
    text_of,
    trace_of,
)
from .mail import StoredMessage
from .world import World
from .ws_wire import WebSocketWire

TAKEOVER_CODE = 4001
CHALLENGE_TRACE = "challenge"
GARBAGE = "{this is not JSON"


class Sessions:
    """The sessions of one gateway. At most one is live for a user and device."""

    def __init__(self) -> None:
        self.all: set[Session] = set()
        self._live: dict[tuple[str, str], Session] = {}

    def take_over(self, session: "Session", user_id: str, device_id: str) -> "Session | None":
        """Make the session the live one; returns the one that it displaced."""
        older = self._live.get((user_id, device_id))
        self._live[user_id, device_id] = session
        return older

    def remove(self, session: "Session") -> None:
        """The session is over."""
        self.all.discard(session)
        if self._live.get((session.user_id, session.device_id)) is session:
            del self._live[session.user_id, session.device_id]

    def live(self, user_id: str | None = None) -> list["Session"]:
        """The live sessions, of one user or of all."""
        return [session for session in self._live.values() if user_id in (None, session.user_id)]


class Session:
    """The service's end of one connection. Called by its wire, and by the gateway to push and to end it."""

    def __init__(self, world: World, sessions: Sessions) -> None:
        self.user_id = ""
        self.device_id = ""
        self.state = "greeting"
        self.wire: WebSocketWire
        self._world = world
        self._sessions = sessions
        self._nonce = new_nonce()
        self._greeted = False
        self._timers: list[asyncio.TimerHandle] = []

    # Called by the wire.

    def opened(self) -> None:
        """Send the challenge and give the client its time for an answer."""
        self._world.journal.counters.upgrades += 1
        self._sessions.all.add(self)
        self._later(self._world.settings.connect_limit_s, self._too_late)
        fault = self._world.fault("challenge")
        if fault is not None:
            self._misbehave(fault)
            return
        self._send("connect.challenge", {"nonce": self._nonce}, trace_id=CHALLENGE_TRACE)
        self._world.journal.note("challenge")

    def text(self, text: str) -> None:
        """A message of the client."""
        if self.state == "closed":
            return
        if self.state == "greeting":
            self._take_first(text)
            return
        try:
            frame = parse(text)
        except NotAFrame as error:
            self.end(error.close_code, error.reason)
            return
        self._take(frame, len(text.encode()))

    def pong(self) -> None:
        """The client is alive."""
        self._world.journal.counters.pongs_received += 1
        self._world.journal.note("pong", user_id=self.user_id or None)

    def writable(self) -> None:
        """The client reads again: go on with what waits."""
        self.pump()

    def closed(self, detail: str) -> None:
        """The connection is over."""
        self.state = "closed"
        for timer in self._timers:
            timer.cancel()
        self._sessions.remove(self)
        self._note("closed", detail)

    # Called by the gateway.

    def pump(self) -> None:
        """Send the frames that this device hasn't had, as far as the client reads; then end the replay, once."""
        if self.state not in ("replaying", "live"):
            return
        mailbox, delivered = self._world.mailbox(self.user_id), False
        while self.wire.is_open and not self.wire.paused and not self.wire.frozen:
            frame = mailbox.peek(self.device_id)
            if frame is None:
                break
            self.wire.send(frame)
            mailbox.advance(self.device_id)
            self._world.journal.counters.frames_delivered += 1
            delivered = True
        if delivered:
            self._world.commit()
        if self.state == "replaying" and mailbox.peek(self.device_id) is None:
            self._end_replay()

    def end(self, code: int | None, reason: str = "") -> None:
        """Close with a code; None sends a close frame without one."""
        self.wire.close(code, reason)

    def freeze(self) -> None:
        """Go silent: the connection stays, and nothing is answered or sent on it any more."""
        self.wire.frozen = True
        self._note("frozen")

    # The handshake.

    def _take_first(self, text: str) -> None:
        if self._greeted:
            return  # Its hello is being held back; whatever comes before it is not part of the protocol.
        if len(text.encode()) > self._world.settings.connect_bytes_max:
            self.end(1009, "connect frame too big")
            return
        try:
            frame = parse(text)
        except NotAFrame:
            self._refuse("", "invalid connect event")
            return
        self._greeted = True
        self._world.journal.counters.connects += 1
        self._check_connect(frame)

    def _check_connect(self, frame: Frame) -> None:
        trace_id = trace_of(frame)
        if not is_connect(frame):
            self._refuse(trace_id, "invalid connect event")
            return
        presented = greeting(frame)
        if presented is None:
            self._refuse(trace_id, "invalid connect payload")
        elif presented.nonce != self._nonce:
            self._refuse(trace_id, "nonce mismatch")
        else:
            self._answer_connect(trace_id, presented)

    def _answer_connect(self, trace_id: str, presented: Greeting) -> None:
        fault = self._world.fault("hello")
        if fault is not None and fault.kind == "refuse":
            self._refuse(trace_id, fault.reason or "authentication failed")
        elif fault is not None and fault.kind not in ("delay", "hold"):
            self._misbehave(fault)
        else:
            grant = self._world.book.find_access(presented.token, self._world.now)
            answer = self._hello(trace_id, grant, presented.device_id)
            if fault is None:
                answer()
            else:
                self._world.faults.postpone(fault, answer)

    def _hello(self, trace_id: str, grant: Grant | None, device_id: str) -> Callable[[], None]:
        if self._world.outage:
            return lambda: self._refuse(trace_id, "remote auth service unavailable")
        if grant is None:
            return lambda: self._refuse(trace_id, "authentication failed")
        return lambda: self._welcome(trace_id, grant.user_id, device_id)

    def _refuse(self, trace_id: str, reason: str) -> None:
        if self.state != "greeting":
            return
        self.state = "refused"
        self._greeted = True
        self._world.journal.counters.hello_fails += 1
        self._send("hello-fail", {"reason": reason}, trace_id=trace_id)
        self.wire.hang_up()
        self._note("hello-fail", reason)

    def _welcome(self, trace_id: str, user_id: str, presented_device_id: str) -> None:
        if self.state != "greeting" or not self.wire.is_open:
            return
        self.user_id = user_id
        self.device_id = self._world.resolved.get(user_id, presented_device_id)
        self.state = "replaying"
        self._displace_older()
        for timer in self._timers:
            timer.cancel()
        self._world.journal.counters.hellos += 1
        self._send("hello-ok", {"device_id": self.device_id, "delivery_mode": "standard"}, trace_id=trace_id)
        self._note("hello-ok")
        self._ping_later()
        self.pump()

    def _displace_older(self) -> None:
        older = self._sessions.take_over(self, self.user_id, self.device_id)
        if older is not None:
            self._world.journal.counters.takeovers += 1
            older.end(TAKEOVER_CODE, "replaced by a newer session")
            self._note("takeover")

    def _too_late(self) -> None:
        if not self._greeted:
            self._note("connect-too-late")
            self.wire.hang_up()

    # After the handshake.

    def _take(self, frame: Frame, size: int) -> None:
        if frame["event"] == "ping":
            if self._world.fault("ping") is None:
                self._send("pong", {}, trace_id=trace_of(frame))
        elif frame["event"] == "message.send":
            self._take_message(frame, size)
        else:
            self._note("frame", frame["event"][:64])  # Unknown events are tolerated: no error, no close.

    def _take_message(self, frame: Frame, size: int) -> None:
        self._world.journal.counters.messages_received += 1
        fault = self._world.fault("send")
        if fault is not None and fault.kind in ("drop", "never"):
            self._misbehave(fault)
            return
        try:
            if fault is not None and fault.kind == "refuse":
                raise Rejected(fault.reason or "bad_request", "scripted")
            stored = self._store(frame, size)
        except Rejected as error:
            self._reject(frame, error)
            return
        if fault is not None:  # lose, swallow
            self._misbehave(fault)
            return
        payload = {"message_id": stored.message_id, "accepted_at": stored.accepted_at}
        self._send("message.ack", payload, trace_id=trace_of(frame), chat_id=stored.chat_id)

    def _store(self, frame: Frame, size: int) -> StoredMessage:
        chat_id, payload = message(frame)
        members = self._world.book.members(chat_id)
        if members is None:
            raise Rejected("chat_not_found", "no such conversation")
        if self.user_id not in members:
            raise Rejected("not_member", "the user is not a member of the conversation")
        if size + len(self.user_id) + len(self.device_id) + 100 > self._world.settings.frame_bytes_max:
            raise Rejected("message_too_large", "the frame that the service makes of it is too large")
        mailbox = self._world.mailbox(self.user_id)
        known = mailbox.sent.get(payload.message_id)
        if known is not None:
            self._world.journal.counters.duplicates += 1
            self._note("duplicate", payload.message_id)
            return known
        stored = StoredMessage(
            message_id=payload.message_id, chat_id=chat_id, device_id=self.device_id, text=text_of(payload),
            accepted_at=self._world.now_ms,
        )  # fmt: skip
        mailbox.store(stored, self._world.settings.messages_max)
        self._world.commit()
        self._world.journal.counters.messages_stored += 1
        self._note("stored", payload.message_id)
        return stored

    def _reject(self, frame: Frame, error: Rejected) -> None:
        payload = {"code": error.code, "reason": error.reason, "rejected_at": self._world.now_ms}
        message_id = message_id_of(frame)
        if message_id is not None:
            payload["message_id"] = message_id
        self._send("message.error", payload, trace_id=trace_of(frame))
        self._note("rejected", error.code)

    def _end_replay(self) -> None:
        self.state = "live"
        if self._world.fault("replay") is None:
            self._send("replay.done", {})
        self._note("live")

    def _ping_later(self) -> None:
        if self._world.settings.ping_interval_s > 0:
            self._later(self._world.settings.ping_interval_s, self._ping)

    def _ping(self) -> None:
        self._world.journal.counters.pings_sent += 1
        self.wire.ping()
        self._ping_later()

    # Shared.

    def _misbehave(self, fault: Fault) -> None:
        if fault.kind in ("drop", "lose"):
            self.wire.abort()
        elif fault.kind == "garbage":
            self.wire.send(GARBAGE)

    def _send(
        self, event: str, payload: Mapping[str, object], *, trace_id: str | None = None, **fields: object
    ) -> None:
        self.wire.send(build(event, payload, now_ms=self._world.now_ms, trace_id=trace_id, **fields))

    def _later(self, delay_s: float, call: Callable[[], None]) -> None:
        self._timers = [timer for timer in self._timers if timer.when() > asyncio.get_running_loop().time()]
        self._timers.append(asyncio.get_running_loop().call_later(delay_s, call))

    def _note(self, event: str, detail: str | None = None) -> None:
        self._world.journal.note(event, user_id=self.user_id or None, device_id=self.device_id or None, detail=detail)
