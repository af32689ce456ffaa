"""The stage of the locator.

The ONNX file takes `luminance`, float32 (N, 1, H, W) in levels, H and W multiples of 32, and returns `maps`, float32
(N, 4, H/4, W/4), see `networks.locator`. Batch norms are part of the convolutions. Half precision would change
probabilities by more than 0.01. The metadata hold, under `deepix`, as JSON:

    kind, name                "locator", what the model is called
    stride                    of which H and W are multiples
    parameters, multiply_adds_per_pixel
    scores, training          what it reaches, and the runs it was trained in, one after the other
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from deepix.errors import InputError
from deepix.finder.locator import STRIDE
from deepix.training.data import stored
from deepix.training.engine.batches import Batches, Indices, Validation, seed_of
from deepix.training.engine.card import Card, table
from deepix.training.engine.export import Run
from deepix.training.engine.log import log
from deepix.training.engine.recipes import Recipe
from deepix.training.engine.stage import Assessment, Criterion, Data, Line, Loss, Panel, Row, Stage, Step
from deepix.training.networks import Family, Network
from deepix.training.networks.locator import Locator
from deepix.training.predict import choose_device
from deepix.training.stages.locator import comparison, scores
from deepix.training.stages.locator.examples import (
    Batch,
    augmented,
    batch_of,
    prepare,
    read_cache,
)
from deepix.training.stages.locator.scores import FOUND, Score
from deepix.training.stages.locator.settings import LocatorSettings
from deepix.training.stages.locator.targets import BORDER_WEIGHT, SIZE_WEIGHT, losses, sum_of, target_of


class Own(NamedTuple):
    """What the locator's recipe says in particular: the examples' side in pixels, and how many are drawn of a photo of
    each source to validate with (a fraction: of as many photos)."""

    side: int
    validation_times: tuple[float, ...]


def _training_loss(row: Row) -> float:
    return row["pixelated"] + BORDER_WEIGHT * row["border"] + SIZE_WEIGHT * row["size"]


class LocatorStage(Stage):
    """See `Stage`."""

    name = "locator"
    families = {"locator": Family(Locator, ("filters", "widths", "blocks"))}  # noqa: RUF012
    settings = LocatorSettings
    columns = (
        "pixelated", "border", "size", "val_loss", "precision", "recall", "size_error", "found", "alarms_negative",
        "alarms_clean", "worth",
    )  # fmt: skip
    outcome = ("val_loss", "worth")
    criterion = Criterion("worth", "worth", lower=False)
    panels = (
        Panel(
            "loss",
            (
                Line("training", _training_loss, of_training=True),
                Line("validation", lambda row: row["val_loss"]),
            ),
        ),
        Panel(
            "share",
            (
                Line("mosaics found", lambda row: row["found"]),
                Line("precision of places", lambda row: row["precision"]),
                Line("recall of places", lambda row: row["recall"]),
                Line("alarms, look-alikes", lambda row: row["alarms_negative"]),
                Line("alarms, plain photos", lambda row: row["alarms_clean"]),
            ),
            (0, 1),
        ),
    )
    unit = "examples"

    # ── a run ────────────────────────────────────────────────────────────────────────────────────

    def open(self, settings: LocatorSettings, keep: bool) -> Data:
        """Return examples that were drawn before."""
        if settings.validate is None:
            raise InputError(f"{settings.data}: a locator is validated with examples of a file of its own: --validate")
        cache, fixed = read_cache(Path(settings.data)), read_cache(Path(settings.validate))

        def load(step: int, chosen: Indices, rank: int) -> Batch:
            generator = torch.Generator().manual_seed(seed_of(settings.seed, 4, step, rank))
            return augmented(batch_of(cache, chosen), settings.patch, generator)

        indices = np.arange(len(cache.pictures))
        return Data(
            Batches(indices, settings.batch, settings.seed, load),
            Validation(len(fixed.pictures), settings.batch, lambda chosen: batch_of(fixed, chosen)),
            {
                "file": settings.data,
                "sha256": stored.identity(cache),
                "training_pictures": len(cache.pictures),
                "picture_shape": list(cache.pictures.shape[1:]),
            },
        )

    def loss(self, network: Network, batch: Batch, settings: LocatorSettings, step: Step) -> Loss:
        """Return the losses' weighted sum."""
        parts = losses(network(batch.pictures), target_of(batch))
        total = sum_of(*parts)
        return Loss(total, total, tuple(part.detach() for part in parts))

    def tally(self, network: Network, batch: Batch, settings: LocatorSettings) -> Tensor:
        """Return the sums of a batch."""
        if not len(batch.pictures):
            return torch.zeros(scores.TALLIED, dtype=torch.float64)
        return scores.tally(network(batch.pictures), target_of(batch), batch.kinds)

    def score(self, sums: Tensor) -> Score:
        """Return the score."""
        return Score.of(sums)

    def row(self, running: Sequence[float], score: Score) -> dict[str, float]:
        """Return the log's columns."""
        values = (
            *running, score.loss, score.precision, score.recall, score.size_error,
            float(np.mean(list(score.found.values()))), score.alarms.get("negative", 0.0),
            score.alarms.get("clean", 0.0), score.worth,
        )  # fmt: skip
        return dict(zip(self.columns, values, strict=True))

    def diverged(self, row: Row) -> bool:
        """Say so of a loss that is not a number; what is worth nothing may become better."""
        return not math.isfinite(row["val_loss"])

    def line(self, row: Row, score: Score) -> str:
        """Return losses and shares."""
        return (
            f"loss {_training_loss(row):.3f}  validation {score.loss:.4f}  places {score.precision:.3f}/"
            f"{score.recall:.3f}  found {row['found']:.3f}  alarms {row['alarms_negative']:.3f} "
            f"{row['alarms_clean']:.3f}  size {score.size_error:.3f}"
        )

    def summary(self, row: Row) -> str:
        """Return loss and shares of a validation."""
        return (
            f"validation loss {row['val_loss']:.4f}, {row['found']:.1%} of the mosaics found, alarms in "
            f"{row['alarms_clean']:.1%} of the photos,"
        )

    def extra(self, score: Score) -> dict[str, Any]:
        """Return the scores by kinds of examples."""
        return {"scores": score._asdict()}

    # ── a recipe ─────────────────────────────────────────────────────────────────────────────────

    def recipe(self, data: Mapping[str, Any], validation: Mapping[str, Any]) -> Own:
        """Return how examples are drawn."""
        return Own(data["side"], tuple(validation["times"]))

    def gather(self, recipe: Recipe, folder: Path) -> tuple[Path, Path]:
        """Draw the examples that are not drawn."""
        for_training = [(folder / source.file, source.times) for source in recipe.sources]
        times = recipe.own.validation_times
        for_validation = [
            (folder / name, number) for name, number in zip(recipe.validation_sources, times, strict=True)
        ]
        for path, given, seed in ((recipe.data, for_training, 0), (recipe.validation, for_validation, 1)):
            if not path.exists():
                log.info(f"drawing examples from {', '.join(p.name for p, _ in given)} of {folder} into {path}")
                prepare(given, path, recipe.own.side, seed, every_kind=seed == 1)
        return recipe.data, recipe.validation

    # ── a release ────────────────────────────────────────────────────────────────────────────────

    def assess(self, network: Network, recipe: Recipe, folder: Path, device: str = "auto") -> Assessment:
        """Return the maps' scores on the recipe's examples."""
        cache = read_cache(self.gather(recipe, folder)[1])
        reached = scores.assess(network.to(choose_device(device)), cache)
        network.to("cpu")
        found = {
            "validation_sha256": stored.identity(cache), "examples": len(cache.pictures), "worth": reached.worth
        }  # fmt: skip
        return Assessment({**found, **reached._asdict()})

    def headline(self, scores: Mapping[str, Any]) -> str:
        """Return what it is worth."""
        return f"worth {scores['worth']:.4f}"

    def report(self, assessment: Assessment) -> list[str]:
        """Return lines on places and on each kind of example."""
        reached = assessment.scores
        return [
            f"{reached['examples']:,} examples: loss {reached['loss']:.4f}; places: precision "
            f"{reached['precision']:.3f}, recall {reached['recall']:.3f}; error of a cell's base-2 logarithm "
            f"{reached['size_error']:.3f}",
            *(
                f"  {kind}: {share:.1%} found, mean overlap {reached['overlap'][kind]:.3f}"
                for kind, share in reached["found"].items()
            ),
            *(f"  {kind}, without mosaics: alarms in {share:.1%}" for kind, share in reached["alarms"].items()),
        ]

    def trained(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a run saw."""
        settings = extra["settings"]
        return {
            "examples_seen": int(extra["step"]) * settings["batch"],
            "examples": extra["data"]["training_pictures"],
            **{key: settings[key] for key in ("patch", "batch", "optimizer", "lr", "ema", "seed")},
        }

    def compare(self, run: Run, network: Any) -> float:
        """Compare probabilities, and base-2 logarithms of cells."""
        return comparison.compare(run, network)

    def card(self, recipe: Recipe, about: Mapping[str, Any], network: Network) -> Card:
        """Return the card's parts."""
        reached = about["scores"]
        places = f"{STRIDE}x{STRIDE} pixels"
        return Card(
            facts=[
                ("multiply-adds", f"{about['multiply_adds_per_pixel']:,} for each pixel of the picture"),
                ("input", f"luminance in levels, sides multiples of {about['stride']}"),
                (
                    "output",
                    f"for each {places}: logits of 'pixelated' and of 'border', base-2 logarithms of the cell's width "
                    "and height",
                ),
            ],
            scores=_score_lines(reached, recipe, places),
            sections=[],
            seen="examples seen",
            runs=[
                (f"{r['data']}, {r['examples']:,}, parts of {r['patch']}x{r['patch']}", r["examples_seen"])
                for r in about["training"]
            ],
            data=[
                "Mosaics of all shapes and grids drawn into photos, which were then saved, resized, cropped, blurred … "
                "(`deepix.training.data.examples`), and drawings that only look as if they had some (`negatives`).",
                "",
            ],
        )


def _score_lines(reached: Mapping[str, Any], recipe: Recipe, places: str) -> list[str]:
    return [
        f"Of the maps alone, before any grid is fitted, on {reached['examples']:,} examples of "
        f"{recipe.own.side}x{recipe.own.side} pixels made of {recipe.validation_what}. Places ({places}) at a "
        f"probability of 0.5: precision {reached['precision']:.3f}, recall {reached['recall']:.3f}. Mean error of a "
        f"cell's base-2 logarithm: {reached['size_error']:.3f}. Loss {reached['loss']:.4f}. Worth "
        f"{reached['worth']:.4f}: the mean share of mosaics found, less the mean share of pictures without any that "
        "give alarms.",
        "",
        *table(
            ("examples", f"mosaics found (overlap of {FOUND} with the map)", "mean overlap"),
            [(kind, f"{share:.1%}", f"{reached['overlap'][kind]:.3f}") for kind, share in reached["found"].items()],
        ),
        "",
        *table(
            ("pictures without mosaics", "with any alarm (2x2 places above 0.5)"),
            [(kind, f"{share:.1%}") for kind, share in reached["alarms"].items()],
        ),
    ]


STAGE = LocatorStage()
