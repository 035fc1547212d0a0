"""The world around one account: it executes the chart's commands and says what may happen next. Pure, on virtual time.

What the adapters promise is promised here too: the store is synchronous, so its answers follow a command at once; a
refresh answer is stored the moment it is there; a POST ends within its deadline; CloseSocket is always answered. All
else is free: what the far side does, when, and whether at all.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from holdfast.engine import Command, Event, Stamp
from holdfast.statecharts import (
    Authenticate,
    BlankMirror,
    Challenged,
    ClearCredentials,
    ClearFailed,
    CloseSocket,
    CredentialsChanged,
    CredentialsCleared,
    CredentialsRead,
    Deliver,
    DropMessage,
    ExpectHandling,
    ForgetTokens,
    FrameNumbered,
    FrameReceived,
    FrameRejected,
    HandledNotStored,
    HelloAccepted,
    HelloRefused,
    KeepMessage,
    LoadCredentials,
    LoadMessages,
    MessageAcked,
    MessageRefused,
    MessagesFound,
    MessagesUnreadable,
    MirrorFailed,
    MirrorWritten,
    OpenSocket,
    Ponged,
    PostRefresh,
    RefreshFailed,
    RefreshSucceeded,
    RefreshSuperseded,
    ReplayFinished,
    RotationHeld,
    RotationStored,
    RotationUnstored,
    SendPing,
    SendReceipt,
    SettleSend,
    SocketClosed,
    SocketFailed,
    SocketOpened,
    StoreFailed,
    StoreRotation,
    TransmitMessage,
    UseCredential,
    WriteMirror,
)

from .desk import Desk, Drawer, Sheet
from .disk import Disk, DiskFull, Mirror, credential_of
from .gateway import Gateway, Greeting, Refreshing, Tokens
from .mail import Letter, Mailbox, Session, Treatment

EPOCH = 1_800_000_000.0


@dataclass
class Post:
    """A refresh POST under way."""

    refresh: int
    generation: int
    token: str
    deadline: float


@dataclass
class Socket:
    """One connection attempt, from its dial on."""

    number: int
    state: str = "dialing"  # dialing, open, asked, presented, welcomed, closing
    access: str | None = None
    generation: int | None = None
    pings: int = 0
    close_by: float = math.inf
    session: Session | None = None


@dataclass
class Memory:
    """What dies with the process: the vault, the sockets, the exchanges, and what the chart was not yet told."""

    generation: int | None = None
    pair: Tokens | None = None
    held: tuple[int, Tokens, float] | None = None
    told: int = -1
    inbox: deque[tuple[Event, Letter | None]] = field(default_factory=deque[tuple[Event, Letter | None]])
    posts: dict[int, Post] = field(default_factory=dict[int, Post])
    sockets: dict[int, Socket] = field(default_factory=dict[int, Socket])
    reading: bool = True
    desk: Desk = field(default_factory=Desk)
    coming: Letter | None = None  # comes with the event that is looked at
    settled: set[str] = field(default_factory=set[str])  # messages that it is over with


class World:
    """Gateway, disk, clock and process. ``life`` is how long the tokens live that the gateway gives now, ``asks_s`` how
    long it wants to be left alone after what it refuses now.
    """

    def __init__(self, gateway: Gateway | None = None) -> None:
        self.now = 1000.0
        self.skew = 0.0  # by how much the own wall clock is wrong
        self.life = 86_400.0
        self.asks_s = 0.0
        self.gateway = Gateway() if gateway is None else gateway
        self.disk = Disk()
        self.mirror = Mirror()
        self.memory = Memory()
        self.drawer = Drawer()
        self.mailbox = Mailbox()
        self.attentive = True  # the user handles whatever comes
        self.sheets: dict[str, Sheet] = {}
        self.outcomes: dict[str, str] = {}  # what somebody was told last, by any process
        self.stale: set[str] = set()  # settled by a former process, which could not forget them any more
        self.delivered: set[int] = set()
        self._ports = self._plug()

    @property
    def true_time(self) -> float:
        """Epoch seconds by a clock that nobody sets."""
        return EPOCH + self.now

    def stamp(self, chance: float) -> Stamp:
        """The own clocks' reading."""
        return Stamp(self.now, self.true_time + self.skew, chance)

    @property
    def sockets(self) -> dict[int, Socket]:
        return self.memory.sockets

    @property
    def posts(self) -> dict[int, Post]:
        return self.memory.posts

    # -- commands ------------------------------------------------------------------------------------------------

    def execute(self, command: Command) -> None:
        """Carry out one command. What it gives at once waits in the inbox. What people are told is not listened to."""
        port = self._ports.get(type(command))
        if port is not None:
            port(command)

    def _plug(self) -> dict[type[Command], Callable[[Any], None]]:
        return {
            LoadCredentials: lambda command: self.tell(self._load()),
            ClearCredentials: lambda command: self.tell(self._clear(command.generation)),
            ForgetTokens: lambda command: self._forget(),
            UseCredential: lambda command: self._use(command.generation),
            PostRefresh: self._post,
            StoreRotation: lambda command: self.tell(self._store(command.refresh, command.generation)),
            WriteMirror: lambda command: self.tell(self._mirror(self._pair(command.generation))),
            BlankMirror: lambda command: self.tell(self._mirror(None)),
            OpenSocket: lambda command: self.sockets.update({command.socket: Socket(command.socket)}),
            Authenticate: self._authenticate,
            CloseSocket: self._close,
            SendPing: lambda command: self._ping(command.socket),
            LoadMessages: lambda command: self.tell(self._messages()),
            KeepMessage: lambda command: self.memory.desk.work.append(command),
            DropMessage: lambda command: self.memory.desk.work.append(command),
            TransmitMessage: self._write,
            SettleSend: self._note_end,
            ExpectHandling: lambda command: self.memory.desk.expect(command),
            Deliver: lambda command: self._hand_over(),
            SendReceipt: self._acknowledge,
        }

    def tell(self, event: Event, letter: Letter | None = None) -> None:
        """Put an event where the chart will find it, with the letter that came with it."""
        self.memory.inbox.append((event, letter))

    def _load(self) -> Event:
        try:
            generation, pair, obtained_at, interrupted = self.disk.read()
        except DiskFull as error:
            return StoreFailed(str(error))
        self._know(generation, pair)
        credential = None if pair is None else credential_of(generation, pair, obtained_at)
        return CredentialsRead(generation, credential, interrupted and pair is not None)

    def look(self) -> None:
        """Notice what somebody else changed on disk, if anything."""
        if self.disk.broken or self.memory.told == self.disk.generation:
            return
        generation, pair, obtained_at, _ = self.disk.read()
        self._know(generation, pair)
        self.tell(
            CredentialsChanged(generation, None if pair is None else credential_of(generation, pair, obtained_at))
        )

    def _know(self, generation: int, pair: Tokens | None) -> None:
        memory = self.memory
        memory.generation, memory.pair, memory.told = generation, pair, generation
        if memory.held is not None and memory.held[0] <= generation:
            memory.held = None

    def _forget(self) -> None:
        self.memory.generation, self.memory.pair, self.memory.held = None, None, None

    def _clear(self, generation: int | None) -> Event:
        self._forget()
        try:
            cleared = self.disk.clear(generation)
        except DiskFull as error:
            return ClearFailed(str(error))
        self.memory.told = self.disk.generation if cleared else generation or 0
        return CredentialsCleared(self.memory.told)

    def _use(self, generation: int) -> None:
        held = self.memory.held
        if held is not None and held[0] == generation:
            self._know(generation, held[1])

    def _pair(self, generation: int) -> Tokens | None:
        held = self.memory.held
        if held is not None and held[0] == generation:
            return held[1]
        return self.memory.pair if self.memory.generation == generation else None

    def _mirror(self, pair: Tokens | None) -> Event:
        try:
            self.mirror.write(pair)
        except DiskFull as error:
            return MirrorFailed(str(error))
        return MirrorWritten()

    # -- the refresh exchange ------------------------------------------------------------------------------------

    def _post(self, command: PostRefresh) -> None:
        pair = None if self.memory.held is not None else self._pair(command.generation)
        try:
            if pair is None or pair.refresh is None or not self.disk.begin(command.generation):
                self.tell(RefreshSuperseded(command.refresh))
                return
        except DiskFull as error:
            self.tell(RefreshFailed(command.refresh, "", str(error)))
            return
        deadline = self.now + command.deadline_s
        self.posts[command.refresh] = Post(command.refresh, command.generation, pair.refresh, deadline)

    def answer(self, refresh: int, does: Refreshing) -> None:
        """The gateway treats a POST; the answer, if one comes, is stored at once."""
        post = self.posts.pop(refresh)
        pair, code = self.gateway.post(post.token, does, self.true_time, self.life)
        if pair is None:
            self.tell(self._settle(post, code))
            return
        whole = pair._replace(refresh=pair.refresh or post.token)
        former = self._pair(post.generation)
        changed = former is None or former.access != whole.access
        self.tell(self._commit(post.refresh, post.generation, whole, self.true_time + self.skew, changed))

    def _settle(self, post: Post, code: str) -> Event:
        error = f"code {code}" if code else "no answer"
        try:
            if code:
                self.disk.settle(post.generation)
        except DiskFull as full:
            error = f"{error}; {full}"
        return RefreshFailed(post.refresh, code, error, self.asks_s)

    def _commit(self, refresh: int, generation: int, pair: Tokens, obtained_at: float, changed: bool) -> Event:
        credential = credential_of(generation + 1, pair, obtained_at)
        held = (generation + 1, pair, obtained_at)
        try:
            if not self.disk.rotate(generation, pair, obtained_at):
                return RefreshSuperseded(refresh)
        except DiskFull as error:
            self.memory.held = held
            return RotationHeld(refresh, credential, str(error))
        self.memory.held = held
        return RefreshSucceeded(refresh, credential, changed)

    def _store(self, refresh: int, generation: int) -> Event:
        held = self.memory.held
        if held is None or held[0] != generation + 1:
            return RefreshSuperseded(refresh)
        outcome = self._commit(refresh, generation, held[1], held[2], True)
        if isinstance(outcome, RefreshSucceeded):
            return RotationStored(refresh, outcome.credential)
        return RotationUnstored(refresh, outcome.error) if isinstance(outcome, RotationHeld) else outcome

    # -- sockets -------------------------------------------------------------------------------------------------

    def _authenticate(self, command: Authenticate) -> None:
        socket = self.sockets.get(command.socket)
        pair = self._pair(command.generation) if self.memory.generation == command.generation else None
        if socket is not None and pair is not None:
            socket.state, socket.access, socket.generation = "presented", pair.access, command.generation

    def _close(self, command: CloseSocket) -> None:
        socket = self.sockets.get(command.socket)
        if socket is None:
            self.tell(SocketClosed(command.socket, 1006, "already closed"))
        else:
            socket.state, socket.close_by = "closing", self.now + command.deadline_s

    def _ping(self, number: int) -> None:
        if number in self.sockets:
            self.sockets[number].pings += 1

    def dialled(self, number: int, error: str = "") -> None:
        """A dial ends."""
        if error:
            del self.sockets[number]
            self.tell(SocketFailed(number, error, self.asks_s))
        else:
            self.sockets[number].state = "open"
            self.tell(SocketOpened(number))

    def challenge(self, number: int) -> None:
        """The gateway asks for proof."""
        self.sockets[number].state = "asked"
        self.tell(Challenged(number, "nonce"))

    def greet(self, number: int, does: Greeting) -> None:
        """The gateway judges a hello."""
        socket = self.sockets[number]
        if does is Greeting.SILENT:
            return
        socket.state = "welcomed"
        reason = self.gateway.refusal(socket.access, does, self.true_time)
        self.tell(self._welcome(socket) if reason is None else HelloRefused(number, reason))
        if does is Greeting.SLAMS:
            self.drop(number, 1000)

    def _welcome(self, socket: Socket) -> Event:
        """The newest session of a device is the only one."""
        for other in self.sockets.values():
            other.session = None
        socket.session = session = self.mailbox.open()
        return HelloAccepted(socket.number, "device", "dseq" if session.mode == "dseq" else "", session.epoch)

    def drop(self, number: int, code: int) -> None:
        """A socket is gone."""
        del self.sockets[number]
        self.tell(SocketClosed(number, code, ""))

    def pong(self, number: int) -> None:
        """The peer answers a ping."""
        self.sockets[number].pings -= 1
        self.tell(Ponged(number))

    # -- messages ------------------------------------------------------------------------------------------------

    @property
    def session(self) -> tuple[int, Session] | None:
        """The session that the gateway has, and its socket, which may be closing already."""
        sockets = (socket for socket in self.sockets.values() if socket.state in ("welcomed", "closing"))
        return next(((socket.number, socket.session) for socket in sockets if socket.session is not None), None)

    def _write(self, command: TransmitMessage | SendReceipt) -> None:
        socket = self.sockets.get(command.socket)
        if socket is not None and socket.session is not None:
            socket.session.uplink.append(command)

    def _hand_over(self) -> None:
        letter = self.memory.coming
        if letter is not None:
            self.delivered.add(letter.number)
            self.memory.desk.hand_over(letter, self.drawer)

    def _acknowledge(self, command: SendReceipt) -> None:
        if not self.memory.desk.store(self.drawer):
            self.tell(HandledNotStored())
        elif command.number:
            self._write(command)

    def arrived(self, event: Event) -> None:
        """Whatever was to be done about a frame is done."""
        if isinstance(event, FrameReceived | FrameRejected | MessageAcked | MessageRefused):
            handled = self.memory.desk.arrived()
            if handled is not None:
                self.tell(handled)

    def write_down(self) -> None:
        """The message store takes a turn."""
        outcome = self.memory.desk.write(self.drawer, self.sheets)
        if outcome is not None:
            self.tell(outcome)

    def _messages(self) -> Event:
        """What the message store keeps, without what this process knows to be over."""
        if self.drawer.broken:
            return MessagesUnreadable()
        found = [sheet for trace, sheet in self.drawer.kept.items() if trace not in self.memory.settled]
        self.stale |= {sheet.trace for sheet in found if self.outcomes.get(sheet.trace, "ended") != "ended"}
        return MessagesFound(tuple(sheet.queued() for sheet in found))

    def _note_end(self, command: SettleSend) -> None:
        self.outcomes[command.trace] = command.outcome
        self.memory.settled.add(command.trace)

    def post(self, chat: str, readable: bool = True) -> None:
        """Somebody writes to the account."""
        letter = self.mailbox.post(chat, readable)
        for socket in self.sockets.values():
            if socket.session is not None:
                socket.session.pending.append(letter)

    def send(self, number: int, session: Session) -> None:
        """The next frame of a session goes out, and then the end of the replay."""
        if session.pending:
            letter = session.pending.popleft()
            session.sent.add(letter.number)
            self._say(number, session, FrameReceived(number, letter.chat), letter)
        elif not session.replayed:
            session.replayed = True
            self.tell(ReplayFinished(number))

    def _say(self, number: int, session: Session, event: Event, letter: Letter | None = None) -> None:
        """A frame, with its number before it."""
        dseq = session.number(letter) if session.mode == "dseq" else None
        seq = letter.seq if letter is not None and session.mode == "seq" else None
        if letter is not None and not letter.readable:
            self.tell(FrameRejected(number, "unreadable"))
            return
        if dseq is not None or seq is not None:
            session.lossy = False
            self.tell(FrameNumbered(number, seq, dseq))
        self.tell(event, letter)

    def lose(self, session: Session) -> None:
        """A numbered frame is lost on its way."""
        session.number(session.pending.popleft())
        session.lossy = True

    def receive(self, number: int, session: Session, does: Treatment) -> None:
        """The gateway reads what it was sent, one frame.

        Raises:
            AssertionError: a letter is acknowledged that was not handled (P59).
        """
        if not session.uplink:
            return
        command = session.uplink.popleft()
        if isinstance(command, SendReceipt):
            letters = [self.mailbox.letters[letter.number - 1] for letter in session.covers(command)]
            lost = [letter for letter in letters if letter.readable and letter.number not in self.drawer.marks]
            assert not lost, f"{command} acknowledges {lost}, which nobody handled"
            self.mailbox.forget(letters)
            return
        self._check_order(command.trace)
        answer = self.mailbox.take(number, command.trace, does)
        if answer is not None:
            self._say(number, session, answer)

    def _check_order(self, trace: str) -> None:
        """Within a chat, what is new to the gateway was asked for later than all it has."""
        if trace in self.mailbox.accepted or trace in self.stale:
            return
        sheet = self.sheets[trace]
        known = [self.sheets[one] for one in self.mailbox.accepted if one not in self.stale]
        assert all(one.place < sheet.place for one in known if one.chat == sheet.chat), f"{trace} is out of order"

    # -- what goes on by itself ----------------------------------------------------------------------------------

    def go_on(self, refreshing: Refreshing, greeting: Greeting, reachable: bool) -> bool:
        """Let the far side take one turn in everything that waits for it. False if there was nothing."""
        posts, waiting = list(self.posts), [socket for socket in self.sockets.values() if self._waits(socket)]
        for socket in waiting:
            self._turn(socket.number, socket, greeting, reachable)
        for refresh in posts:
            self.answer(refresh, refreshing)
        return any((*posts, *waiting, self._go_on_with_messages()))

    def _go_on_with_messages(self) -> bool:
        desk, session, busy = self.memory.desk, self.session, False
        if session is not None and self.memory.reading:
            busy = bool(session[1].uplink or session[1].pending) or not session[1].replayed
            self.send(*session)
            self.receive(*session, Treatment.TAKES)
        if self.attentive and desk.unhandled:
            self.tell(desk.handle(next(iter(desk.unhandled))))
            busy = True
        if desk.work:
            self.write_down()
            busy = True
        return busy

    def _waits(self, socket: Socket) -> bool:
        return socket.state not in ("asked", "welcomed") or (socket.pings > 0 and self.memory.reading)

    def _turn(self, number: int, socket: Socket, greeting: Greeting, reachable: bool) -> None:
        if socket.state == "dialing":
            self.dialled(number, "" if reachable else "unreachable")
        elif socket.state == "open":
            self.challenge(number)
        elif socket.state == "presented":
            self.greet(number, greeting)
        elif socket.state == "closing":
            while socket.session is not None and socket.session.uplink:
                self.receive(number, socket.session, Treatment.MUMBLES)
            self.drop(number, 1000)
        elif socket.pings and self.memory.reading:
            self.pong(number)

    def expire(self) -> None:
        """What has a deadline ends there: a POST is given up, a socket is dropped, a disk heals."""
        for each in (self.disk, self.mirror, self.drawer):
            each.broken = each.broken and self.now < each.fails_until
        for post in list(self.posts.values()):
            if post.deadline <= self.now:
                del self.posts[post.refresh]
                self.tell(RefreshFailed(post.refresh, "", "no answer in time"))
        for socket in list(self.sockets.values()):
            if socket.close_by <= self.now:
                self.drop(socket.number, 1006)
