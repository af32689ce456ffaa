"""What a restorer's card says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepix.training.deviations import GAUSSIAN
from deepix.training.engine.card import Card, table
from deepix.training.engine.recipes import Recipe
from deepix.training.networks import Network


def card(recipe: Recipe, about: Mapping[str, Any], network: Network) -> Card:
    """Return the parts of a restorer's card; see `Stage.card`."""
    scores, config = about["scores"], network.config
    rows = [(recipe.validation_what, scores)]
    if "also" in scores:
        rows.append((f"the challenge's validation set ({recipe.own.also}), which it was not made for", scores["also"]))
    shapes = {key: config[key] for key in ("widths", "blocks", "down", "window") if key in config}
    return Card(
        facts=[
            ("network", f"`{config['name']}` ({', '.join(f'{key} {value}' for key, value in shapes.items())})"),
            ("multiply-adds", f"{about['multiply_adds_per_pixel']:,} for each pixel of the window"),
            ("cells", f"{about['cells'][0]} to {about['cells'][1]} pixels wide in the network's own scale"),
        ],
        scores=[
            "RMSE over unknown pixels, 0–255, rounded to integers:",
            "",
            *table(
                ("validated with", "pictures", "pooled", "per picture"),
                [(w, f"{s['pictures']:,}", f"{s['rmse']:.3f}", f"{s['rmse_per_picture']:.3f}") for w, s in rows],
            ),
        ],
        sections=[
            (
                "Predicted standard deviations",
                [
                    f"The network's standard deviations are multiplied by {about['calibration']:.3f}, chosen on every "
                    f"other validation picture. On the rest, {scores['within_one']:.1%} of the errors lie within 1 and "
                    f"{scores['within_two']:.1%} within 2 of them (a Gaussian's: {GAUSSIAN[0]:.1%} and "
                    f"{GAUSSIAN[1]:.1%}).",
                    "",
                    *table(
                        ("errors", "pixels", "within 1", "within 2"),
                        [
                            (what, f"{pixels:,}", f"{one:.1%}", f"{two:.1%}")
                            for what, pixels, one, two in [
                                *((f"in cells of {name} pixels", *rest) for name, *rest in scores.get("by_cells", ())),
                                *scores.get("kinds", ()),
                            ]
                        ],
                    ),
                ],
            )
        ],
        seen="pictures seen",
        runs=[
            (f"{r['data']}, {r['pictures']:,} of {r['picture_shape'][1]}x{r['picture_shape'][0]}", r["pictures_seen"])
            for r in about["training"]
        ],
        choices=" and the standard deviations' factor",
    )
