"""``holdfast diagrams``."""

import typer


def diagrams() -> None:
    """Draw the charts."""
    typer.echo("not yet", err=True)
    raise typer.Exit(1)
