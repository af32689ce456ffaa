"""How many pictures per second the random mosaics of training make: `python benchmarks/mosaics.py [--device cuda]`.

Prints a Markdown table. Each row is one thing that training does with a batch; "sample" is all that a training step
needs: draw mosaics, find their cells, pixelate. Target: 20,000 64x64 pictures per second on one GPU, 2,000 on two
cores. The median of several repetitions counts.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from deepix.training import operators
from deepix.training.data import samples
from deepix.training.data.random_mosaics import CHALLENGE, Ranges
from deepix.training.operators import TRUNCATED, Mosaics

REPETITIONS = 7


def pictures_per_second(step: Callable[[], object], batch: int, device: torch.device, seconds: float) -> float:
    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    step()
    wait()
    start = time.perf_counter()
    step()
    wait()
    steps = max(1, int(seconds / REPETITIONS / (time.perf_counter() - start)))
    rates = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        for _ in range(steps):
            step()
        wait()
        rates.append(steps * batch / (time.perf_counter() - start))
    return statistics.median(rates)


def forward_and_backward(estimate: Tensor, pixelated: Tensor, ours: Mosaics) -> None:
    estimate = estimate.detach().requires_grad_()
    operators.project(estimate, pixelated, ours, TRUNCATED).square().sum().backward()  # type: ignore[no-untyped-call]


def main() -> None:
    parser = argparse.ArgumentParser(description="Pictures per second of the tensor mosaics.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="of the CPU")
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    size, channels = arguments.size, arguments.channels
    # a network's large tensors teach the C library to keep freed memory; without, it asks the kernel for every tensor
    # anew, which takes as long as the mosaics
    torch.zeros(2**22, device=device)
    print(f"{name}, {size}x{size} pictures of {channels} channels, PyTorch {torch.__version__}\n")
    print("| pictures per second |", *(f"batch {batch} |" for batch in arguments.batch))
    print("| --- |", *("--- |" for _ in arguments.batch))

    photos = Ranges((8, size), (8, size), (4, 24), count=(1, 4), square=False, corner=False)
    rows: dict[str, list[float]] = {}
    for batch in arguments.batch:
        generator = torch.Generator().manual_seed(0)
        shape = (batch, channels, size, size)
        truth = torch.randint(256, shape, generator=generator).to(device) / 255
        estimate = torch.rand(shape, generator=generator).to(device)
        _, pixelated, ours = samples.sample(truth, CHALLENGE, generator)
        steps: dict[str, Callable[[], object]] = {
            "sample (challenge)": partial(samples.sample, truth, CHALLENGE, generator),
            "sample (up to 4 mosaics, any cells)": partial(samples.sample, truth, photos, generator),
            "pixelate": partial(operators.pixelate, truth, ours),
            "coordinates": ours.coordinates,
            "project": partial(operators.project, estimate, pixelated, ours, TRUNCATED),
            "project, forward and backward": partial(forward_and_backward, estimate, pixelated, ours),
        }
        for what, step in steps.items():
            rate = pictures_per_second(step, batch, device, arguments.seconds)
            rows.setdefault(what, []).append(rate)
    for what, rates in rows.items():
        print(f"| {what} |", *(f"{rate:,.0f} |" for rate in rates))


if __name__ == "__main__":
    main()
