"""Numbers drawn as colours."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_GAP = 8
"""Pixels between the map, its scale and the scale's numbers."""
_HEAT = ((0, 0, 0), (59, 9, 100), (138, 34, 106), (212, 72, 66), (250, 136, 20), (246, 215, 70), (252, 255, 164))
"""From the least to the greatest: equal steps of matplotlib's colour map `inferno`, the first one black."""
_NOT_KNOWN = (90, 90, 90)


def heat_map(values: NDArray[np.float32], unit: str = "") -> Image.Image:
    """Return values as colours, in RGB, with the scale beside them: black is 0, pale yellow the greatest, gray NaN.

    Parameters
    ----------
    values : (H, W), at least 0
    unit : named at the scale's upper end
    """
    height, width = values.shape
    most = float(np.nanmax(values, initial=0)) or 1.0
    text = min(max(10, height // 25), 40)
    bar = max(6, text)
    font = ImageFont.load_default(text)
    ticks = [(share, f"{share * most:.3g}" + (f" {unit}" if share == 1 and unit else "")) for share in (0, 0.5, 1)]
    room = math.ceil(max(font.getlength(label) for _, label in ticks))
    result = Image.new("RGB", (width + 3 * _GAP + bar + room, height), "white")
    result.paste(Image.fromarray(heat_colours(values / most)), (0, 0))
    scale = np.broadcast_to(np.linspace(1, 0, height, dtype=np.float32)[:, None], (height, bar))
    result.paste(Image.fromarray(heat_colours(scale)), (width + _GAP, 0))
    draw = ImageDraw.Draw(result)
    for share, label in ticks:
        y, anchor = (1 - share) * (height - 1), {0: "ld", 0.5: "lm", 1: "la"}[share]
        draw.text((width + 2 * _GAP + bar, y), label, "black", font, anchor=anchor)
    return result


def heat_colours(shares: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the colours, uint8 (H, W, 3), of numbers from 0 to 1; gray for NaN."""
    table = np.stack(
        [np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, len(_HEAT)), c) for c in zip(*_HEAT, strict=True)], 1
    )
    known = np.isfinite(shares)
    index = np.rint(255 * np.where(known, shares, 0)).astype(np.uint8)
    colours: NDArray[np.uint8] = np.rint(table).astype(np.uint8)[index]
    colours[~known] = _NOT_KNOWN
    return colours
