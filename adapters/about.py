"""Who we say we are."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _version() -> str:
    try:
        return version("holdfast")
    except PackageNotFoundError:  # Frozen into one file, for example.
        return "unknown"


VERSION: Final = _version()
USER_AGENT: Final = f"holdfast/{VERSION}"
