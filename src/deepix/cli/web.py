"""The verb that serves a page in the browser: web."""

from __future__ import annotations

from typing import Annotated

import typer

from deepix.cli.common import extra, note, show_log
from deepix.cli.photos import Quiet


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""
    app.command()(web)


def web(
    host: Annotated[
        str, typer.Option(help="The address to listen at. Others than this machine reach it only if told so.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8765,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A name under which the page is reached, as behind a proxy; may be given several times.",
            show_default=False,
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    max_mb: Annotated[int, typer.Option("--max-mb", metavar="MIB", min=1, help="Refuse larger files.")] = 100,
    max_pixels: Annotated[
        int, typer.Option(metavar="N", min=1, help="Refuse pictures with more pixels, for the memory they take.")
    ] = 50_000_000,
    waiting: Annotated[int, typer.Option(metavar="N", min=1, help="Tasks that may wait.")] = 32,
    idle: Annotated[
        float, typer.Option(metavar="MINUTES", min=0.1, help="Forget visitors who have been gone so long.")
    ] = 15,
    quiet: Quiet = False,
) -> None:
    """Serve a page in the browser: drop a picture, look over its areas, restore, compare, keep.

    Everything stays on this machine: the page loads nothing from elsewhere, and what is dropped is forgotten when the
    visitor leaves or the server stops (Ctrl-C).

    [bold]Examples[/]

      deepix web

      deepix web --port 9000 --no-open
    """
    with show_log(quiet), extra("web"):
        from deepix.web.limits import Limits
        from deepix.web.serving import serve

        limits = Limits(max_bytes=max_mb << 20, max_pixels=max_pixels, waiting=waiting, idle=60 * idle)

        def ready(address: str) -> None:
            if not quiet:
                note(f"Deepix is at {address} (Ctrl-C stops it)")
            if open_page:
                import threading
                import webbrowser

                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

        serve(host, port, tuple(name or ()), limits, ready)
