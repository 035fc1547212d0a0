"""One live link per account, across processes and within one, by a file lock that the kernel frees with the process."""

import hashlib
import re
from pathlib import Path
from types import TracebackType
from typing import Final

from filelock import FileLock, Timeout

from .errors import AccountBusy
from .files import PRIVATE_FILE

_NAME_MAX: Final = 32


class FileLease:
    """See :class:`Lease`. Keep it referenced: a lock that is collected is released."""

    def __init__(self, database: Path, account: str) -> None:
        """Take ``account``. ``database`` is the resolved path of its store.

        Raises:
            AccountBusy: somebody has it.
            OSError: the lock file cannot be used.
        """
        # The file stays for ever: deleting it would let two processes hold locks on two files of the same name. And
        # without kernel locks there is no lease (a mere marker file would outlive a killed process).
        self._lock = FileLock(
            lease_path(database, account),
            timeout=0,
            mode=PRIVATE_FILE,
            thread_local=False,
            fallback_to_soft=False,
            preserve_lock_file=True,
        )
        try:
            self._lock.acquire()
        except Timeout:
            raise AccountBusy(account) from None

    def release(self) -> None:
        """Give the account free. Doing it twice changes nothing."""
        self._lock.release()

    def __enter__(self) -> "FileLease":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def lease_path(database: Path, account: str) -> Path:
    """The account's lock file: readable where the name allows, and unique for any name by its hash."""
    readable = re.sub(r"[^a-z0-9-]+", "-", account.lower())[:_NAME_MAX].strip("-")
    digest = hashlib.sha256(account.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return database.with_name(f"{database.name}.{readable or 'account'}-{digest}.lock")
