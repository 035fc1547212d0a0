"""The commands, and what becomes of their errors: one line on stderr and an exit code, never a traceback."""

import errno
from importlib.metadata import version as version_of
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from .. import AccountBusy, ConfigError, HoldfastError, StoreError
from ..sandbox import StateFileError
from . import accounts, demo, diagrams, gateway, run, sandbox

NO: Final = 1
USAGE: Final = 2
STORE: Final = 3
INTERRUPTED: Final = 130

EPILOG: Final = (
    "Exit codes: 0 done; 1 it did not work; 2 wrong usage or configuration; 3 a store that cannot be used (also: "
    "another live link owns the account); 130 after Ctrl-C."
)


def exit_code(error: Exception) -> int:
    """The exit code that an error stands for."""
    if isinstance(error, ConfigError):
        return USAGE
    return STORE if isinstance(error, StoreError | AccountBusy | StateFileError) else NO


class Commands(TyperGroup):
    """Turns the errors that Holdfast raises on purpose into a line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except (HoldfastError, StateFileError) as error:
            raise _told(error) from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            raise _told(error) from None


def _told(error: Exception) -> typer.Exit:
    typer.echo(f"holdfast: {' '.join(str(error).split())}", err=True)
    return typer.Exit(exit_code(error))


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,  # It shows local variables, and one of them may be a token.
    epilog=EPILOG,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"holdfast {version_of('holdfast')}")
        raise typer.Exit


@app.callback()
def holdfast(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Keeps an authenticated, long-lived gateway connection alive."""


app.command(epilog=EPILOG)(demo.demo)
app.command(epilog=EPILOG)(run.run)
app.command(epilog=EPILOG)(accounts.activate)
app.command(epilog=EPILOG)(accounts.status)
app.command(epilog=EPILOG)(accounts.logout)
app.command(epilog=EPILOG)(sandbox.sandbox)
# What comes after the first word of the gateway's command is the gateway's.
app.command(epilog=EPILOG, context_settings={"allow_interspersed_args": False})(gateway.gateway)
app.command(epilog=EPILOG)(diagrams.diagrams)
