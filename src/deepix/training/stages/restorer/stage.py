"""The stage of restorers.

In the ONNX file is the network alone: float32 `features` (N, 7, H, W), H and W multiples of the stride, to `residual`
and `log_deviation` (N, 1, H, W). What is around it (smooth start, features, projection) is done without PyTorch. The
file's metadata hold, under `deepix`, what that needs to know, as JSON:

    name                      of the model
    stride                    of which height and width are multiples
    cells                     [least, greatest] width of the cells it was trained on, in pixels
    rounds                    of the smooth start, as `deepix.restorer.smooth.smooth_at_one_size` takes them
    offset                    what cells lacked on average in training, in units of 1 (255 levels)
    calibration               by which exp(log_deviation) is multiplied, see `calibration`
    parameters, multiply_adds_per_pixel
    scores, training          what it reaches, and the runs it was trained in, one after the other
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from deepix import challenge, files
from deepix.training import networks
from deepix.training.data import packing, samples
from deepix.training.data.crops import Crops
from deepix.training.data.overdrawing import overdrawn
from deepix.training.data.packed import information_path
from deepix.training.engine.batches import Validation, seed_of
from deepix.training.engine.card import Card
from deepix.training.engine.export import Run
from deepix.training.engine.log import log
from deepix.training.engine.recipes import Recipe
from deepix.training.engine.stage import Assessment, Criterion, Data, Line, Loss, Panel, Row, Stage, Step
from deepix.training.networks import Network
from deepix.training.operators import TRUNCATED
from deepix.training.predict import choose_device
from deepix.training.stages.restorer import calibration, card, comparison
from deepix.training.stages.restorer.examples import (
    PICTURES,
    Fixed,
    as_pictures,
    augmented,
    fixed_sample,
    of_kind,
    open_data,
    patches,
    ranges,
    validation_set,
)
from deepix.training.stages.restorer.losses import DEVIATION_WEIGHT, LOSSES, deviation_loss, unknown_loss
from deepix.training.stages.restorer.settings import RestorerSettings
from deepix.training.stages.restorer.sheet import sample_sheet

SAMPLES = 8
"""Pictures on a sample sheet."""


class Score(NamedTuple):
    """RMSE over unknown pixels on the 0–255 scale: all pixels pooled, the mean of each picture's, the mosaic's own."""

    rmse: float
    per_picture: float
    mosaic: float


class Own(NamedTuple):
    """What a restorer's recipe says in particular.

    Attributes
    ----------
    crops : how the pictures to train on are packed
    validation_crops : how those to validate with are; None: the file lies in the folder of data
    also : a file of `challenge.read_examples` in the folder of data that the model's card has a score on too
    kinds : further pictures of which the card tells how well the deviations hold: of what kind they are; a file in the
        folder of data, and how their names in it begin
    """

    crops: Crops
    validation_crops: Crops | None
    also: str | None
    kinds: Mapping[str, tuple[str, str]]


class RestorerStage(Stage):
    """See `Stage`."""

    name = "restorer"
    families = networks.FAMILIES
    settings = RestorerSettings
    columns = ("loss", "train_rmse", "val_rmse", "val_rmse_per_picture")
    outcome = ("val_rmse", "val_rmse_per_picture")
    criterion = Criterion("val_rmse", "rmse", lower=True)
    panels = (
        Panel(
            "RMSE over unknown pixels (0–255)",
            (
                Line("training", lambda row: row["train_rmse"], of_training=True),
                Line("validation", lambda row: row["val_rmse"], decides=True),
            ),
        ),
    )
    leftovers = (PICTURES, information_path(PICTURES).name)

    # ── a run ────────────────────────────────────────────────────────────────────────────────────

    def open(self, settings: RestorerSettings, keep: bool) -> Data:
        """Return pictures to train on, and others with fixed mosaics."""
        return open_data(settings, keep)

    def loss(self, network: Network, batch: Tensor, settings: RestorerSettings, step: Step) -> Loss:
        """Return the loss of uint8 pictures (B, H, W[, 3]) with random mosaics."""
        generator = torch.Generator().manual_seed(seed_of(settings.seed, 4, step.number, step.rank))
        truth = augmented(as_pictures(batch), settings.augment, generator)
        truth = patches(truth, settings.patch, generator)
        sample = samples.sample(truth, ranges(settings), generator, settings.truncate, settings.noise)
        if settings.overlays or settings.jpeg is not None:
            sample = overdrawn(sample, settings.overlays, settings.jpeg, generator)
        estimate = network.estimate(sample)
        loss = LOSSES[settings.loss](estimate, sample)
        error = loss if settings.loss == "unknown" else unknown_loss(estimate, sample)
        total = loss + DEVIATION_WEIGHT * deviation_loss(estimate, sample)
        return Loss(total, loss, (loss.detach(), error.detach()))

    def tally(self, network: Network, batch: Any, settings: RestorerSettings) -> Tensor:
        """Return sums over pictures, in integers as the challenge scores them: squares of the errors and of those of
        the mosaic, unknown pixels, RMSE of each picture, pictures."""
        if not len(batch[0]):
            return torch.zeros(5, dtype=torch.float64)
        sample = fixed_sample(batch, settings.truncate, next(network.parameters()).device)
        assert sample.truth is not None
        unknown, truth = sample.mosaics.unknown, sample.truth * 255
        sums = [
            ((levels - truth).square() * unknown).sum(dim=(1, 2, 3)).cpu().double()
            for levels in (
                (network.restore(sample).float().clamp(0, 1) * 255).round(),
                (sample.pixelated * 255).round(),
            )
        ]
        pixels = (unknown.sum(dim=(1, 2, 3)) * truth.shape[1]).cpu().double()
        seen = pixels > 0
        each = (sums[0][seen] / pixels[seen]).sqrt()
        return torch.stack([sums[0].sum(), sums[1].sum(), pixels.sum(), each.sum(), seen.sum().double()])

    def score(self, sums: Tensor) -> Score:
        """Return the score."""
        squares, of_mosaics, pixels, each, count = sums.tolist()
        rmse, mosaic = (math.sqrt(total / max(pixels, 1)) for total in (squares, of_mosaics))
        return Score(rmse, each / max(count, 1), mosaic)

    def row(self, running: Sequence[float], score: Score) -> dict[str, float]:
        """Return the log's columns."""
        values = (running[0], 255 * math.sqrt(running[1]), score.rmse, score.per_picture)
        return dict(zip(self.columns, values, strict=True))

    def line(self, row: Row, score: Score) -> str:
        """Return the errors."""
        return (
            f"train {row['train_rmse']:6.2f}  validation {score.rmse:6.2f} (per picture {score.per_picture:5.2f}; the "
            f"mosaic itself: {score.mosaic:.1f})"
        )

    def summary(self, row: Row) -> str:
        """Return the errors of a validation."""
        return f"RMSE {row['val_rmse']:.3f} (per picture {row['val_rmse_per_picture']:.3f})"

    def sheet(self, network: Network, validation: Validation, settings: RestorerSettings, row: Row) -> Image.Image:
        """Return truth, mosaic, restoration and error of some validation pictures."""
        device = next(network.parameters()).device
        sample = fixed_sample(validation.some(SAMPLES), settings.truncate, device)
        caption = f"step {row['step']:.0f}, validation RMSE {row['val_rmse']:.2f}"
        return sample_sheet(sample, network.restore(sample).float(), caption)

    # ── a recipe ─────────────────────────────────────────────────────────────────────────────────

    def recipe(self, data: Mapping[str, Any], validation: Mapping[str, Any]) -> Own:
        """Return how pictures are packed."""
        for_validation = _crops(validation["crops"]) if "crops" in validation else None
        kinds = {name: (file, begin) for name, (file, begin) in validation.get("kinds", {}).items()}
        return Own(_crops(data["crops"]), for_validation, validation.get("also"), kinds)

    def gather(self, recipe: Recipe, folder: Path) -> tuple[Path, Path]:
        """Pack what is not packed."""
        names = [s.file for s in recipe.sources for _ in range(int(s.times))]
        return _pack(recipe.data, names, recipe.own.crops, folder), _validation_file(recipe, folder)

    # ── a release ────────────────────────────────────────────────────────────────────────────────

    def assess(self, network: Network, recipe: Recipe, folder: Path, device: str = "auto") -> Assessment:
        """Return errors, and how well the predicted standard deviations tell them."""
        network.about()  # what cannot be exported is not assessed
        target = choose_device(device)
        settings = _deciding(recipe, _validation_file(recipe, folder))
        validation = validation_set(settings)
        reached = asdict(calibration.assess(network.to(target), validation, settings.truncate))
        further = {"calibration": reached.pop("calibration")}
        identity = validation.identity(settings.truncate)
        scores = {"validation": recipe.validation.name, "validation_sha256": identity, **reached}
        if recipe.own.also is not None:
            scores["also"] = {
                "validation": recipe.own.also, **asdict(_as_the_challenge(network, recipe, folder / recipe.own.also))
            }  # fmt: skip
        kinds = {
            name: of_kind(folder / file, begin, recipe.own.validation_crops, settings)
            for name, (file, begin) in recipe.own.kinds.items()
        }
        scores["kinds"] = [
            calibration.share(name, network, pictures, settings.truncate, further["calibration"])
            for name, pictures in kinds.items()
        ]
        network.to("cpu")
        return Assessment(scores, further)

    def outdated(self, about: Mapping[str, Any], recipe: Recipe) -> str | None:
        """Return that its deviations were calibrated as before: as many errors within one as of a Gaussian's."""
        return None if "by_cells" in about["scores"] else "its deviations are not calibrated for both shares"

    def headline(self, scores: Mapping[str, Any]) -> str:
        """Return the errors."""
        return f"RMSE {scores['rmse']:.3f} (per picture {scores['rmse_per_picture']:.3f})"

    def report(self, assessment: Assessment) -> list[str]:
        """Return a line for each validation set."""
        scores = assessment.scores
        parts = [scores, *([scores["also"]] if "also" in scores else [])]
        lines = [
            f"{part['validation']}: {self.headline(part)} of {part['pictures']:,} pictures; within 1 and 2 calibrated "
            f"standard deviations: {part['within_one']:.1%}, {part['within_two']:.1%}"
            for part in parts
        ]
        return [*lines, f"calibration: {assessment.further['calibration']:.3f}"]

    def trained(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a run saw."""
        settings, data = extra["settings"], extra["data"]
        return {
            "pictures_seen": extra["step"] * settings["batch"],
            "sha256": data["sha256"],
            "pictures": data["training_pictures"],
            "picture_shape": data["picture_shape"],
            "validated_with": Path(settings["validate"]).name if settings["validate"] else None,
            "mosaics": settings["ranges"],
            **{key: settings[key] for key in ("patch", "truncate", "batch", "optimizer", "lr", "loss", "ema", "seed")},
        }

    def describe(self, network: Network, history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the cells that the last run had, and no calibration where none was chosen."""
        cells = history[-1]["mosaics"].get("cell", challenge.CELL) if history else challenge.CELL
        return {"cells": list(cells), "calibration": 1.0}

    def compare(self, run: Run, network: Any) -> float:
        """Compare restorations and predicted standard deviations, in units of 1 (255 levels)."""
        return comparison.compare(run, network)

    def agreement(self, difference: float) -> str:
        """Return the difference in levels."""
        return f"{255 * difference:.1g} levels"

    def card(self, recipe: Recipe, about: Mapping[str, Any], network: Network) -> Card:
        """Return the card's parts."""
        return card.card(recipe, about, network)


STAGE = RestorerStage()


def _crops(given: dict[str, Any]) -> Crops:
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    return Crops(**values)


def _validation_file(recipe: Recipe, folder: Path) -> Path:
    """Return the file to validate with; it is packed if it is not there."""
    if recipe.own.validation_crops is None:
        return folder / recipe.validation
    return _pack(recipe.validation, recipe.validation_sources, recipe.own.validation_crops, folder)


def _pack(output: Path, names: Sequence[str], crops: Crops, folder: Path) -> Path:
    if not output.exists():
        log.info(f"packing {', '.join(dict.fromkeys(names))} of {folder} into {output}")
        files.make_folder(output.parent)
        packing.pack([folder / name for name in names], output, crops=crops, jobs=os.cpu_count() or 1)
    return output


def _deciding(recipe: Recipe, validate: Path) -> RestorerSettings:
    """Return settings that validate as the recipe does, on any machine and whatever a run changed."""
    deciding = ("ranges", "truncate", "seed", "validate_count")
    given = {name: recipe.settings[name] for name in deciding if name in recipe.settings}
    return RestorerSettings(network=recipe.name, data="", run="", steps=1, validate=str(validate), **given)


def _as_the_challenge(network: Any, recipe: Recipe, validate: Path) -> calibration.Assessment:
    """Assess a network with cells as the challenge makes them."""
    own = network.offset
    network.offset = TRUNCATED
    try:
        settings = RestorerSettings(network=recipe.name, data="", run="", steps=1, validate=str(validate))
        validation: Fixed = validation_set(settings)
        return calibration.assess(network, validation, settings.truncate)
    finally:
        network.offset = own
