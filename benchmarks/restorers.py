"""Speed and memory of our restorer beside the challenge winner's network, both through ONNX Runtime.

    python benchmarks/restorers.py --data ../shared/data/challenge-val.npz

Pictures are 64x64 with one random mosaic each, the first of --data. Ours is `deepix.restorer.each.estimate_each`:
everything from the pixelated picture to the restored one; "network alone" is the session's part of it; the smooth
start's time is given as a share of the network's in the same calls. The winner's is DeePixV1 (5,5,6,6,7,7,8)(3,5) with
random weights, which its speed does not depend on, given picture and mask. Each row is a process of its own; peak
memory is its largest resident set, with Python and the libraries; what PyTorch needs to write the winner's file is not
counted. Rates are the best of --runs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix import challenge

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "challenge-val.npz"
WINNER = "deepixv1:5,5,6,6,7,7,8:3,5"
NAME = "DeePixV1 (5,5,6,6,7,7,8)(3,5)"


def examples(path: Path, count: int) -> challenge.Examples:
    every = challenge.read_examples(path)
    return challenge.Examples(every.images[:count], every.mosaics[:count])


def write_winner(path: Path) -> None:
    import torch

    from deepix.training import networks
    from deepix.training.data.samples import Sample
    from deepix.training.operators import Mosaics

    network = networks.create(WINNER).eval()

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, pixelated: torch.Tensor, cell: torch.Tensor) -> torch.Tensor:
            nothing = torch.zeros(0)
            return self.network.restore(Sample(None, pixelated, Mosaics(cell, nothing, nothing)))

    batch = torch.export.Dim("batch", min=1)
    given = (torch.rand(2, 1, 64, 64), torch.zeros(2, 64, 64, dtype=torch.int64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Plain(),
            given,
            path,
            input_names=["pixelated", "cell"],
            dynamic_shapes={"pixelated": {0: batch}, "cell": {0: batch}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def best_rate(restore: Callable[[int], Any], batch: int, runs: int) -> float:
    restore(batch)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        restore(batch)
        times.append(time.perf_counter() - start)
    return batch / min(times)


def measure(what: str, data: Path, runs: int, threads: int) -> dict[str, Any]:
    """Return pictures per second at batch 1 and 64, and the peak memory in MiB; in a process of its own."""
    import onnxruntime

    from deepix import threads as limits
    from deepix.restorer import model as restorer_model
    from deepix.restorer.each import WINDOW, estimate_each

    ours = examples(data, 64)
    pixelated, mosaics = ours.pixelated(), ours.mosaics
    restore: Callable[[int], Any]
    if what.endswith(".onnx"):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(what, options, providers=["CPUExecutionProvider"])
        planes = pixelated[:, None].astype(np.float32) / 255
        cell: NDArray[np.int64] = (~ours.known()).astype(np.int64)

        def restore(n: int) -> Any:
            return session.run(None, {"pixelated": planes[:n], "cell": cell[:n]})
    elif what == "network alone":
        with limits.limit(threads):
            model = restorer_model.load("challenge")
        given = np.random.default_rng(0).random((64, 7, WINDOW, WINDOW), np.float32)

        def restore(n: int) -> Any:
            return model(given[:n])
    else:

        def restore(n: int) -> Any:
            with limits.limit(threads):
                return estimate_each(pixelated[:n], mosaics[:n], "challenge", challenge.ROUNDING)

    single, many = best_rate(restore, 1, 8 * runs), best_rate(restore, 64, runs)
    shares = [start_share(restore, n) for n in (1, 64)] if what == "ours" else []
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"1": single, "64": many, "peak": peak / 2**20, "shares": shares}


def start_share(restore: Callable[[int], Any], n: int, calls: int = 25) -> float:
    """Return the least time that the smooth start took in a call, over the network's least time."""
    from deepix.restorer import each
    from deepix.restorer.model import Restorer

    seconds: dict[str, list[float]] = {"start": [], "network": []}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            begun = time.perf_counter()
            result = function(*arguments)
            seconds[name].append(time.perf_counter() - begun)
            return result

        return call

    watched: list[tuple[Any, str, str]] = [(each, "smooth_each", "start"), (Restorer, "__call__", "network")]
    originals = [getattr(where, what) for where, what, _ in watched]
    for (where, what, name), original in zip(watched, originals, strict=True):
        setattr(where, what, timed(name, original))
    for _ in range(calls):
        restore(n)
    for (where, what, _), original in zip(watched, originals, strict=True):
        setattr(where, what, original)
    return min(seconds["start"]) / min(seconds["network"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="what deepix challenge prepare wrote")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.data.is_file():
        parser.error(f"{arguments.data}: no such file; give another with --data")
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.data, arguments.runs, arguments.threads)))
        return
    with tempfile.TemporaryDirectory() as folder:
        winner = Path(folder) / "winner.onnx"
        write_winner(winner)
        rows = {}
        for name, what in ((NAME, str(winner)), ("ours", "ours"), ("network alone", "network alone")):
            command = [sys.executable, __file__, "--measure", what, "--data", str(arguments.data)]
            command += ["--runs", str(arguments.runs), "--threads", str(arguments.threads)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            rows[name] = json.loads(output.splitlines()[-1])
    first = rows[NAME]
    print(f"{arguments.threads} threads\n")
    print("| restorer | pictures/s, batch 1 | batch 64 | peak memory | times as fast |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, row in rows.items():
        times = f"{row['1'] / first['1']:.1f}, {row['64'] / first['64']:.1f}"
        print(f"| {name} | {row['1']:.1f} | {row['64']:.1f} | {row['peak']:.0f} MiB | {times} |")
    single, many = rows["ours"]["shares"]
    print(f"\nThe smooth start takes {100 * single:.0f} % of the network's time at batch 1, {100 * many:.0f} % at 64.")


if __name__ == "__main__":
    main()
