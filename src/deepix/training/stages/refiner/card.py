"""What a refiner's card says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepix.training.engine.card import Card, table
from deepix.training.engine.recipes import Recipe
from deepix.training.stages.refiner.examples import SIDE
from deepix.training.stages.refiner.scores import bars


def card(recipe: Recipe, about: Mapping[str, Any]) -> Card:
    """Return the parts of a refiner's card; see `Stage.card`."""
    reached = about["scores"]
    return Card(
        facts=[
            ("multiply-adds", f"{about['multiply_adds_per_pixel']:,} for each pixel of the window"),
            ("refines", ", ".join(about["restorers"])),
        ],
        scores=[
            f"On {reached['examples']:,} examples of {SIDE}x{SIDE} pixels with all detail (`docs/refiner.md` measures "
            "whole photos):",
            "",
            *table(
                ("what", "reached", "bar", "held"),
                [(b.what, f"{b.value:.3f}", b.asked, "yes" if b.held else "no") for b in bars(reached)],
            ),
            "",
            f"Area under the adversary's ROC curve: {reached['roc_restored']:.3f} of restorations, "
            f"{reached['roc_refined']:.3f} of refined ones.",
        ],
        sections=[
            (
                "What it invents",
                [
                    "All detail is a guess that the mosaic does not contradict: texture, edges, hair, leaves; another "
                    "seed gives another guess. Faces, letters and numbers that it draws are nobody's and nothing's: "
                    "never read them, never recognise anybody by them.",
                    "",
                    "Parts of validation photos, none of people's faces: pixelated, restored, refined, and the truth "
                    "(`python benchmarks/refined_sheet.py`).",
                    "",
                    "![Pixelated, restored, refined, and the truth](refiner-sheet.jpg)",
                ],
            ),
            (
                "Uncertainty",
                [f"With all detail, the restorer's predicted deviations are multiplied by {about['growth']:.3f}."],
            ),
        ],
        seen="examples seen",
        runs=[(f"{run['data']}, {run['examples']:,}", run["examples_seen"]) for run in about["training"]],
    )
