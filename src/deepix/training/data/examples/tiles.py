"""How the tiles of an area get their colours, in the ways that programs do it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from deepix.mosaic import Cells, Mosaic
from deepix.training.data.draws import chosen
from deepix.training.data.examples.areas import Frame
from deepix.training.data.examples.settings import FILTERS, Resampling, Settings
from deepix.training.data.pixels import Array, Bytes

_LINEAR = np.arange(256, dtype=np.float32) / 255
_LINEAR = np.where(_LINEAR <= 0.04045, _LINEAR / 12.92, ((_LINEAR + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""The light of each level: the sRGB curve, IEC 61966-2-1."""


def pixelated(
    canvas: Bytes, m: Mosaic, frame: Frame, rng: np.random.Generator, settings: Settings
) -> tuple[Bytes, str]:
    """Return the box of a mosaic with every tile in one colour, and how that was made."""
    name = chosen(rng, settings.tiles)
    rows, columns = m.grid.rows(m.y, m.y + m.height), m.grid.columns(m.x, m.x + m.width)
    if name not in ("mean", "mean in linear light", "sample"):
        return _reduced(canvas, frame, name)[rows.clip(0, frame.rows - 1)][:, columns.clip(0, frame.columns - 1)], name
    whole = rng.random() < settings.whole_tiles
    cells, box = m.cells, m.box
    if whole:
        y, x = max(frame.y, 0), max(frame.x, 0)
        box = slice(y, frame.y + frame.height), slice(x, frame.x + frame.width)
        shape = canvas[box].shape
        cells = Cells(m.grid.rows(y, y + shape[0]), m.grid.columns(x, x + shape[1]), None)
        top, left = m.y - y, m.x - x
    else:
        top, left = 0, 0
    inside = slice(top, top + m.height), slice(left, left + m.width)
    text = f"{name}, whole tiles" if whole else name
    if name == "sample":
        centre = rng.random() < 0.5
        at = [_sampled(index, centre) for index in (cells.row_index, cells.column_index)]
        return canvas[box][at[0]][:, at[1]][inside], f"{text}, {'centre' if centre else 'corner'}"
    if name == "mean":
        means = cells.mean(canvas[box])
    else:
        light = cells.mean(_LINEAR[canvas[box]])
        means = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    truncated = rng.random() < settings.truncated
    values = np.floor(means if truncated else means + 0.5).clip(0, 255).astype(np.uint8)
    return cells.spread(values)[inside], f"{text}, truncated" if truncated else text


def _sampled(index: Array, centre: bool) -> Array:
    """Return the row (column) from which each row (column) takes its pixel: its band's first or middle one."""
    lengths = np.bincount(index)
    starts = np.cumsum(lengths) - lengths
    chosen: Array = (starts + lengths // 2 if centre else starts)[index]
    return chosen


def _reduced(canvas: Bytes, frame: Frame, name: str) -> Bytes:
    """Return the frame at one pixel a tile; beyond the canvas its outermost pixels are repeated."""
    height, width = canvas.shape[:2]
    region = canvas[frame.y : frame.y + frame.height, frame.x : frame.x + frame.width]
    if region.shape[:2] != (frame.height, frame.width):
        rows = np.arange(frame.y, frame.y + frame.height).clip(0, height - 1)
        columns = np.arange(frame.x, frame.x + frame.width).clip(0, width - 1)
        region = canvas[rows][:, columns]
    image, size = Image.fromarray(region), (frame.columns, frame.rows)
    if name == "four pixels":  # a transform interpolates between the nearest pixels, without antialiasing
        steps = (frame.width / frame.columns, 0, 0, 0, frame.height / frame.rows, 0)
        return np.asarray(image.transform(size, Image.Transform.AFFINE, steps, Resampling.BILINEAR))
    return np.asarray(image.resize(size, FILTERS.get(name, Resampling.BOX)))
