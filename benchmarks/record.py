"""A record of what Deepix finds and restores, bit for bit: to compare the same pictures before and after a change.

    python benchmarks/record.py --inputs DIR --output before.json       # DIR is filled from --data where it is empty
    python benchmarks/record.py --inputs DIR --compare before.json      # prints every difference; 1 if there is any
    python benchmarks/record.py --inputs DIR --compare before.json --every 10 --only mask

About 350 cases: the classes of `locating.py` and `finding.py`, clean pictures and hard negatives, files of many kinds,
everything that a user may say (areas, masks, methods, …), the 64x64 challenge, whole commands. Kept are the mosaics
with all digits of their confidences, SHA-256 sums of masks, restored pixels and uncertainties, and for commands what
they print and the sums of the files they write. The code is that of the
installation, or another checkout's with `PYTHONPATH=other/src`.

Only what is public is called, so that the record outlives any rebuilding. The last bits depend on the processor, the
number of its cores and the versions of NumPy and ONNX Runtime: the record names them, compare like with like.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from shared_data import DATA, archives

import deepix

Case = dict[str, Any]
Record = dict[str, Any]
CASES = "cases.json"
TIMES = ("seconds",)
"""Keys of what commands print that are different each time."""


def checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def array_sum(array: Any) -> str | None:
    """Return an array's type, shape and SHA-256; None stays None."""
    if array is None:
        return None
    array = np.ascontiguousarray(array)
    return f"{array.dtype} {'x'.join(map(str, array.shape))} {checksum(array.tobytes())}"


def mosaic(m: deepix.Mosaic) -> Record:
    """Return a mosaic with all digits, and its mask's sum."""
    result = m.to_dict()
    if "mask" in result:
        result["mask"] = array_sum(m.mask)
    return result


def given(case: Case, folder: Path) -> Any:
    """Return the picture in the way the case gives it: a path, bytes, a PIL image or an array."""
    path = folder / case["file"]
    match case["given"]:
        case "path":
            return path
        case "bytes":
            return path.read_bytes()
        case "pil":
            return Image.open(path)
        case "array":
            return np.asarray(Image.open(path))
        case "cv2":
            import cv2

            array = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if array is None:
                raise SystemExit(f"{path}: cannot be read")
            return np.ascontiguousarray(array[..., ::-1])
        case other:
            raise SystemExit(f"{CASES}: {other!r} is no way to give a picture")


def find(case: Case, folder: Path) -> Record:
    return {"mosaics": [mosaic(m) for m in deepix.find(given(case, folder), **case["options"])]}


def restore(case: Case, folder: Path) -> Record:
    options = dict(case["options"])
    if "mosaics" in options:
        options["mosaics"] = [deepix.Mosaic.from_dict(m) for m in options["mosaics"]]
    if "areas" in options:
        options["areas"] = [tuple(area) for area in options["areas"]]
    if "mask" in options:
        options["mask"] = np.asarray(Image.open(folder / options["mask"]))
    result = deepix.restore(given(case, folder), **options)
    image = result.image
    return {
        "mosaics": [mosaic(m) for m in result.mosaics],
        "unsure": [mosaic(m) for m in result.unsure],
        "consistency": result.consistency,
        "noise": result.noise,
        "mode": getattr(image, "mode", "array"),
        "restored": array_sum(image),
        "uncertainty": array_sum(result.uncertainty),
        "mean uncertainties": result.mean_uncertainties,
    }


def command(case: Case, folder: Path) -> Record:
    """Run the command line on a copy of the file, in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        source = place / case["file"]
        source.write_bytes((folder / case["file"]).read_bytes())
        arguments = [a.replace("INPUT", case["file"]) for a in case["options"]["arguments"]]
        arguments = [a.replace("FOLDER", str(folder.resolve())) for a in arguments]
        done = subprocess.run(
            [sys.executable, "-m", "deepix", *arguments], cwd=place, capture_output=True, text=True, check=False,
            env=os.environ | {"COLUMNS": "200"},
        )  # fmt: skip
        written = {p.relative_to(place).as_posix(): p for p in sorted(place.rglob("*")) if p.is_file()}
        return {
            "exit": done.returncode,
            "printed": [_without_times(line) for line in done.stdout.splitlines()],
            "files": {n: checksum(p.read_bytes()) for n, p in written.items()},
            "pictures": {n: array_sum(Image.open(p)) for n, p in written.items() if n.endswith((".png", ".jpg"))},
        }


def _without_times(line: str) -> Any:
    try:
        report = json.loads(line)
    except ValueError:
        return line
    return {k: v for k, v in report.items() if k not in TIMES} if isinstance(report, dict) else report


CALLS: dict[str, Callable[[Case, Path], Record]] = {"find": find, "restore": restore, "command": command}


def recorded(case: Case, folder: Path) -> Record:
    """Return what comes of a case; an error is a result, too."""
    try:
        return CALLS[case["call"]](case, folder)
    except deepix.DeepixError as error:
        return {"error": f"{type(error).__name__}: {error}".replace(str(folder), "DIR")}


def machine() -> Record:
    """Return what the last bits depend on."""
    names = ("numpy", "pillow", "scipy", "onnxruntime")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": platform.machine(), "cores": cores, **{name: version(name) for name in names}}


def differences(before: Any, after: Any, where: str = "") -> Iterator[str]:
    """Yield a line for each value that differs."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before | after:
            if key not in after:
                yield f"{where}/{key}: gone; was {_short(before[key])}"
            elif key not in before:
                yield f"{where}/{key}: new: {_short(after[key])}"
            else:
                yield from differences(before[key], after[key], f"{where}/{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{where}/{i}")
    elif before != after or type(before) is not type(after):
        yield f"{where}: {_short(before)} -> {_short(after)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 300 else f"{text[:297]}..."


def chosen(cases: list[Case], every: int, only: str) -> list[Case]:
    """Return those whose names contain `only`, and of these each so many-th."""
    return [case for case in cases if only in case["name"]][::every]


def run(cases: list[Case], folder: Path) -> dict[str, Record]:
    """Go through the cases; the JSON text decides what is equal, as it is what is kept."""
    start, results = time.monotonic(), {}
    for number, case in enumerate(cases, 1):
        results[case["name"]] = json.loads(json.dumps(recorded(case, folder), default=float))
        if sys.stderr.isatty() or number % 50 == 0 or number == len(cases):
            print(f"{number} of {len(cases)}, {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    return results


def compare(before: Record, results: dict[str, Record]) -> int:
    """Print every difference; return how many cases differ."""
    for what in differences(before["machine"], machine(), "machine"):
        print(f"{what}: last bits may differ for this")
    count = 0
    for name, result in results.items():
        lines = [*differences(before["cases"].get(name, {}), result)]
        count += bool(lines)
        for line in lines:
            print(f"{name} {line}", flush=True)
    print(f"{len(results)} cases, {count} of them different")
    return count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=Path, required=True, help="the folder of cases, filled where it is empty")
    parser.add_argument("--data", type=Path, default=DATA, help="the pictures that cases are drawn from")
    parser.add_argument("--output", type=Path, help="write the record")
    parser.add_argument("--compare", type=Path, help="an earlier record of the same inputs")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each so many-th case")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose names contain this")
    args = parser.parse_args()
    if not (args.inputs / CASES).is_file():
        import record_inputs

        archives(args.data, *record_inputs.ARCHIVES, record_inputs.CHALLENGE)
        record_inputs.make(args.data, args.inputs)
    cases = chosen(json.loads((args.inputs / CASES).read_text(encoding="utf-8")), args.every, args.only)
    before = json.loads(args.compare.read_text(encoding="utf-8")) if args.compare else None
    results = run(cases, args.inputs)
    if args.output:
        text = json.dumps({"machine": machine(), "cases": results}, indent=1)
        args.output.write_text(text + "\n", encoding="utf-8")
        print(f"{args.output}: {len(results)} cases")
    return int(compare(before, results) > 0) if before else 0


if __name__ == "__main__":
    sys.exit(main())
