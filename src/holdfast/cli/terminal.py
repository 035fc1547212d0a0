"""What goes to a terminal: the log, and what a peer says, made fit for one."""

import logging
import sys
from typing import Final

LINES: Final = "\n\t"
JOINERS: Final = "\u200c\u200d"
"""Formatting characters that only shape their neighbours: emoji, and several scripts, are broken without them."""


def visible(text: str, *, lines: bool = False) -> str:
    """``text`` with a replacement character for each that could control a terminal, or reorder what it shows.

    Line ends and tabs are kept with ``lines`` only.
    """
    kept = JOINERS + LINES if lines else JOINERS
    return "".join(char if char.isprintable() or char in kept else "\N{REPLACEMENT CHARACTER}" for char in text)


def log_to_stderr(*, verbose: bool) -> None:
    """What the library logs goes to stderr, since stdout is for what a command says."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
