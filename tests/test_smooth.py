from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from deepix import challenge, threads
from deepix.mosaic import Grid, Mosaic, consistency, pixelate, project, quantize, unknown
from deepix.restorer import parallel, rectangles
from deepix.restorer import smooth as module
from deepix.restorer.smooth import smooth


def rmse(estimate, truth, mosaics):
    area = unknown(mosaics, truth.shape)
    return float(np.sqrt(((estimate.astype(np.float64) - truth)[area] ** 2).mean()))


@st.composite
def cases(draw):
    """A random picture, smooth or noisy, with up to three mosaics of any grid and mask, side by side or apart."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(8, 48)), draw(st.integers(8, 48))
    channels = draw(st.sampled_from([(), (1,), (3,)]))
    dtype = draw(st.sampled_from([np.uint8, np.uint16, np.float32]))
    image = rng.normal(size=(height, width, *channels)).cumsum(axis=0).cumsum(axis=1)
    image = (image - image.min()) / (np.ptp(image) or 1)
    if dtype is not np.float32:
        image = image * np.iinfo(dtype).max
    taken = np.zeros((height, width), bool)
    mosaics = []
    for _ in range(draw(st.integers(0, 3))):
        x, y = rng.integers(width), rng.integers(height)
        mask = np.zeros((height, width), bool)
        mask[y : y + rng.integers(1, 40), x : x + rng.integers(1, 40)] = True
        if draw(st.booleans()):
            mask &= rng.random((height, width)) < 0.8
        mask &= ~taken
        if mask.any():
            taken |= mask
            grid = Grid(*rng.uniform(-5, 5, 2), *rng.uniform(1, 40, 2))
            mosaics.append(Mosaic.from_mask(mask, grid))
    return image.astype(dtype), mosaics, draw(st.sampled_from(["nearest", "truncate"]))


@given(cases())
@settings(max_examples=60)
def test_the_restoration_agrees_with_the_input(case):
    image, mosaics, rounding = case
    pixelated = pixelate(image, mosaics, rounding)
    before = pixelated.copy()
    restored = smooth(pixelated, mosaics, rounding)
    assert restored.dtype == np.float32
    assert restored.shape == image.shape
    assert np.isfinite(restored).all()
    np.testing.assert_array_equal(pixelated, before)
    known = ~unknown(mosaics, image.shape)
    np.testing.assert_array_equal(restored[known], pixelated[known].astype(np.float32))
    scale = float(pixelated.max()) or 1.0
    np.testing.assert_allclose(restored, project(restored, pixelated, mosaics, rounding), atol=1e-5 * scale)
    if image.dtype.kind in "iu":
        assert consistency(quantize(restored, pixelated, mosaics, rounding), pixelated, mosaics, rounding) == 0


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("cell", [1, 5, 40])
def test_a_constant_picture_stays(value, cell):
    image = np.full((50, 60, 3), value, np.uint8)
    np.testing.assert_allclose(smooth(image, [Mosaic.rectangle(5, 0, 50, 48, cell)]), value, atol=1e-3)


@pytest.mark.parametrize("cell", [6, 16, 33.3])
def test_a_slope_is_restored(cell):
    y, x = np.mgrid[:120, :140]
    image = (0.5 * x + 1.25 * y).astype(np.float32)
    mosaics = [Mosaic.rectangle(21, 17, 90, 80, cell)]
    pixelated = pixelate(image, mosaics)
    assert rmse(smooth(pixelated, mosaics), image, mosaics) < 0.05 * rmse(pixelated, image, mosaics)


@pytest.mark.parametrize("angle", [0, 20, 45, 70, 90, 135])
def test_an_edge_is_sharper_than_the_membrane_makes_it(angle, monkeypatch):
    y, x = np.mgrid[:64, :64] - 31.3
    across = x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
    image = (255 / (1 + np.exp(-across))).astype(np.float32)
    mosaics = [Mosaic.rectangle(16, 17, 32, 30, 8)]
    pixelated = pixelate(image, mosaics)
    ours = rmse(smooth(pixelated, mosaics), image, mosaics)
    monkeypatch.setattr(module, "COARSEST_STEPS", (50,))
    membrane = rmse(smooth(pixelated, mosaics), image, mosaics)
    assert ours < 0.75 * membrane < 0.75 * rmse(pixelated, image, mosaics)


@pytest.mark.parametrize(
    "name", ["astronaut", "coffee", "chelsea", "rocket", "camera", "coins", "brick", "grass", "moon"]
)
def test_it_is_never_worse_than_the_mosaic(name):
    image = getattr(data, name)()[:300, :400]
    for cell in (6, 11, 25):
        mosaics = [Mosaic.rectangle(60, 50, 130, 110, cell), Mosaic.rectangle(220, 180, 64, 64, cell)]
        pixelated = pixelate(image, mosaics)
        assert rmse(smooth(pixelated, mosaics), image, mosaics) < rmse(pixelated, image, mosaics)


def test_it_reaches_its_quality_on_the_challenges_task():
    rng = np.random.default_rng(5)
    image = challenge.prepare(data.astronaut())
    before, after = [], []
    for _ in range(40):
        m = challenge.random_mosaic(rng)
        pixelated = challenge.pixelate(image, m)
        before.append(rmse(pixelated, image, [m]))
        after.append(rmse(smooth(pixelated, [m], challenge.ROUNDING), image, [m]))
    assert np.mean(after) < 0.7 * np.mean(before)


def test_only_the_neighbourhood_counts():
    image = data.astronaut()
    mosaics = [Mosaic.rectangle(200, 100, 60, 70, 14)]
    pixelated = pixelate(image, mosaics)
    other = 255 - pixelated
    window = slice(100 - module.MARGIN, 170 + module.MARGIN), slice(200 - module.MARGIN, 260 + module.MARGIN)
    other[window] = pixelated[window]
    box = mosaics[0].box
    expected = smooth(pixelated, mosaics)[box]
    np.testing.assert_array_equal(smooth(other, mosaics)[box], expected)
    moved = [mosaics[0].moved(-window[1].start, -window[0].start)]
    np.testing.assert_allclose(smooth(pixelated[window], moved)[moved[0].box], expected, atol=1e-3)


def test_the_window_does_as_well_as_the_whole_picture(monkeypatch):
    image = data.coffee()[:200, :240]
    mosaics = [Mosaic.rectangle(70, 60, 100, 80, 9)]
    pixelated = pixelate(image, mosaics)
    windowed = smooth(pixelated, mosaics)
    monkeypatch.setattr(module, "MARGIN", 240)
    difference = rmse(windowed, smooth(pixelated, mosaics), mosaics)
    assert difference < 0.05 * rmse(windowed, pixelated, mosaics)


def test_tiles_leave_no_seam(monkeypatch):
    image = data.astronaut()[:300, :300]
    mosaics = [Mosaic.rectangle(20, 10, 250, 260, 10.5)]
    pixelated = pixelate(image, mosaics)
    whole = smooth(pixelated, mosaics)
    monkeypatch.setattr(module, "TILE", 128)
    tiled = smooth(pixelated, mosaics)
    assert (whole != tiled).any()  # it was cut indeed
    assert rmse(tiled, whole, mosaics) < 0.1 * rmse(whole, pixelated, mosaics)
    assert rmse(tiled, image, mosaics) == pytest.approx(rmse(whole, image, mosaics), rel=0.02)


def test_many_pictures_at_once_are_restored_as_each_alone():
    rng = np.random.default_rng(3)
    image = challenge.prepare(data.coffee()).astype(np.float32)
    mosaics = [challenge.random_mosaic(rng) for _ in range(6)]
    pixelated = np.stack([pixelate(image, [m]) for m in mosaics])
    steps = module.COARSEST_STEPS
    alone = [module.smooth_at_one_size(p[..., None], [m], steps) for p, m in zip(pixelated, mosaics, strict=True)]
    together = rectangles.smooth_each(pixelated, mosaics, steps)
    np.testing.assert_allclose(together, np.stack(alone)[..., 0], atol=0.02)


def test_large_pictures_come_out_the_same_side_by_side_and_in_one_piece(monkeypatch):
    image = np.asarray(Image.fromarray(data.coffee()).resize((640, 560)), np.float32)
    y, x = np.mgrid[:560, :640]
    ring = abs(np.hypot(y - 280, x - 320) - 200) < 60
    disc = np.hypot(y - 280, x - 320) < 130  # its box lies in the ring's
    mosaics = [Mosaic.from_mask(ring, Grid(3, 5, 9, 8)), Mosaic.from_mask(disc, Grid(0, 0, 10.5, 11))]
    pixelated = pixelate(image, mosaics)
    monkeypatch.setattr(parallel, "STRIP", 1 << 12)
    assert len(parallel.bands(mosaics[0])) == parallel.BANDS
    parts = module.smooth_at_one_size(pixelated, mosaics, (2, 2))
    monkeypatch.setattr(parallel, "STRIP", 1 << 30)
    np.testing.assert_allclose(parts, module.smooth_at_one_size(pixelated, mosaics, (2, 2)), atol=1e-3)


def test_bands_are_the_mosaic_cut_between_cells(monkeypatch):
    monkeypatch.setattr(parallel, "STRIP", 0)
    area = np.zeros((100, 40), bool)
    area[5:20, 3:30] = area[70:97, 10:40] = True  # nothing between them
    for m in (Mosaic.from_mask(area, Grid(1, 2, 6.5, 3.25)), Mosaic.rectangle(4, 7, 30, 90, 4)):
        parts = parallel.bands(m)
        assert len(parts) > 2
        np.testing.assert_array_equal(sum(unknown([p], (100, 40)).astype(int) for p in parts), unknown([m], (100, 40)))
        assert sum(int((p.cells.counts > 0).sum()) for p in parts) == int((m.cells.counts > 0).sum())


def test_further_channels_follow_the_edges_of_a_guide():
    y, x = np.mgrid[:64, :64] - 31.3
    guide = (255 / (1 + np.exp(-(x + y)))).astype(np.float32)
    image = np.stack([100 - 0.3 * guide, 0.5 * guide], axis=2)
    mosaics = [Mosaic.rectangle(16, 17, 32, 30, 8)]
    pixelated = pixelate(image, mosaics)
    along = module.smooth_along(pixelated, mosaics, guide, (10, 20))
    assert rmse(along, image, mosaics) < 0.85 * rmse(smooth(pixelated, mosaics), image, mosaics)
    np.testing.assert_allclose(along, project(along, pixelated, mosaics), atol=1e-3)


def test_touching_mosaics_are_restored_together():
    y, x = np.mgrid[:60, :90]
    image = (2 * x + y).astype(np.float32)
    halves = [Mosaic.rectangle(10, 10, 35, 40, 10), Mosaic.rectangle(45, 10, 35, 40, 7)]
    pixelated = pixelate(image, halves)
    restored = smooth(pixelated, halves)
    assert rmse(restored, image, halves) < 0.1 * rmse(pixelated, image, halves)
    np.testing.assert_allclose(smooth(pixelated, halves[::-1]), restored, atol=0.5)


def test_mosaics_apart_do_not_change_each_other():
    image = data.astronaut()
    both = [Mosaic.rectangle(30, 40, 60, 50, 8), Mosaic.rectangle(300, 350, 70, 60, 20)]
    pixelated = pixelate(image, both)
    together = smooth(pixelated, both)
    for m in both:
        np.testing.assert_array_equal(together[m.box], smooth(pixelated, [m])[m.box])


@pytest.mark.parametrize("cell", [9, 20])
def test_channels_that_are_equal_are_restored_as_a_grey_picture_is(cell):
    image = data.camera()[100:200, 150:270]
    mosaics = [Mosaic.rectangle(20, 20, 60, 50, cell)]
    pixelated = pixelate(image, mosaics)
    grey = smooth(pixelated, mosaics)
    colour = smooth(np.repeat(pixelated[..., None], 3, axis=2), mosaics)
    assert colour.shape == (100, 120, 3)
    np.testing.assert_allclose(colour, np.repeat(grey[..., None], 3, axis=2), atol=0.05)


@pytest.mark.parametrize(("factor", "offset"), [(257, 0), (1 / 255, 0), (-1, 255)])
def test_the_unit_does_not_matter(factor, offset):
    image = data.coins()[:100, :120].astype(np.float32)
    mosaics = [Mosaic.rectangle(20, 20, 60, 50, 13)]
    pixelated = pixelate(image, mosaics)
    expected = smooth(pixelated, mosaics) * factor + offset
    np.testing.assert_allclose(smooth(pixelated * factor + offset, mosaics), expected, atol=abs(factor) * 0.1)


def test_turning_the_picture_turns_the_result():
    image = data.coins()[:100, :120].astype(np.float32)
    area = np.zeros(image.shape, bool)
    area[20:68, 24:88] = True
    grid = Grid(24, 20, 8, 8)
    pixelated = pixelate(image, [Mosaic.from_mask(area, grid)])
    expected = smooth(pixelated, [Mosaic.from_mask(area, grid)])
    flipped = smooth(pixelated[:, ::-1].copy(), [Mosaic.from_mask(area[:, ::-1], Grid(120 - 88, 20, 8, 8))])
    np.testing.assert_allclose(flipped[:, ::-1], expected, atol=0.05)
    turned = smooth(pixelated.T.copy(), [Mosaic.from_mask(area.T, Grid(20, 24, 8, 8))])
    np.testing.assert_allclose(turned.T, expected, atol=0.05)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 2), (3, 90, 3)])
@pytest.mark.parametrize("cell", [1, 13, 1000])
def test_the_smallest_pictures(shape, cell):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    mosaics = [Mosaic.rectangle(0, 0, shape[1], shape[0], cell)]
    pixelated = pixelate(image, mosaics)
    restored = smooth(pixelated, mosaics)
    assert np.isfinite(restored).all()
    assert consistency(quantize(restored, pixelated, mosaics), pixelated, mosaics) == 0


@given(st.integers(2, 90), st.integers(2, 90), st.integers(0, 2**32 - 1))
def test_at_half_the_size_what_is_partly_unknown_is_unknown(height, width, seed):
    rng = np.random.default_rng(seed)
    taken, mosaics = np.zeros((height, width), bool), []
    for _ in range(rng.integers(1, 5)):
        y, x = rng.integers(height), rng.integers(width)
        mask = np.zeros((height, width), bool)
        mask[y : y + rng.integers(1, 50), x : x + rng.integers(1, 50)] = True
        mask &= (rng.random((height, width)) < rng.choice([0.3, 2])) & ~taken
        taken |= mask
        if mask.any():
            mosaics.append(Mosaic.from_mask(mask, Grid(*rng.uniform(-5, 5, 2), *rng.uniform(12, 40, 2))))
    picture = rng.random((height, width, 1)).astype(np.float32)
    half, halved = module._halve(picture, mosaics)
    known, expected = np.ones(half.shape[:2], bool), []
    for m in mosaics:  # as Pillow halves a picture of the area
        area = Image.fromarray(unknown([m], (height, width)).astype(np.float32))
        mask = (np.asarray(area.resize(half.shape[1::-1], Image.Resampling.BOX)) > 0) & known
        known &= ~mask
        if mask.any():
            expected.append(mask)
    assert [m.area.sum() for m in halved] == [mask.sum() for mask in expected]
    for m, mask in zip(halved, expected, strict=True):
        np.testing.assert_array_equal(unknown([m], half.shape), mask)


def test_specks_cost_no_more_than_their_pixels():
    rng = np.random.default_rng(0)
    places = rng.choice(500 * 500, 300, replace=False)
    specks = [Mosaic(int(k % 500) * 4, int(k // 500) * 4, 1, 1, Grid(0, 0, 30, 30)) for k in places]
    picture = np.zeros((2000, 2000, 1), np.float32)
    tracemalloc.start()
    half, halved = module._halve(picture, specks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(halved) == 300
    assert peak < 4 * half.nbytes  # the picture's own


def test_a_mask_of_specks_is_restored():
    image = data.coffee()[:100, :120]
    rng = np.random.default_rng(0)
    places = rng.choice(50 * 60, 120, replace=False)
    specks = [Mosaic(int(k % 60) * 2, int(k // 60) * 2, 1, 1, Grid(0, 0, 16, 16)) for k in places]
    restored = smooth(image, specks)  # cells of one pixel: their value is known
    np.testing.assert_allclose(restored, image, atol=1e-3)


def test_one_thread_means_one(monkeypatch):
    image = np.asarray(Image.fromarray(data.astronaut()).resize((700, 600)), np.float32)
    mosaics = [Mosaic.rectangle(20, 10, 640, 560, 14)]
    pixelated = pixelate(image, mosaics)
    started = []
    real = threading.Thread.start

    def note(thread):
        if thread.name != threads.HOLDER:  # which does no work
            started.append(thread)

    monkeypatch.setattr(threading.Thread, "start", lambda self: note(self) or real(self))
    with threads.limit(1):
        alone = smooth(pixelated, mosaics)
    assert not started
    with threads.limit(3):
        together = smooth(pixelated, mosaics)
    assert started  # it is large enough to be worked on side by side
    np.testing.assert_array_equal(alone, together)


def test_it_refuses_areas_outside_and_overlapping():
    image = np.zeros((20, 20), np.uint8)
    with pytest.raises(ValueError, match="does not lie in the picture"):
        smooth(image, [Mosaic.rectangle(10, 10, 20, 5, 4)])
    with pytest.raises(ValueError, match="overlap"):
        smooth(image, [Mosaic.rectangle(0, 0, 9, 9, 4), Mosaic.rectangle(8, 8, 9, 9, 4)])
