"""Networks at work: the same as in training, on pictures and cells of any size."""

import json
import threading

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import small_network, write_model
from PIL import Image
from skimage import data
from typer.testing import CliRunner

import deepix
from deepix import challenge, threads
from deepix.cli import app
from deepix.inference import models
from deepix.inference.models import Models, default
from deepix.mosaic import Grid, Mosaic, consistency, pixelate, project, quantize, unknown
from deepix.restorer import parts
from deepix.restorer.colour import from_planes, to_planes
from deepix.restorer.lattice import Axis, on_lattice
from deepix.restorer.network import SHIPPED, Restorer, estimate, estimate_each, load
from deepix.restorer.smooth import smooth
from deepix.training import operators
from deepix.training.data.samples import Sample
from deepix.training.operators import from_numpy


@pytest.fixture(scope="module")
def network():
    return small_network()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "small.onnx")


def in_torch(network, pixelated, mosaics):
    """What the network makes of one gray picture, in levels."""
    height, width = pixelated.shape
    cells = from_numpy([mosaics], height, width)
    with torch.inference_mode():
        estimate = network.estimate(Sample(None, torch.from_numpy(pixelated)[None, None].float() / 255, cells))
    return [255 * plane[0, 0].numpy() for plane in estimate]


def rmse(estimate, truth, mosaics):
    area = unknown(mosaics, truth.shape)
    return float(np.sqrt(((estimate.astype(np.float64) - truth)[area] ** 2).mean()))


# ── the same as in training ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(4))
def test_a_photo_is_restored_as_in_torch(seed, network, model):
    rng = np.random.default_rng(seed)
    image = data.camera()[100:180, 200:264]
    mosaics = [
        Mosaic.rectangle(int(rng.integers(5, 9)), 6, 24, int(rng.integers(50, 64)), int(rng.integers(2, 17))),
        Mosaic.rectangle(36, 14, 21, 30, (int(rng.integers(2, 17)), int(rng.integers(2, 17)))),
    ]
    pixelated = pixelate(image, mosaics)
    restored, deviation = estimate(pixelated, mosaics, model)
    expected = in_torch(network, pixelated, mosaics)
    assert np.abs(restored - expected[0]).max() < 0.2
    np.testing.assert_allclose(deviation, expected[1], rtol=0.03, atol=0.03)
    assert np.abs(restored - smooth(pixelated, mosaics)).max() > 5  # the network did something


def test_the_challenges_pictures_are_restored_as_in_torch(model):
    network = small_network(offset=operators.TRUNCATED)
    rng = np.random.default_rng(1)
    image = challenge.prepare(data.astronaut())
    mosaics = [challenge.random_mosaic(rng) for _ in range(8)]
    pixelated = np.stack([challenge.pixelate(image, m) for m in mosaics])
    restored, deviation = estimate_each(pixelated, mosaics, model)
    for k, m in enumerate(mosaics):
        expected = in_torch(network, pixelated[k], [m])
        assert np.abs(restored[k] - expected[0]).max() < 0.2
        np.testing.assert_allclose(deviation[k], expected[1], rtol=0.03, atol=0.03)


def test_areas_too_large_for_a_window_are_taken_whole(model):
    network = small_network(offset=operators.TRUNCATED)
    image = challenge.prepare(data.coffee())
    mosaics = [Mosaic.rectangle(2, 5, 60, 44, 11), Mosaic.rectangle(30, 20, 5, 9, 4)]
    pixelated = np.stack([challenge.pixelate(image, m) for m in mosaics])
    restored, _ = estimate_each(pixelated, mosaics, model)
    assert np.abs(restored[0] - in_torch(network, pixelated[0], mosaics[:1])[0]).max() < 0.2
    with pytest.raises(ValueError, match="rectangles"):
        estimate_each(image[None], [Mosaic.from_mask(np.eye(64, dtype=bool), Grid(0, 0, 4, 4))], model)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_networks_beat_the_mosaic_and_know_how_far_they_are_off(name):
    rng = np.random.default_rng(3)
    image = challenge.prepare(data.chelsea())
    mosaics = [challenge.random_mosaic(rng) for _ in range(30)]
    pixelated = np.stack([challenge.pixelate(image, m) for m in mosaics])
    restored, deviation = estimate_each(pixelated, mosaics, name)
    errors = [(restored[k] - image)[m.box].ravel() for k, m in enumerate(mosaics)]
    before = [(pixelated[k].astype(float) - image)[m.box].ravel() for k, m in enumerate(mosaics)]
    assert np.linalg.norm(np.concatenate(errors)) < 0.8 * np.linalg.norm(np.concatenate(before))
    shares = np.concatenate(
        [e / deviation[k][m.box].ravel() for k, (e, m) in enumerate(zip(errors, mosaics, strict=True))]
    )
    assert 0.5 < (np.abs(shares) < 1).mean() < 0.9


# ── what is promised of every restoration ────────────────────────────────────────────────────────


@st.composite
def cases(draw):
    """A piece of a photo of any type, with up to three mosaics of any grid and mask, side by side or apart."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    y, x = rng.integers(300, size=2)
    image = data.astronaut()[y : y + height, x : x + width]
    image = draw(st.sampled_from([image, image[..., 0], image[..., :1], np.dstack([image, image[..., 1]])]))
    dtype = draw(st.sampled_from([np.uint8, np.uint16, np.float32]))
    image = image.astype(dtype) * 257 if dtype is np.uint16 else image.astype(dtype)
    taken = np.zeros((height, width), bool)
    mosaics = []
    for _ in range(draw(st.integers(0, 3))):
        x, y = rng.integers(width), rng.integers(height)
        mask = np.zeros((height, width), bool)
        mask[y : y + rng.integers(1, 80), x : x + rng.integers(1, 80)] = True
        if draw(st.booleans()):
            mask &= rng.random((height, width)) < 0.8
        mask &= ~taken
        if mask.any():
            taken |= mask
            size = np.exp(rng.uniform(0, np.log(60), 2))
            grid = Grid(*rng.uniform(-5, 5, 2), *size, blended=draw(st.booleans()))
            mosaics.append(Mosaic.from_mask(mask, grid))
    return image, mosaics, draw(st.sampled_from(["nearest", "truncate"]))


@given(cases())
@settings(max_examples=30)
def test_the_restoration_agrees_with_the_input(model, case):
    image, mosaics, rounding = case
    pixelated = pixelate(image, mosaics, rounding)
    before = pixelated.copy()
    restored, deviation = estimate(pixelated, mosaics, model, rounding)
    assert restored.dtype == deviation.dtype == np.float32
    assert restored.shape == image.shape
    assert deviation.shape == image.shape[:2]
    assert np.isfinite(restored).all()
    np.testing.assert_array_equal(pixelated, before)
    known = ~unknown(mosaics, image.shape)
    np.testing.assert_array_equal(restored[known], pixelated[known].astype(np.float32))
    assert not deviation[known].any()
    assert not (deviation < 0).any()
    for m in mosaics:  # nobody knows where cells are too small, and nowhere else
        assert np.isnan(deviation[m.box][m.area]).all() == (min(m.grid.width, m.grid.height) < 2)
        assert np.isnan(deviation[m.box][m.area]).any() == (min(m.grid.width, m.grid.height) < 2)
    scale = float(pixelated.max()) or 1.0
    np.testing.assert_allclose(restored, project(restored, pixelated, mosaics, rounding), atol=1e-4 * scale)
    if image.dtype.kind in "iu" and not any(m.grid.blended for m in mosaics):
        assert consistency(quantize(restored, pixelated, mosaics, rounding), pixelated, mosaics, rounding) == 0


def test_the_same_input_gives_the_same_output(model):
    mosaics = [Mosaic.rectangle(40, 30, 100, 90, 9), Mosaic.rectangle(200, 100, 90, 60, 30)]
    pixelated = pixelate(data.astronaut()[:200, :300], mosaics)
    first = estimate(pixelated, mosaics, model)
    default().close()
    second = estimate(pixelated, mosaics[::-1], model)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cell", [2, 3.5, 7, 16, 17, 25, 48, (30, 10), (3, 50), 99.5, 200])
def test_cells_of_any_size_are_restored(cell):
    image = data.astronaut()[:300, :400]
    mosaics = [Mosaic.rectangle(60, 30, 280, 240, cell)]
    pixelated = pixelate(image, mosaics)
    restored, deviation = estimate(pixelated, mosaics, "photo")
    assert rmse(restored, image, mosaics) < 0.95 * rmse(pixelated, image, mosaics)
    inside = deviation[mosaics[0].box]
    if np.isfinite(inside).all():
        # of cells far larger than the network knows, the detail below the lattice is not counted
        assert 0.3 < np.sqrt((inside**2).mean()) / rmse(restored, image, mosaics) < 2.5
    else:
        assert np.min(cell) < load("photo").cells[0]


def test_the_lattice_takes_means_and_gives_them_back():
    values = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    axis = Axis.over(slice(20, 70), 100, 7.3, 2.5)
    covered = values[axis.pixels]
    fine = np.repeat(covered, 10, axis=0)  # tenths of pixels: the lattice's edges fall on them
    first = round(10 * (axis.origin + axis.start * axis.pitch - axis.pixels.start))
    expected = fine[first : first + 25 * (axis.stop - axis.start)].reshape(-1, 25, 3).mean(axis=1)
    np.testing.assert_allclose(axis.reduced(covered, 0), expected, atol=1e-5)
    np.testing.assert_allclose(axis.reduced(covered.T, 1), expected.T, atol=1e-5)
    line = np.arange(100, dtype=np.float32)[axis.pixels]
    inner = slice(6, -6)
    np.testing.assert_allclose(axis.enlarged(axis.reduced(line, 0), 0)[inner], line[inner], atol=0.02)


@pytest.mark.parametrize("cell", [400, 2000, 16384])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (90, 110)])
def test_cells_far_larger_than_their_area_are_restored(cell, size, model):
    image = data.camera()[:120, :140]
    mosaics = [Mosaic.rectangle(9, 7, *size, cell)]
    pixelated = pixelate(image, mosaics)
    restored, deviation = estimate(pixelated, mosaics, model)
    assert np.isfinite(restored).all()
    assert np.isfinite(deviation).all()
    assert consistency(quantize(restored, pixelated, mosaics), pixelated, mosaics) == 0


def test_areas_on_a_lattice_are_unknown_where_its_pixels_are():
    rng = np.random.default_rng(0)
    for _ in range(50):
        axes = [Axis.over(slice(0, n), n, rng.uniform(-9, 9), rng.choice([1.0, rng.uniform(1, 9)])) for n in (90, 70)]
        rows, columns = axes
        mask = np.zeros((rows.pixels.stop - rows.pixels.start, columns.pixels.stop - columns.pixels.start), bool)
        y, x = rng.integers(60), rng.integers(50)
        mask[y : y + rng.integers(1, 40), x : x + rng.integers(1, 40)] = True
        mask &= rng.random(mask.shape) < 0.5
        if not mask.any():
            continue
        share = columns.reduced(rows.reduced(mask.astype(np.float32), 0), 1)
        (m,) = on_lattice([Mosaic.from_mask(mask, Grid(0, 0, 40, 40))], rows, columns, share.shape)
        np.testing.assert_array_equal(unknown([m], share.shape), share > 1e-3)


def test_a_mask_of_specks_is_restored(model):
    image = data.coffee()[:80, :100]
    places = np.random.default_rng(0).choice(40 * 50, 60, replace=False)
    for cell in (8, 60):
        specks = [Mosaic(int(k % 50) * 2, int(k // 50) * 2, 1, 1, Grid(0, 0, cell, cell)) for k in places]
        restored, _ = estimate(image, specks, model)  # cells of one pixel: their value is known
        np.testing.assert_allclose(restored, image, atol=0.01)


def test_one_thread_means_one(model, monkeypatch):
    image = data.astronaut()[:200, :220]
    mosaics = [Mosaic.rectangle(20, 10, 180, 160, 24)]
    pixelated = pixelate(image, mosaics)
    expected, _ = estimate(pixelated, mosaics, model)
    started, numbers = [], []
    real, opened = threading.Thread.start, models.open_session

    def note(thread):
        if thread.name != threads.HOLDER:  # which does no work
            started.append(thread)

    monkeypatch.setattr(threading.Thread, "start", lambda self: note(self) or real(self))
    monkeypatch.setattr(models, "open_session", lambda *a: numbers.append(a[2]) or opened(*a))
    with threads.limit(1):
        restored, _ = estimate(pixelated, mosaics, model)
    assert not started
    assert numbers == [1]
    np.testing.assert_allclose(restored, expected, atol=0.01)


# ── windows and tiles ────────────────────────────────────────────────────────────────────────────


def test_how_a_large_area_is_cut_cannot_be_seen(model, monkeypatch):
    image = data.astronaut()
    mosaics = [Mosaic.rectangle(20, 10, 460, 480, 13)]
    pixelated = pixelate(image, mosaics)
    whole, deviation = estimate(pixelated, mosaics, model)
    for tile in (160, 104):
        monkeypatch.setattr(parts, "TILE", tile)
        cut, cut_deviation = estimate(pixelated, mosaics, model)
        assert np.abs(cut - whole).max() < 0.1
        assert np.abs(cut_deviation - deviation).max() < 0.1


@pytest.mark.parametrize("name", SHIPPED)
def test_how_a_large_area_is_cut_cannot_be_seen_of_the_shipped_networks_either(name, monkeypatch):
    image = data.coffee()
    mosaics = [Mosaic.rectangle(40, 20, 400, 360, 11)]
    pixelated = pixelate(image, mosaics)
    whole, _ = estimate(pixelated, mosaics, name)
    monkeypatch.setattr(parts, "TILE", 176)
    cut, _ = estimate(pixelated, mosaics, name)
    assert np.abs(cut - whole).max() < 1


def test_small_mosaics_are_worked_on_together_and_do_not_change_each_other(model, monkeypatch):
    image = data.astronaut()
    mosaics = [Mosaic.rectangle(20 + 120 * (k % 4), 30 + 120 * (k // 4), 24, 18 + k, 6) for k in range(16)]
    pixelated = pixelate(image, mosaics)
    runs = []
    network = load(model).network
    real = Restorer.__call__
    monkeypatch.setattr(Restorer, "__call__", lambda self, planes: runs.append(len(planes)) or real(self, planes))
    together, _ = estimate(pixelated, mosaics, model)
    assert sum(runs) == 16
    assert len(runs) <= 3
    assert network is load(model).network
    for m in mosaics[::5]:
        alone, _ = estimate(pixelated, [m], model)
        np.testing.assert_allclose(together[m.box], alone[m.box], atol=1e-2)


def test_memory_is_bounded_whatever_the_area(model, monkeypatch):
    monkeypatch.setattr(parts, "BATCH_PIXELS", 64 * 64)
    monkeypatch.setattr(parts, "TILE", 96)
    shapes = []
    real = Restorer.__call__
    monkeypatch.setattr(Restorer, "__call__", lambda self, p: shapes.append(p.shape) or real(self, p))
    image = data.camera()
    mosaics = [Mosaic.rectangle(0, 0, 512, 512, 16)]
    estimate(pixelate(image, mosaics), mosaics, model)
    assert len(shapes) >= 16
    assert max(n * h * w for n, _, h, w in shapes) <= (144 + 2 * parts.HALO) ** 2


def test_mosaics_side_by_side_with_other_cells_are_restored():
    image = data.coffee()[:240, :300]
    mosaics = [Mosaic.rectangle(30, 40, 100, 120, 40), Mosaic.rectangle(130, 40, 80, 120, 8)]
    mosaics.append(Mosaic.rectangle(210, 40, 60, 120, (1, 3)))
    pixelated = pixelate(image, mosaics)
    restored, _ = estimate(pixelated, mosaics)
    for m in mosaics:
        assert rmse(restored, image, [m]) < rmse(pixelated, image, [m])


def test_colours_are_restored_along_the_luminances_edges(model):
    image = data.astronaut()[:160, :200]
    mosaics = [Mosaic.rectangle(40, 30, 96, 96, 8)]
    gray = np.repeat(pixelate(image[..., :1], mosaics), 3, axis=2)
    restored, _ = estimate(gray, mosaics, model)
    expected, _ = estimate(gray[..., 0], mosaics, model)
    np.testing.assert_allclose(restored, np.repeat(expected[..., None], 3, axis=2), atol=0.05)
    planes = to_planes(image.astype(np.float32))
    np.testing.assert_allclose(from_planes(planes), image, atol=1e-3)


def test_sixteen_bits_are_restored_as_eight(model):
    image = data.camera()[:128, :128]
    mosaics = [Mosaic.rectangle(30, 20, 64, 72, 8)]
    eight, deviation = estimate(pixelate(image, mosaics), mosaics, model)
    values, deviations = estimate(pixelate(image, mosaics).astype(np.uint16) * 257, mosaics, model)
    np.testing.assert_allclose(values / 257, eight, atol=0.02)
    np.testing.assert_allclose(deviations / 257, deviation, atol=0.02)


# ── models ───────────────────────────────────────────────────────────────────────────────────────


def test_a_model_that_is_none_is_refused_in_one_line(model, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(model.read_bytes()[:5000])
    write_model(tmp_path / "bare.onnx", rounds=None)
    other = onnx.load(model)
    other.graph.input[0].name = "something"
    for node in other.graph.node:
        node.input[:] = ["something" if name == "features" else name for name in node.input]
    onnx.save(other, tmp_path / "other.onnx")
    for name, message in (
        ("nowhere.onnx", "no such model"),
        ("broken.onnx", "not an ONNX model"),
        ("bare.onnx", "not a model of Deepix"),
        ("other.onnx", "not a restorer"),
    ):
        with pytest.raises(deepix.InputError, match=message) as caught:
            load(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("operation", ["Log", "Reciprocal"])
def test_a_network_of_numbers_that_are_not_finite_is_an_error_and_nothing_is_written(operation, model, tmp_path):
    content = onnx.load(model)
    for output in content.graph.output:  # what comes out goes through one operation more: its result is infinite at 0
        for node in content.graph.node:
            node.output[:] = [f"{name}_before" if name == output.name else name for name in node.output]
        before, clipped = f"{output.name}_before", f"{output.name}_at_least_0"
        content.graph.node.append(onnx.helper.make_node("Relu", [before], [clipped]))
        content.graph.node.append(onnx.helper.make_node(operation, [clipped], [output.name]))
    onnx.save(content, tmp_path / "broken.onnx")
    image = data.camera()[:80, :80]
    mosaics = [Mosaic.rectangle(20, 20, 32, 32, 8)]
    pixelated = pixelate(image, mosaics)
    for restore in (
        lambda: estimate(pixelated, mosaics, tmp_path / "broken.onnx"),
        lambda: estimate_each(pixelated[None], mosaics, tmp_path / "broken.onnx"),
        lambda: deepix.restore(pixelated, mosaics, model=tmp_path / "broken.onnx"),
    ):
        with pytest.raises(deepix.DeepixError, match="is not finite") as caught:
            restore()
        assert str(caught.value).startswith(str(tmp_path / "broken.onnx"))
        assert "\n" not in str(caught.value)
    Image.fromarray(pixelated).save(tmp_path / "a.png")
    command = ["restore", tmp_path / "a.png", "--area", "20,20,32,32,8", "--model", tmp_path / "broken.onnx"]
    result = CliRunner().invoke(app, [*map(str, command), "-o", str(tmp_path / "out.png")])
    assert result.exit_code != 0
    assert "broken.onnx" in result.output
    assert not (tmp_path / "out.png").exists()


def test_the_shipped_restorers_are_the_shipped_models_that_say_so():
    others = {"locator", "refiner", "adversary"}
    assert {name for name in models.shipped() if default().open(name).about.get("kind") not in others} == set(SHIPPED)
    for name in others:
        with pytest.raises(deepix.InputError, match="not a restorer"):
            load(name)


def test_a_shipped_model_that_is_missing_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(models.resources, "files", lambda package: tmp_path)
    with pytest.raises(deepix.DeepixError, match="'photo' is missing"):
        load("photo", Models())


def test_a_replaced_file_is_loaded_anew(tmp_path):
    path = write_model(tmp_path / "a.onnx")
    first = load(path)
    assert load(path).network is first.network
    write_model(path, calibration=2.0)
    second = load(path)
    assert second.calibration == 2
    planes = np.random.default_rng(0).normal(size=(1, 7, 16, 20)).astype(np.float32)
    np.testing.assert_allclose(second(planes)[1], 2 * first(planes)[1], rtol=1e-5)


def test_the_shipped_files_say_what_they_are():
    for name in SHIPPED:
        model = load(name)
        assert model.name == name
        content = onnx.load(models.resources.files("deepix") / "weights" / f"{name}.onnx")
        assert json.loads({p.key: p.value for p in content.metadata_props}["deepix"])["cells"] == list(model.cells)
