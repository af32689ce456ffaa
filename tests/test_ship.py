from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from reports import Hear, heard_by, silent
from skimage import data
from typer.testing import CliRunner

from deepix import challenge
from deepix.cli import app
from deepix.errors import DeepixError, InputError
from deepix.training import weights
from deepix.training.engine import description, export, recipes, release
from deepix.training.engine import run as engine
from deepix.training.engine.history import history
from deepix.training.engine.recipes import Recipe

RECIPE = """
purpose = "A tiny one."
limits = ["Tiny."]
[data]
file = "data/tiny.npy"
crops = { number = 2, size = 48, scale = [0.6, 1.0], ratio = [1.0, 1.0] }
[[data.sources]]
file = "train.zip"
times = 2
what = "parts of a photo"
terms = "free"
[validation]
file = "data/tiny-val.npy"
sources = ["val.zip"]
crops = { number = 1, size = 48, scale = [0.6, 1.0], ratio = [1.0, 1.0] }
what = "parts of another photo"
also = "examples.npz"
[settings]
network = "restorer"
options = { widths = [8, 12], blocks = [1, 1] }
batch = 4
lr = 5e-3
ranges = { cell = [2, 8], count = [1, 2] }
truncate = false
validate_every = 1
accelerator = "cpu"
[gpu]
batch = 8
"""


pytestmark = pytest.mark.usefixtures("one_thread")


def archive(path: Path, picture: np.ndarray) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for i in range(6):
            buffer = BytesIO()
            Image.fromarray(picture[64 * i : 64 * i + 96, 200:296]).save(buffer, "PNG")
            file.writestr(f"{i}.png", buffer.getvalue())


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe in a folder of its own, where one works; its pictures in `pictures`."""
    monkeypatch.chdir(tmp_path)
    Path("pictures").mkdir()
    archive(Path("pictures/train.zip"), data.camera())
    archive(Path("pictures/val.zip"), data.moon())
    rng = np.random.default_rng(0)
    images = np.stack([data.camera()[i : i + 64, :64] for i in (0, 100, 200)])
    challenge.write_examples("pictures/examples.npz", images, [challenge.random_mosaic(rng) for _ in images])
    Path("tiny.toml").write_text(RECIPE)
    return recipes.read("tiny.toml")


def folders() -> dict[str, Path]:
    return {"folder": Path("pictures"), "released": Path("released"), "cards": Path("cards")}


def released(recipe: Recipe, hear: Hear = silent, source: Path | None = None) -> bool:
    with heard_by(hear):
        return release.release(recipe, source=source, **folders())


def contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for part in ("released", "cards") for path in Path(part).glob("*")}


def train(recipe: Recipe, said: list[str] | None = None, minutes: float = 0.02) -> engine.Result:
    with heard_by((said if said is not None else []).append):
        return recipes.train(recipe, Path("pictures"), Path("released"), minutes)


def spoil(run: Path, by: float) -> None:
    """Make a run's best weights worse."""
    network, about = weights.load(run), weights.metadata(run)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(by * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    weights.save(network, run / weights.BEST, overwrite=True, extra=about.extra)


def test_from_pictures_to_the_shipped_model_and_on(recipe: Recipe) -> None:
    said: list[str] = []
    result = train(recipe, said)
    assert any("packing train.zip" in line for line in said)
    assert "beginning runs/tiny from restorer" in said
    assert np.load("data/tiny.npy", mmap_mode="r").shape == (24, 48, 48)  # 6 pictures, twice, 2 crops each
    given = description.read(recipe.run)
    assert (given.truncate, given.ranges, given.minutes) == (False, {"cell": [2, 8], "count": [1, 2]}, 0.02)

    # nothing is shipped: the first is
    assert released(recipe, said.append)
    assert "nothing was released before" in said[-1]
    first = contents()
    assert first.keys() == {"tiny.onnx", "tiny.safetensors", "tiny.md", "tiny.png"}
    assert len(first["tiny.png"]) < 60_000
    about = export.about("released/tiny.onnx")
    assert about["scores"]["rmse"] == pytest.approx(result.best["val_rmse"], rel=1e-3)
    assert about["scores"]["also"]["pictures"] == 3
    assert about["cells"] == [2, 8]
    card = first["tiny.md"].decode()
    for part in (
        "A tiny one.",
        "- Tiny.",
        f"{about['scores']['rmse']:.3f}",
        "| `train.zip` | parts of a photo | free |",
    ):
        assert part in card
    assert str(Path.cwd()) not in card
    assert weights.metadata("released/tiny.safetensors").extra["training"] == about["training"]

    # the same is not better than itself
    assert not released(recipe, said.append)
    assert "not better than" in said[-1]
    assert contents() == first

    # the run goes on where it was
    train(recipe, said)
    assert any(line.startswith("going on with runs/tiny after 0.0 minutes") for line in said)
    assert description.read(recipe.run).minutes == pytest.approx(0.04)
    assert len(history(recipe.run)) == 1

    # without a run, training starts from what is shipped
    recipe.run.rename("elsewhere")
    before = said.copy()
    train(recipe, said)
    assert "beginning runs/tiny from released/tiny.safetensors" in said[len(before) :]
    begun, continued = history(recipe.run)
    assert begun == about["training"][0]
    assert continued["from"] == "tiny.safetensors"


@pytest.fixture
def shipped(recipe: Recipe) -> Recipe:
    """A recipe whose first model is shipped."""
    train(recipe)
    assert released(recipe)
    return recipe


def test_only_a_better_model_is_shipped(shipped: Recipe) -> None:
    good = (shipped.run / weights.BEST).read_bytes()
    first = contents()
    spoil(shipped.run, 0.1)
    assert not released(shipped)
    assert contents() == first
    # ship the worse one by force, then the better one improves on it
    for path in Path("released").iterdir():
        path.unlink()
    assert released(shipped)
    worse = export.about("released/tiny.onnx")["scores"]["rmse"]
    (shipped.run / weights.BEST).write_bytes(good)
    said: list[str] = []
    assert released(shipped, said.append)
    assert f"released before: {worse:.3f}" in said[-1]
    assert export.about("released/tiny.onnx")["scores"]["rmse"] < worse


def test_a_score_on_other_pictures_is_not_believed(shipped: Recipe) -> None:
    model = onnx.load("released/tiny.onnx")
    (entry,) = model.metadata_props
    entry.value = entry.value.replace('"validation_sha256": "', '"validation_sha256": "other').replace(
        '"rmse": ', '"rmse": 1000'
    )
    onnx.save(model, "released/tiny.onnx")
    assert export.about("released/tiny.onnx")["scores"]["rmse"] > 1000
    said: list[str] = []
    assert not released(shipped, said.append)
    assert "not better than" in said[-1]


def test_a_failed_export_leaves_what_is_shipped(shipped: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("released/tiny.onnx").unlink()
    Path("released/tiny.safetensors").unlink()
    first = contents()

    def refuse(*arguments: object) -> float:
        raise DeepixError("differs")

    monkeypatch.setattr(type(shipped.stage), "compare", refuse)
    with pytest.raises(DeepixError, match="differs"):
        released(shipped)
    assert contents() == first


def test_the_commands_score_and_ship(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("RELEASED", "CARDS"):
        monkeypatch.setattr(release, place, Path(place.lower()))
    run = ["train", "--recipe", "tiny.toml", "--data", "pictures", "--minutes", "0.02", "-q"]
    assert CliRunner().invoke(app, ["weights", "ship", "tiny.toml", "--data", "pictures"]).exit_code == 0
    for arguments in (run, ["weights", "score", "runs/tiny", "tiny.toml", "--data", "pictures"]):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    assert "tiny-val.npy: RMSE" in result.output
    refused = CliRunner().invoke(app, [*run, "--lr", "1"])
    assert refused.exit_code == 2
    assert "not --lr" in refused.output


def test_a_run_elsewhere_or_a_weights_file_with_its_history_is_released(recipe: Recipe) -> None:
    """As of a checkpoint that somebody hands on: its file alone, trained on other pictures than the recipe's."""
    train(recipe)
    recipe.run.rename("elsewhere")
    assert not released(recipe)
    assert released(recipe, source=Path("elsewhere"))
    of_run = export.about("released/tiny.onnx")["training"]
    for path in Path("released").iterdir():
        path.unlink()
    network, about = weights.load("elsewhere"), weights.metadata("elsewhere")
    about.extra["data"]["file"] = "/somewhere/others.npy"
    weights.save(network, "handed.safetensors", extra=about.extra)
    assert released(recipe, source=Path("handed.safetensors"))
    (trained,) = export.about("released/tiny.onnx")["training"]
    assert trained["data"] == "others.npy"
    assert trained["pictures_seen"] == of_run[0]["pictures_seen"]
    card = Path("cards/tiny.md").read_text()
    assert f"others.npy, {trained['pictures']} of 48x48" in card
    assert "Some of the runs above trained on another selection: `others.npy`." in card
    assert "/somewhere" not in card
    assert not Path("cards/tiny.png").exists()  # a file has no curve


def test_without_the_weights_to_go_on_from_a_recipe_is_an_error(shipped: Recipe) -> None:
    """As in an installed package, which brings the ONNX file alone: a start from nothing is not what is meant."""
    shipped.run.rename("elsewhere")
    Path("released/tiny.safetensors").unlink()
    with pytest.raises(InputError, match=r"tiny\.safetensors: no such weights to go on from.*in a checkout"):
        train(shipped)
    assert not shipped.run.exists()


def test_the_former_name_of_the_command_says_so(recipe: Recipe) -> None:
    result = CliRunner().invoke(app, ["weights", "ship", "tiny.toml", "--data", "pictures"])
    assert result.exit_code == 0
    assert "deprecated" in result.output
    assert "tiny stays as it is" in result.output


def test_every_validation_says_what_the_mosaic_itself_reaches(recipe: Recipe) -> None:
    said: list[str] = []
    result = train(recipe, said)
    lines = [line for line in said if line.startswith("step")]
    (mosaic,) = {line.partition("the mosaic itself: ")[2].partition(")")[0] for line in lines}
    assert float(mosaic) > 0.9 * result.best["val_rmse"]
    assert any("validation pictures: only 6;" in line for line in said)


def test_without_a_run_nothing_happens(recipe: Recipe) -> None:
    said: list[str] = []
    assert not released(recipe, said.append)
    assert said == ["runs/tiny: no run with weights; tiny stays as it is"]
    assert not Path("released").exists()


def test_missing_weights_to_start_from_are_named_before_anything_is_packed(recipe: Recipe) -> None:
    text = RECIPE.replace('network = "restorer"', 'network = "released/other.safetensors"')
    Path("tiny.toml").write_text(text)
    with pytest.raises(InputError, match=r"released/other\.safetensors: no such weights"):
        train(recipes.read("tiny.toml"))
    assert not Path("data").exists()


@pytest.mark.parametrize(("change", "fault"), [
    (("[validation]", "[validations]"), "no 'validation'"),
    (("batch = 4", "batches = 4"), "there are no settings batches"),
    (("number = 2", "numbers = 2"), "numbers"),
    (("purpose =", "purpose"), "not a recipe"),
])  # fmt: skip
def test_what_is_no_recipe_is_said(recipe: Recipe, change: tuple[str, str], fault: str) -> None:
    Path("tiny.toml").write_text(RECIPE.replace(*change))
    with pytest.raises(InputError, match=f"tiny.toml: not a recipe.*{fault}|tiny.toml: {fault}"):
        recipes.read("tiny.toml")


def test_the_project_s_recipes_can_be_read() -> None:
    folder = Path(__file__).parents[1] / "recipes"
    found = [recipes.read(path) for path in sorted(folder.glob("*.toml"))]
    assert [recipe.name for recipe in found] == ["challenge", "locator", "photo", "refiner"]
    for recipe in found:
        settings = recipes.suited(recipe)
        recipe.stage.settings(**settings, data="data", run="run", minutes=1)
        held = {recipe.validation.name, *recipe.validation_sources}
        assert not held & {source.file for source in recipe.sources}
        assert all(source.what and source.terms for source in recipe.sources)
