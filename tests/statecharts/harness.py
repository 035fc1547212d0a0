"""The account chart without a driver: events in, commands out, and time moved by hand."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from holdfast.engine import ArmTimer, CancelTimer, Command, Event, Snapshot, Stamp, TimerFired, Unhandled, start, step
from holdfast.statecharts import (
    STRICT,
    Account,
    Challenged,
    Credential,
    CredentialsRead,
    HelloAccepted,
    HelloRefused,
    LogoutRequested,
    Policy,
    RefreshFailed,
    RefreshRequested,
    RefreshSucceeded,
    ReplayFinished,
    SocketClosed,
    SocketOpened,
    Status,
    StopRequested,
    account_chart,
    project,
)

WALL = 1_800_000_000.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
REJECTED = "authentication failed"
# Far above what any test needs: an immediate loop fails instead of hanging.
STEPS_MAX = 50_000

K = TypeVar("K", bound=Command)
Answer = Callable[[Any], tuple[Event, ...]]


def credential(
    generation: int = 1, *, lifetime: float = DAY, age: float = 0.0, refreshable: bool = True, wall: float = WALL
) -> Credential:
    """A pair that was received ``age`` seconds ago, whose access token tells its times."""
    issued = wall - age
    return Credential(
        generation=generation,
        issued_at=issued,
        expires_at=issued + lifetime,
        obtained_at=issued,
        refreshable=refreshable,
    )


class Bench:
    """One account on a bench. Each event is stepped twice and compared: a step is a pure function.

    ``world`` answers commands by themselves: the events it gives are sent before time goes on.
    """

    def __init__(
        self, policy: Policy = STRICT, *, chance: float = 0.5, world: Mapping[type[Command], Answer] | None = None
    ) -> None:
        self.now, self.wall, self.chance = 1000.0, WALL, chance
        self.world = dict(world or {})
        self.journal: list[tuple[float, Command]] = []
        self._steps = 0
        self._answers: deque[Event] = deque()
        self.snapshot, commands = start(account_chart, Account(policy=policy), self.stamp)
        self._note(commands)

    # -- time ----------------------------------------------------------------------------------------------------

    @property
    def stamp(self) -> Stamp:
        return Stamp(self.now, self.wall, self.chance)

    def pass_time(self, seconds: float) -> None:
        """Time goes by and nothing fires."""
        self.now += seconds
        self.wall += seconds

    def advance(self, seconds: float) -> None:
        """Time goes by, and every timer fires when it is due."""
        end = self.now + seconds
        while (armed := min(self.snapshot.timers, key=lambda one: one.due, default=None)) and armed.due <= end:
            self.pass_time(max(0.0, armed.due - self.now))
            self.send(TimerFired(armed.timer, armed.serial))
        self.pass_time(end - self.now)

    def fire(self, timer: str) -> tuple[Command, ...]:
        """Go to the moment a timer is due, and let only that one fire."""
        armed = next(one for one in self.snapshot.timers if one.timer == timer)
        self.pass_time(max(0.0, armed.due - self.now))
        return self.send(TimerFired(armed.timer, armed.serial))

    def firing(self, timer: str) -> TimerFired:
        """What an armed timer will say."""
        return next(TimerFired(one.timer, one.serial) for one in self.snapshot.timers if one.timer == timer)

    def left(self, timer: str) -> float | None:
        """Seconds until a timer is due, None if it is not armed."""
        return next((one.due - self.now for one in self.snapshot.timers if one.timer == timer), None)

    @property
    def timers(self) -> list[str]:
        return sorted(one.timer for one in self.snapshot.timers)

    # -- events in, commands out ---------------------------------------------------------------------------------

    def send(self, *events: Event) -> tuple[Command, ...]:
        """Step the events; what was commanded, without the news of timers."""
        commands: tuple[Command, ...] = ()
        for event in events:
            commands += self._step(event)
            while self._answers:
                self._step(self._answers.popleft())
        return tuple(one for one in commands if not isinstance(one, ArmTimer | CancelTimer))

    def _step(self, event: Event) -> tuple[Command, ...]:
        self._steps += 1
        assert self._steps < STEPS_MAX, "an endless loop"
        again = step(account_chart, self.snapshot, event, self.stamp)
        self.snapshot, commands = step(account_chart, self.snapshot, event, self.stamp)
        assert (self.snapshot, commands) == again
        self._note(commands)
        return commands

    def _note(self, commands: tuple[Command, ...]) -> None:
        self.journal += [(self.now, command) for command in commands]
        for command in commands:
            self._answers += self.world.get(type(command), _nothing)(command)

    def ignores(self, event: Event) -> bool:
        """The event changes nothing and is reported as unhandled."""
        before = self.snapshot
        commands = self.send(event)
        return self.snapshot == before and [type(one) for one in commands] == [Unhandled]

    def amend(self, **changes: Any) -> None:
        """Put the account where no short way leads."""
        snapshot = self.snapshot
        context = self.account.but(**changes)
        self.snapshot = Snapshot(snapshot.config, context, snapshot.timers, snapshot.serial, snapshot.history)

    # -- looking -------------------------------------------------------------------------------------------------

    @property
    def account(self) -> Account:
        account: Account = self.snapshot.context
        return account

    @property
    def status(self) -> Status:
        return project(self.snapshot, self.stamp)

    def is_in(self, *paths: str) -> bool:
        return all(self.snapshot.matches(path) for path in paths)

    def is_near(self) -> bool:
        """Would a refusal that says nothing be blamed on the token, since it is near its expiry?"""
        after, _ = step(account_chart, self.snapshot, HelloRefused(self.account.socket, "?"), self.stamp)
        return after.matches("connection/held")

    def sent(self, kind: type[K]) -> list[K]:
        """All commands of a kind so far."""
        return [one for _, one in self.journal if isinstance(one, kind)]

    def times(self, kind: type[Command]) -> list[float]:
        """When the commands of a kind were given, in seconds from the start."""
        return [at - 1000.0 for at, one in self.journal if isinstance(one, kind)]

    def count(self, kind: type[Command]) -> int:
        return len(self.sent(kind))

    # -- the far end ---------------------------------------------------------------------------------------------

    def read(self, found: Credential | None, *, interrupted: bool = False) -> tuple[Command, ...]:
        """The store answers."""
        return self.send(CredentialsRead(found.generation if found else self.account.generation, found, interrupted))

    def shake(self) -> tuple[Command, ...]:
        """The handshake up to the hello."""
        return self.send(SocketOpened(self.account.socket), Challenged(self.account.socket, "nonce"))

    def open(self) -> tuple[Command, ...]:
        """The WebSocket is open, and nobody says a word."""
        return self.send(SocketOpened(self.account.socket))

    def accept(self, device_id: str = "dev-1") -> tuple[Command, ...]:
        return self.send(HelloAccepted(self.account.socket, device_id))

    def refuse(self, reason: str = REJECTED) -> tuple[Command, ...]:
        """The handshake up to a refused hello."""
        self.shake()
        return self.send(HelloRefused(self.account.socket, reason))

    def refuse_now(self, reason: str = REJECTED) -> tuple[Command, ...]:
        """A refusal in the midst of whatever the connection is at."""
        return self.send(HelloRefused(self.account.socket, reason))

    def drop(self, code: int = 1000, reason: str = "") -> tuple[Command, ...]:
        """The socket closes."""
        return self.send(SocketClosed(self.account.socket, code, reason))

    def rotate(self, lifetime: float = DAY) -> tuple[Command, ...]:
        """The exchange under way succeeds."""
        generation = (self.account.attempted or 0) + 1
        return self.send(
            RefreshSucceeded(self.account.refresh, credential(generation, lifetime=lifetime, wall=self.wall))
        )

    def fail(self, code: str = "", error: str = "no answer") -> tuple[Command, ...]:
        """The exchange under way fails."""
        return self.send(RefreshFailed(self.account.refresh, code, error))

    def deny(self) -> tuple[Command, ...]:
        """The exchange under way is refused for good, and the store holds nothing newer."""
        return self.fail("10003", "token revoked") + self.read(self.account.credential)

    def ask(self, cause: str = "rest-401", generation: int | None = None) -> tuple[Command, ...]:
        """Somebody wants a fresh token."""
        return self.send(RefreshRequested(cause, generation))

    def stop(self) -> tuple[Command, ...]:
        return self.send(StopRequested())

    def log_out(self) -> tuple[Command, ...]:
        return self.send(LogoutRequested())

    def ignores_logout(self) -> bool:
        """A logout changes nothing, and nothing is done about it."""
        before = self.snapshot
        return all(isinstance(one, Unhandled) for one in self.log_out()) and self.snapshot == before

    # -- shortcuts -----------------------------------------------------------------------------------------------

    def dialing(self, found: Credential | None = None) -> "Bench":
        """Started with credentials, the first dial under way."""
        self.read(found or credential())
        return self

    def live(self, found: Credential | None = None) -> "Bench":
        """In a session."""
        self.dialing(found).reconnect()
        assert self.is_in("connection/online/live")
        return self

    def reconnect(self) -> None:
        """Let the dial under way succeed."""
        self.shake()
        self.accept()
        self.send(ReplayFinished(self.account.socket))


def _nothing(command: Command) -> tuple[Event, ...]:
    return ()
