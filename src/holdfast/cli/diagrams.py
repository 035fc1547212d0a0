"""``holdfast diagrams``: the charts as pictures."""

from pathlib import Path
from typing import Annotated

import typer

from .. import ConfigError
from ..diagrams import CHARTS, MissingGraphviz, export, stale


def diagrams(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the diagrams are.")] = Path("diagrams"),
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing: exit with 1 if a diagram no longer shows its chart.")
    ] = False,
) -> None:
    """Draw the charts, each as a whole and by its regions, as DOT, Mermaid, SVG and PNG.

    They are generated from the tables that run, so they cannot tell anything else. Pictures need the extra `diagrams`.
    """
    try:
        paths = [path for chart in CHARTS for path in (stale(chart, out) if check else export(chart, out))]
    except MissingGraphviz as error:
        raise ConfigError("diagrams", str(error)) from None
    for path in paths:
        typer.echo(f"stale: {path}" if check else path)
    raise typer.Exit(1 if check and paths else 0)
