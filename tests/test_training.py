from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from reports import fit, resume, silent
from skimage import data
from typer.testing import CliRunner

from deepix import challenge
from deepix.cli import app
from deepix.errors import DeepixError, InputError, OutputError
from deepix.mosaic import Mosaic
from deepix.training import operators, predict, stages, weights
from deepix.training.data import packing, random_mosaics, samples
from deepix.training.data.crops import Crops
from deepix.training.data.packed import open_packed
from deepix.training.engine import description, muon, record, settings
from deepix.training.engine.batches import Batches
from deepix.training.engine.callbacks import LAST
from deepix.training.networks.base import Estimate
from deepix.training.stages.restorer import losses, sheet
from deepix.training.stages.restorer.examples import as_pictures, augmented, held_out, patches
from deepix.training.stages.restorer.settings import RestorerSettings as Settings

TINY = "deepixv1:2,2,2:3,3"


pytestmark = pytest.mark.usefixtures("one_thread")


def tiles(count: int, size: int = 64) -> np.ndarray:
    camera = data.camera()
    places = [(y, x) for y in range(0, 512 - size + 1, size) for x in range(0, 512 - size + 1, size)]
    return np.stack([camera[y : y + size, x : x + size] for y, x in places[:count]])


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Twelve pictures of 16x16."""
    folder = tmp_path_factory.mktemp("packed")
    np.save(folder / "tiles.npy", tiles(12, 16))
    crops = Crops(1, size=16, scale=(1, 1), ratio=(1, 1))
    packing.pack([folder / "tiles.npy"], folder / "packed.npy", crops=crops)
    return str(folder / "packed.npy")


def small(packed: str, run: Path, **changes: Any) -> Settings:
    given: dict[str, Any] = {
        "network": TINY,
        "data": packed,
        "run": str(run),
        "batch": 4,
        "ranges": {"width": (4, 8), "height": (4, 8), "cell": (4, 4)},
        "accelerator": "cpu",
    }
    budget = {} if {"minutes", "epochs"} & changes.keys() else {"steps": 6}
    return Settings(**{**given, **budget, **changes})


RESTORERS = stages.get("restorer")


def read_log(run: Path) -> list[dict[str, float]]:
    return record.read_log(run, RESTORERS)


def states(run: Path) -> dict[str, Any]:
    return torch.load(run / LAST, weights_only=True)


def same(one: Any, two: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(same(a, b) for a, b in zip(one, two, strict=True))
    return bool(one == two)


def assert_same_run(one: Path, two: Path) -> None:
    """Weights, averages, the optimizer's state and the curve, bit for bit; the minutes may differ."""
    ours, theirs = states(one), states(two)
    for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states"):
        assert same(ours[part], theirs[part]), part
    curves = [[{k: v for k, v in row.items() if k != "minutes"} for row in read_log(run)] for run in (one, two)]
    assert curves[0] == curves[1]
    assert same(*(weights.load(run).state_dict() for run in (one, two)))


# ── the whole of a run ───────────────────────────────────────────────────────────────────────────


def test_a_run_leaves_what_it_promises(packed: str, tmp_path: Path) -> None:
    lines: list[str] = []
    result = fit(small(packed, tmp_path / "run", validate_every=2), lines.append)
    assert result.finished
    assert result.steps == 6
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"run.json", "last.ckpt", "best.safetensors", "log.csv", "curve.png", "samples", "tensorboard"}
    rows = read_log(tmp_path / "run")
    assert [row["step"] for row in rows] == [2, 4, 6]
    best = min(rows, key=lambda row: row["val_rmse"])
    assert (result.best["val_rmse"], result.best_step) == (best["val_rmse"], best["step"])
    assert sum(line.startswith("step") for line in lines) == 3
    bests = [row for i, row in enumerate(rows) if row["val_rmse"] < min([r["val_rmse"] for r in rows[:i]] or [np.inf])]
    sheets = sorted(path.name for path in (tmp_path / "run" / "samples").iterdir())
    assert sheets == [f"best_{row['step']:07.0f}.png" for row in bests]
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))
    about = weights.metadata(result.weights)
    assert about.extra["step"] == result.best_step
    assert json.loads((tmp_path / "run" / "run.json").read_text())["result"]["best_rmse"] == result.best["val_rmse"]


def test_two_pictures_are_learned_by_heart(tmp_path: Path) -> None:
    np.save(tmp_path / "two.npy", np.concatenate([tiles(40, 16)[[3, 37]]] * 10))
    packing.pack([tmp_path / "two.npy"], tmp_path / "p.npy", crops=Crops(1, size=16, scale=(1, 1), ratio=(1, 1)))
    chosen = small(
        str(tmp_path / "p.npy"), tmp_path / "run", network="deepixv1:4,4,4:3,5", steps=250, batch=8, lr=4e-3,
        augment="none", ema=0.9, validate_every=50, ranges={"width": (8, 8), "height": (8, 8), "cell": (4, 4)},
    )  # fmt: skip
    result = fit(chosen, silent)
    first = read_log(tmp_path / "run")[0]["train_rmse"]
    assert result.best["val_rmse"] < 3 < first / 3


def test_the_score_is_the_challenge_s(tmp_path: Path) -> None:
    images = tiles(7)
    rng = np.random.default_rng(5)
    challenge.write_examples(tmp_path / "val.npz", images, [challenge.random_mosaic(rng) for _ in images])
    np.save(tmp_path / "tiles.npy", tiles(20)[7:])
    chosen = Settings(
        network=TINY, data=str(tmp_path / "tiles.npy"), run=str(tmp_path / "run"), steps=3, batch=4,
        validate=str(tmp_path / "val.npz"), accelerator="cpu",
    )  # fmt: skip
    result = fit(chosen, silent)
    examples = challenge.read_examples(tmp_path / "val.npz")
    estimate = predict.predict(result.weights, examples.pixelated(), examples.mosaics, device="cpu")
    ours = [np.rint(e.clip(0, 255))[~known] for e, known in zip(estimate, examples.known(), strict=True)]
    score = challenge.score(ours, examples.truths())
    assert result.best["val_rmse"] == pytest.approx(score.pooled, rel=1e-5)
    assert result.best["val_rmse_per_picture"] == pytest.approx(score.per_picture, rel=1e-5)


def test_a_budget_in_minutes_ends_and_its_rate_falls(packed: str, tmp_path: Path) -> None:
    result = fit(small(packed, tmp_path / "run", minutes=0.03), silent)
    assert result.finished
    with pytest.raises(InputError, match="its budget is used up"):
        resume(tmp_path / "run", silent)
    assert result.minutes > 0.015
    rows = read_log(tmp_path / "run")
    assert rows[-1]["step"] == result.steps
    assert rows[-1]["lr"] < 1e-3


def test_a_budget_in_epochs_shows_each_picture_so_often(packed: str, tmp_path: Path) -> None:
    result = fit(small(packed, tmp_path / "run", epochs=2), silent)
    assert result.steps == 6  # 11 pictures in batches of 4, twice: 5.5 steps
    assert read_log(tmp_path / "run")[-1]["epoch"] == pytest.approx(24 / 11)


def test_no_progress_stops_early(packed: str, tmp_path: Path) -> None:
    chosen = small(packed, tmp_path / "run", steps=50, lr=1e-12, weight_decay=0, ema=0, validate_every=1, patience=2)
    # what batch norms have seen changes the score even when no weight does
    result = fit(replace(chosen, options={"batch_norm": False}), silent)
    assert result.steps < 50
    rows = [row["val_rmse"] for row in read_log(tmp_path / "run")]
    assert len(rows) == rows.index(min(rows)) + 1 + 2


@pytest.mark.parametrize("changes", [
    {"optimizer": "adam", "schedule": "step", "drop_every": 1, "loss": "whole", "ema": 0, "clip": 0},
    {"schedule": "constant", "augment": "rotations", "truncate": False, "precision": "bf16-mixed"},
    {"network": "simpledeepixcnn:6:6,3", "ranges": {"count": [0, 2], "width": [4, 5], "height": [4, 5], "cell": [2, 4],
     "square": False, "corner": False}},
])  # fmt: skip
def test_options_train(packed: str, tmp_path: Path, changes: dict[str, Any]) -> None:
    result = fit(small(packed, tmp_path / "run", **changes), silent)
    assert np.isfinite(result.best["val_rmse"])
    rates = [row["lr"] for row in read_log(tmp_path / "run")]
    if changes.get("schedule") == "step":
        assert rates[-1] == pytest.approx(1e-4)  # in the second epoch
    if changes.get("schedule") == "constant":
        assert set(rates) == {1e-3}


def test_colour_pictures_train(tmp_path: Path) -> None:
    np.save(tmp_path / "colour.npy", np.stack([data.coffee()[i : i + 16, i : i + 16] for i in range(0, 80, 16)]))
    crops = Crops(1, size=16, scale=(1, 1), ratio=(1, 1), colour=True)
    packing.pack([tmp_path / "colour.npy"], tmp_path / "packed.npy", crops=crops)
    result = fit(small(str(tmp_path / "packed.npy"), tmp_path / "run", steps=2), silent)
    assert Image.open(next((tmp_path / "run" / "samples").iterdir())).mode == "RGB"
    assert np.isfinite(result.best["val_rmse"])


def test_without_extras_it_trains_and_says_so(packed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    missing = ("matplotlib", "tensorboard")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in missing else find(name, *a))
    lines: list[str] = []
    fit(small(packed, tmp_path / "run", steps=2), lines.append)
    assert not (tmp_path / "run" / "curve.png").exists()
    assert not (tmp_path / "run" / "tensorboard").exists()
    assert sum(line.startswith("note: no ") for line in lines) == 2


def test_weights_go_on_in_another_run(packed: str, tmp_path: Path) -> None:
    first = fit(small(packed, tmp_path / "one"), silent)
    chosen = small(packed, tmp_path / "two", network=str(first.run), steps=1, lr=1e-12, weight_decay=0, ema=0)
    fit(chosen, silent)
    ours, theirs = (weights.load(tmp_path / run).state_dict() for run in ("one", "two"))
    name = "input_layer.weight"
    torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-9)


# ── to repeat and to resume ──────────────────────────────────────────────────────────────────────


def test_run_json_repeats_the_run(packed: str, tmp_path: Path) -> None:
    fit(small(packed, tmp_path / "one", seed=3), silent)
    fit(replace(description.read(tmp_path / "one"), run=str(tmp_path / "two")), silent)
    assert_same_run(tmp_path / "one", tmp_path / "two")
    fit(replace(description.read(tmp_path / "one"), run=str(tmp_path / "three"), seed=4), silent)
    assert not same(states(tmp_path / "one")["state_dict"], states(tmp_path / "three")["state_dict"])


KILLED = """
import json, logging, sys, torch
from deepix.training.engine import run
from deepix.training.stages.restorer.settings import RestorerSettings
torch.set_num_threads(1)
logging.basicConfig(stream=sys.stdout, format="%(message)s", force=True)
logging.getLogger("deepix.training").setLevel("INFO")
if __name__ == "__main__":
    print(run.fit(RestorerSettings(**json.loads(sys.argv[1]))), flush=True)
"""


def script(tmp_path: Path, chosen: Settings) -> list[str]:
    (tmp_path / "script.py").write_text(KILLED)
    return [sys.executable, str(tmp_path / "script.py"), json.dumps(asdict(chosen))]


def test_a_killed_run_resumes_as_if_nothing_had_happened(packed: str, tmp_path: Path) -> None:
    """Killed between two validations, with a checkpoint at every step; one that ran through is the measure."""
    chosen = small(packed, tmp_path / "killed", steps=60, validate_every=25, save_minutes=0, ema=0.9)
    process = subprocess.Popen(script(tmp_path, chosen), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step"):
            break
    process.kill()
    process.stdout.close()
    process.wait()
    step = states(tmp_path / "killed")["global_step"]
    assert 24 <= step < 60
    lines: list[str] = []
    resume(tmp_path / "killed", lines.append)
    fit(replace(chosen, run=str(tmp_path / "whole")), silent)
    assert_same_run(tmp_path / "killed", tmp_path / "whole")
    assert sum(line.startswith("step") for line in lines) <= 3


class Crash(Exception):
    pass


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_run_that_crashed_in_a_validation_resumes_exactly(packed: str, tmp_path: Path, optimizer: str) -> None:
    def crash(line: str) -> None:
        if line.startswith("step       4"):
            raise Crash

    chosen = small(packed, tmp_path / "crashed", validate_every=2, optimizer=optimizer)
    with pytest.raises(Crash):
        fit(chosen, crash)
    assert states(tmp_path / "crashed")["global_step"] == 2
    resume(tmp_path / "crashed", silent)
    fit(replace(chosen, run=str(tmp_path / "whole")), silent)
    assert_same_run(tmp_path / "crashed", tmp_path / "whole")


def test_a_run_that_crashed_before_its_first_checkpoint_starts_again(packed: str, tmp_path: Path) -> None:
    def crash(line: str) -> None:
        raise Crash

    with pytest.raises(Crash):
        fit(small(packed, tmp_path / "run"), crash)
    assert resume(tmp_path / "run", silent).steps == 6


def test_interrupt_saves_and_resumes(packed: str, tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("step       2"):
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    result = fit(small(packed, tmp_path / "run", validate_every=2), interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    assert not result.finished
    assert result.steps == 3
    assert states(tmp_path / "run")["global_step"] == 3
    assert resume(tmp_path / "run", silent).steps == 6


def test_a_finished_run_goes_on_with_a_larger_budget_only(packed: str, tmp_path: Path) -> None:
    fit(small(packed, tmp_path / "run"), silent)
    with pytest.raises(InputError, match="its budget is used up"):
        resume(tmp_path / "run", silent)
    result = resume(tmp_path / "run", silent, steps=9)
    assert result.steps == 9
    assert [row["step"] for row in read_log(tmp_path / "run")][-1] == 9
    assert description.read(tmp_path / "run").steps == 9
    (resumed,) = json.loads((tmp_path / "run" / "run.json").read_text())["resumed"]
    assert resumed["after_step"] == resumed["budget_before"]["steps"] == 6


def test_a_run_goes_on_with_its_own_pictures_only(tmp_path: Path) -> None:
    crops = Crops(1, size=16, scale=(1, 1), ratio=(1, 1))
    for name, ours in (("one", tiles(12, 16)), ("two", tiles(24, 16)[12:])):
        np.save(tmp_path / f"{name}-tiles.npy", ours)
        packing.pack([tmp_path / f"{name}-tiles.npy"], tmp_path / f"{name}.npy", crops=crops)
    fit(small(str(tmp_path / "one.npy"), tmp_path / "run"), silent)
    for suffix in (".npy", ".npy.json"):
        (tmp_path / f"two{suffix}").replace(tmp_path / f"one{suffix}")
    with pytest.raises(InputError, match=r"one\.npy: other pictures than the run began with"):
        resume(tmp_path / "run", silent, steps=9)


def test_several_processes_train_together(packed: str, tmp_path: Path) -> None:
    """Two processes on the CPU (ddp, gloo), by the clock, on which they must agree; the network has idle parameters."""
    chosen = small(
        packed, tmp_path / "run", devices=2, network="simpledeepixcnn:6:6,3", minutes=0.05, validate_every=4
    )  # fmt: skip
    done = subprocess.run(script(tmp_path, chosen), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("parameters;") == 1  # every line is said once
    rate = re.search(r"pictures_per_second=([\d.]+)", done.stdout)
    assert rate is not None
    assert 1 < float(rate[1]) < 1e5
    rows = read_log(tmp_path / "run")
    assert rows[0]["step"] == 4
    assert np.isfinite(rows[-1]["val_rmse"])
    assert description.read(tmp_path / "run").devices == 2
    weights.load(tmp_path / "run")


# ── mistakes ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": None}, "one budget"),
        ({"minutes": 1, "steps": 1}, "one budget"),
        ({"steps": -1}, "one budget"),
        ({"batch": 0}, "batch must be"),
        ({"loss": "mean"}, "loss must be one of unknown, whole"),
        ({"devices": 3}, "cannot be shared out"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"network": "nothing"}, "nothing"),
        ({"ranges": {"cells": (1, 2)}}, "mosaics: "),
        ({"ranges": {"width": (20, 30)}}, "do not fit"),
        ({"data": "nowhere"}, "nowhere: no such file"),
        ({"validate": "nowhere.npz"}, "nowhere.npz: "),
        ({"accelerator": "quantum"}, "Lightning cannot"),
        ({"precision": "3"}, "Lightning cannot"),
    ],
)
def test_wrong_settings_are_one_line(packed: str, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DeepixError, match=message) as caught:
        fit(small(packed, tmp_path / "run", **changes), silent)
    assert "\n" not in str(caught.value)
    assert "nowhere" not in message or not (tmp_path / "run").exists()
    # what failed so early does not stand in the way
    fit(small(packed, tmp_path / "run", steps=1), silent)


def test_places_that_cannot_be_written_are_one_line(packed: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        fit(small(packed, tmp_path / "file"), silent)
    with pytest.raises(OutputError, match=r"file/run.*choose another folder"):
        fit(small(packed, tmp_path / "file" / "run"), silent)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("Dear …")
    with pytest.raises(OutputError, match="exists already"):
        fit(small(packed, tmp_path / "full"), silent)


def test_no_room_is_one_line_and_no_broken_checkpoint(packed: str, tmp_path: Path) -> None:
    """The system refuses files above 40,000 bytes; the checkpoint is larger, the weights are not."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        with pytest.raises(OutputError, match=r"/run.*make room"):
            fit(small(packed, tmp_path / "run", network="deepixv1:3,3,3:3,3"), silent)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert weights.BEST in names
    assert LAST not in names
    assert not [name for name in names if "part" in name]


def test_a_damaged_checkpoint_is_named(packed: str, tmp_path: Path) -> None:
    fit(small(packed, tmp_path / "run"), silent)
    (tmp_path / "run" / LAST).write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(InputError, match=r"last\.ckpt: a damaged checkpoint"):
        resume(tmp_path / "run", silent, steps=9)
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json: cannot be used"):
        resume(tmp_path / "run", silent)
    with pytest.raises(InputError, match=r"is this the folder of a run"):
        resume(tmp_path, silent)


def test_divergence_is_said(packed: str, tmp_path: Path) -> None:
    chosen = small(packed, tmp_path / "run", network="basiccnn:2:8:3", lr=1e30, clip=0, ema=0, warmup=0)
    with pytest.raises(DeepixError, match="diverged"):
        fit(chosen, silent)


# ── the parts ────────────────────────────────────────────────────────────────────────────────────


def nothing(step: int, chosen: np.ndarray, rank: int) -> None:
    pass


@given(st.integers(1, 40), st.integers(1, 70), st.integers(0, 50), st.integers(1, 5))
def test_every_picture_comes_equally_often(count: int, batch: int, start: int, steps: int) -> None:
    indices = np.arange(count) + 100
    batches = Batches(indices, batch, 1, nothing)
    seen = np.concatenate([batches.chosen(step) for step in range(start + steps)])
    counts = np.bincount(seen, minlength=100 + count)[100:]
    assert counts.max() - counts.min() <= 1
    again = Batches(indices, batch, 1, nothing)
    assert np.array_equal(again.chosen(start), batches.chosen(start))


def test_processes_share_a_batch() -> None:
    def load(step: int, chosen: np.ndarray, rank: int) -> torch.Tensor:
        return torch.from_numpy(chosen)

    whole = Batches(np.arange(30), 6, 2, load)
    parts = []
    for rank in range(3):
        part = Batches(np.arange(30), 6, 2, load)
        part.rank, part.world, part.start = rank, 3, 4
        step, got = next(iter(part))
        assert step == 4
        parts.append(got)
    assert sorted(torch.cat(parts).flatten().tolist()) == sorted(whole.chosen(4).tolist())


def test_crops_of_a_picture_stay_together(tmp_path: Path) -> None:
    np.save(tmp_path / "tiles.npy", tiles(30, 32))
    packing.pack([tmp_path / "tiles.npy"], tmp_path / "packed.npy", crops=Crops(4, size=16))
    opened = open_packed(tmp_path / "packed.npy")
    trained, validation = held_out(opened, small(str(tmp_path / "packed.npy"), tmp_path / "run"))
    assert len(validation.pixels) == 3 * 4
    assert len(trained) == 27 * 4
    assert len(np.unique(opened.groups[trained])) == 27


def test_as_pictures() -> None:
    gray = torch.tensor([[[0, 255], [51, 102]]], dtype=torch.uint8)
    torch.testing.assert_close(as_pictures(gray), torch.tensor([[[[0, 1], [0.2, 0.4]]]]))
    assert as_pictures(torch.zeros(2, 5, 6, 3, dtype=torch.uint8)).shape == (2, 3, 5, 6)


def test_patches_are_parts_of_the_pictures_and_reach_every_place() -> None:
    place = torch.arange(8 * 10).view(1, 1, 8, 10).float()
    parts = patches(place.expand(500, -1, -1, -1), 4, torch.Generator().manual_seed(0))
    assert parts.shape == (500, 1, 4, 4)
    corners = parts[:, 0, 0, 0]
    assert torch.equal(parts, corners.view(-1, 1, 1, 1) + place[:, :, :4, :4])
    assert set(corners.int().tolist()) == {10 * y + x for y in range(5) for x in range(7)}
    assert patches(place, 9, torch.Generator()).shape == (1, 1, 8, 9)
    assert patches(place, None, torch.Generator()) is place


def test_augmented_pictures_are_the_eight_orientations() -> None:
    picture = torch.rand(1, 1, 4, 4)
    batch = augmented(picture.expand(200, -1, -1, -1), "rotations", torch.Generator().manual_seed(1))
    kinds = {tuple(p.flatten().tolist()) for p in batch}
    turned = [torch.rot90(p, k, (2, 3)) for p in (picture, picture.flip(3)) for k in range(4)]
    assert kinds == {tuple(t.flatten().tolist()) for t in turned}
    flips = augmented(picture.expand(200, -1, -1, -1), "flips", torch.Generator().manual_seed(1))
    assert {tuple(p.flatten().tolist()) for p in flips} == {
        tuple(p.flatten().tolist()) for p in (picture, picture.flip(3))
    }
    assert augmented(picture, "none", torch.Generator()) is picture


def test_losses_weigh_what_they_say() -> None:
    truth = torch.rand(2, 1, 8, 8)
    ours = operators.from_numpy([[Mosaic.rectangle(0, 0, 2, 2, 2)], [Mosaic.rectangle(1, 1, 6, 4, 2)]], 8, 8)
    sample = samples.Sample(truth, operators.pixelate(truth, ours), ours)
    prediction = truth.clone()
    prediction[0, 0, :2, :2] += 0.5
    prediction[1, 0, 7, 7] += 9  # known: counts for the whole picture only
    estimate = Estimate(prediction)
    assert losses.LOSSES["unknown"](estimate, sample).item() == pytest.approx(4 * 0.25 / 28)
    assert losses.LOSSES["whole"](estimate, sample).item() == pytest.approx((4 * 0.25 + 81) / 128)
    with pytest.raises(DeepixError, match="deviations"):
        losses.LOSSES["weighted"](estimate, sample)


def test_the_weighted_loss_has_the_gradient_of_weighted_least_squares_and_the_size_of_the_plain_one() -> None:
    truth = torch.rand(2, 1, 8, 8)
    ours = operators.from_numpy([[Mosaic.rectangle(0, 0, 4, 4, 2)], [Mosaic.rectangle(1, 1, 6, 4, 2)]], 8, 8)
    sample = samples.Sample(truth, operators.pixelate(truth, ours), ours)
    prediction = (truth + 0.1 * torch.randn_like(truth)).requires_grad_()
    deviation = (0.01 + torch.rand_like(truth)).requires_grad_()
    loss = losses.LOSSES["weighted"](Estimate(prediction, deviation), sample)
    plain = losses.LOSSES["unknown"](Estimate(prediction, deviation), sample)
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    loss.backward()
    assert deviation.grad is None
    unknown = ~ours.known
    expected = (prediction - truth) / (deviation + 2 / 255).square() * unknown
    assert prediction.grad is not None
    ratio = (prediction.grad / expected)[unknown].detach()
    torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio))
    assert not prediction.grad[~unknown].any()


def test_muon_takes_pytorch_s_steps_on_kernels_as_matrices() -> None:
    torch.manual_seed(0)
    one = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    matrix = torch.nn.Parameter(one.weight.detach().permute(0, 2, 3, 1).flatten(1).clone())
    bias = torch.nn.Parameter(one.bias.detach().clone())
    ours = muon.Muon([{"params": [one.weight], "weight_decay": 0.1}, {"params": [one.bias], "weight_decay": 0}], lr=0.1)
    theirs = [
        torch.optim.Muon([matrix], lr=0.05, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([bias], lr=0.05, weight_decay=0),
    ]
    for group in ours.param_groups:
        group["lr"] = 0.05
    for _ in range(3):
        ours.zero_grad()
        one(torch.rand(2, 3, 5, 5)).square().mean().backward()
        matrix.grad = one.weight.grad.permute(0, 2, 3, 1).flatten(1).clone()
        bias.grad = one.bias.grad.clone()
        for optimizer in (ours, *theirs):
            optimizer.step()
    # PyTorch's works in bfloat16, whose rounding is a few hundredths of a step of 0.05 · 0.2 · √27 / √rank
    torch.testing.assert_close(one.weight.permute(0, 2, 3, 1).flatten(1), matrix, rtol=0, atol=0.05 * 0.05)
    torch.testing.assert_close(one.bias, bias)


@pytest.mark.parametrize("shape", [(3, 24, 100), (2, 100, 24), (1, 30, 30)])
def test_orthogonalisation_is_the_newton_schulz_iteration(shape: tuple[int, int, int]) -> None:
    given = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    x = given.double().mT if shape[1] > shape[2] else given.double()
    x = x / x.norm(dim=(1, 2), keepdim=True)
    a, b, c = muon.COEFFICIENTS
    for _ in range(muon.STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    expected = (x.mT if shape[1] > shape[2] else x).float()
    torch.testing.assert_close(muon.orthogonalised(given), expected, rtol=0, atol=1e-4)


def _one_of_two(rank: int, file: str, matrices: list[torch.Tensor]) -> None:
    torch.distributed.init_process_group("gloo", f"file://{file}", rank=rank, world_size=2)
    try:
        for ours, alone in zip(
            muon.all_orthogonalised(matrices), (muon.orthogonalised(m[None])[0] for m in matrices), strict=True
        ):
            torch.testing.assert_close(ours, alone, rtol=0, atol=1e-6)
    finally:
        torch.distributed.destroy_process_group()


def test_processes_that_train_together_share_the_work(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    matrices = [torch.randn(shape, generator=generator) for shape in ((8, 20), (8, 20), (30, 5))]
    torch.multiprocessing.spawn(_one_of_two, (str(tmp_path / "meeting"), matrices), nprocs=2)


def test_schedules() -> None:
    chosen = Settings(network="n", data="d", run="r", steps=1, warmup=0.1)
    assert settings.rate(chosen, 0.05, 0) == pytest.approx(0.5)
    assert settings.rate(chosen, 0.1, 0) == pytest.approx(1)
    assert settings.rate(chosen, 0.55, 0) == pytest.approx(0.5)
    assert settings.rate(chosen, 1, 0) == pytest.approx(0)
    his = replace(chosen, schedule="step")
    assert [settings.rate(his, 0, epoch) for epoch in (0, 14.9, 15, 30)] == pytest.approx([1, 1, 0.1, 0.01])
    stable = replace(chosen, schedule="wsd", decay=0.2)
    rates = [settings.rate(stable, progress, 0) for progress in (0.05, 0.1, 0.5, 0.8, 0.85, 0.95, 1)]
    assert rates == pytest.approx([0.5, 1, 1, 1, 0.5, 1 - 0.75**0.5, 0], abs=1e-9)


def test_sample_sheet_shows_every_picture(tmp_path: Path) -> None:
    truth = torch.rand(3, 1, 16, 16)
    sample = samples.sample(truth, random_mosaics.Ranges((4, 8), (4, 8), (4, 4)), torch.Generator().manual_seed(1))
    drawn = sheet.sample_sheet(sample, truth, "caption")
    worse = sheet.sample_sheet(sample, truth + 0.2, "caption")
    assert drawn.size == worse.size
    assert drawn.height > 3 * 160
    assert not np.array_equal(np.asarray(drawn), np.asarray(worse))


def test_log_is_read_as_written(tmp_path: Path) -> None:
    rows = [dict.fromkeys(record.COLUMNS + RESTORERS.columns, 0.1 + i) for i in range(3)]
    record.write_log(tmp_path, rows)
    assert read_log(tmp_path) == rows
    (tmp_path / record.LOG).write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="not the log of a run"):
        read_log(tmp_path)
    with pytest.raises(InputError, match="is this the folder of a run"):
        read_log(tmp_path / "nowhere")


# ── the command line ─────────────────────────────────────────────────────────────────────────────


def test_one_command_trains_on_a_folder_of_photos_and_another_compares(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for i in range(4):
        Image.fromarray(data.astronaut()[i * 100 : i * 100 + 120]).save(tmp_path / "photos" / f"{i}.png")
    runner = CliRunner()
    for run in ("one", "two"):
        arguments = ["train", TINY, "--data", str(tmp_path / "photos"), "-o", str(tmp_path / run), "--steps", "2"]
        result = runner.invoke(app, [*arguments, "--crops", "3", "--batch", "4", "--set", "batch_norm=true"])
        assert result.exit_code == 0, result.output
        assert "RMSE" in result.stdout
    for name in ("curve.png", "best.safetensors", "samples"):
        assert (tmp_path / "one" / name).exists()
    picture = tmp_path / "both.svg"
    result = runner.invoke(app, ["plot", str(tmp_path / "one"), str(tmp_path / "two"), "-o", str(picture)])
    assert result.exit_code == 0, result.output
    assert "two" in picture.read_text()
    result = runner.invoke(app, ["plot", str(tmp_path / "one"), "-o", str(picture)])
    assert isinstance(result.exception, OutputError)
    result = runner.invoke(app, ["train", "--resume", str(tmp_path / "one"), "--steps", "3"])
    assert result.exit_code == 0, result.output
    assert "of 3;" in result.stdout


@pytest.mark.parametrize("arguments", [
    [], [TINY, "--data", "x"], [TINY, "--resume", "x"], ["--resume", "x", "--lr", "0.1"],
    [TINY, "-d", "x", "-o", "y", "--set", "a"],
])  # fmt: skip
def test_usage_errors(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["train", *arguments])
    assert result.exit_code == 2


@pytest.mark.parametrize(
    "verb", ["train", "plot", "summary", "data pack", "data show", "weights import", "weights show"]
)
def test_help_has_an_example(verb: str) -> None:
    result = CliRunner().invoke(app, [*verb.split(), "--help"])
    assert result.exit_code == 0
    assert f"deepix {verb}" in result.output.split("Example", 1)[1]


def test_former_names_work_for_one_version_with_a_notice() -> None:
    code = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from deepix.training import fit, settings
from deepix.training.engine import description, run
from deepix.training.stages.restorer.settings import RestorerSettings
assert fit.fit is run.fit and settings.read is description.read and settings.Settings is RestorerSettings
print([str(w.message).split()[0] for w in caught if w.category is DeprecationWarning and "deepix" in str(w.message)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['deepix.training.fit', 'deepix.training.settings']"
