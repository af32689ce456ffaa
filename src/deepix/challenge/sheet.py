"""A sheet of samples to look at."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepix import draw
from deepix.challenge.protocol import Examples
from deepix.challenge.scoring import score
from deepix.challenge.submission import predictions


def sample_sheet(examples: Examples, estimates: Mapping[str, NDArray[np.float32]], scale: int = 4) -> Image.Image:
    """Draw pictures in rows: truth, pixelated, and each model's prediction; errors stand below.

    Parameters
    ----------
    examples : the N pictures
    estimates : of each model by its name, float (N, 64, 64), 0 … 255
    scale : screen pixels for one of the picture's
    """
    known, truths, pixelated = examples.known(), examples.truths(), examples.pixelated()
    columns = {"truth": examples.images, "pixelated": pixelated}
    for name, estimate in estimates.items():
        columns[name] = pixelated.copy()
        columns[name][~known] = np.concatenate(predictions(estimate, known))
    shown, notes = [], []
    for name, pictures in columns.items():
        shown.append((name, [Image.fromarray(picture) for picture in pictures]))
        errors = [score([p[~k]], [t]).pooled for p, k, t in zip(pictures, known, truths, strict=True)]
        notes.append(["" if name == "truth" else f"RMSE {error:.1f}" for error in errors])
    return draw.sheet(shown, scale=scale, notes=notes).convert("L")
