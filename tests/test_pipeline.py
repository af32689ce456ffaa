"""The steps from a picture to its restoration, and the options that say how."""

from __future__ import annotations

import json
import multiprocessing
import pickle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from models import write_model
from skimage import data

import deepix
from deepix import Mosaic, finder, images, pipeline
from deepix import mosaic as maths
from deepix.mosaic import Grid
from deepix.options import Options


@pytest.fixture(scope="module")
def photo():
    return data.astronaut()[:240, 120:420]


@pytest.fixture(scope="module")
def pixelated(photo):
    return deepix.pixelate(photo, [Mosaic.rectangle(40, 30, 80, 64, 8), Mosaic.rectangle(180, 120, 90, 100, 10)])


def picture_of(array):
    return images.from_array(array)


# ── options ──────────────────────────────────────────────────────────────────────────────────────


ASKED = st.builds(
    Options,
    areas=st.lists(st.tuples(*[st.integers(1, 50)] * 5) | st.tuples(*[st.integers(1, 50)] * 4)).map(tuple),
    mask=st.none() | st.integers(0, 2**24 - 1).map(lambda n: np.array(list(f"{n:024b}"), int).reshape(4, 6)),
    mosaics=st.lists(
        st.builds(Mosaic.rectangle, *[st.integers(1, 50)] * 4, st.floats(1, 50), st.floats(0, 1)), max_size=2
    ).map(tuple),
    cell=st.none() | st.integers(1, 300),
    rounding=st.sampled_from(["nearest", "truncate"]),
    method=st.sampled_from(["network", "smooth"]),
    model=st.none() | st.sampled_from(["photo", "some/where.onnx"]),
    threads=st.none() | st.integers(1, 9),
    fast=st.booleans(),
    threshold=st.none() | st.floats(0, 1),
    force=st.booleans(),
    first_frame=st.booleans(),
    max_pixels=st.none() | st.integers(1, 10**9),
)


@given(ASKED)
def test_options_survive_json_and_pickle_and_keep_their_digest(options):
    for again in (
        Options.from_dict(json.loads(json.dumps(options.to_dict()))),
        pickle.loads(pickle.dumps(options)),
    ):
        assert again.to_dict() == options.to_dict()
        assert again.digest() == options.digest()
        assert (again.mask is None) == (options.mask is None)
        if options.mask is not None:
            assert np.array_equal(again.mask != 0, options.mask != 0)
        assert again.mosaics == options.mosaics


@given(ASKED, ASKED)
def test_options_that_ask_for_something_else_have_another_digest(one, other):
    asked = [
        {k: v for k, v in options.to_dict().items() if k not in ("threads", "max_pixels")} for options in (one, other)
    ]
    assert (one.digest() == other.digest()) == (asked[0] == asked[1])


def test_the_digest_is_the_same_in_every_version():
    assert Options().digest() == "f6d26354d5bbec36283fef35a3a08f370aa75f1be45c2f3cbaa234cd86b3592d"
    mask = np.eye(3, dtype=bool)
    asked = Options(areas=((1, 2, 30, 40, 5),), mask=mask, cell=9, model="photo", threads=2, threshold=0.25)
    assert asked.digest() == "b7983574597789ab266eca0acdca7f0e756d943d26bd21f93c8cb9720e6ffbce"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"method": "magic"}, "'smooth'"),
        ({"rounding": "up"}, "'truncate'"),
        ({"areas": [(1, 2, 3)]}, "an area is"),
        ({"cell": 0}, "at least 1 pixel"),
        ({"areas": [(1, 2, 30, 30, 0)]}, "at least 1 pixel"),
        ({"threshold": 1.5}, "between 0 and 1"),
        ({"threshold": float("nan")}, "between 0 and 1"),
        ({"max_pixels": 0}, "at least 1 pixel"),
        ({"threads": 0}, "number of threads"),
        ({"threads": 20000}, "number of threads"),
    ],
)
def test_options_that_mean_nothing_are_refused_in_one_line(asked, message):
    with pytest.raises(ValueError, match=message) as caught:
        Options(**asked)
    assert "\n" not in str(caught.value)


# ── steps ────────────────────────────────────────────────────────────────────────────────────────


def test_a_picture_located_once_is_restored_many_times(pixelated):
    picture = picture_of(pixelated)
    located = pipeline.locate(picture, Options())
    sure, unsure = pipeline.decide(located, Options())
    assert len(sure) == 2
    assert not unsure
    both = pipeline.restore(picture, sure, Options())
    np.testing.assert_array_equal(both.picture.pixels, deepix.restore(pixelated).image)
    one = pipeline.restore(picture, sure[:1], Options(method="smooth"))
    other = pipeline.restore(picture, sure[1:], Options(method="smooth"))
    inside = maths.unknown(sure[:1], pixelated.shape)
    assert np.array_equal(other.picture.pixels[inside], pixelated[inside])
    assert not np.array_equal(one.picture.pixels[inside], pixelated[inside])


def test_what_is_restored_is_one_threshold(pixelated, monkeypatch):
    found = [
        Mosaic(40, 30, 80, 64, Grid(40, 30, 8, 8), confidence=0.45),
        Mosaic(180, 120, 90, 100, Grid(180, 120, 10, 10), confidence=0.55),
    ]
    monkeypatch.setattr(finder, "find", lambda *args, **options: list(found))
    assert finder.SURE == 0.5
    for options, restored in (
        ({}, found[1:]),
        ({"force": True}, found),
        ({"threshold": 0.45}, found),
        ({"threshold": 0.6}, []),
        ({"threshold": 0.6, "force": True}, found),
        ({"threshold": 0.0}, found),
    ):
        result = deepix.restore(pixelated, method="smooth", **options)
        assert result.mosaics == restored
        assert list(result.unsure) == [m for m in found if m not in restored]
    named = deepix.restore(pixelated, areas=[(40, 30, 80, 64, 8)], method="smooth", threshold=1.0)
    assert len(named.mosaics) == 1


def test_mosaics_of_another_cell_size_are_told_apart(pixelated):
    result = deepix.restore(pixelated, cell=8, method="smooth")
    assert [m.grid.width for m in result.mosaics] == [8]
    assert [m.grid.width for m in result.other_sizes] == [10]
    assert not result.unsure


@pytest.mark.parametrize("options", [{"cell": 301}, {"areas": [(0, 0, 50, 50, 10**21)]}, {"cell": 20000, "fast": True}])
def test_cells_larger_than_the_picture_are_refused(photo, options):
    with pytest.raises(deepix.DeepixError, match="larger than the picture of 300 x 240"):
        deepix.restore(photo, **options)


# ── masks ────────────────────────────────────────────────────────────────────────────────────────


def test_specks_of_a_mask_are_named_and_left(pixelated):
    mask = np.zeros(pixelated.shape[:2], bool)
    mask[30:94, 40:120] = True
    clean = deepix.restore(pixelated, mask=mask, method="smooth")
    assert clean.notes == ()
    mask[::7, 250::7] = True  # single pixels
    mask[200:209, 5:13] = True  # larger, but less than 2 x 2 of the cells there are
    result = deepix.restore(pixelated, mask=mask, method="smooth")
    (note,) = result.notes
    assert "parts of the mask are smaller than 2 x 2 cells" in note
    np.testing.assert_array_equal(result.image, clean.image)


@pytest.mark.parametrize("cell", [None, 8])
def test_a_mask_of_noise_is_refused_at_once(pixelated, cell):
    large = np.tile(pixelated, (6, 6, 1))
    for share in (0.02, 0.4):
        mask = np.random.default_rng(0).random(large.shape[:2]) < share
        with pytest.raises(deepix.DeepixError, match=r"the mask has \d+ parts"):
            deepix.restore(large, mask=mask, cell=cell)


# ── what is promised ─────────────────────────────────────────────────────────────────────────────


def test_values_that_are_not_finite_are_an_error(pixelated, tmp_path):
    import onnx

    path = write_model(tmp_path / "broken.onnx")
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full_like(values, np.nan), tensor.name))
    onnx.save(model, path)
    with pytest.raises(deepix.DeepixError, match=r"broken\.onnx.*not finite|not finite.*broken\.onnx") as caught:
        deepix.restore(pixelated, model=path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("resized", [False, True])
def test_a_restoration_that_breaks_its_promise_is_an_error(pixelated, monkeypatch, resized):
    real = pipeline.quantized
    monkeypatch.setattr(pipeline, "quantized", lambda *arguments: np.roll(real(*arguments), 3, axis=1))
    grid = Grid(40.3, 30.2, 8.4, 8.4, blended=True) if resized else Grid(40, 30, 8, 8)
    with pytest.raises(deepix.DeepixError, match="does not agree with the input"):
        deepix.restore(pixelated, [Mosaic(40, 30, 80, 64, grid)], method="smooth")


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([0.0, 3.0, 60.0]), st.sampled_from(["L", "RGB"]))
@example(140854649, True, 3.0, "L")  # cells of 201 and 4 levels side by side, that 200 steps of projection attain
def test_an_honest_restoration_never_breaks_its_promise(seed, blended, noise, mode):
    """Whatever the input: values at both ends of the range, noise, grids that were fitted wrongly."""
    rng = np.random.default_rng(seed)
    shape = (30, 40) if mode == "L" else (30, 40, 3)
    image = rng.choice([0, 255], shape) if seed % 2 else rng.integers(0, 256, shape)
    size = tuple(rng.uniform(3, 9, 2)) if blended else tuple(rng.integers(3, 9, 2))
    m = Mosaic(4, 5, 28, 20, Grid(4, 5, *(float(v) if blended else int(v) for v in size), blended=blended))
    seen = maths.pixelate(image.astype(np.uint8), [m])
    seen = (seen + rng.normal(0, noise, shape)).clip(0, 255).astype(np.uint8)
    estimate = (seen + rng.normal(0, 50, shape)).astype(np.float32)
    restored = pipeline.quantized(estimate, seen, [m], "nearest")
    consistency = maths.consistency(restored, seen, [m])
    pipeline._check_promise(consistency, maths.noise(seen, [m]), seen, [m], "nearest")


# ── other processes ──────────────────────────────────────────────────────────────────────────────


def located_elsewhere(arguments):
    pixels, options = arguments
    return pipeline.locate(images.from_array(pixels), options)


def test_options_and_what_was_located_cross_processes(pixelated):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.map(located_elsewhere, [(pixelated, Options(fast=True))])[0]
    here = pipeline.locate(picture_of(pixelated), Options(fast=True))
    assert there.mosaics == here.mosaics
