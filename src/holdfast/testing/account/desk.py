"""The own side's messages: a message store that may fail, and what one process knows of what comes and goes."""

import math
from collections import deque
from dataclasses import dataclass, field

from holdfast.engine import Event
from holdfast.statecharts import (
    DropMessage,
    ExpectHandling,
    FramesHandled,
    KeepMessage,
    MessagesKept,
    MessagesNotKept,
    Queued,
)

from .mail import Letter

FORMER_PROCESS = -1


@dataclass(frozen=True)
class Sheet:
    """A message that somebody wants to send. ``place``: in the order of asking. ``due`` is by the true clock."""

    trace: str
    chat: str
    size: int
    place: int
    due: float | None

    def queued(self) -> Queued:
        """As the next process finds it."""
        return Queued(
            trace=self.trace,
            chat=self.chat,
            size=self.size,
            due=self.due,
            lasting=True,
            kept=True,
            sent_on=FORMER_PROCESS,
        )


class Drawer:
    """The message store: what survives a crash."""

    def __init__(self) -> None:
        self.kept: dict[str, Sheet] = {}
        self.ever: set[str] = set()
        self.marks: set[int] = set()
        self.broken = False
        self.fails_until = math.inf

    def keep(self, sheet: Sheet) -> bool:
        """Keep a message. False if the disk does not work."""
        if not self.broken:
            self.kept.setdefault(sheet.trace, sheet)
            self.ever.add(sheet.trace)
        return not self.broken

    def drop(self, trace: str) -> None:
        """Forget a message, if the disk works."""
        if not self.broken:
            self.kept.pop(trace, None)

    def mark(self, letters: set[int]) -> bool:
        """Remember what was handled. False if the disk does not work."""
        if not self.broken:
            self.marks |= letters
        return not self.broken


@dataclass(eq=False)
class Place:
    """A number in the order of its arrival."""

    number: int
    settled: bool = True  # unless it is handed to the user


@dataclass
class Desk:
    """What dies with the process: writing that waits for the disk, and letters that wait for the user."""

    work: deque[KeepMessage | DropMessage] = field(default_factory=deque[KeepMessage | DropMessage])
    socket: int = 0
    line: deque[Place] = field(default_factory=deque[Place])
    newest: Place | None = None
    unhandled: dict[int, list[Place]] = field(default_factory=dict[int, list[Place]])
    marks: set[int] = field(default_factory=set[int])  # handled, and not stored yet

    # -- what comes ----------------------------------------------------------------------------------------------

    def expect(self, command: ExpectHandling) -> None:
        """The next frame has this number."""
        if command.socket != self.socket:
            self.socket = command.socket
            self.line.clear()
        self.newest = Place(command.number)
        self.line.append(self.newest)

    def hand_over(self, letter: Letter, drawer: Drawer) -> None:
        """The user gets the letter, unless it was handled before."""
        if letter.number in self.marks or letter.number in drawer.marks:
            return
        places = self.unhandled.setdefault(letter.number, [])
        if self.newest is not None:
            self.newest.settled = False
            places.append(self.newest)

    def arrived(self) -> Event | None:
        """The frame that has just come is where it belongs."""
        self.newest = None
        number = self._advance()
        return FramesHandled(number) if number else None

    def handle(self, number: int) -> Event:
        """The user is done with a letter."""
        for place in self.unhandled.pop(number):
            place.settled = True
        self.marks.add(number)
        return FramesHandled(self._advance())

    def _advance(self) -> int:
        number = 0
        while self.line and self.line[0].settled:
            number = self.line.popleft().number
        return number

    def store(self, drawer: Drawer) -> bool:
        """Store what was handled."""
        stored = drawer.mark(self.marks)
        if stored:
            self.marks = set()
        return stored

    # -- what goes -----------------------------------------------------------------------------------------------

    def write(self, drawer: Drawer, sheets: dict[str, Sheet]) -> Event | None:
        """The message store takes one turn, in the order in which it was told."""
        command = self.work.popleft()
        if isinstance(command, DropMessage):
            drawer.drop(command.trace)
            return None
        kept = drawer.keep(sheets[command.trace])
        return MessagesKept((command.trace,)) if kept else MessagesNotKept((command.trace,))
