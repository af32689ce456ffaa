"""deepix weights …: files of networks' weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepix.cli.common import extra, note, out

if TYPE_CHECKING:
    from deepix.training.recipes import Recipe

app = typer.Typer(no_args_is_help=True, help="Import, inspect, export and ship the weights of networks.")

Data = Annotated[
    Path, typer.Option("--data", "-d", metavar="DIR", show_default=False, help="Where the recipe's pictures lie.")
]


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE.pt", help="A network as the ancestor pickled it.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.safetensors", show_default=False)],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Turn a pickled network of the ancestor's into a weights file, without running code from it.

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
    """Write a trained restorer or locator as ONNX, for use without PyTorch, after comparing the two.

    A restorer's deviations are not calibrated: that is what deepix weights ship does.

    [bold]Example[/]

      deepix weights export runs/challenge -o challenge.onnx --name challenge
    """
    with extra("train"):
        from deepix.training import export as onnx
        from deepix.training import weights

    if weights.metadata(source).config["name"] == "locator":
        with extra("train"):
            from deepix.training import locator_export

        about = locator_export.export_locator(source, output, name, overwrite=overwrite)
        agreement = f"{about['difference']:.1g}"
    else:
        about = onnx.export(source, output, name, overwrite=overwrite)
        agreement = f"{255 * about['difference']:.1g} levels of 255"
    out.print(
        f"{source} -> {output}: {about['parameters']:,} parameters; ONNX Runtime agrees with PyTorch to {agreement}",
        markup=False,
    )


@app.command()
def score(
    source: Annotated[Path, typer.Argument(metavar="RUN|FILE", help="The folder of a run, or a weights file.")],
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe, such as recipes/challenge.toml.")],
    data: Data,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score weights on the validation pictures of a recipe: RMSE over unknown pixels, 0–255; or mosaics located.

    [bold]Example[/]

      deepix weights score runs/challenge recipes/challenge.toml --data ../shared/data
    """
    with extra("train"):
        from deepix.training import export as onnx
        from deepix.training import recipes, ship

    chosen = recipes.read(recipe)
    if chosen.side is not None:
        _score_locator(source, chosen, data, as_json)
        return
    scores, calibration = ship.score(onnx.load(source), chosen, data)
    if as_json:
        print(json.dumps({**scores, "calibration": calibration}))
        return
    for name, part in ((scores["validation"], scores), *((o["validation"], o) for o in [scores.get("also")] if o)):
        out.print(
            f"{name}: RMSE {part['rmse']:.3f} (per picture {part['rmse_per_picture']:.3f}) of {part['pictures']:,} "
            f"pictures; within 1 and 2 calibrated deviations: {part['within_one']:.1%}, {part['within_two']:.1%}",
            markup=False,
        )
    out.print(f"calibration: {calibration:.3f}")


def _score_locator(source: Path, recipe: Recipe, data: Path, as_json: bool) -> None:
    with extra("train"):
        from deepix.training import locator_export

    scores = locator_export.score(locator_export.load(source), recipe, data, note)
    if as_json:
        print(json.dumps(scores))
        return
    out.print(
        f"{scores['examples']:,} examples: loss {scores['loss']:.4f}; places: precision {scores['precision']:.3f}, "
        f"recall {scores['recall']:.3f}; error of a cell's base-2 logarithm {scores['size_error']:.3f}",
        markup=False,
    )
    for kind, share in scores["found"].items():
        out.print(f"  {kind}: {share:.1%} found, mean overlap {scores['overlap'][kind]:.3f}", markup=False)
    for kind, share in scores["alarms"].items():
        out.print(f"  {kind}, without mosaics: alarms in {share:.1%}", markup=False)


@app.command("ship")
def ship_(
    recipes: Annotated[list[Path], typer.Argument(metavar="RECIPE…", help="Recipes, such as recipes/*.toml.")],
    data: Data,
) -> None:
    """Put the runs' best weights in the place of the package's own, where they validate better; in a checkout.

    Each is scored on its recipe's validation pictures, exported and compared with PyTorch. The weights, the ONNX file
    and the model's card are replaced, or, if the run is not better, nothing is. Both end with exit code 0.

    [bold]Example[/]

      deepix weights ship recipes/*.toml --data ../shared/data
    """
    with extra("train"):
        from deepix.training import locator_export, ship
        from deepix.training import recipes as training_recipes

    for recipe in [training_recipes.read(path) for path in recipes]:
        if recipe.side is not None:
            locator_export.ship(recipe, data, say=note)
        else:
            ship.ship(recipe, data, say=note)
