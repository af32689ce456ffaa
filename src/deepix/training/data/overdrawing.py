"""Pixelated pictures of a batch as they come to us: drawn over, and out of JPEG files."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from deepix.training.data.overlays import KINDS, Array
from deepix.training.data.samples import Sample

JPEG_BLOCK = 8
"""Pixels of a JPEG's blocks, whose origin lies anywhere in a part of a picture."""


def overdrawn(sample: Sample, overlays: float, jpeg: int | None, generator: torch.Generator | None = None) -> Sample:
    """Return a sample with something drawn over or beside some mosaics, and half of the pictures out of JPEG files.

    What one knows of a mosaic afterwards is kept to: cells hold the means of what can be seen of them; and foreign
    pixels of JPEG files are grown by one, as the restorers do.

    Parameters
    ----------
    sample : pixelated, of gray or RGB pictures
    overlays : share of the pictures that something is drawn over or beside one mosaic of
    jpeg : least quality of the files, up to 100; None: no files
    generator : of the random numbers; default: PyTorch's on the CPU
    """
    device = sample.pixelated.device
    seed = int(torch.randint(2**62, (), generator=generator))
    rng = np.random.default_rng(seed)
    pictures = (sample.pixelated.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    cells = sample.mosaics.cell.cpu().numpy()
    foreign = np.zeros(cells.shape, bool)
    changed = np.zeros(len(pictures), bool)
    result = pictures.copy()
    for k, picture in enumerate(pictures):
        drawn = picture[..., 0] if picture.shape[2] == 1 else picture
        if rng.random() < overlays and (area := _area(cells[k], rng)) is not None:
            overlay = KINDS[str(rng.choice(list(KINDS)))](foreign[k].shape, area, rng)
            drawn, foreign[k], changed[k] = overlay.over(drawn), overlay.foreign, True
        if jpeg is not None and rng.random() < 0.5:
            drawn, changed[k] = _out_of_a_file(drawn, int(rng.integers(jpeg, 101)), rng), True
            foreign[k] |= _grown(foreign[k]) & (cells[k] == 0)
        result[k] = drawn.reshape(picture.shape)
    there = torch.from_numpy(foreign)[:, None].to(device)
    mosaics = sample.mosaics.drawn_over(there) if foreign.any() else sample.mosaics
    seen = torch.from_numpy(result).permute(0, 3, 1, 2).to(device).to(sample.pixelated.dtype) / 255
    painted = torch.where(mosaics.unknown, mosaics.spread(mosaics.mean(seen)), seen)
    # what was neither drawn over nor in a file keeps its exact means
    painted = torch.where(torch.from_numpy(changed)[:, None, None, None].to(device), painted, sample.pixelated)
    return Sample(sample.truth, painted, mosaics)


def _area(cells: Array, rng: np.random.Generator) -> tuple[int, int, int, int] | None:
    """Return x, y, width and height of the mosaic that a pixel chosen at random is in, along its row and column."""
    inside = np.argwhere(cells > 0)
    if not len(inside):
        return None
    y, x = inside[rng.integers(len(inside))].tolist()
    (left, right), (top, bottom) = (_run(line > 0, at) for line, at in ((cells[y], x), (cells[:, x], y)))
    return left, top, right - left, bottom - top


def _run(line: Array, at: int) -> tuple[int, int]:
    """Return where the run of True around a place in a line begins and ends."""
    gaps = np.flatnonzero(~line)
    after = int(np.searchsorted(gaps, at))
    return int(gaps[after - 1]) + 1 if after else 0, int(gaps[after]) if after < len(gaps) else len(line)


def _out_of_a_file(picture: Array, quality: int, rng: np.random.Generator) -> Array:
    """Return a picture, uint8 (H, W) or (H, W, 3), written as a JPEG and read again, its blocks anywhere."""
    y, x = (int(n) for n in rng.integers(0, JPEG_BLOCK, 2))
    edges = ((y, 0), (x, 0), *((0, 0),) * (picture.ndim - 2))
    buffer = io.BytesIO()
    Image.fromarray(np.pad(picture, edges, "edge")).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))[y:, x:]


def _grown(mask: Array) -> Array:
    plane = torch.from_numpy(mask)[None, None].float()
    return functional.max_pool2d(plane, 3, 1, 1)[0, 0].numpy() > 0
