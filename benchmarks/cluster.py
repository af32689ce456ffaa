"""Many machines, played by processes of this one: a demonstration, a bucket of tiny pictures, more nodes, Ray Data.

    python benchmarks/cluster.py demo [--output cluster-demo]
    python benchmarks/cluster.py bucket [--count 10000] [--minutes 15] [--plot docs/cluster-memory.png]
    python benchmarks/cluster.py nodes [--count 60]
    python benchmarks/cluster.py data [--count 200]

`demo` starts two nodes and restores scikit-image's photos, pixelated. `bucket` restores tiny pictures from one folder
of moto's S3 server to another, without networks, and samples the resident set of the program and of the cluster's
actors once a second; it stops after --minutes, if it has not come to its end. `nodes` restores photos of 640 x 480 by
one node and by two, start-up apart. `data` lets our actors and Ray Data's do the same small pictures, one of which
kills its process. All over loopback; processor time is the whole machine's, on which nothing else should be at work.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from batch import resident, write_photos
from PIL import Image
from skimage import data

from deepix.mosaic import Mosaic, pixelate

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import cluster_cases  # type: ignore[import-not-found]
import cluster_work
import many_cases  # type: ignore[import-not-found]

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


def bucket(count: int, plot: Path | None, minutes: float, nice: int) -> None:
    rng = np.random.default_rng(0)
    photo = np.asarray(data.astronaut())  # type: ignore[no-untyped-call]
    with pytest.MonkeyPatch.context() as patch, cluster_cases.bucket(patch, "tiny") as store:
        for i in range(count):
            y, x = (int(v) for v in rng.integers(0, 512 - 48, 2))
            file = io.BytesIO()
            cut = pixelate(photo[y : y + 48, x : x + 48], [Mosaic.rectangle(8, 8, 30, 30, 6)])
            Image.fromarray(cut).save(file, "PNG")
            store.pipe_file(f"tiny/in/{i // 5000}/{i:06}.png", file.getvalue())
        options = ("--engine", "ray", "--workers", "2", "--fast", "--method", "smooth", "--json")
        command = [*PROGRAM, "restore", "s3://tiny/in", "-o", "s3://tiny/out", *options]
        with tempfile.NamedTemporaryFile() as said:
            samples = _watched(command, Path(said.name), minutes, nice)
        made = sum(key.endswith(".png") for key in store.find("tiny/out"))
        parts = store.find("tiny/out/.deepix-restore")
        entries = sum(store.cat_file(key).count(b'"input"') for key in parts)
    begun = next(i for i, one in enumerate(samples) if one.results)
    first, last = samples[begun], samples[-1]
    rate = (last.results - first.results) / max(1e-9, last.seconds - first.seconds)
    print(
        f"{last.results} of {count} pictures in {last.seconds:.0f} s; {rate:.1f} a second after {first.seconds:.0f} s"
    )
    print(f"{made} outputs, {entries} entries of the manifest in {len(parts)} parts")
    print("| after | pictures | program, MiB | largest actor, MiB |\n| ---: | ---: | ---: | ---: |")
    for part in range(6):
        one = samples[begun + part * (len(samples) - 1 - begun) // 5]
        print(f"| {one.seconds:.0f} s | {one.results:,} | {one.program:.0f} | {one.actor:.0f} |")
    if plot is not None:
        _draw(samples, plot)


class Sample(NamedTuple):
    """How far a run is, and what it holds, in MiB."""

    seconds: float
    results: int
    program: float
    actor: float


def _watched(command: list[str], said: Path, minutes: float, nice: int) -> list[Sample]:
    """Run a command; return a sample of each second. After so many minutes it is interrupted."""
    start = time.perf_counter()
    samples: list[Sample] = []
    lines = 0
    with said.open("wb") as out, said.open("rb") as told:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            lines += told.read().count(b"\n")
            actors = _actors()
            for pid in [process.pid, *actors] if lines else ():
                with suppress(OSError):  # once they are up: Ray gives its helpers little time for that
                    os.setpriority(os.PRIO_PROCESS, pid, nice)
            largest = max(map(resident, actors), default=0.0)
            samples.append(Sample(time.perf_counter() - start, lines, resident(process.pid), largest))
            if samples[-1].seconds > 60 * minutes:
                process.send_signal(signal.SIGINT)
                process.wait()
                print(f"interrupted after {minutes:g} minutes")
                return samples
            time.sleep(1)
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}")
    return samples


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


def _draw(samples: list[Sample], plot: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    results = [one.results for one in samples]
    axes.plot(results, [one.program for one in samples], label="the program")
    axes.plot(results, [one.actor for one in samples], label="the largest actor")
    axes.set(xlabel="pictures done", ylabel="resident set, MiB", ylim=(0, None), title="Tiny pictures over S3")
    axes.legend()
    figure.savefig(plot, dpi=100)


def processor_seconds() -> float:
    """Return the processor time of the whole machine, on Linux: not all of Ray's processes have this one above them."""
    user, nice, system, *_ = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def nodes(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        write_photos(Path(name) / "in", count)
        write_photos(Path(name) / "few", 2)
        for number in (1, 2, 1, 2):
            with cluster_cases.cluster(number) as made:
                took, worked = [], []
                for folder in ("few", "in"):
                    out = Path(name) / f"out-{number}-{folder}"
                    options = ("--engine", "ray", "--address", made.address, "-q", "--overwrite")
                    start, before = time.perf_counter(), processor_seconds()
                    subprocess.run([*PROGRAM, "restore", f"{name}/{folder}", "-o", str(out), *options], check=True)
                    took.append(time.perf_counter() - start)
                    worked.append(processor_seconds() - before)
            print(
                f"{number} nodes: {(count - 2) / (took[1] - took[0]):.2f} pictures a second, start-up {took[0]:.1f} s; "
                f"processor {(worked[1] - worked[0]) / (count - 2):.3f} s a picture"
            )


def by_data(count: int) -> None:
    """Compare our actors with Ray Data's, on sound pictures, and with one among them that kills its process."""
    with tempfile.TemporaryDirectory() as name:
        root = many_cases.photos(Path(name) / "in", count)
        for poison in (False, True):
            if poison:
                middle = root / f"{count // 200:02}" / f"{count // 2:05}.png"
                middle.rename(middle.with_name(cluster_work.POISON))
            for way in ("actors", "data") if poison else ("actors", "data", "actors", "data"):
                out = Path(name) / f"out-{way}-{poison}"
                shutil.rmtree(out, ignore_errors=True)
                start, before = time.perf_counter(), processor_seconds()
                command = [sys.executable, cluster_work.__file__, way, str(root), str(out)]
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                said = process.communicate()[0].splitlines()
                made = len(list(out.rglob("*.png")))
                print(
                    f"{way}{', one kills its process' if poison else ''}: {made} results of {count} pictures, "
                    f"{time.perf_counter() - start:.1f} s; {said[-1] if said else f'exit code {process.returncode}'}; "
                    f"{processor_seconds() - before:.1f} s of processor in all"
                )


def main() -> None:
    """Run as the module's text says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("demo", "bucket", "nodes", "data"))
    parser.add_argument("--count", type=int)
    parser.add_argument("--output", type=Path, default=Path("cluster-demo"))
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--minutes", type=float, default=15, help="after which the bucket is left as it is")
    parser.add_argument("--nice", type=int, default=0, help="of the bucket's program and actors, once they are up")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if arguments.what == "demo":
        demo(arguments.output)
    elif arguments.what == "bucket":
        bucket(arguments.count or 10_000, arguments.plot, arguments.minutes, arguments.nice)
    elif arguments.what == "data":
        by_data(arguments.count or 200)
    else:
        nodes(arguments.count or 60)


if __name__ == "__main__":
    main()
