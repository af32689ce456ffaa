"""What a refiner's card says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepix.training.engine.card import Card, table
from deepix.training.engine.recipes import Recipe
from deepix.training.stages.refiner.scores import BARS


def card(recipe: Recipe, about: Mapping[str, Any]) -> Card:
    """Return the parts of a refiner's card; see `Stage.card`."""
    reached = about["scores"]
    rows = [
        ("RMSE, over the restoration's", reached["rmse"], f"≤ {BARS['rmse']}", reached["rmse"] <= BARS["rmse"]),
        *(
            (f"{name}, over the restoration's", reached[name], f"≤ {BARS[name]}", reached[name] <= BARS[name])
            for name in ("features", "unseen", "texture")
        ),
        (
            "blocks, over the truth's", reached["blocks"], f"{BARS['blocks_low']}–{BARS['blocks']}",
            BARS["blocks_low"] <= reached["blocks"] <= BARS["blocks"],
        ),
        ("seam, over the truth's", reached["seam"], f"≤ {BARS['seam']}", reached["seam"] <= BARS["seam"]),
        ("spread of two variants, in deviations", reached["spread"], "≥ 0.35", reached["spread"] >= 0.35),
    ]  # fmt: skip
    return Card(
        facts=[
            ("multiply-adds", f"{about['multiply_adds_per_pixel']:,} for each pixel of the window"),
            ("refines", ", ".join(about["restorers"])),
        ],
        scores=[
            f"On {reached['examples']:,} examples of 64x64 pixels with all detail (`docs/refiner.md` measures whole "
            "photos):",
            "",
            *table(
                ("what", "reached", "bar", "held"),
                [(what, f"{value:.3f}", bar, "yes" if held else "no") for what, value, bar, held in rows],
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
