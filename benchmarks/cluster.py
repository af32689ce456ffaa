"""Many machines, played by processes of this one: a demonstration, a bucket of tiny pictures, growth by nodes.

    python benchmarks/cluster.py demo [--output cluster-demo]
    python benchmarks/cluster.py bucket [--count 10000] [--plot docs/cluster-memory.png]
    python benchmarks/cluster.py nodes [--count 60]

`demo` starts two nodes and restores scikit-image's photos, pixelated. `bucket` restores tiny pictures from one folder
of moto's S3 server to another, without networks, and samples the resident set of the program and of the cluster's
actors once a second. `nodes` restores photos of 640 x 480 by one node and by two, start-up apart. All over loopback.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from batch import resident, write_photos
from PIL import Image
from skimage import data

from deepix.mosaic import Mosaic, pixelate

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import cluster_cases  # type: ignore[import-not-found]

PROGRAM = (sys.executable, "-m", "deepix")


def demo(output: Path) -> None:
    with tempfile.TemporaryDirectory() as name, cluster_cases.cluster(2) as made:
        folder = Path(name)
        for photo in ("chelsea", "coffee", "astronaut", "rocket"):
            whole = np.asarray(getattr(data, photo)())
            mosaic = Mosaic.rectangle(whole.shape[1] // 3, whole.shape[0] // 4, 120, 100, 10)
            Image.fromarray(pixelate(whole, [mosaic])).save(folder / f"{photo}.png")
        options = ("--engine", "ray", "--address", made.address, "--compare", "--resume")
        subprocess.run([*PROGRAM, "restore", str(folder), "-o", str(output), *options], check=True)


def bucket(count: int, plot: Path | None) -> None:
    rng = np.random.default_rng(0)
    photo = np.asarray(data.astronaut())  # type: ignore[no-untyped-call]
    with pytest.MonkeyPatch.context() as patch, cluster_cases.bucket(patch, "tiny") as store:
        for i in range(count):
            y, x = (int(v) for v in rng.integers(0, 512 - 48, 2))
            file = io.BytesIO()
            cut = pixelate(photo[y : y + 48, x : x + 48], [Mosaic.rectangle(8, 8, 30, 30, 6)])
            Image.fromarray(cut).save(file, "PNG")
            store.pipe_file(f"tiny/in/{i // 5000}/{i:06}.png", file.getvalue())
        options = ("--engine", "ray", "--workers", "2", "--fast", "--method", "smooth", "--summary", "-q")
        start = time.perf_counter()
        process = subprocess.Popen([*PROGRAM, "restore", "s3://tiny/in", "-o", "s3://tiny/out", *options])
        samples = []
        while process.poll() is None:
            actors = [resident(pid) for pid in _actors()]
            samples.append((time.perf_counter() - start, resident(process.pid), max(actors, default=0.0)))
            time.sleep(1)
        made = sum(key.endswith(".png") for key in store.find("tiny/out"))
        parts = store.find("tiny/out/.deepix-restore")
        entries = sum(store.cat_file(key).count(b'"input"') for key in parts)
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}")
    seconds = samples[-1][0]
    print(f"{count} pictures in {seconds:.0f} s ({count / seconds:.1f} a second), ")
    print(f"{made} outputs, {entries} entries of the manifest in {len(parts)} parts")
    for at in (0.1, 0.25, 0.5, 0.75, 0.95):
        second, program, actor = samples[int(at * len(samples))]
        print(f"after {second:.0f} s: program {program:.0f} MiB, largest actor {actor:.0f} MiB")
    if plot is not None:
        _draw(samples, plot, count)


def _actors() -> list[int]:
    """Return the processes of this machine that are actors of the engine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::Actor"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def _draw(samples: list[tuple[float, float, float]], plot: Path, count: int) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    seconds, program, actor = zip(*samples, strict=True)
    axes.plot(seconds, program, label="the program")
    axes.plot(seconds, actor, label="the largest actor")
    axes.set(xlabel="seconds", ylabel="resident set, MiB", ylim=(0, None), title=f"{count:,} tiny pictures over S3")
    axes.legend()
    figure.savefig(plot, dpi=100)


def nodes(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        write_photos(Path(name) / "in", count)
        write_photos(Path(name) / "few", 2)
        for number in (1, 2, 1, 2):
            with cluster_cases.cluster(number) as made:
                took = []
                for folder in ("few", "in"):
                    out = Path(name) / f"out-{number}-{folder}"
                    options = ("--engine", "ray", "--address", made.address, "-q", "--overwrite")
                    start = time.perf_counter()
                    subprocess.run([*PROGRAM, "restore", f"{name}/{folder}", "-o", str(out), *options], check=True)
                    took.append(time.perf_counter() - start)
            print(
                f"{number} nodes: {(count - 2) / (took[1] - took[0]):.2f} pictures a second, start-up {took[0]:.1f} s"
            )


def main() -> None:
    """Run as the module's text says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("demo", "bucket", "nodes"))
    parser.add_argument("--count", type=int)
    parser.add_argument("--output", type=Path, default=Path("cluster-demo"))
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if arguments.what == "demo":
        demo(arguments.output)
    elif arguments.what == "bucket":
        bucket(arguments.count or 10_000, arguments.plot)
    else:
        nodes(arguments.count or 60)


if __name__ == "__main__":
    main()
