"""How the demo looks: lines as things happen, and a table at the end. Plain where there is no terminal."""

import os
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import AccountState, Status
from .terminal import visible

STYLES: Final = {
    AccountState.CONNECTED: "green",
    AccountState.LOGGED_OUT: "bold red",
    AccountState.BACKOFF: "yellow",
    AccountState.REFRESHING: "cyan",
}
STATE_CHARS: Final = 11
COLUMNS: Final = (("what", 22), ("expected", 22), ("seen", 22), ("", 6))
"""With a blank at either side of each: 80 characters."""


class Check(msgspec.Struct, frozen=True):
    """One expectation, and what was seen."""

    what: str
    expected: str
    seen: str
    ok: bool


class SceneReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a scene."""

    title: str
    checks: list[Check]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether everything was as expected, and anything was looked at at all."""
        return bool(self.checks) and all(check.ok for check in self.checks)


class Screen(Console):
    """A console whose reader may go away: then ``on_gone`` is called, and whatever is printed later goes nowhere."""

    on_gone: Callable[[], None] = staticmethod(lambda: None)

    def on_broken_pipe(self) -> None:
        """See the base class, which would end the process here, in the middle of whatever it is doing."""
        self.quiet = True
        # What is buffered still would fail when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        self.on_gone()


def clock(at: float | None = None) -> str:
    """The local time of day, now or at a moment in epoch seconds."""
    return f"{datetime.now().astimezone() if at is None else datetime.fromtimestamp(at).astimezone():%H:%M:%S}"


def status_text(status: Status, *more: str) -> Text:
    """The state, and whatever there is to say about it."""
    text = Text.assemble((f"{status.state:<{STATE_CHARS}}", STYLES.get(status.state, "")))
    return text.append(visible("; ".join(part for part in (status.last_error, status.reason, *more) if part)))


class Show:
    """The demo's screen."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self._began = time.monotonic()
        self._state: AccountState | None = None

    def scene(self, number: int, title: str) -> None:
        """A scene begins."""
        self.screen.print()
        self.screen.print(Text(f"{number}. {title}", style="bold"))

    def say(self, text: str) -> None:
        """Something happens."""
        self._line(Text(text))

    def status(self, status: Status) -> None:
        """The link's status, if it is another one."""
        if status.state is not self._state:
            self._state = status.state
            wait = "" if status.retry_at is None else f"next try in {max(0.0, status.retry_at - time.time()):.2f} s"
            self._line(status_text(status, wait))

    def check(self, check: Check) -> None:
        """Something was compared."""
        seen = check.seen if check.ok else f"expected {check.expected}, seen {check.seen}"
        self.screen.print(Text.assemble("         ", _word(check.ok), f" {check.what}: {seen}"))

    def _line(self, text: Text) -> None:
        seconds = time.monotonic() - self._began
        self.screen.print(Text.assemble((f"{seconds:6.2f}   ", "dim"), text))

    def summary(self, scenes: list[SceneReport], seconds: float) -> None:
        """The tables at the end: what was expected, and what was seen."""
        self.screen.print()
        self.screen.print(_table([], head=True))
        for number, scene in enumerate(scenes, 1):
            self.screen.print(Text(f"{number}. {scene.title}", style="bold"))
            self.screen.print(_table(scene.checks))
        self.screen.print()
        good = sum(scene.ok for scene in scenes)
        self.screen.print(f"{good} of {len(scenes)} scenes went as expected, in {seconds:.0f} s.")


def _table(checks: list[Check], *, head: bool = False) -> Table:
    """Rows, or the head above all of them. The widths are fixed, so that the tables of all scenes line up."""
    table = Table(box=box.SIMPLE_HEAD if head else None, padding=(0, 1), show_edge=False, show_header=head)
    for name, chars in COLUMNS:
        table.add_column(name, width=chars, overflow="fold")
    for check in checks:
        table.add_row(check.what, check.expected, check.seen, _word(check.ok))
    return table


def _word(ok: bool) -> Text:
    return Text("ok", "green") if ok else Text("FAILED", "bold red")
