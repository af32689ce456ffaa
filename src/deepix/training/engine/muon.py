"""Muon (Jordan et al. 2024) for networks of convolutions, at a fraction of the time that PyTorch's takes on a CPU.

    m ← μ m + (1 − μ) g        w ← (1 − η λ) w − η · 0.2 √max(rows, columns) · orthogonalised(g + μ (m − g))

Each kernel is a matrix (outputs, the rest). The Newton–Schulz iteration that makes it nearly orthogonal is PyTorch's,
five steps of X ← a X + (b G + c G²) X with G = X Xᵀ, but runs on the small matrix G alone: X_k = Q_k X_0 with
Q ← Q (a + b G + c G²) and G ← P G P, P the polynomial, so that the long side takes part in two products instead of
ten; in float32 where the processor has no instructions for bfloat16; and shared out among the processes of a run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, distributed, nn

COEFFICIENTS = (3.4445, -4.775, 2.0315)
"""a, b, c of the iteration (Jordan et al. 2024): singular values end between about 0.7 and 1.2."""
STEPS = 5
"""Of the iteration."""
EPSILON = 1e-7
"""Least norm that a matrix is divided by."""
RMS = 0.2
"""Root mean square of a step over its rate, that of AdamW ("Muon is Scalable for LLM Training", Liu et al. 2025)."""


class Muon(torch.optim.Optimizer):
    """Muon for kernels and AdamW for biases and norms, in one, since Lightning wants one optimizer.

    Rates and decays suit both. Kernels are worked on as views, so they may lie in memory as they like.

    Parameters
    ----------
    groups : with `params` and `weight_decay`; parameters on the device on which they stay
    lr : learning rate
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float) -> None:
        super().__init__(groups, {"lr": lr})
        self._views: list[tuple[nn.Parameter, nn.Parameter]] = []
        self._inner: list[torch.optim.Optimizer] = []
        for group in self.param_groups:
            decay = {"lr": lr, "weight_decay": group["weight_decay"]}
            if group["params"][0].ndim > 1:
                views = [nn.Parameter(_as_matrix(p.data)) for p in group["params"]]
                self._views += zip(group["params"], views, strict=True)
                self._inner.append(_Matrices(views, **decay, adjust_lr_fn="match_rms_adamw"))
            else:
                self._inner.append(torch.optim.AdamW(group["params"], **decay))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step with the groups' rates."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for parameter, view in self._views:
            grad = parameter.grad
            view.grad = None if grad is None else _as_matrix(grad, like=parameter)
        for group, inner in zip(self.param_groups, self._inner, strict=True):
            inner.param_groups[0]["lr"] = group["lr"]
            inner.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the two inside."""
        return {"inner": [inner.state_dict() for inner in self._inner]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Set them."""
        for inner, state in zip(self._inner, state_dict["inner"], strict=True):
            inner.load_state_dict(state)


class _Matrices(torch.optim.Muon):
    """PyTorch's Muon, whose state and options it keeps, with a step of its own."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take a step; each of several processes orthogonalises some of the matrices."""
        group = self.param_groups[0]
        parameters = [p for p in group["params"] if p.grad is not None]
        grads = [p.grad for p in parameters]
        momenta = [self._momentum(p) for p in parameters]
        torch._foreach_lerp_(momenta, grads, 1 - group["momentum"])
        updates = torch._foreach_lerp(grads, momenta, group["momentum"])
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        for parameter, update in zip(parameters, all_orthogonalised(list(updates)), strict=True):
            parameter.add_(update, alpha=-group["lr"] * RMS * math.sqrt(max(parameter.shape)))

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum_buffer"]
        return momentum


def all_orthogonalised(matrices: list[Tensor]) -> list[Tensor]:
    """Return the matrices, (rows, columns) each, orthogonalised; processes that train together share the work."""
    together = distributed.is_available() and distributed.is_initialized()
    rank, world = (distributed.get_rank(), distributed.get_world_size()) if together else (0, 1)
    results = [torch.zeros_like(m) for m in matrices]
    shapes: dict[tuple[int, ...], list[int]] = {}
    for i, owner in enumerate(_owners(matrices, world)):
        if owner == rank:
            shapes.setdefault(tuple(matrices[i].shape), []).append(i)
    for indices in shapes.values():
        for i, result in zip(indices, orthogonalised(torch.stack([matrices[i] for i in indices])), strict=True):
            results[i].copy_(result)
    if world == 1:
        return results
    flat = torch.cat([r.flatten() for r in results])
    distributed.all_reduce(flat)
    return [part.view_as(m) for part, m in zip(torch.split(flat, [m.numel() for m in matrices]), matrices, strict=True)]


def _owners(matrices: list[Tensor], world: int) -> list[int]:
    """Return which process has which matrix, the products shared out evenly."""
    load = [0] * world
    owners = [0] * len(matrices)
    for i in sorted(range(len(matrices)), key=lambda i: -matrices[i].numel() * min(matrices[i].shape)):
        owners[i] = load.index(min(load))
        load[owners[i]] += matrices[i].numel() * min(matrices[i].shape)
    return owners


def orthogonalised(matrices: Tensor) -> Tensor:
    """Return matrices (N, rows, columns) with the same singular vectors and singular values of about 1.

    The same as `torch.optim.Muon` computes, up to rounding.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=EPSILON)
    gram = x @ x.mT
    product = torch.eye(x.shape[1], dtype=x.dtype, device=x.device).expand_as(gram)  # Q of X_k = Q X_0
    for _ in range(STEPS):
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        polynomial.diagonal(dim1=1, dim2=2).add_(a)
        product = polynomial @ product
        gram = polynomial @ gram @ polynomial
    result: Tensor = product @ x
    return result.mT if tall else result


def _as_matrix(tensor: Tensor, like: Tensor | None = None) -> Tensor:
    """Return a kernel as a matrix with its outputs as rows: a view, if it lies as `like` in memory."""
    like = tensor if like is None else like
    return (tensor if like.is_contiguous() else tensor.permute(0, 2, 3, 1)).flatten(1)
