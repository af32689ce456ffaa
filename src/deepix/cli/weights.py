"""deepix weights …: files of networks' weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from deepix.cli.common import extra, out, show_log

app = typer.Typer(no_args_is_help=True, help="Import, inspect, export and release the weights of networks.")


def register(to: typer.Typer) -> None:
    """Add the verb, which has verbs of its own, to another app."""
    to.add_typer(app, name="weights")


Recipes = Annotated[list[Path], typer.Argument(metavar="RECIPE…", help="Recipes, such as recipes/*.toml.")]
Data = Annotated[
    Path, typer.Option("--data", "-d", metavar="DIR", show_default=False, help="Where the recipe's pictures lie.")
]


@app.command("import")
def import_(
    source: Annotated[
        Path, typer.Argument(metavar="FILE.pt", help="A network of DeePixV1's author, as he pickled it.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.safetensors", show_default=False)],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Turn a pickled network of DeePixV1's author into a weights file, without running code from it.

    [bold]Example[/]

      deepix weights import "Deepixv1(5,5,6,7)(3,5)_extensive.pt" -o deepixv1.safetensors
    """
    with extra("train"):
        from deepix.training import weights

    network = weights.import_pickle(source)
    weights.save(network, output, overwrite=overwrite, extra={"imported_from": source.name})
    count = sum(parameter.numel() for parameter in network.parameters())
    out.print(f"{source} -> {output}: {json.dumps(network.config)}, {count:,} parameters", markup=False)


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="A weights file, or the folder of a run.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show which network a weights file is for, its tensors, and what else it says of itself.

    [bold]Example[/]

      deepix weights show deepixv1.safetensors
    """
    with extra("train"):
        from deepix.training import weights

    network = weights.load(file)
    about = weights.metadata(file)
    count = sum(parameter.numel() for parameter in network.parameters())
    tensors = {
        name: {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape)}
        for name, tensor in network.state_dict().items()
    }
    if as_json:
        print(json.dumps({**about._asdict(), "parameters": count, "tensors": tensors}))
        return
    for name, tensor in tensors.items():
        out.print(f"  {name}: {tensor['dtype']} {tensor['shape']}", markup=False)
    out.print(f"config: {json.dumps(about.config)}", markup=False)
    out.print(f"extra: {json.dumps(about.extra)}", markup=False)
    out.print(f"{len(tensors)} tensors, {count:,} parameters", markup=False)


@app.command()
def export(
    source: Annotated[Path, typer.Argument(metavar="RUN|FILE", help="The folder of a run, or a weights file.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.onnx", show_default=False)],
    name: Annotated[str, typer.Option(help="What the model is called.", show_default=False)],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Write a trained network as ONNX, for use without PyTorch, after comparing the two.

    A restorer's standard deviations are not calibrated: that is what deepix weights release does.

    [bold]Example[/]

      deepix weights export runs/challenge -o challenge.onnx --name challenge
    """
    with extra("train"):
        from deepix.training.engine import export as onnx
        from deepix.training.engine.history import stage_of

    about = onnx.export(source, output, name, overwrite=overwrite)
    out.print(
        f"{source} -> {output}: {about['parameters']:,} parameters; ONNX Runtime agrees with PyTorch to "
        f"{stage_of(source).agreement(about['difference'])}",
        markup=False,
    )


@app.command()
def score(
    source: Annotated[Path, typer.Argument(metavar="RUN|FILE", help="The folder of a run, or a weights file.")],
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe, such as recipes/challenge.toml.")],
    data: Data,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score weights on the validation set of a recipe: RMSE over unknown pixels, 0–255; or mosaics located.

    [bold]Example[/]

      deepix weights score runs/challenge recipes/challenge.toml --data ../shared/data
    """
    with extra("train"):
        from deepix.training.engine import export as onnx
        from deepix.training.engine import recipes

    read = recipes.read(recipe)
    with show_log():
        assessment = read.stage.assess(onnx.load(source, read.stage), read, data)
    if as_json:
        print(json.dumps({**assessment.scores, **assessment.further}))
        return
    for line in read.stage.report(assessment):
        out.print(line, markup=False)


@app.command()
def release(
    recipes: Recipes,
    data: Data,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN|FILE",
            show_default="the recipe's run in runs/ of this folder",
            help="The folder of a run or a weights file to release, with one recipe.",
        ),
    ] = None,
) -> None:
    """Put weights in the place of the package's own, where they validate better; in a checkout of the sources.

    Each is scored on its recipe's validation pictures, exported and compared with PyTorch. The weights, the ONNX file
    and the model's card are replaced, or, if the run is not better, nothing is. Both end with exit code 0.

    [bold]Examples[/]

      deepix weights release recipes/*.toml --data ../shared/data

      deepix weights release recipes/challenge.toml --from somewhere/run --data ../shared/data
    """
    with extra("train"):
        from deepix.training.engine import recipes as training_recipes
        from deepix.training.engine import release as engine

    if source is not None and len(recipes) > 1:
        raise typer.BadParameter("goes with one recipe", param_hint="--from")
    with show_log():
        for recipe in [training_recipes.read(path) for path in recipes]:
            engine.release(recipe, data, source)


@app.command("ship", deprecated=True)
def ship(recipes: Recipes, data: Data) -> None:
    """Do what deepix weights release does, under its former name.

    [bold]Example[/]

      deepix weights release recipes/*.toml --data ../shared/data
    """
    release(recipes, data)
