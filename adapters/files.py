"""What several adapters do with files: private folders, and names that survive a power cut."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700

CHECK_ACCESS: Final = "check the path, its permissions and the free space, then try again"


def make_private_folder(folder: Path) -> None:
    """Create ``folder`` and each missing parent for this user only (``Path.mkdir`` opens new parents to others)."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a created or renamed entry of ``folder`` durable. The file's own fsync does not cover its name."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(target: Path, data: bytes) -> None:
    """Write beside ``target`` and rename: a reader, or a power cut, meets the old file or the new one.

    A new file is for this user only; a replaced one keeps its owner and mode.
    """
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # Made with mode 0600.
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _copy_ownership(target, Path(name))
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    sync_folder(target.parent)


def _copy_ownership(target: Path, replacement: Path) -> None:
    try:
        former = target.stat()
    except FileNotFoundError:
        return
    if os.name == "posix" and (former.st_uid, former.st_gid) != (replacement.stat().st_uid, replacement.stat().st_gid):
        os.chown(replacement, former.st_uid, former.st_gid)
    replacement.chmod(stat.S_IMODE(former.st_mode))
