"""Sheets of samples: what a restorer makes of validation pictures, beside the truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from deepix.training.data.samples import Sample

ERROR_GAIN = 3
"""How much brighter than it is a sample sheet shows the error."""

_GAP, _MARGIN, _CAPTION = 4, 8, 20


def sample_sheet(sample: Sample, prediction: Tensor, caption: str) -> Image.Image:
    """Return a picture of samples: truth, pixelated, prediction and error side by side, a row for each.

    The error is the absolute difference, `ERROR_GAIN` times as bright; beside it stands its RMSE over unknown pixels.

    Parameters
    ----------
    sample : with its truth; B pictures
    prediction : (B, C, H, W), values in [0, 1]
    caption : the line above
    """
    if sample.truth is None:
        raise ValueError("a sample sheet needs the truth")
    truth, pixelated, predicted = (
        t.detach().float().cpu().clamp(0, 1) for t in (sample.truth, sample.pixelated, prediction)
    )
    unknown = sample.mosaics.unknown.cpu()
    difference = (predicted - truth).abs()
    squares = (difference.square() * unknown).sum(dim=(1, 2, 3))
    rmse = 255 * (squares / (unknown.sum(dim=(1, 2, 3)) * truth.shape[1]).clamp(min=1)).sqrt()
    columns = {
        "truth": truth,
        "pixelated": pixelated,
        "prediction": predicted,
        f"error x {ERROR_GAIN}": difference.mul(ERROR_GAIN).clamp(max=1),
    }
    count, _, height, width = truth.shape
    factor = max(1, 160 // width)
    wide, high = width * factor + _GAP, height * factor + _GAP
    font = ImageFont.load_default(14)
    top = _MARGIN + 2 * _CAPTION
    sheet = Image.new("RGB", (_MARGIN + len(columns) * wide + 64, top + count * high + _MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), caption, "black", font)
    for column, (title, pictures) in enumerate(columns.items()):
        x = _MARGIN + column * wide
        draw.text((x + width * factor / 2, top - _CAPTION / 2), title, "black", font, anchor="mm")
        for row, pixels in enumerate(_bytes(pictures)):
            image = Image.fromarray(pixels).convert("RGB")
            image = image.resize((width * factor, height * factor), Image.Resampling.NEAREST)
            sheet.paste(image, (x, top + row * high))
    draw.text((_MARGIN + len(columns) * wide + _GAP, top - _CAPTION / 2), "RMSE", "black", font, anchor="lm")
    for row, value in enumerate(rmse.tolist()):
        place = (_MARGIN + len(columns) * wide + _GAP, top + row * high + height * factor / 2)
        draw.text(place, f"{value:.1f}", "black", font, anchor="lm")
    return sheet


def _bytes(pictures: Tensor) -> NDArray[np.uint8]:
    """Return floats (B, C, H, W) in [0, 1] as uint8 (B, H, W) or (B, H, W, 3)."""
    levels = pictures.mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    return levels[..., 0] if levels.shape[3] == 1 else levels
