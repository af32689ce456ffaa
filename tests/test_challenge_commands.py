"""deepix challenge …"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from challenge_cases import Calls, picture, ran, run
from PIL import Image
from typer.testing import CliRunner

from deepix import challenge
from deepix.cli import app
from deepix.cli.challenge import _samples
from deepix.errors import DeepixError, OutputError


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["challenge", *map(str, arguments)])


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        Image.fromarray(picture(i, 90, 70 + i)).save(folder / f"{i}.png")
    return folder


def test_from_pictures_to_a_score(tmp_path: Path, pictures: Path) -> None:
    truth, test_set = tmp_path / "truth.npz", tmp_path / "test_set.pkl"
    result = call("prepare", pictures, "-o", truth, "--test-set", test_set, "--mosaics", 2, "--seed", 3)
    assert result.exit_code == 0, result.output
    made = challenge.read_examples(truth)
    assert len(made.images) == 10
    np.testing.assert_array_equal(made.images[2], challenge.prepare(pictures / "1.png"))
    np.testing.assert_array_equal(challenge.read_test_set(test_set).pixelated, made.test_set().pixelated)

    scores = {}
    for name in ("identity", "smooth"):
        submission = tmp_path / name
        result = call("predict", test_set, "--model", name, "-o", submission)
        assert result.exit_code == 0, result.output
        result = call("score", submission, truth, "--json")
        scores[name] = json.loads(result.output)
        assert scores[name]["count"] == 10
    assert scores["smooth"]["pooled"] < scores["identity"]["pooled"]
    ours = [p[~k] for p, k in zip(made.pixelated(), made.known(), strict=True)]
    assert scores["identity"]["pooled"] == challenge.score(ours, made.truths()).pooled
    text = call("score", tmp_path / "identity", truth).output
    assert text.index("pooled") < text.index("per picture")
    assert f"{scores['identity']['pooled']:.3f}" in text

    # from the true pictures the same prediction is made, but for mosaics that chance made ambiguous
    assert call("predict", truth, "-m", "identity", "-o", tmp_path / "again").exit_code == 0
    assert (tmp_path / "again").read_bytes() == (tmp_path / "identity").read_bytes()

    for file, kind in ((test_set, "test set"), (truth, "true pictures"), (tmp_path / "smooth", "submission")):
        report = json.loads(call("inspect", file, "--json").output)
        assert (report["kind"], report["count"], report["pixels"]) == (kind, 10, scores["smooth"]["pixels"])
        assert kind in call("inspect", file).output
    for against in (test_set, truth, tmp_path / "identity"):
        assert call("inspect", tmp_path / "smooth", "--against", against).exit_code == 0


def test_truncating_is_the_ancestors_rounding(tmp_path: Path, pictures: Path) -> None:
    truth = tmp_path / "truth.npz"
    call("prepare", pictures, "-o", truth)
    for how in ("nearest", "truncate"):
        assert call("predict", truth, "-m", "smooth", "-o", tmp_path / how, "--round", how).exit_code == 0
    nearest, truncated = (np.concatenate(challenge.read_submission(tmp_path / h)) for h in ("nearest", "truncate"))
    assert set(np.unique(nearest.astype(int) - truncated)) == {0, 1}
    assert call("predict", truth, "-m", "smooth", "-o", tmp_path / "x", "--round", "up").exit_code == 2


def test_weights_and_runs_are_models(tmp_path: Path, pictures: Path) -> None:
    torch = pytest.importorskip("torch")
    from deepix.training import networks, weights

    torch.manual_seed(0)
    run = tmp_path / "run"
    run.mkdir()
    weights.save(networks.create("deepixv1:2,3,2:3,3"), run / "best.safetensors")
    truth = tmp_path / "truth.npz"
    call("prepare", pictures, "-o", truth)
    # in a process that has imported nothing of training yet
    command = [sys.executable, "-m", "deepix", "challenge", "predict", str(truth), "--device", "cpu"]
    for name in (run, run / "best.safetensors"):
        subprocess.run([*command, "-m", str(name), "-o", str(tmp_path / name.name) + ".bin"], check=True)
    submissions = [challenge.read_submission(tmp_path / name) for name in ("run.bin", "best.safetensors.bin")]
    for a, b in zip(*submissions, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(submissions[0]) == 5


def test_a_test_set_that_no_submission_can_hold(tmp_path: Path) -> None:
    known = np.ones((1, 1, 64, 64), bool)
    known[0, 0, 3, 4] = False  # a longest prediction of 1 pixel
    pixelated = np.zeros((1, 1, 64, 64), np.uint8)
    challenge.write_test_set(tmp_path / "test_set.pkl", challenge.TestSet(pixelated, known))
    result = call("predict", tmp_path / "test_set.pkl", "-m", "identity", "-o", tmp_path / "x")
    assert isinstance(result.exception, OutputError)
    assert "x: a submission needs a prediction of 2 pixels or more" in str(result.exception)


def test_the_same_seed_prepares_the_same(tmp_path: Path, pictures: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        call("prepare", pictures, "-o", tmp_path / f"{name}.npz", "--seed", seed)
    a, b, c = (challenge.read_examples(tmp_path / f"{name}.npz").mosaics for name in "abc")
    assert a == b
    assert a != c


def test_broken_pictures_are_left_out_and_named(tmp_path: Path, pictures: Path) -> None:
    (pictures / "0.png").write_bytes(b"broken")
    result = call("prepare", pictures, "-o", tmp_path / "truth.npz")
    assert result.exit_code == 1
    assert "0.png: not a picture" in result.output
    assert len(challenge.read_examples(tmp_path / "truth.npz").images) == 4
    for path in pictures.iterdir():
        path.write_bytes(b"broken")
    result = call("prepare", pictures, "-o", tmp_path / "none.npz")
    assert isinstance(result.exception, DeepixError)
    assert not (tmp_path / "none.npz").exists()


def test_look_chooses_at_random_among_all_sources(tmp_path: Path, pictures: Path) -> None:
    with tarfile.open(tmp_path / "more.tar", "w") as archive:
        archive.add(pictures / "3.png", "3.png")
    rng = np.random.default_rng(5)
    chosen = rng.permutation(6)[:4]
    images = np.stack([challenge.prepare(pictures / f"{i if i < 5 else 3}.png") for i in chosen])
    made = _samples([pictures, tmp_path / "more.tar"], 4, np.random.default_rng(5))
    np.testing.assert_array_equal(made.images, images)
    assert made.mosaics == [challenge.random_mosaic(rng) for _ in range(4)]


def test_look_draws_a_sheet(tmp_path: Path, pictures: Path) -> None:
    truth, sheet = tmp_path / "truth.npz", tmp_path / "sheet.png"
    call("prepare", pictures, "-o", truth)
    arguments = ("-m", "smooth", "-m", "identity", "-n", 3, "--scale", 2, "-o", sheet)
    assert call("look", truth, *arguments).exit_code == 0
    drawn = np.asarray(Image.open(sheet))
    made = challenge.read_examples(truth)
    chosen = np.random.default_rng(0).permutation(5)[:3]
    pixelated = made.pixelated()
    for row, i in enumerate(chosen):
        y = 20 + row * (128 + 20)
        tiles = [drawn[y : y + 128 : 2, 8 + k * 136 : 8 + k * 136 + 128 : 2] for k in range(4)]
        np.testing.assert_array_equal(tiles[0], made.images[i])
        np.testing.assert_array_equal(tiles[1], pixelated[i])
        np.testing.assert_array_equal(tiles[3], pixelated[i])
        assert not np.array_equal(tiles[2], pixelated[i])
    assert isinstance(call("look", truth, *arguments).exception, OutputError)
    assert call("look", pictures, *arguments, "--overwrite").exit_code == 0
    assert call("look", truth, "-m", "smooth", "-o", tmp_path / "sheet.jpg").exit_code == 2


def test_what_the_commands_refuse(tmp_path: Path, pictures: Path) -> None:
    truth, submission, empty = tmp_path / "truth.npz", tmp_path / "submission", tmp_path / "empty"
    call("prepare", pictures, "-o", truth)
    call("predict", truth, "-m", "identity", "-o", submission)
    empty.write_bytes(b"")
    short = tmp_path / "short"
    challenge.write_submission(short, challenge.read_submission(submission)[:-1])
    evil = tmp_path / "evil.pkl"
    evil.write_bytes(pickle.dumps(Calls(run)))
    for arguments, message in (
        (("score", short, truth), "does not fit .*: 4 predictions for 5 pictures"),
        (("score", empty, truth), "empty: the file is empty"),
        (("score", submission, empty), "empty: the file is empty"),
        (("score", truth, truth), "not a submission"),
        (("inspect", empty), "the file is empty"),
        (("inspect", short, "--against", truth), "does not fit"),
        (("inspect", truth, "--against", truth), "not a submission"),
        (("inspect", evil), "refused"),
        (("predict", evil, "-m", "smooth", "-o", tmp_path / "x"), "refused"),
        (("predict", empty, "-m", "smooth", "-o", tmp_path / "x"), "empty"),
        (("predict", submission, "-m", "smooth", "-o", tmp_path / "x"), "neither a test set"),
        (("predict", truth, "-m", "none", "-o", tmp_path / "x"), "no such model"),
        (("predict", truth, "-m", "smooth", "-o", submission), "exists already"),
        (("prepare", pictures, "-o", truth), "exists already"),
        (("prepare", tmp_path / "none", "-o", tmp_path / "x"), "no such file"),
        (("look", evil, "-m", "smooth", "-o", tmp_path / "x.png"), "not a picture"),
    ):
        result = call(*arguments)
        assert result.exit_code == 1, arguments
        assert isinstance(result.exception, DeepixError), arguments
        with pytest.raises(DeepixError, match=message):
            raise result.exception
    assert ran == []
    assert not (tmp_path / "x").exists()
    same = tmp_path / "same"
    assert call("prepare", pictures, "-o", same, "--test-set", same).exit_code == 2
    assert call("score", submission).exit_code == 2


@pytest.mark.parametrize("verb", ["prepare", "predict", "score", "inspect", "look"])
def test_help_has_an_example(verb: str) -> None:
    result = call(verb, "--help")
    assert result.exit_code == 0
    assert f"deepix challenge {verb}" in result.output.split("Example", 1)[1]
