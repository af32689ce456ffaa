"""From a recipe's run to the shipped model: scored, exported, compared, and put in place only if it is better.

    runs/NAME ─ assess ─▶ better than what is shipped? ─ export, compare ─▶ NAME.safetensors, .md, .png, .onnx

The ONNX file is replaced last, since its metadata hold the score that the next one has to beat: what is interrupted
before is done again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from deepix import files
from deepix.training import batches, calibrate, export, looks, recipes, weights
from deepix.training.batches import Validation
from deepix.training.callbacks import Say
from deepix.training.mosaics import TRUNCATED
from deepix.training.networks.restorer import Restorer
from deepix.training.predict import choose_device
from deepix.training.recipes import Recipe
from deepix.training.settings import Settings

SHIPPED = Path(__file__).parents[1] / "weights"
"""Where the package keeps its models."""
CARDS = Path("docs") / "models"
"""Where the models' cards lie in a checkout."""


def ship(
    recipe: Recipe, folder: Path, shipped: Path = SHIPPED, cards: Path = CARDS, say: Say = print, device: str = "auto"
) -> bool:
    """Put the best weights of a recipe's run in place of those that are shipped, if they validate better.

    Parameters
    ----------
    recipe : which
    folder : of the pictures, for the validation
    shipped : folder of the models
    cards : folder of their cards
    say : gets a line for each finding
    device : for the validation, as `choose_device` has it

    Returns
    -------
    Whether they were; if there is no run, or it is not better, nothing is changed

    Raises
    ------
    InputError : the run, the shipped model or the validation pictures cannot be read
    OutputError : a file cannot be written
    DeepixError : the export differs from PyTorch's result
    """
    if not (recipe.run / weights.BEST).exists():
        say(f"{recipe.run}: no run with weights; {recipe.name} stays as it is")
        return False
    network = export.load(recipe.run)
    trained = export.history(recipe.run)
    scores, calibration = score(network, recipe, folder, device)
    before = _shipped_rmse(recipe, shipped, scores["validation_sha256"], folder, device)
    line = f"{recipe.name}: RMSE {scores['rmse']:.3f} (per picture {scores['rmse_per_picture']:.3f})"
    if before is not None and not scores["rmse"] < before:
        say(f"{line}, not better than the {before:.3f} that is shipped: nothing is changed")
        return False
    described = export.describe(network, recipe.name, calibration, scores, trained)
    model = export.to_onnx(network, described)
    difference = export.compare(model, network)
    for place in (shipped, cards):
        files.make_folder(place)
    extra = {"scores": scores, "calibration": calibration, "training": trained}
    weights.save(network, shipped / f"{recipe.name}{weights.SUFFIX}", overwrite=True, extra=extra)
    curve = looks.can_draw()
    if curve:
        _draw(recipe.run, cards / f"{recipe.name}.png")
    text = card(recipe, described, len(model), network.config, curve)
    files.write_bytes(cards / f"{recipe.name}.md", text.encode(), overwrite=True)
    files.write_bytes(shipped / f"{recipe.name}.onnx", model, overwrite=True)
    was = "nothing was shipped before" if before is None else f"shipped before: {before:.3f}"
    say(f"{line}, {was}; ONNX Runtime agrees to {255 * difference:.1g} levels: {shipped / recipe.name}.onnx is new")
    return True


def _draw(run: Path, path: Path) -> None:
    """Draw a run's curve in few colours, which makes a small file."""
    looks.curves([run], path)
    with Image.open(path) as drawn:
        write_small(drawn, path)


def write_small(drawn: Image.Image, path: Path) -> None:
    """Write a drawing as a small PNG file, in few colours."""
    buffer = BytesIO()
    drawn.convert("RGB").quantize(32).save(buffer, "PNG", optimize=True)
    files.write_bytes(path, buffer.getvalue(), overwrite=True)


def score(network: Restorer, recipe: Recipe, folder: Path, device: str = "auto") -> tuple[dict[str, Any], float]:
    """Return what a network reaches on its recipe's validation pictures, ready for JSON, and its calibration."""
    target = choose_device(device)
    settings = _settings(recipe, recipes.validation_file(recipe, folder))
    validation = batches.validation_set(settings)
    assessed = asdict(calibrate.assess(network.to(target), validation, settings))
    calibration = assessed.pop("calibration")
    scores = {"validation": recipe.validation.name, "validation_sha256": _identity(validation, settings), **assessed}
    if recipe.also is not None:
        own = network.offset
        network.offset = TRUNCATED  # as the challenge makes its cells
        try:
            settings = Settings(network=recipe.name, data="", run="", steps=1, validate=str(folder / recipe.also))
            other = calibrate.assess(network, batches.validation_set(settings), settings)
        finally:
            network.offset = own
        scores["also"] = {"validation": recipe.also, **asdict(other)}
    network.to("cpu")
    return scores, calibration


def _settings(recipe: Recipe, validate: Path) -> Settings:
    """Return settings that validate as the recipe does, on any machine and whatever a run changed."""
    deciding = ("ranges", "truncate", "seed", "validate_count")
    given = {name: recipe.settings[name] for name in deciding if name in recipe.settings}
    return Settings(network=recipe.name, data="", run="", steps=1, validate=str(validate), **given)


def _identity(validation: Validation, settings: Settings) -> str:
    """Return a checksum of pictures and mosaics: scores can be compared if it is the same."""
    digest = hashlib.sha256(validation.pixels.tobytes())
    digest.update(validation.rectangles.tobytes())
    digest.update(json.dumps(settings.truncate).encode())
    return digest.hexdigest()


def _shipped_rmse(recipe: Recipe, shipped: Path, identity: str, folder: Path, device: str) -> float | None:
    """Return the shipped model's score on these pictures, computed anew if it has one on others; None: no model."""
    model, trained = shipped / f"{recipe.name}.onnx", shipped / f"{recipe.name}{weights.SUFFIX}"
    if model.exists():
        scores = export.about(model)["scores"]
        if scores.get("validation_sha256") == identity:
            return float(scores["rmse"])
    if trained.exists():
        return float(score(export.load(trained), recipe, folder, device)[0]["rmse"])
    return None


# ── the card ─────────────────────────────────────────────────────────────────────────────────────


def card(recipe: Recipe, described: dict[str, Any], size: int, config: dict[str, Any], curve: bool) -> str:
    """Return a model's card, in Markdown.

    Parameters
    ----------
    recipe : for what is said in words
    described : as `export.describe`
    size : of the ONNX file, in bytes
    config : of the network
    curve : whether there is a picture of it beside the card
    """
    scores, name = described["scores"], recipe.name
    weights_file = f"src/deepix/weights/{name}{weights.SUFFIX}"
    rows = [(recipe.validation_what, scores)]
    if "also" in scores:
        rows.append((f"the challenge's validation set ({recipe.also}), which it was not made for", scores["also"]))
    shapes = {key: config[key] for key in ("widths", "blocks", "down", "window") if key in config}
    lines = [
        f"# Model card: {name}",
        "",
        recipe.purpose,
        "",
        "| | |",
        "| --- | --- |",
        f"| for use | `src/deepix/weights/{name}.onnx`, float32, {size / 1e6:.1f} MB |",
        f"| for training | `{weights_file}`, float32 |",
        f"| network | `{config['name']}` ({', '.join(f'{key} {value}' for key, value in shapes.items())}) |",
        f"| parameters | {described['parameters']:,} |",
        f"| multiply-adds | {described['multiply_adds_per_pixel']:,} for each pixel of the window |",
        f"| cells | {described['cells'][0]} to {described['cells'][1]} pixels wide in the network's own scale |",
        "",
        "## Scores",
        "",
        "RMSE over unknown pixels, 0–255, rounded to integers:",
        "",
        *table(
            ("validated with", "pictures", "pooled", "per picture"),
            [(w, f"{s['pictures']:,}", f"{s['rmse']:.3f}", f"{s['rmse_per_picture']:.3f}") for w, s in rows],
        ),
        "",
        "Printed by:",
        "",
        f"    deepix weights score {weights_file} recipes/{name}.toml --data ../shared/data",
        "",
        "## Deviations",
        "",
        f"The network's deviations are multiplied by {described['calibration']:.3f}, chosen on every other validation "
        f"picture. On the rest, {scores['within_one']:.1%} of the errors lie within 1 and {scores['within_two']:.1%} "
        f"within 2 of them (a Gaussian's: {calibrate.GAUSSIAN[0]:.1%} and {calibrate.GAUSSIAN[1]:.1%}).",
        "",
        "## Training",
        "",
        *runs(
            recipe,
            "pictures seen",
            [
                (
                    f"{r['data']}, {r['pictures']:,} of {r['picture_shape'][1]}x{r['picture_shape'][0]}",
                    r["pictures_seen"],
                    r,
                )
                for r in described["training"]
            ],
        ),
        *(["", f"![Training and validation error]({name}.png)"] if curve else []),
        "",
        "## Data",
        "",
        *table(
            ("trained on", "what", "terms"),
            [(f"`{source.file}`", source.what, source.terms) for source in recipe.sources],
        ),
        "",
        f"Validated with {recipe.validation_what}. Validation pictures chose the best weights and the deviations' "
        "factor; none was trained on.",
        "",
        *closing(recipe),
    ]
    return "\n".join(lines)


def runs(recipe: Recipe, seen: str, trained: Sequence[tuple[str, int, dict[str, Any]]]) -> list[str]:
    """Return a card's lines on the runs: with what, how many of it were `seen`, and `export.history`'s entry."""
    rows = [
        (
            run["from"],
            what,
            f"{count:,.0f}",
            f"{run['minutes']:g} of {run['budget_minutes']:g}" if run.get("budget_minutes") else run["minutes"],
            run["batch"],
            f"{run['optimizer']}, {run['lr']:g}",
            run.get("device", "unknown"),
        )
        for what, count, run in trained
    ]
    return [
        *table(("from", "with", seen, "minutes", "steps of", "optimizer", "device"), rows),
        "",
        f"Minutes are those until the best weights, of the budget. To go on: `make train-{recipe.name}`, then "
        f"`make ship`; the recipe is `recipes/{recipe.name}.toml`.",
    ]


def closing(recipe: Recipe) -> list[str]:
    """Return a card's last lines: limits and licence."""
    return [
        "## Limits",
        "",
        *(f"- {limit}" for limit in recipe.limits),
        "",
        "## Licence",
        "",
        "The files are part of Deepix and come under its licence, MIT. The pictures they were trained on have terms of "
        "their own, above; they are not in the files, but who needs weights free of any such question should train on "
        "other pictures.",
        "",
    ]


def table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return the lines of a table in Markdown."""

    def line(cells: Sequence[object]) -> str:
        return f"| {' | '.join(map(str, cells))} |"

    return [line(head), line(["---"] * len(head)), *map(line, rows)]
