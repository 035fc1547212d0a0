"""One WebSocket's conversation with the service: challenge, hello, replay, then frames both ways."""

import asyncio
from collections.abc import Callable, Mapping

from . import uplink
from .book import Grant
from .delivery import Delivery
from .faults import Fault
from .frames import Frame, Greeting, NotAFrame, build, greeting, is_connect, new_nonce, parse, trace_of
from .registry import Sessions
from .settings import Reliable
from .world import World
from .ws_wire import WebSocketWire

TAKEOVER_CODE = 4001
CHALLENGE_TRACE = "challenge"
GARBAGE = "{this is not JSON"


class Session:
    """The service's end of one connection. Called by its wire, and by the gateway to push and to end it."""

    def __init__(self, world: World, sessions: Sessions) -> None:
        self.user_id = ""
        self.device_id = ""
        self.state = "greeting"
        self.wire: WebSocketWire
        self.delivery: Delivery  # From hello-ok on, as the user's and the device's id.
        self.world = world
        self.sessions = sessions
        self._nonce = new_nonce()
        self._greeted = False
        self._timers: list[asyncio.TimerHandle] = []

    # Called by the wire.

    def opened(self) -> None:
        """Send the challenge and give the client its time for an answer."""
        self.world.journal.counters.upgrades += 1
        self.sessions.all.add(self)
        self._later(self.world.settings.connect_limit_s, self._too_late)
        fault = self.world.fault("challenge")
        if fault is not None:
            self.misbehave(fault)
            return
        self.send_plain("connect.challenge", {"nonce": self._nonce}, trace_id=CHALLENGE_TRACE)
        self.world.journal.note("challenge")

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
        uplink.take(self, frame, len(text.encode()))

    def pong(self) -> None:
        """The client is alive."""
        self.world.journal.counters.pongs_received += 1
        self.world.journal.note("pong", user_id=self.user_id or None)

    def writable(self) -> None:
        """The client reads again: go on with what waits."""
        self.pump()

    def closed(self, detail: str) -> None:
        """The connection is over."""
        self.state = "closed"
        for timer in self._timers:
            timer.cancel()
        self.sessions.remove(self)
        self.note("closed", detail)

    # Called by the gateway.

    def pump(self) -> None:
        """Send what waits, as far as the client reads and acks; then end the replay, once."""
        if self.state not in ("replaying", "live"):
            return
        before = self.delivery.delivered
        while self._can_write and (frame := self.delivery.take()) is not None:
            self.wire.send(frame)
        if self.delivery.delivered > before:
            self.world.journal.counters.frames_delivered += self.delivery.delivered - before
            self.world.commit()
        if self.state == "replaying" and self.delivery.caught_up:
            self._end_replay()

    def end(self, code: int | None, reason: str = "") -> None:
        """Close with a code; None sends a close frame without one."""
        self.wire.close(code, reason)

    def freeze(self) -> None:
        """Go silent: the connection stays, and nothing is answered or sent on it any more."""
        self.wire.frozen = True
        self.note("frozen")

    # Called by what takes the client's frames.

    def answer(
        self, event: str, payload: Mapping[str, object], *, trace_id: str | None = None, **fields: object
    ) -> None:
        """Send a frame that is not of the mailbox, as soon as the client reads and its window has room."""
        frame = build(event, payload, now_ms=self.world.now_ms, trace_id=trace_id, **fields)
        if not self.delivery.answer(frame):
            self.note("answer-dropped", event)
        self.pump()

    def send_plain(self, event: str, payload: Mapping[str, object], *, trace_id: str) -> None:
        """Send a frame at once and without a number."""
        self.wire.send(build(event, payload, now_ms=self.world.now_ms, trace_id=trace_id))

    def misbehave(self, fault: Fault) -> None:
        """Do what the fault wants instead of an answer."""
        if fault.kind in ("drop", "lose"):
            self.wire.abort()
        elif fault.kind == "garbage":
            self.wire.send(GARBAGE)

    def note(self, event: str, detail: str | None = None) -> None:
        """Log something about this session."""
        self.world.journal.note(event, user_id=self.user_id or None, device_id=self.device_id or None, detail=detail)

    # The handshake.

    def _take_first(self, text: str) -> None:
        if self._greeted:
            return  # Its hello is being held back; whatever comes before it is not part of the protocol.
        if len(text.encode()) > self.world.settings.connect_bytes_max:
            self.end(1009, "connect frame too big")
            return
        try:
            frame = parse(text)
        except NotAFrame:
            self._refuse("", "invalid connect event")
            return
        self._greeted = True
        self.world.journal.counters.connects += 1
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
        fault = self.world.fault("hello")
        if fault is not None and fault.kind == "refuse":
            self._refuse(trace_id, fault.reason or "authentication failed")
        elif fault is not None and fault.kind not in ("delay", "hold"):
            self.misbehave(fault)
        else:
            grant = self.world.book.find_access(presented.token, self.world.now)
            answer = self._hello(trace_id, grant, presented)
            if fault is None:
                answer()
            else:
                self.world.faults.postpone(fault, answer)

    def _hello(self, trace_id: str, grant: Grant | None, presented: Greeting) -> Callable[[], None]:
        if self.world.outage:
            return lambda: self._refuse(trace_id, "remote auth service unavailable")
        if grant is None:
            return lambda: self._refuse(trace_id, "authentication failed")
        return lambda: self._welcome(trace_id, grant.user_id, presented)

    def _refuse(self, trace_id: str, reason: str) -> None:
        if self.state != "greeting":
            return
        self.state = "refused"
        self._greeted = True
        self.world.journal.counters.hello_fails += 1
        self.send_plain("hello-fail", {"reason": reason}, trace_id=trace_id)
        self.wire.hang_up()
        self.note("hello-fail", reason)

    def _welcome(self, trace_id: str, user_id: str, presented: Greeting) -> None:
        if self.state != "greeting" or not self.wire.is_open:
            return
        device_id = self.world.resolved.get(user_id, presented.device_id)
        if self.sessions.is_throttled(user_id, device_id, self.world.now):
            self.world.journal.counters.takeovers_refused += 1
            self._refuse(trace_id, "too many takeovers")
            return
        self.user_id, self.device_id, self.state = user_id, device_id, "replaying"
        self._displace_older()
        for timer in self._timers:
            timer.cancel()
        self._open_mailbox(presented.capabilities)
        self.world.journal.counters.hellos += 1
        self.send_plain("hello-ok", self._terms(), trace_id=trace_id)
        self.note("hello-ok")
        self._ping_later()
        if self.delivery.oldest_seq is not None:
            self.answer("history.truncated", {"oldest_seq": self.delivery.oldest_seq})
        self.pump()

    def _open_mailbox(self, capabilities: Mapping[str, bool]) -> None:
        mailbox = self.world.mailbox(self.user_id)
        self.delivery = Delivery(
            mailbox, self.device_id, _granted(capabilities, self.world.settings.reliable),
            echoes=capabilities.get("multi_device", False), skips=lambda: self.world.fault("frame") is not None,
        )  # fmt: skip
        if mailbox.enter(self.device_id):
            self.world.commit()

    def _terms(self) -> dict[str, object]:
        terms: dict[str, object] = {"device_id": self.device_id, "delivery_mode": "standard"}
        if self.delivery.epoch is not None:
            terms.update(ack_mode="dseq", ack_epoch=self.delivery.epoch)
        return terms

    def _displace_older(self) -> None:
        older = self.sessions.take_over(self, self.world.now)
        if older is not None:
            self.world.journal.counters.takeovers += 1
            older.end(TAKEOVER_CODE, "replaced by a newer session")
            self.note("takeover")

    def _too_late(self) -> None:
        if not self._greeted:
            self.note("connect-too-late")
            self.wire.hang_up()

    # After the handshake.

    def _end_replay(self) -> None:
        self.state = "live"
        if self.world.fault("replay") is None:
            self.answer("replay.done", {})
        self.note("live")

    def _ping_later(self) -> None:
        if self.world.settings.ping_interval_s > 0:
            self._later(self.world.settings.ping_interval_s, self._ping)

    def _ping(self) -> None:
        self.world.journal.counters.pings_sent += 1
        self.wire.ping()
        self._ping_later()

    # Shared.

    @property
    def _can_write(self) -> bool:
        return self.wire.is_open and not self.wire.paused and not self.wire.frozen

    def _later(self, delay_s: float, call: Callable[[], None]) -> None:
        self._timers = [timer for timer in self._timers if timer.when() > asyncio.get_running_loop().time()]
        self._timers.append(asyncio.get_running_loop().call_later(delay_s, call))


def _granted(capabilities: Mapping[str, bool], highest: Reliable) -> Reliable:
    if capabilities.get("reliable_delivery_v2") and highest == "v2":
        return "v2"
    return "v1" if capabilities.get("reliable_delivery") and highest != "off" else "off"
