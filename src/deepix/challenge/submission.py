"""From estimates to a submission file, and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepix import files
from deepix.challenge.protocol import Bytes
from deepix.challenge.reading import MOST, read_bytes
from deepix.errors import DeepixError, InputError, OutputError
from deepix.mosaic import Rounding


def predictions(
    estimates: NDArray[np.float32], known: NDArray[np.bool_], rounding: Rounding = "nearest"
) -> list[Bytes]:
    """Return each picture's unknown pixels as integers, flat in row-major order: what a submission holds.

    Parameters
    ----------
    estimates : float (N, H, W), 0 … 255; what lies outside is clipped
    known : bool (N, H, W)
    rounding : how estimates become integers; "truncate" is what DeePixV1, the winning entry, did

    Raises
    ------
    DeepixError : an estimate is not a number
    """
    if not np.isfinite(estimates).all():
        raise DeepixError("the model's estimates hold values that are not numbers; its training has diverged")
    rounded = np.floor(estimates) if rounding == "truncate" else np.rint(estimates)
    integers = np.clip(rounded, 0, 255).astype(np.uint8)
    return [picture[~mask] for picture, mask in zip(integers, known, strict=True)]


def serialise(predictions: Sequence[Bytes]) -> bytes:
    """Return a submission file.

    Byte 1 is L = ceil(log2(longest) / 8); then each prediction: its length − 1, unsigned big-endian in L bytes, and
    its bytes.

    Parameters
    ----------
    predictions : flat uint8 arrays of at least one pixel

    Raises
    ------
    ValueError : there are none, one is empty or not flat uint8, or the longest has 1 pixel (L would be 0, and the
        file could not be read back)
    """
    for i, prediction in enumerate(predictions):
        if prediction.dtype != np.uint8 or prediction.ndim != 1 or not prediction.size:
            raise ValueError(
                f"prediction {i} must be a flat uint8 array of at least one pixel, "
                f"not {prediction.dtype} {prediction.shape}"
            )
    longest = max((len(p) for p in predictions), default=0)
    if longest < 2:
        raise ValueError(
            "a submission needs a prediction of 2 pixels or more: its format cannot hold "
            + ("single pixels alone" if longest else "none")
        )
    width = _length_bytes(longest)
    parts = [bytes([width])]
    for prediction in predictions:
        parts += [(len(prediction) - 1).to_bytes(width, "big"), prediction.tobytes()]
    return b"".join(parts)


def _length_bytes(longest: int) -> int:
    return ((longest - 1).bit_length() + 7) // 8  # ceil(log2(longest) / 8) without floats


def deserialise(data: bytes) -> list[Bytes]:
    """Return the predictions of a submission file's bytes.

    Raises
    ------
    ValueError : the file is empty, ends early, holds too many predictions, or its first byte is not what its longest
        prediction asks for
    """
    if not data:
        raise ValueError("the file is empty")
    width = data[0]
    if not 1 <= width <= 8:
        raise ValueError(f"not a submission: its first byte says that lengths have {width} bytes")
    if len(data) == 1:
        raise ValueError("the submission holds no prediction")
    result: list[Bytes] = []
    position = 1
    while position < len(data):
        if len(result) == MOST:
            raise ValueError(f"it holds more than {MOST:,} predictions, which no file of the challenge does")
        start = position + width
        if start > len(data):
            raise ValueError(f"it ends within the length of prediction {len(result)}")
        end = start + int.from_bytes(data[position:start], "big") + 1
        if end > len(data):
            raise ValueError(
                f"it ends within prediction {len(result)}: {end - start} pixels are announced, "
                f"{len(data) - start} are there"
            )
        result.append(np.frombuffer(data, np.uint8, end - start, start))
        position = end
    needed = max(1, _length_bytes(max(map(len, result))))
    if needed != width:
        raise ValueError(f"not a submission: lengths have {width} bytes where {needed} would do")
    return result


def read_submission(path: str | Path) -> list[Bytes]:
    """Read a submission file; InputError if it is not one."""
    try:
        return deserialise(read_bytes(path))
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def write_submission(path: str | Path, predictions: Sequence[Bytes], overwrite: bool = False) -> None:
    """Write a submission file.

    Raises
    ------
    OutputError : the predictions cannot be serialised (see `serialise`), the file exists and `overwrite` is False,
        or it cannot be written
    """
    try:
        data = serialise(predictions)
    except ValueError as error:
        raise OutputError(f"{path}: {error}") from None
    files.write_bytes(path, data, overwrite=overwrite)
