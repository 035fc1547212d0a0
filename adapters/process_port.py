"""A port on loopback: is it free, and who may start a gateway on it."""

import os
import socket
import stat
import tempfile
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from .files import PRIVATE_FILE, PRIVATE_FOLDER

HOST: Final = "127.0.0.1"


def is_free(port: int) -> bool:
    """True when somebody could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Else a port whose connections linger from a former gateway would count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


class PortLock:
    """Who holds it may start a gateway on the port. The system frees it with the process."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        # The file stays for ever, and a mere marker file is no lock: see the leases of accounts.
        self._lock = FileLock(
            folder / f"gateway-{port}.lock",
            timeout=0,
            mode=PRIVATE_FILE,
            thread_local=False,
            fallback_to_soft=False,
            preserve_lock_file=True,
        )

    def claim(self) -> bool:
        """Take it. False if another manager, in this process or another, has it.

        Raises:
            OSError: the lock file cannot be used.
        """
        if self._lock.is_locked:
            return True
        _make_own_folder(self._folder)
        try:
            self._lock.acquire()
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Give it free. Doing it twice changes nothing."""
        self._lock.release()


def default_lock_folder() -> Path:
    """One for all managers of this user on this machine. POSIX only."""
    return Path(tempfile.gettempdir()) / f"holdfast-{os.getuid()}"


def _make_own_folder(folder: Path) -> None:
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    found = folder.lstat()
    # In a folder for everybody, somebody else may have put one of that name there first.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"{folder} is not a folder of this user; name another lock_folder")
