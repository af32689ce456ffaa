"""The learned locator: what it is taught, the network, the way from photos to maps, and the maps of any picture."""

from __future__ import annotations

import zipfile
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image
from reports import fit, heard_by, resume
from skimage import data
from typer.testing import CliRunner

from deepix.cli import app
from deepix.errors import DeepixError, InputError
from deepix.finder import locator as finder
from deepix.finder.luminance import luminance
from deepix.mosaic import Mosaic, pixelate
from deepix.training import networks, stages, weights
from deepix.training.data import stored
from deepix.training.engine import export, recipes, record, release
from deepix.training.engine.history import history
from deepix.training.engine.recipes import Recipe
from deepix.training.networks.locator import Locator
from deepix.training.stages.locator import examples, scores, targets
from deepix.training.stages.locator.examples import KINDS, MOST, Batch, Cache
from deepix.training.stages.locator.settings import LocatorSettings as Settings

LOCATORS = stages.get("locator")

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = {"filters": 4, "widths": (4, 6, 8, 8), "blocks": (0, 1, 1, 1)}
RECIPE = """
stage = "locator"
purpose = "A tiny one."
limits = ["Tiny."]
[data]
file = "data/locator.npz"
side = 96
[[data.sources]]
file = "train.zip"
times = 5
what = "parts of a photo"
terms = "free"
[validation]
file = "data/locator-val.npz"
sources = ["val.zip"]
times = [3.5]
what = "parts of another photo"
[settings]
network = "locator"
options = { filters = 4, widths = [4, 6, 8, 8], blocks = [0, 1, 1, 1] }
batch = 4
lr = 1e-2
ema = 0.5
patch = 64
validate_every = 2
accelerator = "cpu"
[gpu]
batch = 8
"""


def tiny_network() -> Locator:
    """The same random weights each time, all of which matter."""
    torch.manual_seed(0)
    network = networks.create("locator", **TINY)
    for name, parameter in network.named_parameters():
        if "head" not in name:
            torch.nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.1)
    torch.nn.init.normal_(network.head.weight, std=0.2)
    assert isinstance(network, Locator)
    return network.eval()


@cache
def tiny_model() -> bytes:
    return export.to_onnx(tiny_network(), {})


def batch(*boxes: tuple[int, int, int, int], side: int = 64, cell: tuple[float, float] = (8, 4)) -> Batch:
    """A batch of one noisy picture with rectangular mosaics x, y, width, height."""
    labels = np.zeros((1, side, side), np.uint8)
    cells = np.zeros((1, 1 + MOST, 2), np.float32)
    for k, (x, y, width, height) in enumerate(boxes, 1):
        labels[0, y : y + height, x : x + width] = k
        cells[0, k] = cell
    pictures = np.random.default_rng(0).integers(0, 256, labels.shape).astype(np.uint8)
    return examples.batch_of(Cache(pictures, labels, cells, np.zeros(1, np.uint8)), np.array([0]))


# ── what is taught ───────────────────────────────────────────────────────────────────────────────


def test_places_know_their_share_border_and_cells() -> None:
    given = batch((8, 12, 20, 10), (28, 12, 8, 10))  # the second touches the first
    target = targets.target_of(given)
    share = target.share[0, 0]
    assert share.sum() * 16 == 28 * 10
    assert share[3, 3] == 1
    assert share[5, 3] == 0.5  # rows 20 and 21 of 20 … 23
    labels, border = given.labels[0, 0].numpy(), target.border[0, 0].numpy()
    for (row, column), says in np.ndenumerate(border):
        pixels = [(y, x) for y in range(4 * row, 4 * row + 4) for x in range(4 * column, 4 * column + 4)]
        beside = [(y, x, y + dy, x + dx) for y, x in pixels for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))]
        assert says == any(labels[y, x] != labels[y1, x1] for y, x, y1, x1 in beside if 0 <= y1 < 64 and 0 <= x1 < 64)
    assert border[4, 6:8].all()  # between the two
    inside = target.inside[0, 0].bool()
    assert inside.sum() == 2 * 5 + 2 * 2
    np.testing.assert_array_equal(target.size[0, :, inside], np.log2([[8], [4]]) * np.ones((1, 14)))
    assert target.mosaic[0, 0, 3, 3] == 1
    assert target.mosaic[0, 0, 3, 8] == 2


def test_small_mosaics_weigh_as_much_as_middling_ones() -> None:
    target = targets.target_of(batch((0, 0, 8, 8), (32, 0, 16, 64), side=128))
    small, large = ((target.mosaic == k) & (target.weight > 0) for k in (1, 2))
    assert target.weight[small].sum() == targets.LEAST_WEIGHT
    assert (target.weight[large] == targets.LEAST_WEIGHT / 64).all()
    assert target.weight[0, 0, 2, 2] == targets.LEAST_WEIGHT / 4  # so do its surroundings
    assert target.weight[0, 0, 30, 30] == 1


def test_parts_are_turned_with_all_that_is_known_of_them() -> None:
    given = batch((8, 16, 40, 24), side=96, cell=(8, 4))
    given = given._replace(pictures=given.labels.float() * 100)
    seen = set()
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        part = examples.augmented(given, 64, generator)
        assert part.pictures.shape == part.labels.shape == (1, 1, 64, 64)
        counted = part.counts.expand_as(part.labels)
        ours = part.labels[counted] > 0
        values = part.pictures[counted]
        assert not values[~ours].any()
        assert len(values[ours].unique()) <= 1
        rows, columns = (int((part.labels[0, 0] > 0).any(dim=d).sum()) for d in (1, 0))
        turned = rows > columns if rows != columns else None
        cell = tuple(part.cells[0, 1].tolist())
        assert cell in ((8, 4), (4, 8))
        if (rows, columns) in ((24, 40), (40, 24)):
            assert (cell == (4, 8)) == turned
        seen.add((cell, bool(part.counts.all())))
        if not part.counts.all():  # the strip is a mirror image
            lost = 64 - int(part.counts[0, 0, :, 0].sum())
            if lost:
                picture = part.pictures[0, 0]
                assert torch.equal(picture[64 - lost :], picture[64 - 2 * lost : 64 - lost].flip(0))
    assert len(seen) == 4


def test_true_maps_score_perfectly_and_false_ones_do_not() -> None:
    given = batch((8, 8, 24, 24), (40, 12, 16, 40), side=96)
    target = targets.target_of(given)
    true = torch.cat([30 * (target.share - 0.5), 30 * (target.border - 0.5), target.size], dim=1)
    score = scores.Score.of(scores.tally(true, target, given.kinds))
    assert (score.precision, score.recall, score.size_error) == (1, 1, 0)
    assert score.found == {KINDS[0]: 1}
    assert score.alarms == {}
    assert score.worth == 1
    silent = torch.full_like(true, -9)
    score = scores.Score.of(scores.tally(silent, target, given.kinds))
    assert (score.recall, score.found) == (0, {KINDS[0]: 0})
    assert score.loss > 1
    empty = batch(side=96)
    clean = targets.target_of(empty)
    score = scores.Score.of(scores.tally(true, clean, empty.kinds))
    assert (score.alarms, score.found, score.precision) == ({KINDS[0]: 1}, {}, 0)
    assert scores.Score.of(scores.tally(silent, clean, empty.kinds)).alarms == {KINDS[0]: 0}


@pytest.mark.parametrize("kind", KINDS)
def test_examples_of_every_kind(kind: str) -> None:
    drawn = [examples.draw(data.astronaut(), kind, 128, np.random.default_rng(seed)) for seed in range(3)]
    for picture, labels, cells in drawn:
        assert picture.shape == labels.shape == (128, 128)
        assert picture.dtype == labels.dtype == np.uint8
        assert cells.shape == (1 + MOST, 2)
        assert not cells[0].any()
        assert set(np.unique(labels)) - {0} <= set(np.flatnonzero(cells.any(axis=1)))
    with_mosaics = [bool(labels.any()) for _, labels, _ in drawn]
    assert not any(with_mosaics) if kind in ("negative", "clean") else True
    assert all(with_mosaics) if kind.startswith(("1", "2", "3")) else True


# ── the network ──────────────────────────────────────────────────────────────────────────────────


def test_the_network_and_the_runtime_agree_on_shapes() -> None:
    for network in (tiny_network(), networks.create("locator")):
        assert network.stride == finder.COARSEST
        maps = network(torch.zeros(2, 1, 64, 96))
        assert maps.shape == (2, 4, 64 // finder.STRIDE, 96 // finder.STRIDE)
    assert networks.create(**network.config).config == network.config


def test_neither_brightness_nor_negatives_matter() -> None:
    network = tiny_network()
    picture = torch.from_numpy(data.camera()[100:196, 200:296].astype(np.float32))[None, None]
    with torch.inference_mode():
        maps = network(picture)
        assert maps.std() > 0.01
        torch.testing.assert_close(network(picture + 40), maps, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(network(255 - picture), maps, atol=1e-3, rtol=1e-3)


def test_an_export_that_computes_something_else_is_refused() -> None:
    network = tiny_network()
    model = tiny_model()
    assert LOCATORS.compare(export.runner(model), network) < 1e-4
    proto = onnx.load_model_from_string(model)
    (bias,) = [i for i in proto.graph.initializer if i.name == "head.bias"]
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(0.2), bias.name))
    with pytest.raises(DeepixError, match=r"differ from PyTorch's by .* not exported"):
        LOCATORS.compare(export.runner(proto.SerializeToString()), network)


def test_operations_are_counted() -> None:
    network = networks.create("locator", filters=4, widths=(4, 6), blocks=(0, 0))
    per_pixel = 4 * 16 / 4 + (4 * 4 * 9) / 16 + 4 * 6 * 4 / 64 + 6 * 4 / 64 + 4 * 4 * 9 / 16 + 4 * 4 / 16
    assert network.multiply_adds_per_pixel() == round(per_pixel)


# ── maps of pictures ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Locator:
    """The tiny network in the shipped one's place."""
    network = tiny_network()
    (tmp_path / "tiny.onnx").write_bytes(tiny_model())
    monkeypatch.setattr(finder, "NAME", tmp_path / "tiny.onnx")
    return network


@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (64, 96), (97, 130, 3), (33, 33, 4), (70, 50, 1)])
def test_maps_of_any_picture_are_what_the_network_says(opened: Locator, shape: tuple[int, ...]) -> None:
    plane = luminance(np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))
    before = plane.copy()
    maps = finder.maps(plane)
    np.testing.assert_array_equal(plane, before)
    with torch.inference_mode():
        said = opened(torch.from_numpy(finder.prepare(plane)))[0].numpy()
    down, across = -(-shape[0] // 4), -(-shape[1] // 4)
    said = said[:, :down, :across]
    for values in (maps.pixelated, maps.border, maps.width, maps.height):
        assert values.shape == (down, across)
        assert values.dtype == np.float32
    np.testing.assert_allclose(maps.pixelated, 1 / (1 + np.exp(-said[0])), atol=1e-5)
    np.testing.assert_allclose(maps.border, 1 / (1 + np.exp(-said[1])), atol=1e-5)
    np.testing.assert_allclose(np.log2(maps.width), said[2].clip(0, finder.LARGEST), atol=1e-4)
    np.testing.assert_allclose(np.log2(maps.height), said[3].clip(0, finder.LARGEST), atol=1e-4)


def test_depth_and_colour_make_little_difference(opened: Locator) -> None:
    gray = data.camera()[:128, :160]
    maps = finder.maps(luminance(gray))
    for other in (gray.astype(np.uint16) * 257, np.stack([gray] * 3, axis=2)):
        np.testing.assert_allclose(finder.maps(luminance(other)).pixelated, maps.pixelated, atol=1e-5)


def test_tiles_do_not_show(opened: Locator, monkeypatch: pytest.MonkeyPatch) -> None:
    plane = luminance(data.camera())
    whole = finder.maps(plane)
    monkeypatch.setattr(finder, "TILE", 128)
    tiled = finder.maps(plane)
    for name in ("pixelated", "border"):
        np.testing.assert_allclose(getattr(tiled, name), getattr(whole, name), atol=1e-3)
    monkeypatch.setattr(finder, "OVERLAP", 0)
    assert np.abs(finder.maps(plane).pixelated - whole.pixelated).max() > 1e-3  # so they could have shown


def test_a_missing_model_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "NAME", "nowhere")
    with pytest.raises(DeepixError, match="the model 'nowhere' is missing"):
        finder.maps(np.zeros((8, 8), np.float32))


def jpeg(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return np.asarray(Image.open(buffer))


def test_the_shipped_locator_sees_a_mosaic_and_its_cells() -> None:
    photo = data.astronaut()[:320, :480].copy()
    clean = finder.maps(luminance(photo))
    assert clean.pixelated.mean() < 0.02
    part = photo[80:176, 120:280].reshape(12, 8, 20, 8, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    photo[80:176, 120:280] = part.repeat(8, axis=0).repeat(8, axis=1)
    maps = finder.maps(luminance(jpeg(photo)))
    area = np.zeros(maps.pixelated.shape, bool)
    area[20:44, 30:70] = True
    said = maps.pixelated > 0.5
    assert (said & area).sum() / (said | area).sum() > 0.85
    assert np.median(maps.width[area]) == pytest.approx(8, rel=0.2)
    assert np.median(maps.height[area]) == pytest.approx(8, rel=0.2)
    assert maps.border[20, 32:68].mean() > 0.4 > maps.border[28:36, 40:60].mean()


@pytest.mark.parametrize("odd", [0, 1])
def test_larger_cells_than_those_learned_from_show_at_half_the_size(odd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = np.asarray(Image.fromarray(data.astronaut()).resize((1024 + odd, 768 + odd), Image.Resampling.BICUBIC))
    hidden = pixelate(photo, [Mosaic.rectangle(200, 100, 480, 384, 96)])
    plane = luminance(jpeg(hidden))
    area = np.zeros((-(-len(plane) // 4), -(-plane.shape[1] // 4)), bool)
    area[25:121, 50:170] = True
    maps = finder.maps(plane)
    said = maps.pixelated > 0.5
    assert said.shape == area.shape
    assert (said & area).sum() / (said | area).sum() > 0.85
    assert np.median(maps.width[said]) == pytest.approx(96, rel=0.2)
    monkeypatch.setattr(finder, "COARSE", 10_000)
    assert (finder.maps(plane).pixelated > 0.5)[area].mean() < said[area].mean()


# ── from photos to the shipped model ─────────────────────────────────────────────────────────────


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe in a folder of its own, where one works; its photos in `photos`."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name, picture in (("train", data.astronaut()), ("val", data.coffee())):
        with zipfile.ZipFile(f"photos/{name}.zip", "w") as file:
            for i in range(6):
                buffer = BytesIO()
                Image.fromarray(picture[40 * i : 40 * i + 120, 100:280]).save(buffer, "PNG")
                file.writestr(f"{i}.png", buffer.getvalue())
    Path("locator.toml").write_text(RECIPE)
    return recipes.read("locator.toml")


def test_examples_are_drawn_once_and_are_the_same_again(recipe: Recipe) -> None:
    said: list[str] = []

    def gather() -> tuple[Path, Path]:
        with heard_by(said.append):
            return LOCATORS.gather(recipe, Path("photos"))

    paths = gather()
    assert len(said) == 2
    training, validation = (examples.read_cache(path) for path in paths)
    assert training.pictures.shape == training.labels.shape == (30, 96, 96)
    assert len(validation.pictures) == 21  # 3.5 of each of 6
    assert set(validation.kinds[: len(KINDS)]) == set(range(len(KINDS)))
    assert gather() == paths
    assert len(said) == 2
    again = examples.prepare([(Path("photos/val.zip"), 3.5)], Path("again.npz"), 96, 1, every_kind=True)
    assert stored.identity(again) == stored.identity(validation) != stored.identity(training)
    Path("again.npz").write_bytes(b"no")
    with pytest.raises(InputError, match=r"again\.npz: no examples"):
        examples.read_cache(Path("again.npz"))


def test_training_lowers_the_loss_and_goes_on(recipe: Recipe) -> None:
    data_file, validate = LOCATORS.gather(recipe, Path("photos"))
    given = Settings(**{**recipe.settings, "validate_every": 30}, data=str(data_file), validate=str(validate),
                     run="run", steps=60, precision="32-true")  # fmt: skip
    result = fit(given)
    assert result.finished
    rows = record.read_log("run", LOCATORS)
    assert [row["step"] for row in rows] == [30, 60]
    before = scores.assess(export.load("run", LOCATORS), examples.read_cache(validate), given.batch).loss
    assert before == pytest.approx(result.best["val_loss"], rel=1e-3)
    assert result.best["worth"] == max(row["worth"] for row in rows)
    fresh = networks.create("locator", **recipe.settings["options"])
    torch.manual_seed(0)
    assert isinstance(fresh, Locator)
    assert rows[-1]["val_loss"] < 0.95 * scores.assess(fresh, examples.read_cache(validate), given.batch).loss
    again = resume(Path("run"), steps=90)
    assert [row["step"] for row in record.read_log("run", LOCATORS)] == [30, 60, 90]
    assert again.best["worth"] >= result.best["worth"]


def test_from_photos_to_the_shipped_model(recipe: Recipe) -> None:
    said: list[str] = []

    def put(recipe: Recipe) -> bool:
        with heard_by(said.append):
            return release.release(recipe, Path("photos"), released=Path("released"), cards=Path("cards"))

    def train(minutes: float) -> None:
        with heard_by(said.append):
            recipes.train(recipe, Path("photos"), Path("released"), minutes)

    assert not put(recipe)
    train(0.03)
    assert put(recipe)
    about = export.about("released/locator.onnx")
    assert (about["kind"], about["name"], about["stride"]) == ("locator", "locator", 32)
    (run,) = about["training"]
    assert run["from"] == "locator"
    assert run["examples_seen"] == 4 * run["steps"]
    card = Path("cards/locator.md").read_text()
    for part in ("# Model card: locator", "| `train.zip` | parts of a photo | free |", "2 jpeg 50-89", "- Tiny."):
        assert part in card
    kept = Path("released/locator.onnx").read_bytes()
    assert not put(recipe)  # it is not better than itself
    assert "nothing is changed" in said[-1]
    assert Path("released/locator.onnx").read_bytes() == kept
    assert export.load("released/locator.safetensors", LOCATORS).config["filters"] == 4
    train(0.02)
    assert any("going on with" in line for line in said)
    assert len(history("runs/locator")) == 1


def test_the_commands_train_export_and_score(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "RELEASED", Path("released"))  # the package's own locator has other sizes

    def run(*given: str) -> str:
        result = CliRunner().invoke(app, list(given))
        assert result.exit_code == 0, result.output
        return result.output

    output = run("train", "--recipe", "locator.toml", "--data", "photos", "--minutes", "0.02", "--quiet")
    assert "validation loss" in output
    output = run("weights", "export", "runs/locator", "-o", "m.onnx", "--name", "mine")
    assert "agrees with PyTorch" in output
    assert export.about("m.onnx")["name"] == "mine"
    output = run("weights", "score", "runs/locator", "locator.toml", "--data", "photos")
    assert "21 examples: loss" in output
    assert "negative, without mosaics: alarms in" in output


def test_other_networks_are_no_locators(tmp_path: Path) -> None:
    weights.save(networks.create("deepixv1:2,2,2:3,3"), tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"other\.safetensors: not a locator's weights"):
        export.load(tmp_path / "other.safetensors", LOCATORS)
