"""What every connection of one gateway shares: the clock, the book, the mail, the faults and the journal."""

from collections.abc import Callable
from pathlib import Path

from .book import Book
from .faults import Fault, Faults, Point
from .journal import Journal
from .mail import Mailbox
from .persist import Saved, load, save
from .settings import GatewaySettings
from .tokens import Mint


class World:
    """Plain shared state. Nothing in here does I/O except :meth:`commit`."""

    def __init__(self, settings: GatewaySettings, wall: Callable[[], float], state_file: Path | None) -> None:
        self.settings = settings
        self.faults = Faults()
        self.journal = Journal(settings.events_max)
        self.mint = Mint(settings)
        self.resolved: dict[str, str] = {}
        """User id to the device id that hello-ok names instead of the one presented."""
        self.outage = False
        """The service's auth backend is down."""
        self._wall = wall
        self._state_file = state_file
        self._saved = Saved() if state_file is None else load(state_file)
        self.book = Book(self._saved.pages)

    @property
    def now(self) -> float:
        """Epoch seconds by the sandbox's clock, by which tokens expire."""
        return self._wall() + self._saved.wall_shift_s

    @property
    def now_ms(self) -> int:
        """:attr:`now` as the wire wants it."""
        return int(self.now * 1000)

    def advance(self, seconds: float) -> None:
        """Set the sandbox's clock forward. Takes effect on expiries only: no timer fires."""
        self._saved.wall_shift_s += seconds

    def fault(self, point: Point) -> Fault | None:
        """The scripted fault for what happens at this point now, counted and logged."""
        fault = self.faults.take(point)
        if fault is not None:
            self.journal.counters.faults += 1
            self.journal.note("fault", detail=f"{fault.point}: {fault.kind}")
        return fault

    def mailbox(self, user_id: str) -> Mailbox:
        """The user's mailbox; it begins to exist if need be."""
        return self._saved.mail.setdefault(user_id, Mailbox())

    def forget(self, user_id: str) -> None:
        """The account and its mail are gone."""
        self.book.forget_account(user_id)
        self._saved.mail.pop(user_id, None)
        self.resolved.pop(user_id, None)

    def commit(self) -> None:
        """Make what changed durable. Must come before the answer that tells of the change.

        Raises:
            OSError: the state file can't be written.
        """
        if self._state_file is not None:
            save(self._state_file, self._saved)
