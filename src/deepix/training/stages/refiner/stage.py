"""The stage of refiners: two optimizers, the generator's and the adversary's.

In the ONNX file is the generator alone: float32 `features` (N, 9, H, W), H and W multiples of the stride, to `detail`
(N, 1, H, W), in units of the restorer's deviation. Its metadata hold, under `deepix`, as JSON:

    kind, name                "refiner", what the model is called
    stride                    of which height and width are multiples
    growth                    by what the restorer's deviation grows with all detail
    restorers                 SHA-256 of the restorers (.onnx) that it refines, by their names
    cells                     [least, greatest] side of the cells it was trained on, in pixels
    parameters, multiply_adds_per_pixel, scores, training
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
from deepix.training import weights
from deepix.training.data import stored
from deepix.training.engine.batches import Batches, Indices, Validation, seed_of
from deepix.training.engine.card import Card
from deepix.training.engine.export import Run
from deepix.training.engine.log import log
from deepix.training.engine.optimizers import optimizer_of
from deepix.training.engine.recipes import Recipe
from deepix.training.engine.stage import Assessment, Criterion, Data, Line, Loss, Panel, Row, Stage, Step
from deepix.training.networks import Family, Network
from deepix.training.networks.refiner import Refiner
from deepix.training.predict import choose_device
from deepix.training.stages.refiner import card, comparison, losses, scores
from deepix.training.stages.refiner.examples import (
    CELL,
    Batch,
    augmented,
    batch_of,
    digest,
    outdated,
    prepare,
    read,
    restored,
)
from deepix.training.stages.refiner.scores import Score, bars
from deepix.training.stages.refiner.settings import RefinerSettings

PLAIN = 2
"""One of so many pictures that the adversary sees is the restoration without detail."""


class Own(NamedTuple):
    """What a refiner's recipe says in particular: weights of restorers, and how many examples are drawn of a photo of
    each source to validate with."""

    restorers: tuple[Path, ...]
    validation_times: tuple[float, ...]


class RefinerStage(Stage):
    """See `Stage`."""

    name = "refiner"
    families = {"refiner": Family(Refiner, ("widths", "blocks", "adversary"))}  # noqa: RUF012
    settings = RefinerSettings
    columns = (
        "loss", "features_loss", "texture_loss", "steps_loss", "fidelity_loss", "adversary_loss", "told_right",
        *(f"val_{name}" for name in Score._fields),
    )  # fmt: skip
    outcome = ("val_merit", "val_rmse", "val_features", "val_unseen", "val_texture", "val_blocks", "val_seam")
    criterion = Criterion("val_merit", "merit", lower=True)
    panels = (
        Panel(
            "over the unrefined restoration's",
            tuple(
                Line(name, lambda row, name=name: row[f"val_{name}"], decides=name == "merit")  # type: ignore[misc]
                for name in ("features", "unseen", "texture", "rmse", "merit")
            ),
        ),
        Panel(
            "over the truth's",
            tuple(Line(name, lambda row, name=name: row[f"val_{name}"]) for name in ("blocks", "seam")),  # type: ignore[misc]
        ),
    )
    unit = "examples"
    turns = 2

    # ── a run ────────────────────────────────────────────────────────────────────────────────────

    def open(self, settings: RefinerSettings, keep: bool) -> Data:
        """Return examples that were drawn before."""
        if settings.validate is None:
            raise InputError(f"{settings.data}: a refiner is validated with examples of a file of its own: --validate")
        cache, fixed = read(Path(settings.data)), read(Path(settings.validate))

        def load(step: int, chosen: Indices, rank: int) -> Batch:
            generator = torch.Generator().manual_seed(seed_of(settings.seed, 4, step, rank))
            return augmented(batch_of(cache, chosen), generator)

        about = {
            "file": settings.data,
            "sha256": stored.identity(cache),
            "training_pictures": len(cache.truth),
            "picture_shape": list(cache.truth.shape[1:]),
            "restorers": dict(zip(cache.restorers.tolist(), cache.digests.tolist(), strict=True)),
        }
        return Data(
            Batches(np.arange(len(cache.truth)), settings.batch, settings.seed, load),
            Validation(len(fixed.truth), settings.batch, lambda chosen: batch_of(fixed, chosen)),
            about,
        )

    def begin(self, network: Any, settings: RefinerSettings) -> None:
        """Give the generator the layers of a restorer, which know pictures already."""
        if settings.begin_with is None:
            return
        restorer = weights.load(settings.begin_with)
        try:
            network.begin_with(restorer)
        except ValueError as error:
            raise InputError(f"{settings.begin_with}: {error}") from error

    def optimizers(self, network: Any, settings: RefinerSettings) -> list[torch.optim.Optimizer]:
        """Return the generator's, then the adversary's: Adam, which forgets sooner than usual."""
        adversary = torch.optim.Adam(network.adversary.parameters(), lr=settings.adversary_lr, betas=(0.9, 0.99))
        return [optimizer_of(network.generator, settings), adversary]

    def loss(self, network: Any, batch: Batch, settings: RefinerSettings, step: Step) -> Loss:
        """Return the generator's loss, or the adversary's on what the generator's turn has made."""
        if step.turn == 0:
            return self._generator(network, batch, settings, step)
        free, pictures = batch.made["free"], batch.made["pictures"]
        begun = step.number >= settings.adversary_from
        with torch.set_grad_enabled(begun):
            loss, right = losses.adversary_loss(network.adversary(pictures), free)
        # one that is never wrong has nothing to teach
        waits = not begun or float(right) > settings.wait
        return Loss(None if waits else loss, loss.detach(), (loss.detach(), right.detach()))

    def _generator(self, network: Any, batch: Batch, settings: RefinerSettings, step: Step) -> Loss:
        given = restored(batch)
        generator = torch.Generator().manual_seed(seed_of(settings.seed, 5, step.number, step.rank))
        noise = torch.randn(2, *batch.truth.shape, generator=generator).to(batch.truth)
        one = network.refine(given, noise[0])
        with torch.no_grad():  # both are drawn alike: what it would learn from this one it learns from the other
            other = network.refine(given, noise[1])
        parts = losses.generator_losses(one, other, given, batch.truth, settings)
        total = losses.total(parts, settings)
        free = (~given.mosaics.known).to(batch.truth)
        weight = settings.adversarial * min(max(step.number / settings.adversary_from - 1, 0.0), 1.0)
        if weight:
            total = total + weight * losses.deceiving(network.adversary(one), free)
        pictures = one.detach().clone()
        pictures[::PLAIN] = given.picture[::PLAIN]
        batch.made.update(free=free, pictures=pictures)
        return Loss(total, total.detach(), (total.detach(), *(part.detach() for part in parts[:4])))

    def tally(self, network: Any, batch: Batch, settings: Any) -> Tensor:
        """Return the sums of a batch."""
        return scores.tally(network, batch)

    def score(self, sums: Tensor) -> Score:
        """Return the score."""
        return scores.score(sums.double())

    def row(self, running: Sequence[float], score: Score) -> dict[str, float]:
        """Return the log's columns."""
        return dict(zip(self.columns, (*running, *score), strict=True))

    def diverged(self, row: Row) -> bool:
        """Return whether the merit is not a number."""
        return not math.isfinite(row["val_merit"])

    def line(self, row: Row, score: Score) -> str:
        """Return the scores."""
        return (
            f"loss {row['loss']:.3f}  merit {score.merit:.4f}: RMSE {score.rmse:.3f}  features {score.features:.3f}  "
            f"unseen {score.unseen:.3f}  texture {score.texture:.2f}  blocks {score.blocks:.2f}  seam {score.seam:.2f}"
            f"  spread {score.spread:.2f}  told right {row['told_right']:.2f}  ROC {score.roc_restored:.2f} "
            f"{score.roc_refined:.2f}"
        )

    def summary(self, row: Row) -> str:
        """Return the scores of a validation."""
        return f"merit {row['val_merit']:.4f}, features {row['val_features']:.3f} at RMSE {row['val_rmse']:.3f}"

    # ── a recipe ─────────────────────────────────────────────────────────────────────────────────

    def recipe(self, data: Mapping[str, Any], validation: Mapping[str, Any]) -> Own:
        """Return how examples are made."""
        return Own(tuple(Path(name) for name in data["restorers"]), tuple(validation["times"]))

    def gather(self, recipe: Recipe, folder: Path) -> tuple[Path, Path]:
        """Make the examples that are not made, or were by other restorers."""
        given = [(folder / source.file, source.times) for source in recipe.sources]
        return _made(recipe, recipe.data, given, 0), _validation(recipe, folder)

    # ── a release ────────────────────────────────────────────────────────────────────────────────

    def assess(self, network: Any, recipe: Recipe, folder: Path, device: str = "auto") -> Assessment:
        """Return the scores on the recipe's examples."""
        cache = read(_validation(recipe, folder))
        network.to(choose_device(device)).eval()
        parts = np.array_split(np.arange(len(cache.truth)), max(len(cache.truth) // 32, 1))
        reached = scores.score(
            torch.stack([scores.tally(network, batch_of(cache, part), k) for k, part in enumerate(parts)]).sum(dim=0)
        )
        network.to("cpu")
        found = {"validation_sha256": stored.identity(cache), "examples": len(cache.truth), **reached._asdict()}
        restorers = {
            Path(str(name)).stem: str(value) for name, value in zip(cache.restorers, cache.digests, strict=True)
        }
        return Assessment(found, {"growth": max(reached.growth, 1.0), "restorers": restorers})

    def outdated(self, about: Mapping[str, Any], recipe: Recipe) -> str | None:
        """Return the restorer that it does not know."""
        known = set(about["restorers"].values())
        changed = [r.stem for r in recipe.own.restorers if digest(r.with_suffix(".onnx")) not in known]
        return f"{changed[0]} is another since it was released" if changed else None

    def fallen(self, scores: Mapping[str, Any]) -> list[str]:
        """Return the bars of `scores.BARS` that do not hold."""
        return [f"{bar.what} {bar.value:.3f} ({bar.asked})" for bar in bars(scores) if not bar.held]

    def headline(self, scores: Mapping[str, Any]) -> str:
        """Return what decides."""
        return f"merit {scores['merit']:.4f}"

    def report(self, assessment: Assessment) -> list[str]:
        """Return a line."""
        reached = assessment.scores
        return [f"{reached['examples']:,} examples: " + ", ".join(f"{k} {reached[k]:.3f}" for k in Score._fields)]

    def trained(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a run saw."""
        settings, data = extra["settings"], extra["data"]
        kept = ("batch", "optimizer", "lr", "ema", "seed", "adversarial", "features", "texture", "steps_energy")
        return {
            "examples_seen": int(extra["step"]) * settings["batch"],
            "examples": data["training_pictures"],
            "restorers": data["restorers"],
            **{key: settings[key] for key in kept},
        }

    def describe(self, network: Network, history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the cells, and the restorers of the last run by the names of their models."""
        known = history[-1]["restorers"] if history else {}
        restorers = {Path(name).stem: value for name, value in known.items()}
        return {"cells": list(CELL), "growth": 1.0, "restorers": restorers}

    def companions(self, network: Any) -> Mapping[str, Network]:
        """Return the adversary."""
        return {"adversary": network.adversary}

    def compare(self, run: Run, network: Any) -> float:
        """Compare the detail, in units of the deviation."""
        return comparison.compare(run, network)

    def card(self, recipe: Recipe, about: Mapping[str, Any], network: Network) -> Card:
        """Return the card's parts."""
        return card.card(recipe, about)


STAGE = RefinerStage()


def _validation(recipe: Recipe, folder: Path) -> Path:
    """Return the file of examples to validate with."""
    given = zip((folder / name for name in recipe.validation_sources), recipe.own.validation_times, strict=True)
    return _made(recipe, recipe.validation, list(given), 1)


def _made(recipe: Recipe, path: Path, given: Sequence[tuple[Path, float]], seed: int) -> Path:
    """Return a file of examples, which are made if they are not there, or were by other restorers."""
    if not path.exists() or outdated(path, recipe.own.restorers):
        log.info(f"restoring examples from {', '.join(p.name for p, _ in given)} into {path}")
        prepare(given, path, recipe.own.restorers, seed)
    return path
