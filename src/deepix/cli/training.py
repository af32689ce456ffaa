"""The verbs `train` and `plot`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deepix import files
from deepix.cli.common import extra, note, out, show_log
from deepix.cli.settings import chosen, with_settings
from deepix.training import stages

if TYPE_CHECKING:
    from deepix.training.engine.run import Result
    from deepix.training.engine.stage import Stage


def register(app: typer.Typer) -> None:
    """Add the verbs to the app."""
    app.command()(train)
    app.command()(plot)


Start = Annotated[
    str | None,
    typer.Argument(
        metavar="NETWORK",
        show_default=False,
        help="A name as in deepix summary, such as deepixv1:5,5,6,7:3,5; or weights (a file or a run's folder) "
        "to go on from.",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        "-d",
        metavar="FILE|DIR",
        show_default=False,
        rich_help_panel="Data",
        help="What deepix data pack wrote; or a folder, an archive … of pictures, packed into the run's folder. "
        "With --recipe: the folder of its pictures.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="RUN", show_default=False, help="Folder for the run; new or empty."),
]
Resumed = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        show_default=False,
        help="Go on with a run from its last checkpoint; a budget counts from its first start.",
    ),
]
Recipe = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        metavar="FILE.toml",
        show_default=False,
        help="Go on with a released model as its recipe says, in runs/ of this folder: for some --minutes more, or "
        "up to --steps in all.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the result.")]


@with_settings(stages.settings_kinds())
def train(
    context: typer.Context,
    network: Start = None,
    data: Data = None,
    run: Output = None,
    resume: Resumed = None,
    recipe: Recipe = None,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Train a network to restore pixelated pictures.

    RUN gets the best weights (best.safetensors), a log (log.csv), curves (curve.png), samples (samples/), TensorBoard's
    files (tensorboard/), the last checkpoint and all settings (run.json). Scores are RMSE over unknown pixels, 0–255.

    Ctrl-C ends the step, validates and saves; --resume goes on from there. Exit code 130 then.

    [bold]Examples[/]

      deepix train deepixv1:5,5,5:3,5 --data photos/ --output run1 --minutes 10

      deepix train deepixv1:5,5,6,7:3,5 -d train.npy --validate val.npz -o run2 --epochs 60 --patience 15

      deepix train deepixv1:5,5,6,7:3,5 -d train.npy -o his --epochs 60 --optimizer adam --schedule step --loss whole
      --weight-decay 0 --ema 0 --clip 0 --augment none

      deepix train --resume run1 --minutes 30

      deepix train --recipe recipes/challenge.toml --data ../shared/data --minutes 60
    """
    with extra("train"):
        from deepix.training.engine import recipes, release
        from deepix.training.engine import run as engine

    bar = sys.stdout.isatty() and not quiet
    budget = {name: given[name] for name in ("minutes", "steps", "epochs")}
    with show_log(quiet):
        if resume is not None:
            _only(context, {"resume", *budget, "quiet"}, "a run is resumed as it was: a budget")
            result = engine.resume(resume, bar, **budget)
        elif recipe is not None:
            allowed = {"recipe", "data", "minutes", "steps", "quiet"}
            _only(context, allowed, "a recipe says all else: --data and a budget")
            if data is None or (budget["minutes"] is None) == (budget["steps"] is None):
                raise typer.BadParameter("give --data and --minutes or --steps too", param_hint="--recipe")
            result = recipes.train(
                recipes.read(recipe), data, release.RELEASED, budget["minutes"], budget["steps"], bar
            )
        else:
            for value, name in ((network, "NETWORK"), (data, "--data"), (run, "--output")):
                if value is None:
                    raise typer.BadParameter("missing; see --help", param_hint=name)
            result = _train(context, {"network": str(network), "data": str(data), "run": str(run)}, given, bar)
    _report(result)


def _train(context: typer.Context, places: dict[str, str], given: dict[str, Any], bar: bool) -> Result:
    """Train as the flags say, by the stage that trains this network."""
    from deepix.training.engine import run as engine
    from deepix.training.engine.history import stage_of_network

    kind = stage_of_network(places["network"]).settings
    flags = chosen(kind, {**given, "options": _options(given["options"] or [])})
    own = {"context", "network", "data", "run", "quiet"}
    _only(context, own | flags.keys(), "of the stage that trains this network, its own options")
    return engine.fit(kind.from_flags({**places, **flags}), bar)


def _report(result: Result) -> None:
    """Print what came of a run, in the first of several processes; exit with 130 if it was interrupted."""
    from deepix.training.engine.history import stage_of
    from deepix.training.engine.log import first_process

    if not first_process():
        return
    stage = stage_of(result.weights)
    out.print(
        f"{result.weights}: {stage.summary(result.best)} at step {result.best_step} of {result.steps}; "
        f"{result.minutes:.1f} minutes, {result.pictures_per_second:.0f} {stage.unit}/s",
        markup=False,
    )
    if not result.finished:
        note(f"interrupted; go on with: deepix train --resume {result.run}")
        raise typer.Exit(130)


def _only(context: typer.Context, allowed: set[str], what: str) -> None:
    """Refuse options on the command line that are not among these."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE" and parameter.name not in allowed:
            raise typer.BadParameter(f"{what} can be given with it, not {parameter.opts[0]}")


def _options(given: list[str]) -> dict[str, Any]:
    options = {}
    for text in given:
        name, equals, value = text.partition("=")
        try:
            options[name] = json.loads(value)
        except ValueError:
            hint = f"NAME=VALUE with the value as JSON, not {text!r}"
            raise typer.BadParameter(hint, param_hint="--set") from None
        if not name or not equals:
            raise typer.BadParameter(f"NAME=VALUE, not {text!r}", param_hint="--set")
    return options


def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Folders of runs.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="A picture: .png, .svg, .pdf …")
    ] = Path("curves.png"),
    against: Annotated[
        Literal["minutes", "step", "epoch"], typer.Option(help="What stands on the x axis.")
    ] = "minutes",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Draw the curves of runs into one picture, and print the best score of each.

    [bold]Example[/]

      deepix plot run1 run2 -o compared.png --against epoch
    """
    with extra("train"):
        import matplotlib  # noqa: F401 (the extra is missing, or it is not)

        from deepix.training.engine import plots, record

    files.check_output(output, overwrite)
    kinds = [_stage_of_run(run) for run in runs]
    stage = kinds[0]
    if any(kind is not stage for kind in kinds):
        raise typer.BadParameter("runs of one stage can be drawn together", param_hint="RUN")
    logs = {run: record.read_log(run, stage) for run in runs}
    plots.curves(_named(logs), stage, output, against)
    for run, rows in logs.items():
        if rows:
            best, last = stage.criterion.best(rows), rows[-1]
            out.print(
                f"{run}: {stage.summary(best)} at step {best['step']:.0f} of {last['step']:.0f}, "
                f"{last['minutes']:.1f} minutes",
                markup=False,
            )
        else:
            out.print(f"{run}: no validation yet", markup=False)
    out.print(f"{output}", markup=False)


def _stage_of_run(run: Path) -> Stage:
    from deepix.training.engine import description

    return stages.get(description.read(run).stage)


def _named(logs: dict[Path, list[dict[str, float]]]) -> dict[str, list[dict[str, float]]]:
    """Return logs by the folders' names, those of the same name by the whole path."""
    names = [run.resolve().name for run in logs]
    return {n if names.count(n) == 1 else str(run): rows for n, (run, rows) in zip(names, logs.items(), strict=True)}
