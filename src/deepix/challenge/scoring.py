"""How well a submission fits the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.challenge import pickles
from deepix.challenge.protocol import Bytes
from deepix.challenge.reading import check_count, read_bytes
from deepix.challenge.sets import read_examples, recognise
from deepix.challenge.submission import read_submission
from deepix.errors import InputError


def read_truths(path: str | Path) -> list[Bytes]:
    """Read the true unknown pixels of a test set's pictures, flat uint8 arrays in its order.

    The file may be an .npz as of `read_examples`, a submission file, or a pickle of a sequence of flat
    uint8 arrays.

    Raises
    ------
    InputError : the file cannot be read, or is none of these
    """
    path = Path(path)
    kind = recognise(read_bytes(path))
    if kind == "npz":
        return read_examples(path).truths()
    if kind == "submission":
        return read_submission(path)
    content = pickles.load(read_bytes(path), str(path))
    if not isinstance(content, list | tuple):
        raise InputError(f"{path}: not a sequence of true pixels ({pickles.describe(content)}, not list or tuple)")
    check_count(path, len(content))
    truths = []
    for i, item in enumerate(content):
        if not isinstance(item, pickles.Array) or item.array.dtype != np.uint8 or item.array.ndim != 1:
            raise InputError(f"{path}: item {i} is {pickles.describe(item)}, not a flat uint8 array")
        truths.append(item.array)
    return truths


@dataclass(frozen=True)
class Score:
    """Root mean square errors over unknown pixels, on the scale 0 … 255. Lower is better.

    The challenge does not say which of the two its score is.

    Attributes
    ----------
    pooled : over all pictures' pixels together
    per_picture : the mean of each picture's own
    count : number of pictures
    pixels : number of unknown pixels
    """

    pooled: float
    per_picture: float
    count: int
    pixels: int


def score(predictions: Sequence[NDArray[Any]], truths: Sequence[NDArray[Any]]) -> Score:
    """Compare predictions with the truth.

    Parameters
    ----------
    predictions, truths : each picture's unknown pixels, flat, 0 … 255 in any type

    Raises
    ------
    ValueError : the numbers of pictures differ, or those of a picture's pixels; or there are none

    Examples
    --------
    >>> score([np.array([3.0]), np.array([0.0, 0.0])], [np.array([0.0]), np.array([0.0, 0.0])])
    Score(pooled=1.7320508075688772, per_picture=1.5, count=2, pixels=3)
    """
    check_lengths([len(p) for p in predictions], [len(t) for t in truths])
    squares = np.empty(len(truths))
    for i, (prediction, truth) in enumerate(zip(predictions, truths, strict=True)):
        squares[i] = ((prediction.astype(np.float64) - truth.astype(np.float64)) ** 2).sum()
    lengths = np.array([len(t) for t in truths])
    return Score(
        float(np.sqrt(squares.sum() / lengths.sum())),
        float(np.sqrt(squares / lengths).mean()),
        len(truths),
        int(lengths.sum()),
    )


def score_file(path: str | Path, truth: str | Path) -> Score:
    """Score a submission file against a file that `read_truths` reads.

    Raises
    ------
    InputError : a file cannot be read, or the submission does not fit the truth
    """
    ours, theirs = read_submission(path), read_truths(truth)
    try:
        return score(ours, theirs)
    except ValueError as error:
        raise InputError(f"{path}: does not fit {truth}: {error}") from None


def check_lengths(ours: list[int], theirs: list[int]) -> None:
    """Raise ValueError where predictions' lengths are not those of the unknown pixels."""
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} predictions for {len(theirs)} pictures")
    if not theirs:
        raise ValueError("there are no pictures")
    for i, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        if our != their or not their:
            raise ValueError(f"prediction {i} has {our} pixels, but picture {i} has {their} unknown ones")
