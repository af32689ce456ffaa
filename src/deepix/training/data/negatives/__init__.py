"""Pictures without any mosaic that look as if they had one: hard negatives for a locator.

They become examples, with all that happens to files and with or without mosaics on top, by
`deepix.training.data.examples.example(negative(kind, rng), rng, settings)`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from deepix.training.data.draws import log_uniform
from deepix.training.data.negatives import blocks, drawings, screens, spoilt, surfaces
from deepix.training.data.negatives.scene import Scene
from deepix.training.data.pixels import Bytes

DRAWERS: dict[str, Callable[[Scene], Bytes]] = {
    "pixel art": drawings.pixel_art,
    "QR code": drawings.qr_code,
    "text": screens.text,
    "interface": screens.interface,
    "chart": screens.chart,
    "brick wall": surfaces.brick_wall,
    "tile wall": surfaces.tile_wall,
    "window grid": surfaces.window_grid,
    "woven cloth": surfaces.woven_cloth,
    "blocky JPEG": spoilt.blocky_jpeg,
    "heavy blur": spoilt.heavy_blur,
    "halftone": spoilt.halftone,
    "censor bar": spoilt.censor_bar,
    "plain": drawings.plain,
    "gradient": drawings.gradient,
    "letterbox": spoilt.letterbox,
}

NEGATIVES = tuple(DRAWERS)
"""Kinds of pictures that have no mosaic but look as if they had one; see `negative`."""

BLOCKS: dict[str, Callable[[Scene], Bytes]] = {
    "landscape of blocks": blocks.landscape,
    "checkerboard": blocks.checkerboard,
    "frame of video": spoilt.frame_of_video,
    "upscaled pixels": blocks.upscaled,
}
"""More of them: squares everywhere. They are apart so that what is drawn of `NEGATIVES` stays what it was."""


def negative(
    kind: str, rng: np.random.Generator, photo: Bytes | None = None, size: tuple[int, int] | None = None
) -> Bytes:
    """Draw a picture that has no mosaic but could be taken for one.

    Where the line is: a mosaic hides a part of a *photo* (or text, or a window) behind tiles of that part's colours.
    A drawing in few colours that was enlarged as a whole, pixels and all, is pixel art, hence a negative: nothing
    is hidden in it. So `negative` never enlarges a photo without smoothing, and pixel art has at most 16
    colours, large areas of one colour, and outlines. In the same way the cells of a chart, tiles with
    joints, the modules of a QR code and the blocks of a JPEG file are no mosaics.

    Parameters
    ----------
    kind : one of `NEGATIVES` or `BLOCKS`
    rng : decides everything else
    photo : uint8 (H, W) or (H, W, 3), for the kinds that spoil a photo ("blocky JPEG", "heavy blur", "halftone",
        "censor bar", "letterbox") and as a background of some others; without, overlapping discs take its place
    size : (width, height) of the result; without, sides between 160 and 640, log-uniform

    Returns
    -------
    uint8 (height, width, 3)

    Raises
    ------
    ValueError : the kind is unknown
    """
    drawers = {**DRAWERS, **BLOCKS}
    if kind not in drawers:
        raise ValueError(f"kinds are {', '.join(drawers)}, not {kind}")
    if size is None:
        size = (round(log_uniform(rng, 160, 640)), round(log_uniform(rng, 160, 640)))
    return np.array(drawers[kind](Scene(rng, size, photo)))
