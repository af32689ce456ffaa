"""What a file of the challenge holds, and whether it fits another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepix.challenge import pickles
from deepix.challenge.reading import read_bytes
from deepix.challenge.scoring import check_lengths, read_truths
from deepix.challenge.sets import infer_mosaics, read_examples, read_test_set, recognise
from deepix.challenge.submission import read_submission
from deepix.errors import InputError


def inspect(path: str | Path, against: str | Path | None = None) -> dict[str, Any]:
    """Say what a file of the challenge holds.

    Parameters
    ----------
    path : a submission, a test set, or an .npz file of true pictures
    against : a test set or a file of truths that a submission must fit

    Returns
    -------
    `kind` ("submission", "test set" or "true pictures"), `count`, `pixels` (unknown ones), and [least, greatest] of
    the predictions' `length`, or of the mosaics' `width`, `height` and `cell`

    Raises
    ------
    InputError : the file is none of these or broken, or the submission does not fit
    """
    path = Path(path)
    kind = recognise(read_bytes(path))
    if kind == "submission":
        lengths = [len(p) for p in read_submission(path)]
        if against is not None:
            try:
                check_lengths(lengths, _unknown_counts(Path(against)))
            except ValueError as error:
                raise InputError(f"{path}: does not fit {against}: {error}") from None
        return {"kind": kind, "count": len(lengths), "pixels": sum(lengths), "length": _range(lengths)}
    if against is not None:
        raise InputError(f"{path}: not a submission, so it cannot be held against {against}")
    if kind == "npz":
        mosaics, description = read_examples(path).mosaics, "true pictures"
    else:
        mosaics, description = infer_mosaics(path, read_test_set(path)), "test set"
    return {
        "kind": description,
        "count": len(mosaics),
        "pixels": sum(m.width * m.height for m in mosaics),
        "width": _range([m.width for m in mosaics]),
        "height": _range([m.height for m in mosaics]),
        "cell": _range([int(m.grid.width) for m in mosaics]),
    }


def _unknown_counts(path: Path) -> list[int]:
    """Return how many unknown pixels each picture of a test set, or of a file of truths, has."""
    data = read_bytes(path)
    if recognise(data) == "pickle" and isinstance(pickles.load(data, str(path)), dict):
        return [int(n) for n in (~read_test_set(path).known).sum(axis=(1, 2, 3))]
    return [len(t) for t in read_truths(path)]


def _range(values: list[int]) -> list[int]:
    return [min(values), max(values)]
