"""The 64x64 challenge: its preparation, test set, submission file and score.

The challenge asks for the unknown pixels of 64x64 grayscale pictures, each with one mosaic:

    picture ─ prepare ─▶ truth (64, 64) ─ random_mosaic, pixelate ─▶ pixelated, known ─ restorer ─▶ estimate
    estimate ─ predictions ─▶ unknown pixels of each picture ─ serialise ─▶ submission ─ score ◀─ truths

Its ranges and rounding rules are the constants of `protocol`; nothing else defines them. Pictures are uint8 unless a
function says otherwise, x to the right and y down.
"""

from deepix.challenge.blind import agreement, find_mosaic, find_mosaics
from deepix.challenge.inspection import inspect
from deepix.challenge.preparation import prepare, prepare_all, prepare_content, to_grayscale
from deepix.challenge.protocol import (
    AREA,
    CELL,
    COUNT,
    ROUNDING,
    SIZE,
    Bytes,
    Examples,
    TestSet,
    infer_mosaic,
    pixelate,
    random_mosaic,
)
from deepix.challenge.restorers import Progress, Restorer, restorer
from deepix.challenge.scoring import Score, read_truths, score, score_file
from deepix.challenge.sets import (
    infer_mosaics,
    read_examples,
    read_task,
    read_test_set,
    recognise,
    write_examples,
    write_test_set,
)
from deepix.challenge.sheet import sample_sheet
from deepix.challenge.submission import deserialise, predictions, read_submission, serialise, write_submission

__all__ = [
    "AREA",
    "CELL",
    "COUNT",
    "ROUNDING",
    "SIZE",
    "Bytes",
    "Examples",
    "Progress",
    "Restorer",
    "Score",
    "TestSet",
    "agreement",
    "deserialise",
    "find_mosaic",
    "find_mosaics",
    "infer_mosaic",
    "infer_mosaics",
    "inspect",
    "pixelate",
    "predictions",
    "prepare",
    "prepare_all",
    "prepare_content",
    "random_mosaic",
    "read_examples",
    "read_submission",
    "read_task",
    "read_test_set",
    "read_truths",
    "recognise",
    "restorer",
    "sample_sheet",
    "score",
    "score_file",
    "serialise",
    "to_grayscale",
    "write_examples",
    "write_submission",
    "write_test_set",
]
