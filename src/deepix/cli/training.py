"""The verbs `train` and `plot`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deepix import files
from deepix.cli.common import extra, note, out
from deepix.training.settings import Augment, Loss, Optimizer, Schedule, Settings

if TYPE_CHECKING:
    from deepix.training.recipes import Recipe

_BUDGET, _DATA, _LEARNING, _MACHINE = "Budget", "Data", "Learning", "Machine"


def register(app: typer.Typer) -> None:
    """Add the verbs to the app."""
    app.command()(train)
    app.command()(plot)


def train(
    context: typer.Context,
    network: Annotated[
        str | None,
        typer.Argument(
            metavar="NETWORK",
            show_default=False,
            help="A name as in deepix summary, such as deepixv1:5,5,6,7:3,5; or weights (a file or a run's folder) "
            "to go on from.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "-d",
            metavar="FILE|DIR",
            show_default=False,
            rich_help_panel=_DATA,
            help="What deepix data pack wrote; or a folder, an archive … of pictures, packed into the run's folder. "
            "With --recipe: the folder of its pictures.",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="RUN", show_default=False, help="Folder for the run; new or empty."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            show_default=False,
            help="Go on with a run from its last checkpoint; a budget counts from its first start.",
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe",
            metavar="FILE.toml",
            show_default=False,
            help="Go on with a shipped model as its recipe says, in runs/ of this folder, for so many --minutes "
            "more or up to --steps in all.",
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(show_default=False, rich_help_panel=_BUDGET, help="Train so long, validation included."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(show_default=False, rich_help_panel=_BUDGET, help="Train so many batches.")
    ] = None,
    epochs: Annotated[
        float | None,
        typer.Option(show_default=False, rich_help_panel=_BUDGET, help="Show every picture so often."),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            show_default=False, rich_help_panel=_BUDGET, help="Stop after so many validations without a new best."
        ),
    ] = Settings.patience,
    crops: Annotated[
        int | None,
        typer.Option(
            show_default=False,
            rich_help_panel=_DATA,
            help="Of pictures packed here: random 64x64 crops of each; else each is prepared as the challenge does.",
        ),
    ] = Settings.crops,
    validate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            rich_help_panel=_DATA,
            help="True pictures and mosaics, as deepix challenge prepare writes them; or what deepix data pack wrote, "
            "with fixed random mosaics. Without: a tenth of the data.",
        ),
    ] = None,
    validate_count: Annotated[
        int | None,
        typer.Option(
            show_default="all; of held-out ones 1000 at most",
            rich_help_panel=_DATA,
            help="Validate with so many of these pictures, evenly spread.",
        ),
    ] = Settings.validate_count,
    validate_every: Annotated[
        int | None,
        typer.Option(
            show_default="40 times, or more rarely to take a tenth of the time at most",
            rich_help_panel=_DATA,
            help="Steps between validations.",
        ),
    ] = Settings.validate_every,
    augment: Annotated[
        Augment, typer.Option(rich_help_panel=_DATA, help="Mirror the pictures at random, or turn them as well.")
    ] = Settings.augment,
    patch: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=_DATA,
            show_default="all",
            help="Side of the random part of each picture that a step sees.",
        ),
    ] = Settings.patch,
    area: Annotated[
        tuple[int, int] | None,
        typer.Option(
            metavar="LEAST GREATEST",
            show_default="the challenge's, 4 32",
            rich_help_panel=_DATA,
            help="Width and height of the random mosaics, in pixels.",
        ),
    ] = None,
    cell: Annotated[
        tuple[int, int] | None,
        typer.Option(
            metavar="LEAST GREATEST",
            show_default="the challenge's, 4 16",
            rich_help_panel=_DATA,
            help="Width of their cells, in pixels.",
        ),
    ] = None,
    count: Annotated[
        tuple[int, int] | None,
        typer.Option(
            "--mosaics",
            metavar="LEAST GREATEST",
            show_default="1 1",
            rich_help_panel=_DATA,
            help="Mosaics in a picture.",
        ),
    ] = None,
    any_grid: Annotated[
        bool,
        typer.Option(
            "--any-grid",
            rich_help_panel=_DATA,
            help="Cells start anywhere, not at the area's corner, and need not be square.",
        ),
    ] = False,
    truncate: Annotated[
        bool,
        typer.Option(
            "--truncate/--exact",
            rich_help_panel=_DATA,
            help="Cut the cells' means off to integers as the challenge does, or keep them.",
        ),
    ] = Settings.truncate,
    noise: Annotated[
        float,
        typer.Option(
            rich_help_panel=_DATA, help="Disturb the input as lossy files do: up to so many levels, standard deviation."
        ),
    ] = Settings.noise,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            show_default=False,
            rich_help_panel=_LEARNING,
            help="An argument of the network, the value as JSON: --set batch_norm=false. Repeatable.",
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option(rich_help_panel=_LEARNING, help="Pictures in a step, of all processes together.")
    ] = Settings.batch,
    optimizer: Annotated[
        Optimizer, typer.Option(rich_help_panel=_LEARNING, help="Muon wants a higher --lr, such as 0.003.")
    ] = Settings.optimizer,
    lr: Annotated[float, typer.Option(rich_help_panel=_LEARNING, help="Learning rate.")] = Settings.lr,
    weight_decay: Annotated[
        float, typer.Option(rich_help_panel=_LEARNING, help="Of kernels and matrices.")
    ] = Settings.weight_decay,
    schedule: Annotated[
        Schedule,
        typer.Option(
            rich_help_panel=_LEARNING,
            help="Of the learning rate: warm-up and cosine to 0 over the budget; or a tenth after every --drop-every "
            "epochs; or constant.",
        ),
    ] = Settings.schedule,
    warmup: Annotated[
        float, typer.Option(rich_help_panel=_LEARNING, help="Share of the budget, of the schedule cosine.")
    ] = Settings.warmup,
    drop_every: Annotated[
        float, typer.Option(rich_help_panel=_LEARNING, help="Epochs, of the schedule step.")
    ] = Settings.drop_every,
    loss: Annotated[
        Loss, typer.Option(rich_help_panel=_LEARNING, help="Mean squared error over which pixels.")
    ] = Settings.loss,
    ema: Annotated[
        float,
        typer.Option(
            rich_help_panel=_LEARNING,
            help="Decay of the weights' moving average, which is validated and kept; 0: none.",
        ),
    ] = Settings.ema,
    clip: Annotated[
        float, typer.Option(rich_help_panel=_LEARNING, help="Largest norm of the gradient; 0: any.")
    ] = Settings.clip,
    seed: Annotated[
        int, typer.Option(min=0, rich_help_panel=_LEARNING, help="Of weights, order and mosaics.")
    ] = Settings.seed,
    save_minutes: Annotated[
        float, typer.Option(rich_help_panel=_MACHINE, help="Minutes between checkpoints, beside those at validations.")
    ] = Settings.save_minutes,
    precision: Annotated[
        str | None,
        typer.Option(
            show_default="bf16-mixed on a GPU that has it, else 32-true",
            rich_help_panel=_MACHINE,
            help="Lightning's: 32-true, bf16-mixed, 16-mixed …",
        ),
    ] = Settings.precision,
    accelerator: Annotated[
        str, typer.Option(rich_help_panel=_MACHINE, help="Lightning's: auto, cpu, gpu, mps …")
    ] = Settings.accelerator,
    devices: Annotated[
        int, typer.Option(rich_help_panel=_MACHINE, help="GPUs, or processes on a CPU, of each machine.")
    ] = Settings.devices,
    nodes: Annotated[int, typer.Option(rich_help_panel=_MACHINE, help="Machines.")] = Settings.nodes,
    strategy: Annotated[
        str, typer.Option(rich_help_panel=_MACHINE, help="Lightning's: auto, ddp, fsdp …")
    ] = Settings.strategy,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the result.")] = False,
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
        from deepix.training import fit

    def say(line: str) -> None:
        if not quiet:
            note(line)

    bar = sys.stdout.isatty() and not quiet
    if resume is not None:
        _only(context, {"resume", "minutes", "steps", "epochs", "quiet"}, "a run is resumed as it was: a budget")
        result = fit.resume(resume, say, bar, minutes=minutes, steps=steps, epochs=epochs)
    elif recipe is not None:
        from deepix.training import recipes, ship

        _only(context, {"recipe", "data", "minutes", "steps", "quiet"}, "a recipe says all else: --data and a budget")
        if data is None or (minutes is None) == (steps is None):
            raise typer.BadParameter("give --data and --minutes or --steps too", param_hint="--recipe")
        chosen = recipes.read(recipe)
        if chosen.side is not None:
            if minutes is None:
                raise typer.BadParameter("a locator is trained for --minutes", param_hint="--steps")
            return _train_locator(chosen, minutes, data, say, bar)
        result = recipes.train(chosen, minutes, data, ship.SHIPPED, say, bar, steps)
    else:
        for value, name in ((network, "NETWORK"), (data, "--data"), (run, "--output")):
            if value is None:
                raise typer.BadParameter("missing; see --help", param_hint=name)
        areas = {} if area is None else {"width": area, "height": area}
        ranges = {key: value for key, value in (("cell", cell), ("count", count)) if value is not None}
        result = fit.fit(
            Settings(
                network=str(network),
                data=str(data),
                run=str(run),
                options=_options(options or []),
                minutes=minutes,
                steps=steps,
                epochs=epochs,
                crops=crops,
                validate=None if validate is None else str(validate),
                validate_count=validate_count,
                validate_every=validate_every,
                batch=batch,
                optimizer=optimizer,
                lr=lr,
                weight_decay=weight_decay,
                schedule=schedule,
                warmup=warmup,
                drop_every=drop_every,
                loss=loss,
                ema=ema,
                clip=clip,
                patience=patience,
                augment=augment,
                patch=patch,
                ranges={**areas, **ranges, **({"corner": False, "square": False} if any_grid else {})},
                truncate=truncate,
                noise=noise,
                save_minutes=save_minutes,
                precision=precision,
                accelerator=accelerator,
                devices=devices,
                nodes=nodes,
                strategy=strategy,
                seed=seed,
            ),
            say,
            bar,
        )
    if not fit.first_process():
        return
    out.print(
        f"{result.weights}: RMSE {result.best_rmse:.3f} (per picture {result.best_rmse_per_picture:.3f}) at step "
        f"{result.best_step} of {result.steps}; {result.minutes:.1f} minutes, "
        f"{result.pictures_per_second:.0f} pictures/s",
        markup=False,
    )
    if not result.finished:
        note(f"interrupted; go on with: deepix train --resume {result.run}")
        raise typer.Exit(130)


def _train_locator(recipe: Recipe, minutes: float, data: Path, say: Callable[[str], None], bar: bool) -> None:
    from deepix.training import fit, locator, ship, weights

    result = locator.train_recipe(recipe, minutes, data, ship.SHIPPED, say, bar)
    if not fit.first_process():
        return
    best = result.best
    out.print(
        f"{result.run / weights.BEST}: validation loss {best['val_loss']:.4f}, {best['found']:.1%} of the mosaics "
        f"found, alarms in {best['alarms_clean']:.1%} of the photos, at step {best['step']:.0f}; "
        f"{result.pictures_per_second:.0f} examples/s",
        markup=False,
    )
    if not result.finished:
        note("interrupted; the same command goes on")
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

        from deepix.training import looks

    files.check_output(output, overwrite)
    logs = [looks.read_log(run) for run in runs]
    looks.curves(runs, output, against)
    for run, rows in zip(runs, logs, strict=True):
        if rows:
            best = min(rows, key=lambda row: row["val_rmse"])
            out.print(
                f"{run}: RMSE {best['val_rmse']:.3f} (per picture {best['val_rmse_per_picture']:.3f}) at step "
                f"{best['step']:.0f} of {rows[-1]['step']:.0f}, {rows[-1]['minutes']:.1f} minutes",
                markup=False,
            )
        else:
            out.print(f"{run}: no validation yet", markup=False)
    out.print(f"{output}", markup=False)
