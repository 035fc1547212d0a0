"""The far side's messages: a mailbox with reliable delivery, and what it makes of the messages it is sent."""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple

from holdfast.engine import Event
from holdfast.statecharts import MessageAcked, MessageRefused, SendReceipt, TransmitMessage

Mode = Literal["", "seq", "dseq"]
"""How frames are numbered: not at all, sparsely and for good (``seq``), or densely and for one connection."""

STRIDE = 7
"""Between two sparse numbers."""


class Letter(NamedTuple):
    """A frame for the account. One that is not ``readable`` can only be reported."""

    number: int
    chat: str
    readable: bool

    @property
    def seq(self) -> int:
        return self.number * STRIDE


class Treatment(StrEnum):
    """What the gateway does with a message."""

    TAKES = "accepts it and says so"
    MUMBLES = "accepts it, and the answer is lost"
    IGNORES = "neither accepts nor answers it"
    REFUSES = "refuses it"
    EXPELS = "refuses its whole chat"


_REFUSALS = {Treatment.REFUSES: "bad_request", Treatment.EXPELS: "not_member"}


@dataclass
class Session:
    """One accepted hello: what goes out on it, and what has come in and was not read yet."""

    mode: Mode
    epoch: str
    pending: deque[Letter]
    replayed: bool = False
    numbers: list[Letter | None] = field(default_factory=list[Letter | None])  # dense ones, from 1 on
    sent: set[int] = field(default_factory=set[int])
    uplink: deque[TransmitMessage | SendReceipt] = field(default_factory=deque[TransmitMessage | SendReceipt])
    lossy: bool = False  # a frame was lost, and the next number will tell

    def number(self, letter: Letter | None) -> int:
        """The dense number of the frame that goes out now. It is not the next one that comes if this is lost."""
        self.numbers.append(letter)
        return len(self.numbers)

    def covers(self, receipt: SendReceipt) -> list[Letter]:
        """The letters that a receipt speaks of.

        Raises:
            AssertionError: it is not one for this session.
        """
        assert (receipt.kind, receipt.epoch) == (self.mode, self.epoch), f"{receipt} in a session of mode {self.mode!r}"
        if self.mode == "dseq":
            assert receipt.number <= len(self.numbers), f"{receipt}, of {len(self.numbers)} numbers"
            return [letter for letter in self.numbers[: receipt.number] if letter is not None]
        assert receipt.number in {number * STRIDE for number in self.sent}, f"{receipt}, and there is no such number"
        return [Letter(number, "", True) for number in self.sent if number * STRIDE <= receipt.number]


class Mailbox:
    """Keeps each letter until it is acknowledged, and takes each message once."""

    def __init__(self) -> None:
        self.mode: Mode = "dseq"
        self.letters: list[Letter] = []
        self.unacked: dict[int, Letter] = {}
        self.accepted: list[str] = []  # traces, in the order of their acceptance
        self.refused: dict[str, str] = {}
        self.sessions = 0

    def open(self) -> Session:
        """A new session, which begins with the replay of whatever was not acknowledged."""
        self.sessions += 1
        return Session(self.mode, f"epoch-{self.sessions}", deque(self.unacked.values()))

    def post(self, chat: str, readable: bool = True) -> Letter:
        """Somebody writes to the account."""
        letter = Letter(len(self.letters) + 1, chat, readable)
        self.letters.append(letter)
        self.unacked[letter.number] = letter
        return letter

    def take(self, socket: int, trace: str, does: Treatment) -> Event | None:
        """A message comes in: the answer, if one is heard. One that is known already is answered as before."""
        if trace not in self.accepted and trace not in self.refused:
            if does in _REFUSALS:
                self.refused[trace] = _REFUSALS[does]
            elif does is not Treatment.IGNORES:
                self.accepted.append(trace)
        if does in (Treatment.MUMBLES, Treatment.IGNORES):
            return None
        if trace in self.refused:
            return MessageRefused(socket, trace, self.refused[trace])
        return MessageAcked(socket, trace)

    def forget(self, letters: list[Letter]) -> None:
        """These were acknowledged."""
        for letter in letters:
            self.unacked.pop(letter.number, None)
