"""A trained locator as the ONNX file that `deepix.finder.locator` uses, and from a run to the shipped model.

The file takes `luminance`, float32 (N, 1, H, W) in levels, H and W multiples of 32, and returns `maps`, float32
(N, 4, H/4, W/4), see `networks.locator`. Batch norms are part of the convolutions. Half precision would change
probabilities by more than 0.01. The metadata hold, under `deepix`, as JSON:

    kind, name                "locator", what the model is called
    stride                    of which H and W are multiples
    parameters, multiply_adds_per_pixel
    scores, training          what it reaches, and the runs it was trained in, one after the other
"""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from deepix import files
from deepix.errors import DeepixError, InputError
from deepix.finder.locator import INPUT, OUTPUT, STRIDE
from deepix.training import export, locator, looks, weights
from deepix.training.callbacks import Say
from deepix.training.locator import Score
from deepix.training.networks.locator import Block, Conv, Locator
from deepix.training.recipes import Recipe
from deepix.training.ship import CARDS, SHIPPED, closing, runs, table, write_small

TOLERANCE = 1e-3
"""Largest difference between ONNX Runtime's maps and PyTorch's: of probabilities, and of cells' base-2 logarithms."""


def export_locator(source: Path | str, path: Path | str, name: str, *, overwrite: bool = False) -> dict[str, Any]:
    """Write a trained locator as an ONNX file, after comparing it with PyTorch.

    Parameters
    ----------
    source : its weights, or the folder of the run
    path : of the .onnx file
    name : what the model is called
    overwrite : replace an existing file

    Returns
    -------
    The file's metadata, and `difference`: the largest between the two, see `TOLERANCE`

    Raises
    ------
    InputError : no weights, or of another network
    OutputError : the file exists or cannot be written
    DeepixError : the two differ by more than `TOLERANCE`
    """
    files.check_output(path, overwrite)
    network = load(source)
    described = describe(network, name, weights.metadata(source).extra.get("scores", {}), history(source))
    model = to_onnx(network, described)
    difference = compare(model, network)
    files.write_bytes(path, model, overwrite=overwrite)
    return {**described, "difference": difference}


def load(source: Path | str) -> Locator:
    """Return the locator of a weights file or run folder, in evaluation mode on the CPU.

    Raises
    ------
    InputError : no weights, or of another network
    """
    network = weights.load(source)
    if not isinstance(network, Locator):
        raise InputError(f"{source}: not a locator's weights")
    return network


def describe(
    network: Locator, name: str, scores: Mapping[str, Any], training: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the metadata of a model, see the module's text."""
    return {
        "kind": "locator",
        "name": name,
        "stride": network.stride,
        "parameters": sum(p.numel() for p in network.parameters()),
        "multiply_adds_per_pixel": multiply_adds_per_pixel(network),
        "scores": dict(scores),
        "training": list(training),
    }


def multiply_adds_per_pixel(network: Locator) -> int:
    """Return the multiplications and additions of the convolutions for each pixel of the picture."""
    side = 8 * network.stride
    counted = [network.filters.kernels.numel() * (side // 2) ** 2]

    def count(module: nn.Module, _: Any, output: torch.Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        counted.append(module.weight.numel() * output.shape[2] * output.shape[3])

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]
    try:
        with torch.inference_mode():
            network(torch.zeros(1, 1, side, side))
    finally:
        for hook in hooks:
            hook.remove()
    per_pixel: int = round(sum(counted) / side**2)
    return per_pixel


def to_onnx(network: Locator, about: Mapping[str, Any]) -> bytes:
    """Return the network as an ONNX file with these metadata."""
    side = 3 * network.stride
    batch, down, across = (torch.export.Dim(name, min=1) for name in ("batch", "down", "across"))
    shapes = {"luminance": {0: batch, 2: network.stride * down, 3: network.stride * across}}
    example = torch.zeros(2, 1, side, side + network.stride)
    model = export.convert(_fused(network), example, [INPUT], [OUTPUT], shapes)
    model.metadata_props.add(key=export.KEY, value=json.dumps(about))
    content: bytes = model.SerializeToString()
    return content


def _fused(network: Locator) -> nn.Module:
    """Return the network with its batch norms multiplied into the convolutions before them."""
    result: Any = copy.deepcopy(network).eval()
    for module in result.modules():
        part: Any = module
        if isinstance(module, Conv):
            part[0], part[1] = fuse_conv_bn_eval(part[0], part[1]), nn.Identity()
        elif isinstance(module, Block):
            part.conv, part.norm = fuse_conv_bn_eval(part.conv, part.norm), nn.Identity()
    fused: nn.Module = result
    return fused


def compare(model: bytes, network: Locator) -> float:
    """Return the largest difference between what ONNX Runtime and PyTorch say of synthetic pictures with mosaics.

    Returns
    -------
    Of probabilities, and of base-2 logarithms of cells where 'pixelated' is above ½; at most `TOLERANCE`

    Raises
    ------
    DeepixError : it is larger, or not a number
    """
    session = export.open_model(model)
    rng = np.random.default_rng(0)
    largest = 0.0
    for down, across, cell in ((4, 5, 4), (8, 8, 8), (10, 6, 21)):
        height, width = down * network.stride, across * network.stride
        picture = np.rint(255 * export.synthetic(rng, height, width))
        part = picture[16 : 16 + 4 * cell, 8 : 8 + 4 * cell]
        part[:] = np.kron(part.reshape(4, cell, 4, cell).mean(axis=(1, 3)), np.ones((cell, cell)))
        given = picture[None, None].astype(np.float32)
        ours = session.run([OUTPUT], {INPUT: given})[0]
        with torch.inference_mode():
            theirs = network(torch.from_numpy(given)).numpy()
        if ours.shape != (1, 4, height // STRIDE, width // STRIDE):
            raise DeepixError(f"ONNX Runtime's maps have the shape {ours.shape}: not exported")
        chances = [1 / (1 + np.exp(-maps[:, :2].astype(np.float64))) for maps in (ours, theirs)]
        sure = chances[1][:, :1] > 0.5
        difference = max(
            float(np.abs(chances[0] - chances[1]).max()),
            float((np.abs(ours[:, 2:] - theirs[:, 2:]) * sure).max()),
        )
        if not difference <= TOLERANCE:
            raise DeepixError(
                f"ONNX Runtime's maps differ from PyTorch's by {difference:.3g}, more than {TOLERANCE:g}: not exported"
            )
        largest = max(largest, difference)
    return largest


# ── how it came about ────────────────────────────────────────────────────────────────────────────


def history(source: Path | str) -> list[dict[str, Any]]:
    """Return the runs that weights were trained in: see `export.history`."""
    return export.history(source, _described)


def _described(extra: dict[str, Any]) -> dict[str, Any]:
    settings = extra["settings"]
    return {
        "examples_seen": int(extra["step"]) * settings["batch"],
        "examples": extra["data"]["training_pictures"],
        **{key: settings[key] for key in ("patch", "batch", "optimizer", "lr", "ema", "seed")},
    }


# ── from a run to the shipped model ──────────────────────────────────────────────────────────────


def score(network: Locator, recipe: Recipe, folder: Path, say: Say = print) -> dict[str, Any]:
    """Return what a locator reaches on its recipe's examples for validation, ready for JSON.

    Raises
    ------
    InputError : they cannot be read or drawn
    """
    cache = locator.read_cache(locator.examples_of(recipe, folder, say)[1])
    reached = locator.assess(network, cache)
    identity = locator.identity(cache)
    return {"validation_sha256": identity, "examples": len(cache.pictures), "worth": reached.worth, **reached._asdict()}


def ship(recipe: Recipe, folder: Path, shipped: Path = SHIPPED, cards: Path = CARDS, say: Say = print) -> bool:
    """Put the best weights of a recipe's run in place of those that are shipped, if they are worth more.

    That is `Score.worth`. The ONNX file is replaced last: its metadata hold what the next one has to beat. Parameters
    and errors as of `deepix.training.ship.ship`.

    Returns
    -------
    Whether they were; if there is no run, or it is not better, nothing is changed
    """
    name = recipe.name
    if not (recipe.run / weights.BEST).exists():
        say(f"{recipe.run}: no run with weights; {name} stays as it is")
        return False
    network = load(recipe.run)
    scores = score(network, recipe, folder, say)
    before = _shipped_worth(recipe, shipped, scores["validation_sha256"], folder)
    line = f"{name}: worth {scores['worth']:.4f}"
    if before is not None and not scores["worth"] > before:
        say(f"{line}, not better than the {before:.4f} that is shipped: nothing is changed")
        return False
    described = describe(network, name, scores, history(recipe.run))
    model = to_onnx(network, described)
    difference = compare(model, network)
    for place in (shipped, cards):
        files.make_folder(place)
    extra = {"scores": scores, "training": described["training"]}
    weights.save(network, shipped / f"{name}{weights.SUFFIX}", overwrite=True, extra=extra)
    curve = looks.can_draw()
    if curve:
        _draw(recipe.run, cards / f"{name}.png")
    files.write_bytes(cards / f"{name}.md", card(recipe, described, len(model), curve).encode(), overwrite=True)
    files.write_bytes(shipped / f"{name}.onnx", model, overwrite=True)
    was = "nothing was shipped before" if before is None else f"shipped before: {before:.4f}"
    say(f"{line}, {was}; ONNX Runtime agrees to {difference:.1g}: {shipped / name}.onnx is new")
    return True


def _shipped_worth(recipe: Recipe, shipped: Path, identity: str, folder: Path) -> float | None:
    """Return the shipped model's worth on these examples, computed anew if it has one on others; None: no model."""
    model, trained = shipped / f"{recipe.name}.onnx", shipped / f"{recipe.name}{weights.SUFFIX}"
    if not model.exists() or not trained.exists():
        return None
    scores = export.about(model)["scores"]
    if scores.get("validation_sha256") == identity:
        return float(scores["worth"])
    return float(score(load(trained), recipe, folder)["worth"])


def _draw(run: Path, path: Path) -> None:
    """Draw a run's curves in few colours, which makes a small file."""
    from matplotlib.figure import Figure

    rows = locator.read_log(run)
    figure = Figure(figsize=(8, 4), layout="constrained")
    minutes = [row["minutes"] for row in rows]
    left, right = figure.subplots(1, 2)
    left.plot(minutes, [row["val_loss"] for row in rows], label="validation")
    seen = [
        row["pixelated"] + locator.BORDER_WEIGHT * row["border"] + locator.SIZE_WEIGHT * row["size"] for row in rows
    ]
    left.plot(minutes, seen, label="training", alpha=0.6)
    left.set(yscale="log", xlabel="minutes", ylabel="loss")
    for name in ("found", "precision", "recall", "alarms_negative", "alarms_clean"):
        right.plot(minutes, [row[name] for row in rows], label=name.replace("_", ", "))
    right.set(ylim=(0, 1), xlabel="minutes")
    for part in (left, right):
        part.grid(alpha=0.3)
        part.legend()
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    with Image.open(drawn) as image:
        write_small(image, path)


def card(recipe: Recipe, described: dict[str, Any], size: int, curve: bool) -> str:
    """Return a model's card, in Markdown.

    Parameters
    ----------
    recipe : for what is said in words
    described : as `describe`
    size : of the ONNX file, in bytes
    curve : whether there is a picture of it beside the card
    """
    scores, name = described["scores"], recipe.name
    reached = Score(**{field: scores[field] for field in Score._fields})
    lines = [
        f"# Model card: {name}",
        "",
        recipe.purpose,
        "",
        "| | |",
        "| --- | --- |",
        f"| for use | `src/deepix/weights/{name}.onnx`, float32, {size / 1e6:.1f} MB |",
        f"| for training | `src/deepix/weights/{name}{weights.SUFFIX}`, float32 |",
        f"| parameters | {described['parameters']:,} |",
        f"| multiply-adds | {described['multiply_adds_per_pixel']:,} for each pixel of the picture |",
        f"| input | luminance in levels, sides multiples of {described['stride']} |",
        f"| output | for each {STRIDE}x{STRIDE} pixels: logits of 'pixelated' and of 'border', base-2 logarithms of the"
        " cell's width and height |",
        "",
        "## Scores",
        "",
        f"Of the maps alone, before any grid is fitted, on {scores['examples']:,} examples of "
        f"{recipe.side}x{recipe.side} pixels made of {recipe.validation_what}. Places ({STRIDE}x{STRIDE} pixels) at a "
        f"probability of 0.5: precision {reached.precision:.3f}, recall {reached.recall:.3f}. Mean error of a cell's "
        f"base-2 logarithm: {reached.size_error:.3f}. Loss {reached.loss:.4f}. Worth {scores['worth']:.4f}: the mean "
        "share of mosaics found, less the mean share of pictures without any that give alarms.",
        "",
        *table(
            ("examples", f"mosaics found (overlap of {locator.FOUND} with the map)", "mean overlap"),
            [(kind, f"{share:.1%}", f"{reached.overlap[kind]:.3f}") for kind, share in reached.found.items()],
        ),
        "",
        *table(
            ("pictures without mosaics", "with any alarm (2x2 places above 0.5)"),
            [(kind, f"{share:.1%}") for kind, share in reached.alarms.items()],
        ),
        "",
        "Printed by:",
        "",
        f"    deepix weights score src/deepix/weights/{name}{weights.SUFFIX} recipes/{name}.toml --data ../shared/data",
        "",
        "## Training",
        "",
        *runs(
            recipe,
            "examples seen",
            [
                (f"{r['data']}, {r['examples']:,}, parts of {r['patch']}x{r['patch']}", r["examples_seen"], r)
                for r in described["training"]
            ],
        ),
        *(["", f"![Losses and scores]({name}.png)"] if curve else []),
        "",
        "## Data",
        "",
        "Mosaics of all shapes and grids drawn into photos, which were then saved, resized, cropped, blurred … "
        "(`deepix.training.examples`), and drawings that only look as if they had some (`negatives`).",
        "",
        *table(("photos of", "what", "terms"), [(f"`{s.file}`", s.what, s.terms) for s in recipe.sources]),
        "",
        f"Validated with {recipe.validation_what}; none was trained on.",
        "",
        *closing(recipe),
    ]
    return "\n".join(lines)
