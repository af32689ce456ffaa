"""What the locator learns of a batch, and by which losses.

A place of the maps is 4x4 pixels. What is to be learned of it: the share of its pixels that lie in a mosaic; whether an
outline of a mosaic passes through it or along its side; inside mosaics, the cell's width and height. Small mosaics are
as many as large ones in what is asked of `find`, so each weighs at least as much as `LEAST_WEIGHT` places.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from deepix.finder.locator import STRIDE
from deepix.training.stages.locator.examples import Batch


class Target(NamedTuple):
    """What is true of each place (4x4 pixels); all float32 (B, 1, H/4, W/4), `size` (B, 2, H/4, W/4).

    Attributes
    ----------
    share : of its pixels in mosaics
    border : 1 if an outline passes through it or along its side
    size : base-2 logarithm of the cell's width and height, in pixels
    inside : 1 where all is in one mosaic
    weight : of the place in the loss
    mosaic : the label of the mosaic that has a part of it, 0 if there is none
    """

    share: Tensor
    border: Tensor
    size: Tensor
    inside: Tensor
    weight: Tensor
    mosaic: Tensor


LEAST_WEIGHT = 100.0
"""Places that a mosaic counts as at least: those of 40x40 pixels."""


def target_of(batch: Batch) -> Target:
    """Return what is to be learned of a batch."""
    labels = batch.labels.float()
    share = functional.avg_pool2d((labels > 0).float(), STRIDE)
    highest, lowest = functional.max_pool2d(labels, STRIDE), -functional.max_pool2d(-labels, STRIDE)
    inside = (highest == lowest) & (highest > 0)
    outline = torch.zeros_like(labels)
    for axis in (2, 3):
        length = labels.shape[axis] - 1
        changes = (labels.narrow(axis, 1, length) != labels.narrow(axis, 0, length)).float()
        for start in (0, 1):
            part = outline.narrow(axis, start, length)
            part.copy_(torch.maximum(part, changes))
    border = functional.max_pool2d(outline, STRIDE)
    mosaic = highest.long()
    flat = mosaic.flatten(1)
    sizes = batch.cells.clamp(min=1).log2().gather(1, flat[..., None].expand(-1, -1, 2))
    size = sizes.mT.reshape(len(labels), 2, *mosaic.shape[2:])
    # by what the whole example shows: of a large one only a strip may be seen here, which is no small mosaic
    factor = (LEAST_WEIGHT * STRIDE**2 / batch.areas.clamp(min=1)).clamp(min=1)
    factor[:, 0] = 1
    weight = factor.gather(1, flat).reshape(mosaic.shape)
    weight = functional.max_pool2d(weight, 5, 1, 2)  # what surrounds a small one must be as clear
    counts = -functional.max_pool2d(-batch.counts.float(), STRIDE)
    return Target(share, border, size, inside.float(), weight * counts, mosaic)


BORDER_WEIGHT, SIZE_WEIGHT = 0.3, 0.5
"""Of the losses, beside that of 'pixelated'."""
TOLERATED = 0.1
"""Errors of a cell's base-2 logarithm below this count by their square."""


def losses(maps: Tensor, target: Target) -> tuple[Tensor, Tensor, Tensor]:
    """Return the means of: cross-entropy of 'pixelated', of 'border', and error of the cells' sizes (smooth L1)."""
    entropy = functional.binary_cross_entropy_with_logits
    total = target.weight.sum().clamp(min=1)
    first = (target.weight * entropy(maps[:, :1], target.share, reduction="none")).sum() / total
    second = (target.weight * entropy(maps[:, 1:2], target.border, reduction="none")).sum() / total
    errors = functional.smooth_l1_loss(maps[:, 2:], target.size, reduction="none", beta=TOLERATED)
    inside = target.weight * target.inside
    third = (inside * errors).sum() / (2 * inside.sum()).clamp(min=1)
    return first, second, third


def whole(maps: Tensor, target: Target) -> Tensor:
    """Return the losses' weighted sum."""
    return sum_of(*losses(maps, target))


def sum_of(pixelated: Tensor, border: Tensor, size: Tensor) -> Tensor:
    """Return the weighted sum of the three losses."""
    return pixelated + BORDER_WEIGHT * border + SIZE_WEIGHT * size
