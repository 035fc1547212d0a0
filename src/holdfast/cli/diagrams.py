"""``holdfast diagrams``."""

from pathlib import Path
from typing import Annotated

import typer

from .. import ConfigError


def diagrams(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", file_okay=False, help="Where a folder for each chart is written.")
    ] = Path("diagrams"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if DIR does not show the charts as they are.")
    ] = False,
) -> None:
    """Draw the charts: the whole and each region, as Graphviz DOT, Mermaid, SVG and PNG.

    Pictures need pygraphviz, which brings its own Graphviz: **pip install 'holdfast[diagrams]'**.
    """
    from ..diagrams import CHARTS, MissingGraphviz, export, stale

    if check:
        if not out.is_dir():
            raise ConfigError("--out", f"there is no folder {out} here; name the one that holds the diagrams")
        found = [path for chart in CHARTS for path in stale(chart, out)]
        for path in found:
            typer.echo(f"{path} does not show the chart")
        raise typer.Exit(1 if found else 0)
    for chart in CHARTS:
        try:
            written = export(chart, out)
        except MissingGraphviz as error:
            raise ConfigError("diagrams", str(error)) from None
        for path in written:
            typer.echo(path)
