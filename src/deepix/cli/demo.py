"""The verb that shows what Deepix does: demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepix.cli.common import extra, out, show_log
from deepix.cli.photos import Quiet


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""
    app.command()(demo)


def demo(
    inputs: Annotated[
        list[Path] | None, typer.Argument(help="Pixelated pictures of your own.", show_default=False)
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the comparisons.")] = Path(
        "demo"
    ),
    quiet: Quiet = False,
) -> None:
    """Show what Deepix does: pixelate real pictures, find and restore the areas, write comparisons.

    The pictures come with scikit-image; pixelated pictures of your own are restored as well, also without it. What an
    earlier demo left in the folder is replaced.

    [bold]Examples[/]

      deepix demo

      deepix demo my-photo.png -o comparisons
    """
    from rich.table import Table

    from deepix import demonstration

    with show_log(quiet), extra("demo"):
        rows = list(demonstration.run(output, inputs or []))
    table = Table("picture", "mosaics", "found", "RMSE pixelated", "RMSE restored", "comparison", box=None)
    for row in rows:
        table.add_row(
            row.name,
            "?" if row.true is None else str(row.true),
            str(row.found),
            "" if row.before is None else f"{row.before:.2f}",
            "" if row.after is None else f"{row.after:.2f}",
            str(row.comparison) if row.comparison else "",
        )
    if not quiet:
        out.print(table, markup=False)
    if any(row.failed for row in rows):
        raise typer.Exit(1)
