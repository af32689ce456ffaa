"""Two thousand files, 3 % of them broken in every way; killed at ten random moments, and gone on with.

`make torture` runs it; TORTURE says how many files. It is left out of `make test`, which has the same in small.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import many_cases as cases
import pytest

COUNT = int(os.environ.get("TORTURE", "0"))
SHARE, KILLS = 0.03, 10
MANIFEST = "deepix-restore.jsonl"


@pytest.mark.skipif(not COUNT, reason="make torture runs it")
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("workers", [1, 2])
def test_many_files_killed_at_ten_moments_are_as_if_never_interrupted(tmp_path: Path, workers: int) -> None:
    moments = random.Random(0)
    root = cases.photos(tmp_path / "photos", COUNT, size=100)
    for number, path in enumerate(moments.sample(sorted(root.rglob("*.png")), int(SHARE * COUNT))):
        cases.broken(path, number % cases.BROKEN)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ("--resume", "--workers", workers, "--summary", "-q", *cases.FAST)
    one = cases.call("restore", root, "-o", whole, *options, code=1)
    command = ("restore", root, "-o", parts, *options)
    struck = cases.killed(command, moments, KILLS, COUNT // (KILLS + 1), parts / MANIFEST)
    done = cases.call(*command, code=1)
    print(f"{COUNT} files, workers {workers}, {struck} kills that struck; {one.stdout.strip()}")
    print(f"resumed: {done.stdout.strip()}")
    assert struck == KILLS
    assert json.loads(done.stdout)["summary"]["earlier"] > COUNT // 4
    assert cases.content(parts) == cases.content(whole)  # hidden files too: no stray one
    assert cases.entries(parts / MANIFEST) == cases.entries(whole / MANIFEST)
