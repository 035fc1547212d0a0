"""The state file: everything that must survive a kill, in one JSON file that is replaced as a whole."""

import os
from pathlib import Path

import msgspec

from .book import Pages
from .mail import Mailbox

FORMAT = 1


class StateFileError(Exception):
    """The state file can't be read as one. The message says what to do."""


class Saved(msgspec.Struct, kw_only=True):
    """Content of a state file. It holds digests of tokens and codes, never the things themselves."""

    format: int = FORMAT
    wall_shift_s: float = 0.0
    pages: Pages = msgspec.field(default_factory=Pages)
    mail: dict[str, Mailbox] = msgspec.field(default_factory=dict[str, Mailbox])


def load(path: Path) -> Saved:
    """Read the state, or a fresh one if there is no such file.

    Raises:
        StateFileError: the file is not a sandbox's.
    """
    try:
        saved = msgspec.json.decode(path.read_bytes(), type=Saved)
    except FileNotFoundError:
        return Saved()
    except (ValueError, OSError) as error:
        raise StateFileError(f"{path} is no state file of the sandbox ({error}); name another, or delete it") from error
    if saved.format != FORMAT:
        raise StateFileError(f"{path} has format {saved.format}, this version writes {FORMAT}; name another file")
    return saved


def save(path: Path, saved: Saved) -> None:
    """Replace the file atomically: whoever is killed here leaves the old state or the new one.

    It survives the process's death, not the machine's: a sandbox need not pay for a sync with each token.
    """
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(saved))
    fresh.replace(path)
