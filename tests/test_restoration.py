"""The Python calls: kinds of input, areas and masks named by the user, what is promised of a restoration."""

import io

import numpy as np
import pytest
from models import write_model
from PIL import Image
from skimage import data

import deepix
from deepix import Mosaic, pipeline
from deepix.mosaic import Grid
from deepix.restorer import parallel


@pytest.fixture(scope="module")
def photo():
    return data.astronaut()[:240, 120:420]


@pytest.fixture(scope="module")
def mosaics():
    return [Mosaic.rectangle(40, 30, 80, 64, 8), Mosaic.rectangle(180, 120, 90, 100, (15, 10))]


def rmse(a, b, mosaics):
    unknown = deepix.mosaic.unknown(mosaics, a.shape)
    return np.sqrt(((a[unknown].astype(float) - b[unknown]) ** 2).mean())


def same_places(found, true):
    return [(m.x, m.y, m.width, m.height, m.grid) for m in found] == [
        (m.x, m.y, m.width, m.height, m.grid) for m in true
    ]


def test_large_mosaics_become_integers_in_bands_as_in_one_piece(photo, monkeypatch):
    mosaics = [Mosaic.rectangle(10, 10, 200, 150, 9), Mosaic.rectangle(220, 30, 60, 60, 7.5)]
    pixelated = deepix.pixelate(photo, mosaics)
    pixelated[:40] = np.maximum(pixelated[:40], 250)  # values at the end of the range
    rng = np.random.default_rng(0)
    estimate = (pixelated + rng.normal(0, 20, photo.shape)).astype(np.float32)
    whole = deepix.mosaic.quantize(estimate, pixelated, mosaics)
    monkeypatch.setattr(parallel, "STRIP", 1000)
    assert len(parallel.bands(mosaics[0])) > 1
    np.testing.assert_array_equal(pipeline.quantized(estimate, pixelated, mosaics, "nearest"), whole)


def test_finds_and_restores_a_photo_without_any_option(photo, mosaics):
    pixelated = deepix.pixelate(photo, mosaics)
    before = pixelated.copy()
    result = deepix.restore(pixelated)
    assert np.array_equal(pixelated, before)
    assert len(result.mosaics) == len(mosaics)
    assert result.consistency == 0
    assert result.noise == 0
    assert np.array_equal(deepix.pixelate(result.image, result.mosaics), pixelated)
    unknown = deepix.mosaic.unknown(result.mosaics, photo.shape)
    assert np.array_equal(result.image[~unknown], pixelated[~unknown])
    assert rmse(result.image, photo, mosaics) < 0.9 * rmse(pixelated, photo, mosaics)


@pytest.mark.parametrize("kind", ["array", "gray", "alpha", "uint16", "pil", "path", "str", "bytes"])
def test_a_picture_of_the_same_kind_comes_back(kind, photo, mosaics, tmp_path):
    pixelated = deepix.pixelate(photo, mosaics)
    if kind == "gray":
        pixelated = deepix.pixelate(photo[..., 1], mosaics)
    elif kind == "alpha":
        pixelated = np.dstack([pixelated, np.arange(pixelated[..., 0].size).reshape(pixelated.shape[:2]) % 256])
        pixelated = pixelated.astype(np.uint8)
    elif kind == "uint16":
        pixelated = deepix.pixelate(photo[..., 0].astype(np.uint16) * 257 + 3, mosaics)
    image = pixelated
    path = tmp_path / "photo.png"
    if kind in ("pil", "path", "str", "bytes"):
        image = Image.fromarray(pixelated)
        image.save(path)
    image = {"path": path, "str": str(path), "bytes": path.read_bytes() if path.exists() else b""}.get(kind, image)

    result = deepix.restore(image, mosaics)
    if isinstance(image, np.ndarray):
        assert isinstance(result.image, np.ndarray)
        assert result.image.dtype == pixelated.dtype
        restored = result.image
    else:
        assert isinstance(result.image, Image.Image)
        restored = np.asarray(result.image)
    assert restored.shape == pixelated.shape
    assert result.consistency == 0
    if kind == "alpha":
        assert np.array_equal(restored[..., 3], pixelated[..., 3])
    known = ~deepix.mosaic.unknown(mosaics, photo.shape)
    assert np.array_equal(restored[known], pixelated[known])
    assert not np.array_equal(restored, pixelated)
    again = deepix.pixelate(image, mosaics)
    assert isinstance(again, type(result.image))


def test_a_clean_picture_comes_back_as_it_is(photo):
    result = deepix.restore(photo)
    assert result.mosaics == []
    assert np.array_equal(result.image, photo)


def test_an_area_without_a_cell_size_gets_its_grid(photo, mosaics):
    pixelated = deepix.pixelate(photo, mosaics)
    areas = [(m.x, m.y, m.width, m.height) for m in mosaics]
    assert same_places(deepix.restore(pixelated, areas=areas).mosaics, mosaics)


def test_an_area_with_a_cell_size_starts_its_grid_at_its_corner(photo):
    mosaic = Mosaic.rectangle(10, 20, 50, 40, 9)
    result = deepix.restore(deepix.pixelate(photo, [mosaic]), areas=[(10, 20, 50, 40, 9)])
    assert result.mosaics == [mosaic]


def test_a_mask_of_two_parts_is_two_mosaics(photo):
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]]
    one, other = (y - 70) ** 2 + (x - 80) ** 2 < 45**2, (y - 160) ** 2 + (x - 220) ** 2 < 50**2
    true = [Mosaic.from_mask(one, Grid(3, 1, 8, 8)), Mosaic.from_mask(other, Grid(0, 5, 11, 11))]
    pixelated = deepix.pixelate(photo, true)
    result = deepix.restore(pixelated, mask=one | other)
    for found, m in zip(result.mosaics, true, strict=True):
        assert (found.grid.width, found.grid.height) == (m.grid.width, m.grid.height)
        assert np.array_equal(found.area, m.area)
        assert (found.grid.x - m.grid.x) % m.grid.width == 0
        assert (found.grid.y - m.grid.y) % m.grid.height == 0
    assert result.consistency == 0
    assert rmse(result.image, photo, true) < rmse(pixelated, photo, true)


def test_a_jpeg_is_restored_to_within_its_noise(photo, mosaics):
    buffer = io.BytesIO()
    Image.fromarray(deepix.pixelate(photo, mosaics)).save(buffer, "JPEG", quality=92)
    result = deepix.restore(buffer.getvalue())
    assert len(result.mosaics) == len(mosaics)
    assert 0 < result.noise < 6
    assert result.consistency <= 1
    pixelated = np.asarray(Image.open(buffer))
    assert rmse(np.asarray(result.image), photo, mosaics) < rmse(pixelated, photo, mosaics)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"areas": [(290, 0, 20, 20, 5)]}, "does not lie in the picture"),
        ({"areas": [(0, 0, 40, 40, 5), (30, 30, 40, 40, 5)]}, "overlap"),
        ({"mask": np.ones((3, 3))}, "does not fit"),
        ({"mask": np.zeros((240, 300))}, "the mask is empty"),
        ({"areas": [(20, 20, 100, 90)]}, "no grid can be made out"),
    ],
)
def test_impossible_wishes_are_refused_in_one_line(photo, options, message):
    with pytest.raises(deepix.DeepixError, match=message) as caught:
        deepix.restore(photo, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["gray", "colour", "uint16"])
def test_the_uncertainty_has_the_pictures_shape_and_unit(kind, photo, mosaics):
    image = {"gray": photo[..., 1], "colour": photo, "uint16": photo.astype(np.uint16) * 257}[kind]
    result = deepix.restore(deepix.pixelate(image, mosaics), mosaics)
    assert result.uncertainty.shape == image.shape
    assert result.uncertainty.dtype == np.float32
    unknown = deepix.mosaic.unknown(mosaics, image.shape)
    assert not result.uncertainty[~unknown].any()
    ratio = result.uncertainty[unknown].mean() / rmse(result.image, image, mosaics)
    assert 0.4 < ratio < 2
    expected = [result.uncertainty[m.box].mean() for m in mosaics]
    np.testing.assert_allclose(result.mean_uncertainties, expected, rtol=1e-4)


def test_methods_and_models_can_be_chosen(photo, mosaics, tmp_path):
    pixelated = deepix.pixelate(photo, mosaics)
    path = write_model(tmp_path / "small.onnx")
    images = {}
    for options in ({}, {"method": "smooth"}, {"model": "photo", "threads": 1}, {"model": path}):
        result = deepix.restore(pixelated, mosaics, **options)
        assert result.consistency == 0
        assert (result.uncertainty is None) == (options.get("method") == "smooth")
        images[str(options)] = result.image
    default, smooth, photo_model, own = images.values()
    assert np.array_equal(default, photo_model)
    assert not np.array_equal(default, smooth)
    assert not np.array_equal(default, own)
    assert deepix.restore(pixelated, mosaics, method="smooth").mean_uncertainties == [None, None]
    with pytest.raises(deepix.InputError, match=r"nowhere\.onnx: no such model"):
        deepix.restore(pixelated, mosaics, model="nowhere.onnx")
    with pytest.raises(ValueError, match="'smooth'"):
        deepix.restore(pixelated, mosaics, method="magic")


@pytest.mark.parametrize("method", ["network", "smooth"])
@pytest.mark.parametrize("cell", [6, 20, (36, 12)])
def test_what_is_left_out_changes_nothing(method, cell, monkeypatch):
    large = np.tile(data.astronaut()[100:400, 100:400], (3, 4, 1))
    mosaics = [Mosaic.rectangle(500, 400, 72, 60, cell)]
    pixelated = deepix.pixelate(large, mosaics)
    first = deepix.restore(pixelated, mosaics, method=method)
    monkeypatch.setattr(pipeline, "_around", lambda mosaics, shape: (slice(0, shape[0]), slice(0, shape[1])))
    second = deepix.restore(pixelated, mosaics, method=method)
    np.testing.assert_array_equal(first.image, second.image)
    if method == "network":
        np.testing.assert_allclose(first.uncertainty, second.uncertainty, rtol=1e-4)


def test_cells_too_small_for_a_network_have_no_known_uncertainty(photo, tmp_path):
    path = write_model(tmp_path / "large.onnx", cells=[8, 16])
    mosaics = [Mosaic.rectangle(20, 20, 40, 40, 4), Mosaic.rectangle(120, 100, 80, 80, 10)]
    result = deepix.restore(deepix.pixelate(photo, mosaics), mosaics, model=path)
    assert np.isnan(result.uncertainty[mosaics[0].box]).all()
    assert result.mean_uncertainties[0] is None
    assert result.mean_uncertainties[1] > 0


def test_saving_never_replaces_by_accident(photo, mosaics, tmp_path):
    path = tmp_path / "a.png"
    result = deepix.restore(deepix.pixelate(photo, mosaics), mosaics)
    result.save(path)
    assert np.array_equal(np.asarray(Image.open(path)), result.image)
    with pytest.raises(deepix.OutputError, match=r"a\.png"):
        result.save(path)
    result.save(path, overwrite=True)


def test_the_public_names_are_all_there():
    for name in deepix.__all__:
        assert getattr(deepix, name) is not None
    with pytest.raises(AttributeError):
        _ = deepix.nonsense
    assert callable(deepix.find)
    assert callable(deepix.restore)
