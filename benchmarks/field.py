"""What people do to mosaics before we see them, and to their files: how well Deepix finds and restores them then.

    python benchmarks/field.py                               # all rows
    python benchmarks/field.py --rows uneven video --cases 12   # quicker: rows whose names begin so
    python benchmarks/field.py --rows uneven --keep DIR      # keeps each file, its truth and what was found
    python benchmarks/field.py --data DIR                    # the photos' archives are there, not in ../shared/data

Every case is drawn anew by its seed, row and number: a validation photo, mosaics as real programs make them, and what
real programs do to the file after that. Programs that are not installed are left out, and rows that need one, too; the
table names those that took part, with their versions. docs/field.md tells what each row is.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from field_case import Case
from field_programs import encoded, version
from field_rows import ROWS, Row
from field_scores import AT_LEAST, Told, verdicts
from finding import Photos, add_data

from deepix.mosaic import Mosaic

UNITS = {"mosaics": "{:.0f}", "median ratio": "{:.3f}"}
"""How figures are written that are not shares."""
DRAWS = 20
"""Photos that are tried for a case until one gives room for it."""


def cases(name: str, row: Row, photos: Photos, count: int, seed: int) -> Iterator[tuple[int, Case]]:
    """Yield a row's cases with their numbers; the same whatever other rows are drawn."""
    number = zlib.crc32(name.encode())
    order = np.random.default_rng([seed, number]).permutation(100_000)
    for i in range(count):
        for k in range(DRAWS):
            case = row.make(photos[int(order[i]) + k], np.random.default_rng([seed, number, i, k]))
            if case is not None:
                yield i, case
                break


def keep(folder: Path, name: str, number: int, case: Case, found: list[Mosaic], faults: list[str]) -> None:
    """Write a case's file, and its truth and what was found beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{number:03}{case.suffix}"
    path.write_bytes(case.content)
    if case.target is not None:
        path.with_name(f"{path.stem}-target.png").write_bytes(encoded(case.target, "PNG"))
    told = {
        "file": path.name,
        "how": case.how,
        "truth": [m.to_dict() for m in case.truth],
        "found": [m.to_dict() for m in found],
        "faults": faults,
    }
    path.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def measured(name: str, row: Row, photos: Photos, args: argparse.Namespace) -> dict[str, Any]:
    """Return a row's figures, bars and verdicts, and with what they were made."""
    score, programs, count = row.score(), set(), 0
    making = finding = 0.0
    start = time.process_time()
    for number, case in cases(name, row, photos, args.cases or row.cases, args.seed):
        making += time.process_time() - start
        start = time.process_time()
        faults, found = score.add(case)
        finding += time.process_time() - start
        count += 1
        programs |= case.programs
        if args.keep:
            keep(args.keep, name, number, case, found, faults)
        if args.misses:
            for fault in faults:
                print(f"{name} {number} ({'; '.join(case.how)}): {fault}", flush=True)
        start = time.process_time()
    figures = score.figures()
    return {
        "row": name,
        "cases": count,
        "figures": figures,
        "bars": row.bars,
        "reached": verdicts(figures, row.bars),
        "programs": {program: version(program) for program in sorted(programs)},
        "messages": dict(score.messages.most_common()) if isinstance(score, Told) else {},
        "seconds": {"making": making / max(count, 1), "finding": finding / max(count, 1)},
    }


def line(result: dict[str, Any]) -> str:
    """Return a row of the table."""
    texts = []
    for name, value in result["figures"].items():
        if value is not None:
            texts.append(f"{name} {UNITS.get(name, '{:.1f} %').format(value)}")
    bars = []
    for name, bar in result["bars"].items():
        sign = "≥" if name in AT_LEAST else "≤"
        verdict = {True: "reached", False: "**not reached**", None: "no figure"}[result["reached"][name]]
        bars.append(f"{name} {sign} {bar:g} %: {verdict}")
    programs = ", ".join(f"{name} {number}" for name, number in result["programs"].items())
    seconds = f"{result['seconds']['finding']:.2f} s"
    cells = (result["row"], str(result["cases"]), "; ".join(texts), "; ".join(bars) or "–", seconds, programs)
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=[""], metavar="NAME", help="only rows whose names begin so")
    parser.add_argument(
        "--cases", type=int, help="pictures of each row; otherwise 60, of clean ones 100, of photos 400"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write each case, its truth and what was found there")
    parser.add_argument("--misses", action="store_true", help="also list every fault")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--list", action="store_true", help="only name the rows")
    add_data(parser)
    args = parser.parse_args()
    rows = {name: row for name, row in ROWS.items() if any(name.startswith(chosen) for chosen in args.rows)}
    if not rows:
        parser.error(f"rows are {', '.join(ROWS)}")
    if args.list:
        print("\n".join(rows))
        return
    photos = Photos("field", args.seed, args.data)
    print(f"Photos: {photos.source}, seed {args.seed}.\n")
    print("| row | pictures | figures | bar | processor time a picture | made with |\n|" + " --- |" * 6)
    results = []
    for name, row in rows.items():
        if not row.possible:
            missing = ", ".join(program for program in row.needs if version(program) is None)
            print(f"| {name} | – | left out: {missing} is not installed | | | |", flush=True)
            continue
        results.append(measured(name, row, photos, args))
        print(line(results[-1]), flush=True)
    for result in results:
        for text, number in result["messages"].items():
            print(f"\n{result['row']}, {number} times: {text}")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
