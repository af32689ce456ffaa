"""The training-free restorer of `deepix.restorer.smooth` at one size, for a batch of tensors: the networks' start.

The same energy, constants and steps; see there. The steps of every picture of a batch have lengths of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from deepix.restorer.energy import (
    EDGE_CONTRAST,
    MIXED_WEIGHT,
    PRECONDITIONER_SIGMA,
    PRECONDITIONER_WEIGHT,
    TENSOR_SIGMA,
)
from deepix.restorer.fill import LEAST_WEIGHT, SIGMAS
from deepix.training.operators import Mosaics

TRUNCATE = 4.0
"""Standard deviations at which SciPy's Gaussian, hence ours, ends."""


@torch.no_grad()
def smooth(pixelated: Tensor, mosaics: Mosaics, offset: float, rounds: Sequence[int]) -> Tensor:
    """Return smooth pictures that agree with the input: `deepix.restorer.smooth.smooth_at_one_size` for a batch.

    Parameters
    ----------
    pixelated : float32 (B, 1, H, W), at least 2 x 2 pixels
    mosaics : of the B pictures
    offset : see `deepix.training.operators.project`
    rounds : steps with D = I, then steps for each D

    Returns
    -------
    float32 (B, 1, H, W); nothing here is differentiated
    """
    free = ~mosaics.known
    membrane, *rest = rounds
    with torch.autocast(pixelated.device.type, enabled=False):  # mixed precision is for networks
        u = torch.where(mosaics.unknown, pixelated + offset, pixelated).contiguous()
        u = _descend(u, None, free, mosaics, membrane)
        for steps in rest:
            u = _descend(u, _tensor(u, free), free, mosaics, steps)
    return u


@torch.no_grad()
def filled(pixelated: Tensor, mosaics: Mosaics) -> Tensor:
    """Return pictures (B, C, H, W) whose foreign pixels hold local means of the others: `deepix.restorer.fill`."""
    if mosaics.foreign is None:
        return pixelated
    with torch.autocast(pixelated.device.type, enabled=False):
        seen = (~mosaics.foreign).to(pixelated.dtype)
        values = pixelated * seen
        result = values.sum(dim=(2, 3), keepdim=True) / seen.sum(dim=(2, 3), keepdim=True).clamp(min=1)
        for sigma in reversed(SIGMAS):
            weight, total = (blur(plane, sigma, mirrored=False) for plane in (seen, values))
            result = torch.where(weight > LEAST_WEIGHT, total / weight.clamp(min=LEAST_WEIGHT), result)
    return torch.where(mosaics.foreign, result, pixelated)


@cache
def _gaussian(deviation: float) -> Tensor:
    radius = int(TRUNCATE * deviation + 0.5)
    kernel = torch.exp(-torch.arange(-radius, radius + 1).square() / (2 * deviation**2))
    return kernel / kernel.sum()


@cache
def _blurring(size: int, deviation: float, mirrored: bool, device: torch.device) -> Tensor:
    """Return the matrix of the convolution along an axis: on all devices quicker than a filter."""
    kernel = _gaussian(deviation)
    radius = len(kernel) // 2
    eye = torch.eye(size)[None, None]
    eye = _mirrored(eye, radius, 2) if mirrored else functional.pad(eye, (0, 0, radius, radius))
    return functional.conv2d(eye, kernel.view(1, 1, -1, 1))[0, 0].to(device)


def blur(x: Tensor, deviation: float, mirrored: bool = True) -> Tensor:
    """Return x (B, C, H, W) convolved with a Gaussian: `deepix.restorer.blur.blurred` for a batch."""
    down, across = (_blurring(size, deviation, mirrored, x.device) for size in x.shape[2:])
    return down @ x @ across.mT


def _mirrored(x: Tensor, radius: int, dim: int) -> Tensor:
    size = x.shape[dim]
    there = torch.arange(-radius, size + radius, device=x.device) % (2 * size)
    return x.index_select(dim, torch.where(there < size, there, 2 * size - 1 - there))


def _tensor(u: Tensor, free: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    first = u[:, :, 1:, 1:] - u[:, :, :-1, :-1]
    second = u[:, :, :-1, 1:] - u[:, :, 1:, :-1]
    products = torch.cat([first * first, first * second, second * second], dim=1)
    j11, j12, j22 = blur(products, TENSOR_SIGMA).view_as(products)[:, :, None].unbind(1)
    corners = free[:, :, 1:, 1:] | free[:, :, :-1, :-1] | free[:, :, 1:, :-1] | free[:, :, :-1, 1:]
    count = corners.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    trace = ((j11 + j22) * corners).sum(dim=(2, 3), keepdim=True) / count
    half = (j11 - j22) / 2
    root = torch.hypot(half, j12)
    weight = 1 / (EDGE_CONTRAST * trace + 2 * root + torch.finfo(u.dtype).tiny)
    return 1 - weight * (root + half), -weight * j12, 1 - weight * (root - half)


def _gradient(u: Tensor, tensor: tuple[Tensor, Tensor, Tensor] | None) -> Tensor:
    first = u[:, :, 1:, 1:] - u[:, :, :-1, :-1]
    second = u[:, :, :-1, 1:] - u[:, :, 1:, :-1]
    twist = 2 * MIXED_WEIGHT * ((u[:, :, 1:, 1:] - u[:, :, :-1, 1:]) - (u[:, :, 1:, :-1] - u[:, :, :-1, :-1]))
    if tensor is not None:
        d11, d12, d22 = tensor
        first, second = d11 * first + d12 * second, d12 * first + d22 * second
    result = torch.zeros_like(u)
    result[:, :, 1:, 1:] += first + twist
    result[:, :, :-1, :-1] += twist - first
    result[:, :, :-1, 1:] += second - twist
    result[:, :, 1:, :-1] -= second + twist
    return result


def _descend(
    u: Tensor, tensor: tuple[Tensor, Tensor, Tensor] | None, free: Tensor, mosaics: Mosaics, steps: int
) -> Tensor:
    cell, counts = mosaics.cell.flatten(1), mosaics.counts.clamp(min=1).to(u.dtype)

    def allowed(f: Tensor) -> Tensor:
        """Return the part of a force that moves neither known pixels nor means of cells."""
        values = f.flatten(1)
        means = torch.zeros_like(counts).scatter_add(1, cell, values) / counts
        if mosaics.foreign is not None:
            means[:, 0] = 0  # foreign pixels are free, and in no cell
        return (values - means.gather(1, cell)).view_as(f) * free

    def relaxed(residual: Tensor) -> Tensor:
        return allowed(residual + PRECONDITIONER_WEIGHT * blur(residual, PRECONDITIONER_SIGMA, mirrored=False))

    residual = -allowed(_gradient(u, tensor))
    direction = relaxed(residual)
    size = _dot(residual, direction)
    enough = torch.maximum(1e-6 * size, 1e-12 * _dot(u, u))
    for step in range(steps):
        product = allowed(_gradient(direction, tensor))
        # a picture that is done takes steps of length 0 from here on
        length = torch.where(size > enough, size / _dot(direction, product), 0)
        u = u + length * direction
        if step == steps - 1:
            break
        residual = residual - length * product
        towards = relaxed(residual)
        previous, size = size, _dot(residual, towards)
        direction = towards + torch.where(previous > enough, size / previous, 0) * direction
    return u


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=(1, 2, 3), keepdim=True)
