"""From maps to mosaics: regions, areas, and how they are put together. The maps are made of the truth, and spoiled."""

import io
from dataclasses import dataclass

import numpy as np
import pytest
import skimage.data
from PIL import Image
from scipy import ndimage

from deepix.finder import areas, geometry, jpeg_noise, map_regions, region_mosaics
from deepix.finder.likelihood import LikelihoodMaps
from deepix.finder.luminance import luminance
from deepix.mosaic import Grid, Mosaic, check, pixelate, unknown

PHOTO = skimage.data.astronaut()
STRIDE = 4


@dataclass
class Maps:
    pixelated: np.ndarray
    border: np.ndarray
    width: np.ndarray
    height: np.ndarray


def maps(mosaics, shape, seed=0, guess=1.2):
    """Return what a network may say: the truth at a quarter of its size, blurred, with noise and wrong sizes."""
    rng = np.random.default_rng(seed)
    small = tuple(-(-side // STRIDE) for side in shape)
    labels = np.zeros([STRIDE * side for side in small], int)
    for k, m in enumerate(mosaics, 1):
        labels[m.box][m.area] = k
    places = labels.reshape(small[0], STRIDE, small[1], STRIDE).swapaxes(1, 2).reshape(*small, -1)
    p = ndimage.gaussian_filter((places > 0).mean(axis=2), 0.5) + 0.1 * rng.standard_normal(small)
    edges = np.zeros(labels.shape, bool)
    edges[1:] |= labels[1:] != labels[:-1]
    edges[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border = edges.reshape(small[0], STRIDE, small[1], STRIDE).any(axis=(1, 3))
    sizes = np.full((2, *small), 10.0)
    for k, m in enumerate(mosaics, 1):
        sizes[:, (places == k).any(axis=2)] = np.array([[m.grid.width * guess], [m.grid.height / guess]])
    return Maps(*(a.astype(np.float32) for a in (p.clip(0, 1), border, *sizes)))


def jpeg(pixels, quality):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def likeness(a, b, shape):
    ours, theirs = unknown([a], shape), unknown([b], shape)
    return (ours & theirs).sum() / (ours | theirs).sum()


def same_cells(a, b):
    return (a.width, a.height) == (b.width, b.height) and (a.x - b.x) % a.width == 0 == (a.y - b.y) % a.height


def located(pixels, seen):
    return region_mosaics.located(luminance(pixels), seen, STRIDE)


FACE = Mosaic(180, 60, 97, 113, Grid(187, 65, 12, 9))
FLAG = Mosaic(20, 230, 60, 48, Grid(20, 230, 5, 6))


@pytest.mark.parametrize("quality", [None, 90, 70, 52])
def test_rectangles_of_whole_pixels_come_out_exactly(quality):
    pixels = pixelate(PHOTO, [FACE, FLAG])
    pixels = jpeg(pixels, quality) if quality else pixels
    found = located(pixels, maps([FACE, FLAG], pixels.shape[:2]))
    assert len(found) == 2
    for true, f in zip((FACE, FLAG), found, strict=True):
        assert same_cells(f.mosaic.grid, true.grid)
        assert likeness(f.mosaic, true, pixels.shape) > 0.97
        assert f.mosaic.mask is None
        assert f.mosaic.confidence > 0.5
        assert f.log_ratio > 0


@pytest.mark.parametrize("quality", [None, 75])
def test_an_ellipse_that_cuts_tiles(quality):
    y, x = np.mgrid[: PHOTO.shape[0], : PHOTO.shape[1]]
    true = Mosaic.from_mask(((x - 225) / 70) ** 2 + ((y - 120) / 85) ** 2 < 1, Grid(3, 1, 10, 10))
    pixels = pixelate(PHOTO, [true])
    pixels = jpeg(pixels, quality) if quality else pixels
    (found,) = located(pixels, maps([true], pixels.shape[:2]))
    assert found.mosaic.mask is not None
    assert same_cells(found.mosaic.grid, true.grid)
    assert likeness(found.mosaic, true, pixels.shape) > 0.93


def test_a_resized_picture():
    pixels = np.asarray(Image.fromarray(pixelate(PHOTO, [FACE])).resize((420, 420), Image.Resampling.BICUBIC))
    scale = 420 / 512
    box = [round(v * scale) for v in (FACE.x, FACE.y, FACE.x + FACE.width, FACE.y + FACE.height)]
    grid = Grid(*(v * scale for v in (FACE.grid.x, FACE.grid.y, 12, 9)))
    true = Mosaic(box[0], box[1], box[2] - box[0], box[3] - box[1], grid)
    (found,) = located(jpeg(pixels, 85), maps([true], (420, 420)))
    assert found.mosaic.grid.width == pytest.approx(grid.width, rel=0.01)
    assert found.mosaic.grid.height == pytest.approx(grid.height, rel=0.01)
    assert likeness(found.mosaic, true, pixels.shape) > 0.93


def test_touching_mosaics_are_set_apart():
    left, right = Mosaic.rectangle(150, 60, 72, 96, 12), Mosaic.rectangle(222, 60, 70, 100, 10)
    pixels = pixelate(PHOTO, [left, right])
    found = located(pixels, maps([left, right], pixels.shape[:2], guess=1.0))
    assert len(found) == 2
    for true, f in zip((left, right), sorted(found, key=lambda f: f.mosaic.x), strict=True):
        assert same_cells(f.mosaic.grid, true.grid)
        assert likeness(f.mosaic, true, pixels.shape) > 0.95


def test_mosaics_that_the_maps_show_as_one_are_cut_apart():
    """The map of borders says nothing, and that of the cells' sizes the same everywhere, between both."""
    left, right = Mosaic.rectangle(60, 60, 132, 120, 12), Mosaic.rectangle(194, 60, 80, 60, 10)
    pixels = jpeg(pixelate(PHOTO, [left, right]), 92)
    seen = maps([left, right], pixels.shape[:2])
    seen.border[:] = 0
    places = seen.pixelated > 0.5
    places[:, 47:50] |= places[:, 50:53]  # nothing between them
    seen.pixelated[places] = 0.97
    seen.width[:], seen.height[:] = 11, 11
    (whole,) = map_regions.regions(seen, STRIDE, pixels.shape[:2])
    assert whole.inside.shape[1] > 200
    found = located(pixels, seen)
    for true in (left, right):
        assert any(same_cells(f.mosaic.grid, true.grid) and likeness(f.mosaic, true, pixels.shape) > 0.9 for f in found)


@pytest.mark.parametrize("scale", [0.77, 1.31])
def test_small_resized_cells_inspire_confidence(scale):
    true = Mosaic.rectangle(180, 60, 100, 80, 5)
    side = round(512 * scale)
    pixels = Image.fromarray(pixelate(PHOTO, [true])).resize((side, side), Image.Resampling.BICUBIC)
    pixels, scale = jpeg(np.asarray(pixels), 88), side / 512
    box = [round(v * scale) for v in (180, 60, 280, 140)]
    grid = Grid(180 * scale, 60 * scale, 5 * scale, 5 * scale)
    smaller = Mosaic(box[0], box[1], box[2] - box[0], box[3] - box[1], grid)
    seen = maps([smaller], (side, side))
    seen.pixelated[seen.pixelated > 0.8] = 0.97
    (found,) = located(pixels, seen)
    assert found.mosaic.confidence > 0.5
    assert found.mosaic.grid.width == pytest.approx(grid.width, rel=0.02)
    assert likeness(found.mosaic, smaller, pixels.shape) > 0.85


def test_bricks_with_joints_inspire_no_confidence():
    """Not even where a network is sure of them."""
    rng = np.random.default_rng(5)
    wall = np.full((300, 400, 3), 170.0)
    for y in range(0, 300, 26):
        for x in range(0, 400, 44):
            wall[y : y + 23, x : x + 41] = np.array([130, 90, 80]) + rng.normal(0, 14, 3)
    pixels = jpeg(np.clip(np.rint(wall), 0, 255).astype(np.uint8), 93)
    whole = Mosaic(0, 0, 400, 300, Grid(0, 0, 44, 26))
    found = located(pixels, maps([whole], (300, 400)))
    assert all(f.mosaic.confidence < 0.25 for f in found)


def test_a_region_of_a_photo_inspires_no_confidence():
    found = located(PHOTO, maps([FACE], PHOTO.shape[:2]))
    assert all(f.mosaic.confidence < 0.25 for f in found)


def test_empty_maps_have_no_regions():
    empty = maps([], (200, 300))
    empty.pixelated[:] = 0.1
    assert located(PHOTO[:200, :300], empty) == []


def test_maps_are_enlarged_between_the_middles_of_their_places():
    values = np.array([[0.0, 1.0]], np.float32)
    large = map_regions.enlarged(values, 4, (3, 8))
    np.testing.assert_allclose(large[0], [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    assert (large == large[:1]).all()


@pytest.mark.parametrize(("quality", "saved"), [(55, 55), (68, 68), (83, 83), (95, 95)])
def test_the_quality_of_coarse_files_too(quality, saved):
    assert jpeg_noise.saved_quality(luminance(jpeg(PHOTO, quality))) == saved


def saved(pixels, quality):
    """What is read of a JPEG file, and its steps of luminance."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    image = Image.open(buffer)
    return np.asarray(image), image.quantization[0]


@pytest.mark.parametrize("quality", [50, 51, 64, 75, 88, 90, 95, 99, 100])
def test_a_scaled_standard_table_tells_its_quality(quality):
    steps = saved(PHOTO[:16, :16], quality)[1]
    np.testing.assert_array_equal(jpeg_noise.steps_of(quality).ravel(), steps)
    assert jpeg_noise.table_quality(steps) == quality


@pytest.mark.parametrize(
    ("quality", "told"), [(32, 22), ("web_low", None), ("web_medium", None), ("web_high", 86), ("web_very_high", 94)]
)
def test_other_tables_tell_the_nearest_quality_unless_it_is_a_coarse_one(quality, told):
    assert jpeg_noise.table_quality(saved(PHOTO[:16, :16], quality)[1]) == told


@pytest.mark.parametrize(("first", "last", "quality"), [(60, 95, 60), (90, 70, 70), (75, 75, 75)])
def test_of_two_saves_the_coarser_counts(first, last, quality):
    pixels, steps = saved(saved(PHOTO, first)[0], last)
    assert jpeg_noise.saved_quality(luminance(pixels), steps) == quality


def test_where_coefficients_tell_nothing_the_table_does_unless_it_is_finer_than_usual():
    flat = np.full((64, 64), 90, np.uint8)
    for quality, expected in ((55, 55), (80, 80), (100, jpeg_noise.USUAL)):
        pixels, steps = saved(flat, quality)
        assert jpeg_noise.saved_quality(luminance(pixels)) == jpeg_noise.USUAL
        assert jpeg_noise.saved_quality(luminance(pixels), steps) == expected


def test_where_both_agree_but_for_one_the_table_is_exact():
    pixels, steps = saved(PHOTO, 85)
    assert jpeg_noise.saved_quality(luminance(pixels)) == 85
    for table, expected in ((84, 84), (86, 86), (87, 85), (80, 80)):
        assert jpeg_noise.saved_quality(luminance(pixels), saved(PHOTO, table)[1]) == expected
    assert jpeg_noise.saved_quality(luminance(pixels), steps) == 85


def test_the_best_span_is_the_best_of_all():
    """The recursion against every pair of ends, with what they cost."""
    pixels = luminance(jpeg(pixelate(PHOTO, [FLAG]), 85))[224:288, 8:104]
    likelihood = LikelihoodMaps.of(pixels, 85)
    rows, across, down = (6, 54), (5.0, 12.0), (6.0, 6.0)
    value, start, stop = areas.span(likelihood, rows, across, down)
    assert (start, stop) == (12, 72)
    column, _ = areas.bands(0, pixels.shape[1], *across)
    row, _ = areas.bands(*rows, *down)
    here = likelihood[slice(*rows), :]

    def total(a, b):
        result = 0.0
        for k in range(column[a], column[b - 1] + 1):
            part = np.flatnonzero(column == k)
            part = part[(part >= a) & (part < b)]
            for r in np.unique(row):
                cell = np.ix_(np.flatnonzero(row == r), part)
                u, p, g = (m[cell].astype(float) for m in (here.weight, here.luminance, here.gain))
                f, w = (u * p).sum(), u.sum()
                result += (g - 0.5 * u * p * p).sum() + 0.5 * f * f / w - 0.5 * np.log1p(areas.TAU**2 * w)
        tilt = likelihood.tilt
        border = tilt[rows[1], a:b].sum() - tilt[rows[0] - 1, a:b].sum()
        border -= here.tilt[:, a - 1].sum() if a else 0
        border += here.tilt[:, b].sum() if b < pixels.shape[1] else 0
        cuts = (a > 0 and column[a] == column[a - 1]) + (b < pixels.shape[1] and column[b - 1] == column[b])
        return result + areas.BORDER * border - areas.CUT * np.log(5) * cuts

    assert value == pytest.approx(total(start, stop), rel=1e-3)
    rng = np.random.default_rng(0)
    for _ in range(60):
        a, b = sorted(rng.choice(np.arange(2, 95), 2, replace=False).tolist())
        if column[a] != column[b - 1]:
            assert total(a, b) <= value + 1e-3 * abs(value)


def test_overlaps_are_given_to_the_better_one():
    a, b = Mosaic.rectangle(10, 10, 40, 40, 8), Mosaic.rectangle(46, 10, 40, 40, 8)
    trimmed = geometry.without(b, [a], 0.2)
    assert (trimmed.x, trimmed.width, trimmed.mask) == (50, 36, None)
    check([a, trimmed], (100, 100))
    assert geometry.without(b, [a], 0.05) is None
    assert geometry.without(b, [], 0.0) is b
