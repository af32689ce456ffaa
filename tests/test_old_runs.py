"""Run folders that commit b6383c7 left half-way, weights and recipes of that time: all go on.

`tests/data/*-b6383c7.zip` are folders of runs with checkpoints after step 11 of 16; `whole.csv` is the log of the same
run when nothing stopped it. That code had one training loop for restorers and another one for the locator.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from reports import resume

from deepix.errors import InputError
from deepix.training import stages, weights
from deepix.training.engine import description, export, record
from deepix.training.engine.callbacks import LAST
from deepix.training.engine.checkpoints import used
from deepix.training.engine.history import history, stage_of

DATA = Path(__file__).parent / "data"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=["restorer", "locator"])
def stage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a stage; a run of it is in the folder `run` where one works."""
    name = {"restorer": "run", "locator": "locator-run"}[request.param]
    with zipfile.ZipFile(DATA / f"{name}-b6383c7.zip") as file:
        file.extractall(tmp_path / "run")
    for examples in (tmp_path / "run").glob("*.npz"):  # the locator's lay where one worked
        examples.rename(tmp_path / examples.name)
    monkeypatch.chdir(tmp_path)
    return str(request.param)


def test_an_old_run_resumes_to_the_same_steps_rates_and_log(stage: str) -> None:
    run, kind = Path("run"), stages.get(stage)
    expected = Path("run/whole.csv").read_text()
    assert used(run)[0] == 11
    result = resume(run)
    assert (result.finished, result.steps) == (True, 16)
    Path("whole").mkdir()
    Path("whole/log.csv").write_text(expected)
    ours, theirs = (record.read_log(where, kind) for where in (run, "whole"))
    assert [row["step"] for row in ours] == [4, 8, 12, 16]
    for row, other in zip(ours, theirs, strict=True):
        assert row["lr"] == pytest.approx(other["lr"], rel=1e-9)
        # the old locator forgot the sums of its losses when it was stopped, in the row of step 12
        forgotten = {"pixelated", "border", "size"} if row["step"] == 12 and stage == "locator" else set()
        compared = [name for name in other if name not in {"minutes", *forgotten}]
        assert {n: row[n] for n in compared} == pytest.approx({n: other[n] for n in compared}, rel=2e-3, abs=2e-3)
    (again,) = json.loads((run / "run.json").read_text())["resumed"]
    assert again["after_step"] == 11
    assert len(history(run)) == 1
    with pytest.raises(InputError, match="its budget is used up"):
        resume(run)


def test_old_weights_and_settings_are_read(stage: str) -> None:
    run = Path("run")
    assert description.read(run).steps == 16
    assert description.read(run).stage == stage
    assert stage_of(run).name == stage
    about = export.export(run, "model.onnx", "old")
    assert about["training"][0]["steps"] == weights.metadata(run).extra["step"]


def test_a_run_without_its_checkpoint_says_how_to_go_on(stage: str) -> None:
    (Path("run") / LAST).write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(InputError, match="go on from the run's best weights in a new run"):
        resume(Path("run"))
