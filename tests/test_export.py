from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from PIL import Image
from reports import fit
from skimage import data
from typer.testing import CliRunner

from deepix import challenge
from deepix.cli import app
from deepix.errors import DeepixError, InputError, OutputError
from deepix.training import deviations as spread
from deepix.training import networks, stages, weights
from deepix.training.data import packing
from deepix.training.data.crops import Crops
from deepix.training.engine import export
from deepix.training.engine.history import history
from deepix.training.engine.stage import Assessment
from deepix.training.networks.restorer import Restorer
from deepix.training.stages.restorer import calibration as calibrate
from deepix.training.stages.restorer.examples import of_kind, validation_set
from deepix.training.stages.restorer.settings import RestorerSettings as Settings

RESTORERS = stages.get("restorer")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with packed pictures to train on, others to validate with, and a run of a few steps."""
    folder = tmp_path_factory.mktemp("export")
    for name, picture in (("train", data.camera()), ("val", data.moon())):
        tiles = [picture[y : y + 64, x : x + 64] for y in range(0, 512, 128) for x in range(0, 512, 128)]
        np.save(folder / f"{name}-tiles.npy", np.stack(tiles))
        crops = Crops(1, size=48, scale=(0.6, 1), ratio=(1, 1))
        packing.pack([folder / f"{name}-tiles.npy"], folder / f"{name}.npy", crops=crops)
    fit(settings(folder))
    return folder


def settings(folder: Path) -> Settings:
    return Settings(
        network="restorer", data=str(folder / "train.npy"), run=str(folder / "run"), steps=8, batch=4, lr=5e-3,
        options={"widths": (8, 12), "blocks": (1, 1)}, validate=str(folder / "val.npy"), accelerator="cpu",
        precision="32-true",
    )  # fmt: skip


# ── the file ─────────────────────────────────────────────────────────────────────────────────────


def test_an_export_says_what_the_runtime_needs(folder: Path, tmp_path: Path) -> None:
    returned = export.export(
        folder / "run", tmp_path / "m.onnx", "tiny", assessment=Assessment({"rmse": 20.5}, {"calibration": 1.25})
    )
    about = export.about(tmp_path / "m.onnx")
    assert {**about, "difference": returned["difference"]} == returned
    network = weights.load(folder / "run")
    assert isinstance(network, Restorer)
    assert (about["name"], about["stride"], about["cells"]) == ("tiny", 4, [4, 16])
    assert (about["rounds"], about["offset"]) == (list(network.rounds), network.offset)
    assert (about["calibration"], about["scores"]) == (1.25, {"rmse": 20.5})
    assert about["parameters"] == sum(p.numel() for p in network.parameters())
    (run,) = about["training"]
    assert run["from"] == "restorer"
    assert run["pictures_seen"] == 4 * weights.metadata(folder / "run").extra["step"]
    assert str(folder) not in json.dumps(about)  # a folder's name is nobody's business
    assert returned["difference"] < 1e-3 / 255


def test_onnx_runtime_computes_the_network_for_any_batch_and_size(folder: Path, tmp_path: Path) -> None:
    export.export(folder / "run", tmp_path / "m.onnx", "tiny")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    network = export.load(folder / "run", RESTORERS)
    rng = np.random.default_rng(0)
    for shape in ((1, 7, 4, 4), (1, 7, 48, 48), (3, 7, 12, 40)):
        x = rng.standard_normal(shape).astype(np.float32)
        with torch.inference_mode():
            theirs = network.body(torch.from_numpy(x))
        for a, b in zip(session.run(["residual", "log_deviation"], {"features": x}), theirs, strict=True):
            assert a.shape == (shape[0], 1, *shape[2:])
            assert np.abs(a).max() > 1e-4
            np.testing.assert_allclose(a, b.numpy(), atol=1e-5)


def perturbed(model: bytes, by: float) -> bytes:
    """Return the model with one of its heads' biases moved."""
    proto = onnx.load_model_from_string(model)
    (bias,) = [i for i in proto.graph.initializer if i.name == "deviation.2.bias"]
    values = numpy_helper.to_array(bias) + np.float32(by)
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    content: bytes = proto.SerializeToString()
    return content


def test_a_model_that_computes_something_else_is_refused(folder: Path) -> None:
    network = export.load(folder / "run", RESTORERS)
    model = export.to_onnx(network, {})
    assert RESTORERS.compare(export.runner(perturbed(model, 0)), network) < 1e-3 / 255
    for by in (0.5, np.nan):
        with pytest.raises(DeepixError, match=r"differs from PyTorch's by .* not exported"):
            RESTORERS.compare(export.runner(perturbed(model, by)), network)


def test_nothing_is_written_where_the_results_differ(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_onnx = export.to_onnx
    monkeypatch.setattr(export, "to_onnx", lambda *arguments: perturbed(to_onnx(*arguments), 0.5))
    with pytest.raises(DeepixError, match="differs"):
        export.export(folder / "run", tmp_path / "m.onnx", "tiny")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_said(folder: Path, tmp_path: Path) -> None:
    other = networks.create("deepixv1:2,2,2:3,3")
    weights.save(other, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"other\.safetensors: only a restorer"):
        export.export(tmp_path / "other.safetensors", tmp_path / "m.onnx", "other")
    (tmp_path / "there.onnx").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"there\.onnx: exists already"):
        export.export(folder / "run", tmp_path / "there.onnx", "tiny")
    with pytest.raises(InputError, match=r"there\.onnx: not a model"):
        export.about(tmp_path / "there.onnx")
    assert (tmp_path / "there.onnx").read_bytes() == b"mine"


def test_the_command_exports(folder: Path, tmp_path: Path) -> None:
    given = ["weights", "export", str(folder / "run"), "-o", str(tmp_path / "m.onnx"), "--name", "tiny"]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    assert "agrees with PyTorch" in result.output
    assert export.about(tmp_path / "m.onnx")["name"] == "tiny"


def test_history_begins_with_the_first_run(folder: Path, tmp_path: Path) -> None:
    again = Settings(**{**vars(settings(folder)), "network": str(folder / "run"), "options": {"offset": 0.0},
                        "run": str(tmp_path / "again"), "steps": 2})  # fmt: skip
    fit(again)
    assert export.load(tmp_path / "again", RESTORERS).offset == 0.0
    assert [run["from"] for run in history(tmp_path / "again")] == ["restorer", "run"]


# ── the deviations ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
def test_gaussian_errors_are_calibrated(scale: float) -> None:
    rng = np.random.default_rng(0)
    deviations = rng.uniform(1, 10, 200_000)
    errors = scale * deviations * rng.standard_normal(deviations.shape)
    factor = spread.factor(errors[::2], deviations[::2])
    assert factor == pytest.approx(scale, rel=0.01)
    shares = spread.coverage(errors[1::2], factor * deviations[1::2])
    assert shares == pytest.approx(spread.GAUSSIAN, abs=0.005)


def test_heavier_tails_are_shared_out_among_both_shares() -> None:
    errors = np.random.default_rng(0).laplace(size=200_000)
    factor = spread.factor(errors[::2], np.ones(100_000))
    one, two = spread.coverage(errors[1::2], np.full(100_000, factor))
    assert one - spread.GAUSSIAN[0] == pytest.approx(spread.GAUSSIAN[1] - two, abs=0.005)
    assert (one, two) == pytest.approx((0.717, 0.920), abs=0.005)  # 1 − y and 1 − y², where y + y² = 2 − 0.683 − 0.954


@pytest.mark.parametrize(("errors", "deviations"), [([], []), ([1.0], [1.0, 2.0]), ([1.0], [0.0]), ([1.0], [np.nan])])
def test_what_cannot_be_calibrated_is_refused(errors: list[float], deviations: list[float]) -> None:
    with pytest.raises(ValueError, match="deviation"):
        spread.factor(np.array(errors), np.array(deviations))


def test_an_assessment_scores_as_training_does(folder: Path) -> None:
    given = settings(folder)
    assessed = calibrate.assess(export.load(folder / "run", RESTORERS), validation_set(given), given.truncate)
    extra = weights.metadata(folder / "run").extra
    assert assessed.rmse == pytest.approx(extra["val_rmse"], rel=1e-4)
    assert assessed.rmse_per_picture == pytest.approx(extra["val_rmse_per_picture"], rel=1e-4)
    assert assessed.pictures == 16
    assert 0 < assessed.within_one < assessed.within_two <= 1
    pixels = sum(share.pixels for share in assessed.by_cells)
    for which in ("within_one", "within_two"):
        mean = sum(share.pixels * getattr(share, which) for share in assessed.by_cells) / pixels
        assert mean == pytest.approx(getattr(assessed, which))


def test_deviations_are_told_of_pictures_of_one_kind(folder: Path, tmp_path: Path) -> None:
    given, network = settings(folder), export.load(folder / "run", RESTORERS)
    for name, photo in (("cats-1", data.chelsea()), ("cats-2", data.chelsea()[::-1]), ("cup", data.coffee())):
        Image.fromarray(photo).save(tmp_path / f"{name}.png")
    crops = Crops(2, 48)
    cats, all_of_them = (of_kind(tmp_path, begin, crops, given) for begin in ("cats", ""))
    assert (len(cats.pixels), len(all_of_them.pixels)) == (4, 6)
    of_cats, of_all = (calibrate.share("", network, kind, given.truncate, 1.0) for kind in (cats, all_of_them))
    assert 0 < of_cats.pixels < of_all.pixels
    assert 0 < of_cats.within_one < of_cats.within_two <= 1
    assert calibrate.share("", network, cats, given.truncate, 100.0).within_one == 1
    with pytest.raises(InputError, match="begins with 'dogs'"):
        of_kind(tmp_path, "dogs", crops, given)


def test_validation_pictures_may_be_examples_or_packed(folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = np.stack([data.camera()[i : i + 64, i : i + 64] for i in range(0, 320, 64)])
    drawn = [challenge.random_mosaic(rng) for _ in images]
    challenge.write_examples(tmp_path / "val.npz", images, drawn)
    given = Settings(network="restorer", data="", run="", steps=1, validate=str(tmp_path / "val.npz"))
    ours = validation_set(given)
    assert np.array_equal(ours.pixels, images)
    assert [(r[0], r[1], r[6]) for r in ours.rectangles[:, 0]] == [(m.x, m.y, m.grid.width) for m in drawn]
    packed = validation_set(settings(folder))
    assert packed.pixels.shape == (16, 48, 48)
    assert np.array_equal(packed.rectangles, validation_set(settings(folder)).rectangles)
