"""``holdfast demo``."""

import typer


def demo() -> None:
    """Show it."""
    raise typer.Exit(1)
