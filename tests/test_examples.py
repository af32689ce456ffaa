"""Examples for the locator: grids and labels that are exactly true, honoured histories, pictures without mosaics."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from deepix.mosaic import Grid, Mosaic, check, pixelate
from deepix.training.data.examples import (
    CLASSES,
    FILTERS,
    SHAPES,
    SMALLEST,
    TILES,
    Settings,
    contrast,
    example,
    visible,
)
from deepix.training.data.negatives import BLOCKS, NEGATIVES, negative

PHOTO = skimage.data.astronaut()
GRAY = skimage.data.camera()
UNSPOILT = Settings(side=(64, 300), early=0, late=0, resize=0, crop=0, blur=0, sharpen=0, noise=0)
SEEDS = st.integers(0, 2**32 - 1)


def drawn(settings, number, photo=PHOTO, seed=0):
    return [example(photo, np.random.default_rng([seed, i]), settings) for i in range(number)]


def assert_flat(e):
    for p in e.placed:
        m = p.mosaic
        values = e.picture[m.box][m.area].astype(int)
        cells = m.labels()[m.area]
        for cell in np.unique(cells):
            assert not np.ptp(values[cells == cell], axis=0).any(), p


def assert_true_labels(e, settings):
    assert e.labels.shape == e.picture.shape[:2]
    assert e.clean.shape == e.picture.shape
    check(e.mosaics, e.picture.shape)
    again = np.zeros_like(e.labels)
    for k, p in enumerate(e.placed, 1):
        m = p.mosaic
        again[m.box][m.area] = k
        assert min(m.grid.width, m.grid.height) >= SMALLEST
        assert min(m.width, m.height) >= settings.least_side - 1
    np.testing.assert_array_equal(again, e.labels)


@given(seed=SEEDS, gray=st.booleans())
@hypothesis_settings(max_examples=40, derandomize=True)
def test_labels_and_mosaics_say_the_same_whatever_happened(seed, gray):
    settings = replace(Settings(), side=(64, 300), resize=0.7, crop=0.6)
    e = example(GRAY if gray else PHOTO, np.random.default_rng(seed), settings)
    assert e.picture.dtype == e.clean.dtype == e.labels.dtype == np.uint8
    assert e.picture.ndim == 3 - gray
    assert all(64 <= side <= 300 for side in e.labels.shape)
    assert_true_labels(e, settings)


@given(seed=SEEDS, crop=st.booleans())
@hypothesis_settings(max_examples=60, derandomize=True)
def test_tiles_of_every_kind_are_flat_on_the_grid_and_the_rest_is_untouched(seed, crop):
    e = example(PHOTO, np.random.default_rng(seed), replace(UNSPOILT, crop=float(crop)))
    assert_flat(e)
    np.testing.assert_array_equal(e.picture[e.labels == 0], e.clean[e.labels == 0])


@pytest.mark.parametrize("tiles", TILES)
@pytest.mark.parametrize("fractional", [0, 1])
def test_each_way_of_making_tiles(tiles, fractional):
    settings = replace(UNSPOILT, tiles={tiles: 1}, counts=(0, 1, 1), fractional=fractional, truncated=0)
    for e in drawn(settings, 12):
        assert all(p.tiles.split(", ")[0] == tiles for p in e.placed)
        assert_flat(e)
        for p in e.placed:
            if p.tiles == "mean":
                np.testing.assert_array_equal(pixelate(e.clean, [p.mosaic])[p.mosaic.box], e.picture[p.mosaic.box])


def test_light_is_averaged_not_levels():
    dots = (np.random.default_rng(0).random((300, 300)) < 0.3).astype(np.uint8) * 255
    settings = replace(
        UNSPOILT, tiles={"mean in linear light": 1}, counts=(0, 1), native=1, enlarge=1, truncated=0, whole_tiles=0
    )
    compared = 0
    for e in drawn(settings, 10, dots):
        for m in e.mosaics:
            white = m.cells.mean(e.clean[m.box] / 255.0)[m.cells.counts > 0]
            expected = 255 * np.where(white <= 0.0031308, 12.92 * white, 1.055 * white ** (1 / 2.4) - 0.055)
            values = m.cells.mean(e.picture[m.box])[m.cells.counts > 0]
            assert np.abs(values - expected).max() <= 0.51
            compared += 1
    assert compared > 5


def test_sampled_tiles_show_the_pixel_they_say():
    settings = replace(UNSPOILT, tiles={"sample": 1}, counts=(0, 1), whole_tiles=0, shapes={"rectangle": 1}, along=1)
    settings = replace(settings, fractional=0)
    places = set()
    for e in drawn(settings, 12):
        for p in e.placed:
            m, place = p.mosaic, p.tiles.split(", ")[1]
            width, height = round(m.grid.width), round(m.grid.height)
            dx, dy = (width // 2, height // 2) if place == "centre" else (0, 0)
            shown = e.clean[m.box][dy::height, dx::width]
            np.testing.assert_array_equal(shown, e.picture[m.box][dy::height, dx::width])
            places.add(place)
    assert places == {"corner", "centre"}


def test_reduction_is_what_programs_do():
    cv2 = pytest.importorskip("cv2")
    settings = replace(UNSPOILT, counts=(0, 1), shapes={"rectangle": 1}, along=1, cell=(4, 16), enlarge=1, mirror=0)
    for tiles, flag in (("box", cv2.INTER_AREA), ("four pixels", cv2.INTER_LINEAR)):
        compared = 0
        for e in drawn(replace(settings, tiles={tiles: 1}, fractional=0), 12):
            for m in e.mosaics:
                shape = m.cells.counts.shape
                small = cv2.resize(e.clean[m.box], shape[::-1], interpolation=flag)
                ours = m.cells.mean(e.picture[m.box])
                assert np.abs(ours - small).max() <= 1  # either rounds in its own way
                compared += 1
        assert compared > 6


def test_fractional_tiles_are_those_of_nearest_enlargement():
    cv2 = pytest.importorskip("cv2")
    settings = replace(
        UNSPOILT, counts=(0, 1), shapes={"rectangle": 1}, along=1, fractional=1, tiles={"box": 1}, cell=(4, 16)
    )
    shifted = 0
    for e in drawn(settings, 30):
        for m in e.mosaics:
            grid = m.grid
            columns = round(m.width / grid.width)
            shift = grid.x - m.x
            if abs(columns * grid.width - m.width) > 1e-6 or shift not in (0, 0.5):
                continue  # a part of tiles that cover the whole canvas
            places = np.arange(columns, dtype=np.uint8)[None]
            theirs = cv2.resize(places, (m.width, 1), interpolation=cv2.INTER_NEAREST)[0]
            if shift == 0.5:
                np.testing.assert_array_equal(theirs, grid.columns(m.x, m.x + m.width))
                shifted += 1
    assert shifted > 2


@pytest.mark.parametrize("name", CLASSES)
def test_classes_hold_what_they_say(name):
    settings = CLASSES[name]
    found = set()
    for e in drawn(replace(settings, side=(200, 300)), 15):
        assert e.placed or e.refused
        assert_true_labels(e, settings)
        if "lossless" in name:
            assert e.history == "lossless"
            assert_flat(e)
        else:
            low, high = map(int, re.search(r"(\d+)-(\d+)$", name).groups())
            scale, quality = re.fullmatch(r"(?:resize (\d\.\d\d) \w+ -> )?jpeg (\d+) 4:(?:2:0|4:4)", e.history).groups()
            assert low <= int(quality) <= high
            assert (scale is not None) == ("resized" in name)
            assert scale is None or 0.6 <= float(scale) <= 1.7
        for p in e.placed:
            assert p.contrast > 1.5
            if name.startswith("3"):
                assert p.shape in ("ellipse", "blob")
            else:
                assert p.shape == "rectangle"
                assert p.mosaic.mask is None
            if "resized" not in name:
                assert all(float(v).is_integer() for v in (p.mosaic.grid.x, p.mosaic.grid.width, p.mosaic.grid.height))
            found.add(p.shape)
    assert found


def line_positions(luminance, area, lines):
    """Where steps across grid lines lie on average, to sub-pixels: their centroid within half a cell."""
    steps = np.abs(np.diff(luminance, axis=1)) * (area[:, 1:] & area[:, :-1])
    weights, at = steps.sum(axis=0), np.arange(1, luminance.shape[1])
    half = (lines[1] - lines[0]) / 2
    result = []
    for line in lines:
        near = np.abs(at - line) < half
        result.append((weights[near] * at[near]).sum() / weights[near].sum())
    return np.array(result)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("crop", [0, 1])
def test_resized_grids_lie_where_the_steps_are(name, crop):
    settings = replace(
        UNSPOILT,
        side=(250, 400),
        resize=1,
        crop=crop,
        filters={name: 1},
        counts=(0, 1),
        cell=(10, 30),
        shapes={"rectangle": 1},
        along=1,
        fractional=0,
        every_line=True,
        least_cells=5,
        least_change=4,
    )
    errors = []
    for e in drawn(settings, 25):
        for m in e.mosaics:
            grey = e.picture[m.box].astype(float).mean(axis=2)
            for pixels, area, start, first, cell in (
                (grey, m.area, m.x, m.grid.x, m.grid.width),
                (grey.T, m.area.T, m.y, m.grid.y, m.grid.height),
            ):
                lines = first - start + cell * np.arange(-100, 200)
                lines = lines[(lines > 0.7 * cell) & (lines < pixels.shape[1] - 0.7 * cell)]
                if len(lines) >= 3:
                    errors.append(np.mean(line_positions(pixels, area, lines) - lines))
    assert len(errors) > 15
    assert abs(np.mean(errors)) < 0.03
    assert np.median(np.abs(errors)) < 0.05
    assert np.quantile(np.abs(errors), 0.9) < 0.1


def test_clean_goes_through_the_same_geometry():
    settings = replace(UNSPOILT, resize=1, crop=1, counts=(1.0,))
    for e in drawn(settings, 8):
        np.testing.assert_array_equal(e.picture, e.clean)


def test_histories_are_honoured():
    everything = replace(
        Settings(),
        side=(100, 100), counts=(0, 1), early=1, late=1, webp=0, resize=1, crop=1, blur=1, sharpen=1, noise=1,
    )  # fmt: skip
    for e in drawn(everything, 6):
        names = [step.split()[0] for step in e.history.split(" -> ")]
        assert names[0] == names[-1] == "jpeg"
        assert sorted(names[1:3]) == ["crop", "resize"]
        assert names[3:6] == ["blur", "sharpen", "noise"]
        assert e.picture.shape == (100, 100, 3)
    assert all(e.history.startswith("webp") for e in drawn(replace(UNSPOILT, late=1, webp=1), 3))
    ends = {e.history[-5:] for e in drawn(replace(UNSPOILT, late=1, webp=0, subsampled=0.5), 12)}
    assert ends == {"4:2:0", "4:4:4"}
    jpeg = drawn(replace(UNSPOILT, late=1, webp=0, quality=(30, 30), counts=(1.0,)), 1)[0]
    assert np.abs(jpeg.picture.astype(int) - jpeg.clean).mean() > 1


def test_the_same_seed_gives_the_same():
    for seed in range(5):
        a, b = (example(PHOTO, np.random.default_rng(seed), replace(Settings(), side=(64, 300))) for _ in range(2))
        assert a.history == b.history
        assert a.placed == b.placed
        for name in ("picture", "clean", "labels"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert not np.array_equal(*(example(PHOTO, np.random.default_rng(s), CLASSES["1 lossless"]).labels for s in (1, 2)))


def test_everything_that_can_be_drawn_is_drawn():
    examples = drawn(replace(UNSPOILT, side=(150, 250), whole=0.1), 150)
    placed = [p for e in examples for p in e.placed]
    assert {p.shape for p in placed} == {*SHAPES, "whole"}
    assert {p.tiles.split(", ")[0] for p in placed} == set(TILES)
    assert {len(e.placed) for e in examples} == set(range(7))
    cells = np.array([(p.mosaic.grid.width, p.mosaic.grid.height) for p in placed])
    assert cells.min() < 4 < 30 < cells.max()
    assert any(w != h for w, h in cells)
    assert any(not float(w).is_integer() for w, _ in cells)
    for e in examples:
        for p in e.placed:
            if p.shape == "whole":
                assert (e.labels == 1).all()


def test_touching_mosaics():
    settings = replace(UNSPOILT, counts=(0, 0, 1), touching=1, shapes={"rectangle": 1}, side=(200, 200), cell=(4, 12))
    pairs = [e.mosaics for e in drawn(settings, 30) if len(e.placed) == 2]
    touching = [
        a.x + a.width == b.x or b.x + b.width == a.x or a.y + a.height == b.y or b.y + b.height == a.y for a, b in pairs
    ]
    assert sum(touching) > len(pairs) / 2
    apart = replace(settings, touching=0, gap=5)
    for e in drawn(apart, 20):
        for k in range(1, len(e.placed) + 1):
            m = e.mosaics[k - 1]
            around = e.labels[max(m.y - 5, 0) : m.y + m.height + 5, max(m.x - 5, 0) : m.x + m.width + 5]
            assert set(np.unique(around)) <= {0, k}


def test_what_cannot_be_seen_is_not_drawn():
    flat = np.full((300, 300, 3), 90, np.uint8)
    e = example(flat, np.random.default_rng(0), replace(UNSPOILT, counts=(0, 1)))
    assert not e.placed
    assert e.refused
    assert not e.labels.any()


def test_visible_asks_for_every_side_and_line():
    m = Mosaic(0, 0, 12, 12, Grid(0, 0, 4, 4))
    before = np.random.default_rng(0).integers(0, 256, (12, 12), np.uint8)
    after = pixelate(before, [m])
    assert visible(before, after, m, 1.0, every_line=True)
    blurred = before.copy()
    blurred[:, :4] = after[:, :4] = 100  # the left tiles are the photo, and one colour
    assert not visible(blurred, after, m, 1.0, every_line=True)
    assert visible(blurred, after, m, 1.0, every_line=False)
    assert contrast(after, m) > 5 > 1.5 > contrast(before, m)


@pytest.mark.parametrize("kind", [*NEGATIVES, *BLOCKS])
def test_negatives(kind):
    pictures = []
    for i, photo in enumerate((None, PHOTO, GRAY)):
        picture = negative(kind, np.random.default_rng(i), photo, (150 + i, 97))
        assert picture.dtype == np.uint8
        assert picture.shape == (97, 150 + i, 3)
        assert picture.flags.c_contiguous
        np.testing.assert_array_equal(picture, negative(kind, np.random.default_rng(i), photo, (150 + i, 97)))
        pictures.append(picture)
    assert not np.array_equal(pictures[0][:, :150], pictures[1][:, :150])
    free = negative(kind, np.random.default_rng(3))
    assert all(160 <= side <= 640 for side in free.shape[:2])
    e = example(free, np.random.default_rng(4), replace(Settings(), side=(64, 200), counts=(1.0,)))
    assert not e.placed
    assert not e.labels.any()


def test_pixel_art_has_few_colours():
    for i in range(20):
        picture = negative("pixel art", np.random.default_rng(i), size=(128, 128))
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) <= 16


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"side": (100, 64)}, "side"),
        ({"cell": (1, 5)}, "cell"),
        ({"shapes": {"star": 1.0}}, "star"),
        ({"tiles": {"median": 1.0}}, "median"),
        ({"filters": {"hermite": 1.0}}, "hermite"),
    ],
)
def test_settings_are_checked(change, text):
    with pytest.raises(ValueError, match=text):
        Settings(**change)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="float64"):
        example(PHOTO.astype(float), np.random.default_rng(0), Settings())
    with pytest.raises(ValueError, match="kinds are"):
        negative("cats", np.random.default_rng(0))
