"""Times a whole challenge: a test set of 6,635 pictures in the course's format, from file to score.

    python benchmarks/challenge_testset.py [--model FILE.safetensors] … [--data ARCHIVE|FOLDER …]

The pictures are those of `../shared/data/{bsds500-val,imagenet-sample-val-200,clothing-val-300}.zip`, or of --data,
again and again until there are enough. They serve to measure time: the scores say only that all models saw the same
pictures.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from shared_data import DATA, archives, need

from deepix import challenge, sources
from deepix.errors import InputError

ARCHIVES = ("bsds500-val.zip", "imagenet-sample-val-200.zip", "clothing-val-300.zip")
STAGES = ("read", "restore", "write", "score")


def pictures(paths: Sequence[Path], count: int) -> NDArray[np.uint8]:
    """Return `count` prepared pictures, uint8 (count, 64, 64)."""
    found = challenge.prepare_all(sources.read(path) for path in paths)
    whole = list(islice((p for p in found if not isinstance(p, InputError)), count))
    if not whole:
        raise SystemExit(f"{', '.join(map(str, paths))}: no picture that can be read")
    return np.stack(list(islice(cycle(whole), count)))


def measure(model: str, test_set: Path, truth: Path, submission: Path) -> tuple[dict[str, float], challenge.Score]:
    """Return each stage's seconds and the score."""
    times = [time.perf_counter()]
    pixelated, known, mosaics = challenge.read_task(test_set)
    times.append(time.perf_counter())
    restore = challenge.restorer(model)
    with Console(stderr=True).status(model):
        estimates = restore(pixelated, mosaics, None)
    times.append(time.perf_counter())
    challenge.write_submission(submission, challenge.predictions(estimates, known), overwrite=True)
    times.append(time.perf_counter())
    score = challenge.score_file(submission, truth)
    times.append(time.perf_counter())
    return dict(zip(STAGES, np.diff(times).tolist(), strict=True)), score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", action="append", default=[], metavar="FILE", help="weights, or a run's folder")
    parser.add_argument("--count", type=int, default=challenge.COUNT, help="pictures (default: %(default)s)")
    parser.add_argument("--data", type=Path, nargs="+", help="archives or folders of pictures")
    arguments = parser.parse_args()

    paths = arguments.data or archives(DATA, *ARCHIVES)
    need(*paths)
    source, images = " and ".join(p.name for p in paths), pictures(paths, arguments.count)
    rng = np.random.default_rng(0)
    mosaics = [challenge.random_mosaic(rng) for _ in images]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        test_set, truth = folder / "test_set.pkl", folder / "truth.npz"
        challenge.write_examples(truth, images, mosaics)
        challenge.write_test_set(test_set, challenge.Examples(images, mosaics).test_set())
        size = test_set.stat().st_size / 1e6
        print(f"{len(images):,} pictures ({source}), test set of {size:.1f} MB; {platform.machine()}\n")
        print(f"| model | {' | '.join(f'{s} (s)' for s in STAGES)} | total (s) | pictures/s | pooled | per picture |")
        print("|" + " --- |" * (len(STAGES) + 5))
        limits = []
        for model in track(["identity", "smooth", *arguments.model], console=Console(stderr=True), transient=True):
            seconds, score = measure(model, test_set, truth, folder / "submission")
            total = sum(seconds.values())
            title = Path(model).name
            cells = [f"{seconds[s]:.2f}" for s in STAGES]
            cells += [f"{total:.2f}", f"{len(images) / total:,.0f}", f"{score.pooled:.3f}", f"{score.per_picture:.3f}"]
            print(f"| {title} | {' | '.join(cells)} |", flush=True)
            slowest = max(seconds, key=seconds.__getitem__)
            limits.append(f"{title}: {slowest}, {seconds[slowest] / total:.0%} of the time")
    print("\nWhat limits: " + "; ".join(limits) + ".")


if __name__ == "__main__":
    main()
