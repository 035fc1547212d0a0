"""What the checks remember of the steps so far."""

import math
from dataclasses import dataclass, field
from typing import TypeVar

from holdfast.engine import ArmTimer, CancelTimer, Command, Event, Snapshot, Stamp, TimerFired, Unhandled
from holdfast.statecharts import (
    Account,
    CredentialsChanged,
    CredentialsRead,
    HelloAccepted,
    HelloRefused,
    MessagesFound,
    OpenSocket,
    Policy,
    PostRefresh,
    Record,
    RefreshFailed,
    RefreshRequested,
    RefreshSucceeded,
    RefreshSuperseded,
    ResumeRequested,
    RotationHeld,
    RotationStored,
    SendRequested,
    SettleRefresh,
    SettleSend,
    SocketClosed,
    SocketFailed,
    StopRequested,
    UseCredential,
    Verdict,
    classify,
)

from .world import World

_C = TypeVar("_C", bound=Command)

WAIT = "connection/backing_off"
ANSWERS = (RefreshSucceeded, RefreshFailed, RefreshSuperseded, RotationHeld)


@dataclass(frozen=True)
class Taken:
    """One step of the chart. ``genuine``: the event is no late or second copy."""

    before: Snapshot
    event: Event
    stamp: Stamp
    after: Snapshot
    commands: tuple[Command, ...]
    genuine: bool = True

    def given(self, kind: type[_C]) -> list[_C]:
        """The commands of one kind."""
        return [command for command in self.commands if isinstance(command, kind)]

    def fired(self, timer: str) -> bool:
        """True if the event is the firing of this timer, and not a late one."""
        event = self.event
        if not isinstance(event, TimerFired) or event.timer != timer:
            return False
        return any(armed.serial == event.serial for armed in self.before.timers)

    @property
    def account(self) -> Account:
        """The context after the step."""
        account: Account = self.after.context
        return account


@dataclass
class Ledger:
    """What one process has seen so far. A new process has a new one."""

    depth: int = 0
    granted: bool = False  # one dial: a wait of the ladder is over, a token was not tried yet, or a person says so
    stopped_at: float | None = None
    forgotten: int | None = None  # the generation that was logged out, until another is adopted
    interrupted: bool = False
    session: int | None = None
    online_since: float = math.inf
    asking: bool = False
    timers: dict[int, str] = field(default_factory=dict[int, str])
    posted: dict[int, float] = field(default_factory=dict[int, float])  # when each generation was posted last
    answered: set[int] = field(default_factory=set[int])  # generations whose successor we hold or held
    blamed: set[int] = field(default_factory=set[int])  # generations that a permanent code was received for
    condemned: set[int] = field(default_factory=set[int])  # those for which it was believed
    refused: dict[int, float] = field(default_factory=dict[int, float])  # when the gateway refused a generation
    renewals: list[float] = field(default_factory=list[float])  # POSTs after a refused hello
    rotated: tuple[float, float] | None = None  # when the pair in use was refreshed, and how long it lives
    skews: int = 0
    no_dial_before: float = -math.inf  # so the server asked
    no_post_before: float = -math.inf
    asked: set[str] = field(default_factory=set[str])  # messages that somebody wants to send
    settled: dict[str, int] = field(default_factory=dict[str, int])  # how often each was settled

    def note_first(self, step: Taken, world: World, policy: Policy) -> None:
        """Take down what a step's own checks count on."""
        if isinstance(step.event, TimerFired):
            self.timers.pop(step.event.serial, None)
        for command in step.commands:
            if isinstance(command, ArmTimer):
                self.timers[command.serial] = command.timer
            elif isinstance(command, CancelTimer):
                self.timers.pop(command.serial)
        if isinstance(step.event, StopRequested) and self.stopped_at is None:
            self.stopped_at = step.stamp.now
        if isinstance(step.event, SendRequested):
            self.asked.add(step.event.trace)
        if isinstance(step.event, MessagesFound):
            self.asked |= {one.trace for one in step.event.queued}
        self.asked -= _set_aside(step)
        for settled in step.given(SettleSend):
            self.settled[settled.trace] = self.settled.get(settled.trace, 0) + 1
        self._note_tokens(step)
        self._note_session(step, world)
        self._note_wishes(step, policy)

    def _note_tokens(self, step: Taken) -> None:
        if step.before.context.credential is not None and step.account.credential is None:
            self.forgotten = step.before.context.credential.generation
        if step.fired("retry"):
            self.granted = True  # the ladder's wait is over; a refresh may have to come first
        if isinstance(step.event, ResumeRequested) and step.before.matches("connection/parked"):
            self.granted = True  # a person wants it
        if step.given(UseCredential):
            self.granted = True
            if isinstance(step.event, (CredentialsRead, CredentialsChanged)):
                self.forgotten = None
            credential = step.account.credential
            begun = isinstance(step.event, CredentialsRead) and step.event.interrupted
            self.interrupted = begun and credential is not None and credential.refreshable

    def _note_session(self, step: Taken, world: World) -> None:
        event = step.event
        entered = step.after.matches("connection/online") and not step.before.matches("connection/online")
        if isinstance(event, HelloAccepted) and entered:
            self.session, self.online_since = event.socket, step.stamp.now
        socket = world.sockets.get(self.session or 0)
        gone = isinstance(event, SocketClosed) and event.socket == self.session
        if gone or (socket is not None and socket.state == "closing"):
            self.session = None

    def note_last(self, step: Taken, policy: Policy) -> None:
        """Take down what later steps' checks count on."""
        self._note_refresh(step, policy)
        self._note_connection(step, policy)

    def _note_refresh(self, step: Taken, policy: Policy) -> None:
        event, now = step.event, step.stamp.now
        for post in step.given(PostRefresh):
            self.posted[post.generation] = now
            if post.cause == "hello-fail":
                self.renewals.append(now)
        attempted = step.before.context.attempted
        current = isinstance(event, ANSWERS) and event.refresh == step.before.context.refresh
        if current and isinstance(event, (RefreshSucceeded, RotationHeld)):
            self.answered.add(attempted)
        if current:
            self.interrupted = False
        if isinstance(event, RefreshFailed) and current and event.code in policy.permanent_codes:
            self.blamed.add(attempted)
        if any(row.kind == "refresh" and row.state == "permanent" for row in step.given(Record)):
            self.condemned.add(attempted)
        if step.given(UseCredential):
            self.rotated = _rotation(step)
        self._note_waiters(step)

    def _note_waiters(self, step: Taken) -> None:
        asked = isinstance(step.event, RefreshRequested)
        self.asking = (self.asking or asked) and not step.given(SettleRefresh)

    def _note_connection(self, step: Taken, policy: Policy) -> None:
        event, now = step.event, step.stamp.now
        account: Account = step.before.context
        heard = step.before.matches("connection/dialing") or step.before.matches("connection/online")
        if heard and isinstance(event, HelloRefused) and event.socket == account.socket and rejects(policy, event):
            self.refused[-1 if account.presented is None else account.presented] = now
        if step.given(OpenSocket) or step.after.matches(WAIT):
            self.granted = False
        if step.before.matches(WAIT) and not step.after.matches(WAIT):
            self.depth += 1
        if step.fired("stable"):
            self.depth = 0
            self.renewals.clear()
        if any(isinstance(command, UseCredential) for command in step.commands) and step.account.rotations == 0:
            self.renewals.clear()

    def _note_wishes(self, step: Taken, policy: Policy) -> None:
        event, heard = step.event, Unhandled not in {type(command) for command in step.commands}
        if isinstance(event, (SocketFailed, RefreshFailed)) and heard and event.retry_after_s:
            moment = step.stamp.now + min(event.retry_after_s, policy.retry_after_max_s)
            if isinstance(event, SocketFailed):
                self.no_dial_before = moment
            elif event.code not in policy.permanent_codes and not step.after.done:
                self.no_post_before = moment


def _rotation(step: Taken) -> tuple[float, float] | None:
    """When the pair that came with this step was received, by the monotonic clock, and how long it lives."""
    event, stamp = step.event, step.stamp
    if not isinstance(event, (RefreshSucceeded, RotationStored)) or event.credential.obtained_at is None:
        return None
    life = (event.credential.expires_at or math.inf) - (event.credential.issued_at or 0.0)
    return stamp.now - (stamp.wall - event.credential.obtained_at), life


def rejects(policy: Policy, event: HelloRefused) -> bool:
    """The reason names the token."""
    return classify(policy.classifier, event.reason) is Verdict.TOKEN_REJECTED


def _set_aside(step: Taken) -> set[str]:
    """What left the queue without a word, since its user is logged out: the message store still has it."""
    told = {one.trace for one in step.given(SettleSend)}
    lasting = {one.trace for one in step.before.context.queue if one.lasting and one.kept}
    still = {one.trace for one in (*step.account.queue, *step.account.crowd)}
    is_out = step.account.credential is None or step.after.matches("credentials/refused")
    return lasting - told - still if is_out else set[str]()
