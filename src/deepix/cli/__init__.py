"""The command line: one thin command per verb; what a verb does lives in the module it calls.

Heavy modules are imported inside the commands, so that `deepix --help` stays fast.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

import deepix
from deepix.cli import challenge, data, photos, training, weights
from deepix.cli.common import fail
from deepix.cli.summary import summary
from deepix.errors import DeepixError, reason

app = typer.Typer(
    help="Restore the pixelated parts of a picture.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deepix {deepix.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


photos.register(app)
app.add_typer(challenge.app, name="challenge")
training.register(app)
app.command()(summary)
app.add_typer(data.app, name="data")
app.add_typer(weights.app, name="weights")


def main() -> None:
    """Run the command line; a `DeepixError`, or the system's, becomes one line and exit code 1."""
    try:
        app()
    except DeepixError as error:
        fail(str(error))
        _leave(1)
    except OSError as error:  # of what is written to no file of ours, on a full disk
        fail(f"{error.filename or 'the output'}: {reason(error)}")
        _leave(1)
    except KeyboardInterrupt:
        fail("interrupted")
        _leave(130)
    except SystemExit as ended:
        if isinstance(ended.code, int):
            _leave(ended.code)
        raise


def _leave(code: int) -> NoReturn:
    """End the process, without taking apart what was imported: that took a fifth of a second of a small picture's two.

    Training, which has workers and open files, ends as usual; so does a command whose output cannot be written.
    """
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
        if "torch" not in sys.modules:
            os._exit(code)
    sys.exit(code)
