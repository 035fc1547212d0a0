"""The account chart against a world that does what it likes, as a Hypothesis state machine."""

from collections.abc import Callable

from hypothesis import currently_in_test_context, note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from holdfast.engine import Chart, Command, Event, Snapshot, TimerFired, dump, restore, start, step
from holdfast.statecharts import (
    STRICT,
    Account,
    CredentialsChanged,
    LogoutRequested,
    Policy,
    ReadingPaused,
    ReadingResumed,
    RefreshRequested,
    ResumeRequested,
    StopRequested,
    account_chart,
)

from .disk import secrets
from .draws import CHANCES, CODES, DAY, DISKS, HOUR, LIVES, MOSTLY, NAPS, SAYINGS, SPANS, STEPS_OF_THE_CLOCK
from .gateway import Gateway, Greeting, Refreshing
from .ledger import Ledger, Taken
from .mail import Letter
from .properties import Properties
from .world import Memory, World

LATENCY_S = 0.05
"""How long anything on the far side takes while the account is left to itself."""
PATIENCE_S = HOUR
"""Once nothing fails any more, an account has this long to come to rest. Most of it is the refresh's own ladder."""
STEPS_MAX = 5000


def while_running(self: "LifeMachine") -> bool:
    """The account has not reached its end."""
    return not self.snapshot.done


class Crash(Exception):
    """The process dies between two commands."""


class LifeMachine(RuleBasedStateMachine):
    """Credentials, connections, and the process itself. The messages are in :class:`AccountMachine`."""

    chart: Chart = account_chart
    policy: Policy = STRICT
    rejection: str = "token expired"  # what the gateway says of a bad token: the policy's classifier must know it

    def __init__(self) -> None:
        super().__init__()
        self.world = World(Gateway(self.rejection))
        self.properties = Properties(self.world, self.policy)
        self.chance = 0.5
        self.fuse = -1
        self.refreshing = Refreshing.ROTATES
        self.greeting = Greeting.JUDGES
        self.reachable = True
        self.former: list[Event] = []
        self.sound = True
        self.snapshot: Snapshot

    # -- the process ---------------------------------------------------------------------------------------------

    @initialize(
        paired=MOSTLY, life=LIVES, refreshable=st.booleans(), readable=st.booleans(), known=st.booleans(), online=MOSTLY
    )
    def begin(
        self, paired: bool, life: float, refreshable: bool, readable: bool, known: bool, online: bool = False
    ) -> None:
        if paired:
            pair = self.world.gateway.pair(self.world.true_time, life, refreshable=refreshable, readable=readable)
            self.world.disk.write(pair, self.world.true_time if known else None)
        self._boot()
        if online:  # what happens to a session is worth more than another lost dial
            self._live(self.world.now + 1.0, lambda: self.snapshot.matches("connection/online"), 20)

    def _boot(self) -> None:
        self.world.memory = Memory()
        self.properties.ledger = Ledger()
        self.former = []
        self.fuse = -1
        stamp = self.world.stamp(self.chance)
        self.snapshot, commands = start(self.chart, Account(policy=self.policy), stamp)
        self.properties.ledger.timers = {armed.serial: armed.timer for armed in self.snapshot.timers}
        for command in commands:
            self.world.execute(command)
        self._drain()

    def _feed(self, event: Event, genuine: bool = True, letter: Letter | None = None) -> None:
        """One step, taken twice and stored in between, and what follows from it at once."""
        before, stamp = self.snapshot, self.world.stamp(self.chance)
        after, commands = step(self.chart, before, event, stamp)
        again = restore(self.chart, dump(before, stamp), stamp)
        assert again == before, "a snapshot goes to JSON and back without loss"
        assert step(self.chart, again, event, stamp) == (after, commands), "a step is pure"
        self.snapshot = after
        self._tell(f"{self.world.now:.2f} {event} -> {' '.join(after.states)}")
        self.world.memory.coming = letter
        try:
            self._execute(commands)
        except Crash:
            self._tell("crash")
            self._boot()
            return
        self.former = [*self.former[-20:], event]
        self.sound = False
        self.properties.see(Taken(before, event, stamp, after, commands, genuine))
        self.sound = True
        self.world.arrived(event)
        self._drain()

    def _tell(self, line: str) -> None:
        if (
            currently_in_test_context()
        ):  # else it is a script: the steps that Hypothesis printed, as a test of their own
            note(line)

    def _execute(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            self.fuse -= 1
            if self.fuse == 0:
                raise Crash
            self.world.execute(command)

    def _drain(self) -> None:
        while self.world.memory.inbox:
            event, letter = self.world.memory.inbox.popleft()
            self._feed(event, letter=letter)

    @precondition(while_running)
    @rule(after=st.integers(0, 4))
    def crash(self, after: int) -> None:
        """The process dies and is started again: now, or before one of the next commands is carried out."""
        if after:
            self.fuse = after
        else:
            self._boot()

    @precondition(lambda self: self.snapshot.done)
    @rule()
    def start_again(self) -> None:
        self._boot()

    # -- the clock -----------------------------------------------------------------------------------------------

    def _fire(self) -> None:
        """Fire what is due, the earliest first."""
        self.world.expire()
        self._drain()
        due = [armed for armed in self.snapshot.timers if armed.due <= self.world.now]
        memory = self.world.memory
        for armed in sorted(due, key=lambda armed: (armed.due, armed.serial)):
            if self.world.memory is memory:  # else the process has died meanwhile
                self._feed(TimerFired(armed.timer, armed.serial), genuine=armed in self.snapshot.timers)

    def _deadlines(self) -> list[float]:
        posts = [post.deadline for post in self.world.posts.values()]
        return posts + [socket.close_by for socket in self.world.sockets.values() if socket.state == "closing"]

    @precondition(while_running)
    @rule(chance=CHANCES)
    def next_timer(self, chance: float) -> None:
        self.chance = chance
        moments = [*self._deadlines(), *(armed.due for armed in self.snapshot.timers)]
        if moments:
            self.world.now = max(self.world.now, min(moments))
            self._fire()

    @precondition(while_running)
    @rule(span=SPANS, chance=CHANCES)
    def time_passes(self, span: float, chance: float) -> None:
        """Everything due meanwhile is punctual, and nobody on the far side says a word."""
        self.chance = chance
        end = self.world.now + span
        for _ in range(200):
            moments = [*self._deadlines(), *(armed.due for armed in self.snapshot.timers), end]
            self.world.now = max(self.world.now, min(moments))
            self._fire()
            if self.world.now >= end:
                break

    @precondition(while_running)
    @rule(nap=NAPS, fires=st.booleans())
    def machine_sleeps(self, nap: float, fires: bool) -> None:
        """Then what is due fires once, at once; or something else is quicker."""
        self.world.now += nap
        if fires:
            self._fire()

    @precondition(while_running)
    @rule(by=STEPS_OF_THE_CLOCK)
    def wall_clock_steps(self, by: float) -> None:
        self.world.skew += by
        self.properties.ledger.skews += 1

    @precondition(while_running)
    @rule(span=SPANS, chance=CHANCES, well=MOSTLY)
    def world_goes_on(self, span: float, chance: float, well: bool) -> None:
        """Time passes, and the far side does what it should, or what it does at present."""
        self.chance = chance
        if well:
            self._be_well()
        self._live(self.world.now + span, lambda: False, 300)

    def _be_well(self) -> None:
        self.refreshing, self.greeting, self.reachable = Refreshing.ROTATES, Greeting.JUDGES, True
        self.world.asks_s = 0.0

    def _live(self, end: float, arrived: Callable[[], bool], steps_max: int) -> None:
        for _ in range(steps_max):
            if arrived() or self.world.now >= end:
                return
            busy = self.world.go_on(self.refreshing, self.greeting, self.reachable)
            self._drain()
            moments = [armed.due for armed in self.snapshot.timers]
            moments += [self.world.now + LATENCY_S] if busy else self._deadlines()
            self.world.now = max(self.world.now, min([*moments, end]))
            self._fire()

    # -- the far side --------------------------------------------------------------------------------------------

    @precondition(while_running)
    @rule(
        refreshing=st.sampled_from(Refreshing), greeting=st.sampled_from(Greeting), reachable=st.booleans(), life=LIVES
    )
    def mood_changes(self, refreshing: Refreshing, greeting: Greeting, reachable: bool, life: float) -> None:
        self.refreshing, self.greeting, self.reachable, self.world.life = refreshing, greeting, reachable, life

    @precondition(while_running)
    @rule(seconds=st.sampled_from((0.0, 5.0, 40.0, 1000.0)))
    def server_asks_to_be_left_alone(self, seconds: float) -> None:
        """With each refusal from now on: Retry-After."""
        self.world.asks_s = seconds

    def _sockets(self, *states: str) -> list[int]:
        return [number for number, socket in self.world.sockets.items() if socket.state in states]

    @precondition(lambda self: self.world.posts)
    @rule(does=st.sampled_from(Refreshing), life=LIVES, stored=MOSTLY, span=SPANS)
    def refresh_is_answered(self, does: Refreshing, life: float, stored: bool, span: float) -> None:
        self.world.life = life
        self._break((not stored, self.world.mirror.broken), span)
        self.world.answer(min(self.world.posts), does)
        self._drain()

    @precondition(lambda self: self._sockets("dialing"))
    @rule(error=st.sampled_from(("", "", "refused")))
    def dial_ends(self, error: str) -> None:
        self.world.dialled(self._sockets("dialing")[0], error)
        self._drain()

    @precondition(lambda self: self._sockets("open"))
    @rule()
    def gateway_challenges(self) -> None:
        self.world.challenge(self._sockets("open")[0])
        self._drain()

    @precondition(lambda self: self._sockets("presented"))
    @rule(does=st.sampled_from(Greeting))
    def gateway_greets(self, does: Greeting) -> None:
        self.world.greet(self._sockets("presented")[0], does)
        self._drain()

    @precondition(lambda self: self._sockets("open", "asked", "presented", "welcomed", "closing"))
    @rule(code=CODES, newest=st.booleans())
    def socket_closes(self, code: int, newest: bool) -> None:
        numbers = self._sockets("open", "asked", "presented", "welcomed", "closing")
        self.world.drop(max(numbers) if newest else min(numbers), code)
        self._drain()

    @precondition(lambda self: self._sockets("welcomed", "closing"))
    @rule(says=st.sampled_from(list(SAYINGS)))
    def gateway_speaks(self, says: str) -> None:
        """What a gateway may say at any time, sensible or not."""
        number = self._sockets("welcomed", "closing")[0]
        session = self.world.sockets[number].session
        if says != "rubbish" or session is None or not session.lossy:  # two faults at once could hide each other
            self._feed(SAYINGS[says](number))

    @precondition(lambda self: any(socket.pings for socket in self.world.sockets.values()))
    @rule()
    def peer_pongs(self) -> None:
        self.world.pong(next(number for number, socket in self.world.sockets.items() if socket.pings))
        self._drain()

    # -- disk, and other processes -------------------------------------------------------------------------------

    @precondition(while_running)
    @rule(broken=DISKS, span=SPANS)
    def disks_fail(self, broken: tuple[bool, bool], span: float) -> None:
        self._break(broken, span)

    def _break(self, broken: tuple[bool, bool], span: float) -> None:
        disk, mirror = self.world.disk, self.world.mirror
        disk.broken, mirror.broken = broken
        disk.fails_until = mirror.fails_until = self.world.now + span

    @precondition(while_running)
    @rule(life=LIVES, refreshable=MOSTLY, readable=MOSTLY, looks=MOSTLY)
    def somebody_pairs(self, life: float, refreshable: bool, readable: bool, looks: bool) -> None:
        gateway, disk = self.world.gateway, self.world.disk
        gateway.revoke(secrets([disk.pair]))
        disk.write(gateway.pair(self.world.true_time, life, refreshable=refreshable, readable=readable), None)
        if looks:
            self.somebody_looks()

    @precondition(while_running)
    @rule()
    def somebody_looks(self) -> None:
        """We notice what others changed in the store."""
        self.world.look()
        self._drain()

    # -- the user ------------------------------------------------------------------------------------------------

    @precondition(while_running)
    @rule(cause=st.sampled_from(("rest-401", "user")), older=st.sampled_from((None, 0, 1)))
    def user_asks_for_a_refresh(self, cause: str, older: int | None) -> None:
        generation = None if older is None else self.snapshot.context.generation - older
        self._feed(RefreshRequested(cause, generation))

    @precondition(while_running)
    @rule()
    def user_resumes(self) -> None:
        self._feed(ResumeRequested())

    @precondition(while_running)
    @rule(paused=st.booleans())
    def user_is_slow(self, paused: bool) -> None:
        self.world.memory.reading = not paused
        self._feed(ReadingPaused() if paused else ReadingResumed())

    @precondition(while_running)
    @rule(how=st.sampled_from(("stop", "logout", "logout elsewhere", "logout elsewhere, unnoticed")))
    def somebody_ends_it(self, how: str) -> None:
        if how == "stop":
            self._feed(StopRequested())
        elif how == "logout":
            self._feed(LogoutRequested())
        else:
            self.world.disk.write(None, None)
            if how == "logout elsewhere":
                self.somebody_looks()

    @precondition(lambda self: self.world.posts)
    @rule(logout=st.booleans(), stop=MOSTLY, broken=DISKS, later=DISKS, span=SPANS)
    def somebody_ends_it_amid_a_refresh(
        self, logout: bool, stop: bool, broken: tuple[bool, bool], later: tuple[bool, bool], span: float
    ) -> None:
        """What could happen step by step, but seldom does: logout and stop, and then the answer."""
        self._break(broken, span)
        if logout:
            self._feed(LogoutRequested())
        if stop:
            self._feed(StopRequested())
        self._break(later, span)
        if self.world.posts:
            self.world.answer(min(self.world.posts), Refreshing.ROTATES)
            self._drain()

    # -- late and double news ------------------------------------------------------------------------------------

    def _known(self) -> list[Event]:
        return [event for event in self.former if event.correlates or isinstance(event, CredentialsChanged)]

    @precondition(lambda self: self._known())
    @rule(place=st.integers(0, 20))
    def news_come_late(self, place: int) -> None:
        """An outcome that was heard before, or that of a superseded attempt, comes once more."""
        known = self._known()
        self._feed(known[place % len(known)], genuine=False)

    @precondition(lambda self: any(isinstance(event, TimerFired) for event in self.former))
    @rule()
    def timer_fires_late(self) -> None:
        self._feed(next(event for event in self.former if isinstance(event, TimerFired)), genuine=False)

    # -- in the end ----------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Liveness: the faults stop, and the account comes to rest."""
        if not self.sound or not hasattr(self, "snapshot"):
            return  # a fault was found already
        self.fuse, self.chance = -1, 0.5
        self.world.disk.broken = self.world.mirror.broken = False
        self._be_well()
        self.world.life = DAY
        if not self.world.memory.reading:
            self.user_is_slow(paused=False)
        self.somebody_looks()
        self._live(self.world.now + PATIENCE_S, self.at_rest, STEPS_MAX)
        assert self.at_rest(), f"still {self.snapshot.states} after {PATIENCE_S:g} s without any fault"

    def at_rest(self) -> bool:
        """Live, waiting for a person, or at the end."""
        snapshot = self.snapshot
        if snapshot.done:
            return True
        person = ("credentials/unconfigured", "credentials/refused", "credentials/logged_out/cleared")
        if not snapshot.matches("mirror/clean"):
            return False
        if snapshot.matches("connection/online/live") or snapshot.matches("connection/parked"):
            return not self.world.posts
        return snapshot.matches("connection/offline") and any(snapshot.matches(path) for path in person)
