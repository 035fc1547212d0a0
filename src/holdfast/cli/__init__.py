"""The command line. It needs the extra ``cli``; see ``holdfast --help``."""

import sys
from typing import Final

_EXTRA: Final = ("typer", "rich", "platformdirs", "tomlkit")


def main() -> None:
    """The entry point ``holdfast``. Ends the process with the exit code of the command."""
    try:
        from .app import app

        app(prog_name="holdfast")
    except KeyboardInterrupt:  # while still loading: the commands see to it themselves
        sys.exit(130)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.stderr.write(f"holdfast: {error.name} is missing; get the command line with: pip install 'holdfast[cli]'\n")
        sys.exit(2)
