"""What the tests of the challenge share: small pictures with mosaics, and pickles that call something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from deepix import challenge
from deepix.challenge import Examples
from deepix.errors import InputError


def picture(seed: int = 0, width: int = 64, height: int = 64) -> np.ndarray:
    """Return smooth random colours, uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 7, 3)).astype(np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def examples(count: int = 5, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    images = np.stack([challenge.prepare(picture(i)) for i in range(count)])
    return Examples(images, [challenge.random_mosaic(rng) for _ in range(count)])


def as_dict(made: Examples) -> dict[str, Any]:
    test_set = made.test_set()
    return {"pixelated_images": tuple(test_set.pixelated), "known_arrays": tuple(test_set.known)}


def complaint(read: Callable[[], object]) -> str | None:
    """Return the InputError's text, which must be one line, or None if there was none."""
    try:
        read()
    except InputError as error:
        text = str(error)
    else:
        return None
    assert "\n" not in text
    return text


ran: list[object] = []


def run(argument: object = None) -> object:
    ran.append(argument)
    return argument


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any):
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call
