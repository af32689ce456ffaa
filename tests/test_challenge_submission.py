"""Submissions and their score."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from challenge_cases import as_dict, examples
from hypothesis import given
from hypothesis import strategies as st

from deepix import challenge
from deepix.challenge import submission
from deepix.errors import InputError

# ── submissions ──────────────────────────────────────────────────────────────────────────────────


def arrays(least: int, most: int) -> st.SearchStrategy[np.ndarray]:
    return st.binary(min_size=least, max_size=most).map(lambda b: np.frombuffer(b, np.uint8))


@given(st.lists(arrays(1, 300), min_size=1, max_size=8))
def test_submissions_round_trip(predictions: list[np.ndarray]) -> None:
    if max(map(len, predictions)) == 1:
        with pytest.raises(ValueError, match="2 pixels or more"):
            challenge.serialise(predictions)
        return
    data = challenge.serialise(predictions)
    back = challenge.deserialise(data)
    assert [b.tolist() for b in back] == [p.tolist() for p in predictions]
    assert challenge.serialise(back) == data


@given(st.integers(2, 2**20))
def test_length_bytes_are_the_courses(longest: int) -> None:
    assert submission._length_bytes(longest) == math.ceil(math.log2(longest) / 8)


def test_submission_bytes_are_the_courses() -> None:
    small = [np.array([7, 8], np.uint8), np.array([9], np.uint8)]
    assert challenge.serialise(small) == bytes([1, 1, 7, 8, 0, 9])
    for length, width in ((256, 1), (257, 2), (1024, 2), (65536, 2), (65537, 3)):
        prediction = np.zeros(length, np.uint8)
        data = challenge.serialise([prediction])
        assert data == bytes([width]) + (length - 1).to_bytes(width, "big") + bytes(length)


@pytest.mark.parametrize(
    "predictions", [[], [np.zeros(0, np.uint8)], [np.zeros(3)], [np.zeros((2, 2), np.uint8)]], ids=str
)
def test_what_cannot_be_submitted(predictions: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="prediction"):
        challenge.serialise(predictions)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"\x00\x01\x02", "0 bytes"),
        (b"\x09", "9 bytes"),
        (b"\x01", "no prediction"),
        (b"\x01\x02abc\x00", "ends within prediction 1: 1 pixels are announced, 0 are there"),
        (b"\x01\x05abc", "ends within prediction 0: 6 pixels are announced, 3 are there"),
        (b"\x02\x00\x01ab\x00", "ends within the length of prediction 1"),
        (b"\x02\x00\x01ab", "lengths have 2 bytes where 1 would do"),
    ],
)
def test_broken_submissions_are_said(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        challenge.deserialise(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        predictions = challenge.deserialise(data)
    except ValueError:
        return
    assert 1 + sum(data[0] + len(p) for p in predictions) == len(data)


BROKEN = examples(2)
SUBMISSION = challenge.serialise(BROKEN.truths())


@given(st.integers(1, len(SUBMISSION) - 1))
def test_truncated_submissions_do_not_fit(cut: int) -> None:
    truths = BROKEN.truths()
    with pytest.raises(ValueError, match=r"ends within|no prediction|\d predictions for|where 1 would do"):
        challenge.score(challenge.deserialise(SUBMISSION[:cut]), truths)


# ── score ────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.tuples(arrays(3, 3), arrays(3, 3)), min_size=1, max_size=5))
def test_score_is_the_rmse(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    ours, theirs = (
        [p[: 1 + i % 3] for i, (p, _) in enumerate(pairs)],
        [t[: 1 + i % 3] for i, (_, t) in enumerate(pairs)],
    )
    errors = [
        [float(a) - float(b) for a, b in zip(p.tolist(), t.tolist(), strict=True)]
        for p, t in zip(ours, theirs, strict=True)
    ]
    everything = [e for picture_errors in errors for e in picture_errors]
    result = challenge.score(ours, theirs)
    assert result.pooled == pytest.approx(math.sqrt(sum(e * e for e in everything) / len(everything)))
    each = [math.sqrt(sum(e * e for e in es) / len(es)) for es in errors]
    assert result.per_picture == pytest.approx(sum(each) / len(each))
    assert (result.count, result.pixels) == (len(pairs), len(everything))


def test_score_says_what_does_not_fit() -> None:
    one, two = np.zeros(1), np.zeros(2)
    with pytest.raises(ValueError, match="1 predictions for 2 pictures"):
        challenge.score([one], [one, two])
    with pytest.raises(ValueError, match="prediction 1 has 1 pixels, but picture 1 has 2 unknown ones"):
        challenge.score([one, one], [one, two])
    with pytest.raises(ValueError, match="no pictures"):
        challenge.score([], [])


def test_truths_are_read_from_each_form(tmp_path: Path) -> None:
    made = examples(3)
    truths = made.truths()
    challenge.write_examples(tmp_path / "a.npz", made.images, made.mosaics)
    challenge.write_submission(tmp_path / "b", truths)
    (tmp_path / "c.pkl").write_bytes(pickle.dumps(tuple(truths), 5))
    for path in sorted(tmp_path.iterdir()):
        assert [t.tolist() for t in challenge.read_truths(path)] == [t.tolist() for t in truths]
    (tmp_path / "d.pkl").write_bytes(pickle.dumps(as_dict(made)))
    with pytest.raises(InputError, match="not a sequence of true pixels"):
        challenge.read_truths(tmp_path / "d.pkl")
    (tmp_path / "d.pkl").write_bytes(pickle.dumps([made.images[0]]))
    with pytest.raises(InputError, match=r"item 0 is uint8 \(64, 64\), not a flat uint8 array"):
        challenge.read_truths(tmp_path / "d.pkl")
