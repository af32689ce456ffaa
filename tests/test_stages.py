"""A third stage of training, with two optimizers, in a folder that the engine knows nothing of."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from reports import fit, heard_by, resume, silent
from scipy.ndimage import gaussian_filter
from typer.main import get_command
from typer.testing import CliRunner

from deepix.cli import app
from deepix.errors import DeepixError, InputError
from deepix.training import networks, stages, weights
from deepix.training.engine import description, export, recipes, record, release
from deepix.training.engine.callbacks import LAST
from deepix.training.engine.settings import Settings, declarations

RECIPE = """
stage = "toy"
purpose = "Sharpens."
limits = ["A toy."]
[data]
file = "pictures.npy"
[[data.sources]]
file = "noise.bin"
what = "noise"
terms = "none"
[validation]
file = "pictures.npy"
what = "noise"
[settings]
network = "sharpener:6"
batch = 8
lr = 1e-2
ema = 0.9
adversary = 0.01
validate_every = 10
accelerator = "cpu"
"""

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Settings]:
    """The settings of the toy stage, which is in a folder of its own; data and a recipe are where one works."""
    shutil.copytree(Path(__file__).parent / "toy", tmp_path / "stages" / "toy")
    monkeypatch.setattr(stages, "__path__", [*stages.__path__, str(tmp_path / "stages")])
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    noise = np.random.default_rng(0).standard_normal((40, 12, 12))
    np.save("pictures.npy", gaussian_filter(noise, (0, 0.7, 0.7)).astype(np.float32))
    Path("toy.toml").write_text(RECIPE)
    yield stages.get("toy").settings
    for name in [name for name in sys.modules if name.startswith("deepix.training.stages.toy")]:
        del sys.modules[name]


def given(kind: type[Settings], run: str, **changes: object) -> Settings:
    settings = {"network": "sharpener", "data": "pictures.npy", "run": run, "steps": 40, "batch": 8, "lr": 1e-2,
                "ema": 0.9, "validate_every": 10, "accelerator": "cpu"}  # fmt: skip
    return kind(**{**settings, **changes})


def test_it_is_found_with_its_network(toy: type[Settings]) -> None:
    assert stages.names() == ["locator", "refiner", "restorer", "toy"]
    assert networks.create("sharpener:6").config == {"name": "sharpener", "width": 6}
    assert stages.of_network("sharpener:6").name == "toy"
    with pytest.raises(DeepixError, match=r"no stage of training is called 'no'; .* locator, refiner, restorer, toy"):
        stages.get("no")
    with pytest.raises(DeepixError, match="adversary must be at least 0"):
        given(toy, "run", adversary=-1.0)


def test_one_brought_from_elsewhere_is_found_as_well(toy: type[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stages.get("toy")
    monkeypatch.setattr(stages, "__path__", stages.__path__[:-1])
    assert "toy" not in stages.names()
    monkeypatch.setattr(stages, "_registered", {})
    stages.register(stage)
    assert stages.get("toy") is stage


def state(run: str) -> dict[str, object]:
    return torch.load(Path(run) / LAST, weights_only=True)


def test_it_trains_by_turns_and_resumes_exactly(toy: type[Settings]) -> None:
    whole = fit(given(toy, "whole"))
    assert (whole.finished, whole.steps) == (True, 40)
    rows = record.read_log("whole", stages.get("toy"))
    assert [row["step"] for row in rows] == [10, 20, 30, 40]
    assert rows[-1]["val_gain"] > max(rows[0]["val_gain"], 0.1)
    assert Path("whole/curve.png").exists()
    assert json.loads(Path("whole/run.json").read_text())["result"]["best_gain"] == whole.best["val_gain"]

    def interrupt(line: str) -> None:
        if line.startswith("step      20"):
            os.kill(os.getpid(), signal.SIGINT)

    part = fit(given(toy, "part"), interrupt)
    assert (part.finished, part.steps) == (False, 21)
    assert resume(Path("part")).steps == 40
    one, two = state("whole"), state("part")
    assert len(one["optimizer_states"]) == 2
    for key in ("state_dict", "current_model_state"):
        for name, tensor in one[key].items():
            assert torch.equal(tensor, two[key][name]), name
    logs = [record.read_log(run, stages.get("toy")) for run in ("whole", "part")]
    rates = [{row["step"]: row["lr"] for row in log} for log in logs]
    assert rates[1].pop(21) > 0  # it validated when it was stopped
    assert rates[0] == rates[1]
    gains = [{row["step"]: row["val_gain"] for row in log if row["step"] != 21} for log in logs]
    assert gains[0] == gains[1]


TWO_PROCESSES = """
import torch
from deepix.training import stages
from deepix.training.engine.run import fit
torch.set_num_threads(1)
stages.__path__.append("../stages")
if __name__ == "__main__":
    fit(stages.get("toy").settings(network="sharpener", data="pictures.npy", run="run", steps=4, batch=8, lr=1e-2,
        ema=0.9, accelerator="cpu", devices=2, clip=0))
"""


def test_several_processes_take_their_turns_together(toy: type[Settings]) -> None:
    """Their gradients are averaged: a batch shared out among them is a whole one, but for noise and dropout."""
    Path("script.py").write_text(TWO_PROCESSES)
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert description.read("run").devices == 2
    fit(given(toy, "alone", steps=4, clip=0.0))
    ours, alone = (weights.load(run).state_dict()["generator.2.weight"] for run in ("run", "alone"))
    torch.testing.assert_close(ours, alone, rtol=0, atol=0.01)


def test_the_adversary_waits_when_it_is_ahead(toy: type[Settings]) -> None:
    """In every third step only the sharpener learns."""
    kept = {}
    for steps in (2, 3):
        fit(given(toy, f"run{steps}", steps=steps, schedule="constant", ema=0))
        kept[steps] = state(f"run{steps}")["state_dict"]
    changed = {name for name, tensor in kept[2].items() if not torch.equal(tensor, kept[3][name])}
    assert changed
    assert all(name.startswith("network.generator") for name in changed)


def test_it_is_exported_compared_and_released(toy: type[Settings]) -> None:
    recipe = recipes.read("toy.toml")
    places = {"folder": Path(), "released": Path("released"), "cards": Path("cards")}
    said: list[str] = []
    with heard_by(said.append):
        result = recipes.train(recipe, Path(), Path("released"), steps=20)
        assert result.steps == 20
        assert release.release(recipe, **places)
        assert not release.release(recipe, **places)
    assert "not better than" in said[-1]
    about = export.about("released/toy.onnx")
    assert (about["kind"], about["sharpness"], about["name"]) == ("toy", 3, "toy")
    assert about["training"][0]["adversary"] == 0.01
    card = Path("cards/toy.md").read_text()
    for part in ("# Model card: toy", "| sharpness | 3 |", "## What it invents", "| `noise.bin` | noise | none |"):
        assert part in card
    assert weights.load("released/toy.safetensors").config["width"] == 6
    # a run elsewhere, and a weights file with its history
    recipe.run.rename("elsewhere")
    for path in Path("released").iterdir():
        path.unlink()
    with heard_by(silent):
        assert release.release(recipe, source=Path("elsewhere"), **places)
        for path in Path("released").iterdir():
            path.unlink()
        assert release.release(recipe, source=Path("elsewhere/best.safetensors"), **places)
    assert export.about("released/toy.onnx")["training"] == about["training"]


def test_the_commands_do_not_ask_what_it_is(toy: type[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "RELEASED", Path("released"))
    monkeypatch.setattr(release, "CARDS", Path("cards"))

    def run(*words: str) -> str:
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == 0, result.output
        return result.output

    assert "gain" in run("train", "--recipe", "toy.toml", "--data", ".", "--steps", "20")
    assert "of 20;" in run("train", "sharpener", "-d", "pictures.npy", "-o", "run", "--steps", "20")
    assert "agrees with PyTorch" in run("weights", "export", "runs/toy", "-o", "m.onnx", "--name", "mine")
    assert "gain" in run("weights", "score", "runs/toy", "toy.toml", "-d", ".")
    assert "new" in run("weights", "release", "toy.toml", "-d", ".")
    assert "gain" in run("plot", "runs/toy", "run", "-o", "curves.png")
    refused = CliRunner().invoke(app, ["train", "sharpener", "-d", "x", "-o", "y", "--steps", "2", "--noise", "1"])
    assert refused.exit_code == 2
    assert "not --noise" in refused.output


def test_a_network_of_another_stage_is_refused(toy: type[Settings]) -> None:
    with pytest.raises(InputError, match="not a network of the stage toy, which trains sharpener"):
        fit(given(toy, "run", network="deepixv1:2,2,2:3,3"))
    assert not Path("run").exists()


def test_a_budget_in_steps_has_the_same_rates_however_often_it_is_interrupted(
    toy: type[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a recipe: `--steps` are those of the run in all."""
    recipe = recipes.read("toy.toml")

    def interrupt(line: str) -> None:
        if line.startswith("step      10"):
            os.kill(os.getpid(), signal.SIGINT)

    with heard_by(interrupt):
        assert recipes.train(recipe, Path(), Path("released"), steps=30).steps == 11
    with heard_by(silent):
        assert recipes.train(recipe, Path(), Path("released"), steps=30).steps == 30
        fit(replace(description.read(recipe.run), run="whole"))
    rates = [{r["step"]: r["lr"] for r in record.read_log(w, recipe.stage)} for w in (recipe.run, "whole")]
    assert rates[1] == {step: rates[0][step] for step in (10, 20, 30)}


def test_every_setting_has_a_flag_or_is_given_in_another_way() -> None:
    command = get_command(app).commands["train"]  # type: ignore[attr-defined]
    flags = {flag: parameter for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    for kind in stages.settings_kinds():
        for name, (_, default, option) in declarations(kind).items():
            if option.help:
                for flag in (option.flag or f"--{name.replace('_', '-')}").split("/"):
                    assert flags[flag].help == option.help
                    assert default in ({}, flags[flag].default)
