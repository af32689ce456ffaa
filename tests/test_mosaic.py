"""The laws of section 3 of the design, on random pictures and mosaics."""

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from deepix.errors import DeepixError
from deepix.mosaic import (
    BlendedCells,
    Grid,
    Mosaic,
    cell_values,
    check,
    consistency,
    fit_blending,
    noise,
    pixelate,
    project,
    quantize,
    random_mosaics,
    unknown,
)
from deepix.restorer.smooth import smooth


@st.composite
def mosaics_of(draw, height, width):
    """One rectangle in the left half, one mask in the right, with any grid, also fractional."""
    result = []
    for left, right, masked in ((0, width // 2, False), (width // 2, width, True)):
        x = draw(st.integers(left, right - 1))
        y = draw(st.integers(0, height - 1))
        w, h = draw(st.integers(1, right - x)), draw(st.integers(1, height - y))
        size = st.one_of(st.integers(1, 9), st.floats(1, 9))
        grid = Grid(draw(st.integers(-9, 30)), draw(st.floats(-9, 30)), draw(size), draw(size))
        if masked:
            mask = np.random.default_rng(draw(st.integers(0, 999))).random((h, w)) < 0.7
            mask[0, 0] = True
            result.append(Mosaic(x, y, w, h, grid, mask))
        else:
            result.append(Mosaic(x, y, w, h, grid))
    return result


@st.composite
def cases(draw, dtypes=(np.uint8, np.uint16, np.float32)):
    height, width = draw(st.integers(2, 24)), draw(st.integers(2, 24))
    channels = draw(st.sampled_from([(), (1,), (3,)]))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # extreme values are likely, so that rounding meets the ends of the range
    x = rng.random((height, width, *channels)) * 1.6 - 0.3
    top = 1 if dtype.kind == "f" else np.iinfo(dtype).max
    truth = (np.clip(x, 0, 1) * top).astype(dtype)
    estimate = rng.normal(0.5, 0.6, truth.shape) * top
    return truth, estimate, draw(mosaics_of(height, width)), draw(st.sampled_from(["nearest", "truncate"]))


def blended(mosaics):
    return [replace(m, grid=replace(m.grid, blended=True)) for m in mosaics]


def slow_shares(m):
    """Every pixel's share in every cell, (height · width, cells), pixel by pixel from squares and cells."""
    labels, shape = m.labels(), m.cells.counts.shape
    result = np.zeros((labels.size, shape[0] * shape[1]))
    first_row = np.floor((m.y + 0.5 - m.grid.y) / m.grid.height)
    first_column = np.floor((m.x + 0.5 - m.grid.x) / m.grid.width)
    exists = np.bincount(labels[labels >= 0], minlength=result.shape[1]) > 0

    def overlaps(pixel, first, count, origin, size):
        ends = origin + (first + np.arange(count + 1)) * size
        ends[0], ends[-1] = -np.inf, np.inf
        return np.maximum(np.minimum(ends[1:], pixel + 1) - np.maximum(ends[:-1], pixel), 0)

    for j, i in zip(*np.nonzero(m.area), strict=True):
        down = overlaps(m.y + j, first_row, shape[0], m.grid.y, m.grid.height)
        across = overlaps(m.x + i, first_column, shape[1], m.grid.x, m.grid.width)
        shares = np.outer(down, across).ravel() * exists
        result[j * m.width + i] = shares / shares.sum()
    return result


def slow_pixelate(truth, mosaics, rounding):
    """The definition, cell by cell."""
    result = truth.copy()
    planes = result.reshape(*truth.shape[:2], -1)
    source = truth.reshape(planes.shape)
    for m in mosaics:
        groups = {}
        for j, i in zip(*np.nonzero(m.area), strict=True):
            y, x = m.y + j, m.x + i
            cell = (
                int(np.floor((x + 0.5 - m.grid.x) / m.grid.width)),
                int(np.floor((y + 0.5 - m.grid.y) / m.grid.height)),
            )
            groups.setdefault(cell, []).append((y, x))
        for pixels in groups.values():
            rows, columns = zip(*pixels, strict=True)
            for c in range(planes.shape[2]):
                values = [source[y, x, c].item() for y, x in pixels]
                if truth.dtype.kind == "f":
                    planes[rows, columns, c] = np.mean(values)
                else:
                    half = len(values) if rounding == "nearest" else 0
                    planes[rows, columns, c] = (2 * sum(values) + half) // (2 * len(values))
    return result


@given(cases())
def test_pixelate_is_the_mean_of_every_cell(case):
    truth, _, mosaics, rounding = case
    before = truth.copy()
    result = pixelate(truth, mosaics, rounding)
    assert result.dtype == truth.dtype
    np.testing.assert_allclose(
        result, slow_pixelate(truth, mosaics, rounding), rtol=0, atol=1e-6 if truth.dtype.kind == "f" else 0
    )
    assert np.array_equal(truth, before)


@given(cases())
def test_pixelating_twice_changes_nothing(case):
    truth, _, mosaics, rounding = case
    once = pixelate(truth, mosaics, rounding)
    np.testing.assert_allclose(
        pixelate(once, mosaics, rounding), once, rtol=0, atol=1e-6 if truth.dtype.kind == "f" else 0
    )


@given(cases())
def test_known_pixels_come_back_bit_for_bit(case):
    truth, estimate, mosaics, rounding = case
    pixelated = pixelate(truth, mosaics, rounding)
    known = ~unknown(mosaics, truth.shape)
    assert np.array_equal(pixelated[known], truth[known])
    projected = project(estimate, pixelated, mosaics, rounding)
    assert np.array_equal(projected[known], truth[known].astype(np.float64))
    if truth.dtype.kind != "f":
        assert np.array_equal(quantize(estimate, pixelated, mosaics, rounding)[known], truth[known])


@given(cases(dtypes=[np.float64]), st.booleans())
def test_projection_never_moves_away_from_the_truth_and_is_idempotent(case, bounded):
    truth, estimate, mosaics, _ = case
    bounds = (0.0, 1.0) if bounded else None
    pixelated = pixelate(truth, mosaics)
    projected = project(estimate, pixelated, mosaics, bounds=bounds)
    inside = unknown(mosaics, truth.shape)
    error = ((projected - truth)[inside] ** 2).sum()
    assert error <= ((estimate - truth)[inside] ** 2).sum() + 1e-5
    np.testing.assert_allclose(project(projected, pixelated, mosaics, bounds=bounds), projected, atol=1e-6)
    for m in mosaics:
        np.testing.assert_allclose(cell_values(projected, m), cell_values(pixelated, m), atol=1e-6)
    if bounded:
        assert projected.min() >= 0
        assert projected.max() <= 1


@given(cases(dtypes=[np.float64]))
def test_projection_is_orthogonal(case):
    truth, estimate, mosaics, _ = case
    pixelated = pixelate(truth, mosaics)
    moved = estimate - project(estimate, pixelated, mosaics)
    feasible = truth - project(estimate, pixelated, mosaics)
    inside = unknown(mosaics, truth.shape)
    assert abs((moved * feasible)[inside].sum()) < 1e-8


@given(cases(dtypes=[np.uint8, np.uint16]))
@settings(max_examples=200)
def test_repixelating_a_restoration_returns_the_input(case):
    truth, estimate, mosaics, rounding = case
    pixelated = pixelate(truth, mosaics, rounding)
    restored = quantize(estimate, pixelated, mosaics, rounding)
    assert restored.dtype == truth.dtype
    assert np.array_equal(pixelate(restored, mosaics, rounding), pixelated)
    assert consistency(restored, pixelated, mosaics, rounding) == 0
    assert noise(pixelated, mosaics) == 0


@given(cases(dtypes=[np.uint8]))
def test_a_lossy_input_is_kept_to_within_its_rounding(case):
    observed, estimate, mosaics, rounding = case  # not pixelated at all: as noisy as can be
    restored = quantize(estimate, observed, mosaics, rounding)
    assert consistency(restored, observed, mosaics, rounding) <= 1
    for m in mosaics:
        means = cell_values(observed, m), cell_values(restored, m)
        assert np.abs(means[0] - means[1]).max() <= (0.5 if rounding == "nearest" else 1)


@given(st.data())
def test_a_mosaic_survives_json(data):
    for m in data.draw(mosaics_of(30, 30)):
        for one in (m, *blended([m])):
            assert Mosaic.from_dict(json.loads(json.dumps(one.to_dict()))) == one


@given(st.data())
def test_labels_and_coordinates_describe_the_cells(data):
    for m in data.draw(mosaics_of(20, 20)):
        labels = m.labels()
        u, v = m.coordinates()
        assert np.array_equal(labels >= 0, m.area)
        assert np.array_equal(np.bincount(labels[m.area], minlength=m.cells.counts.size), m.cells.counts.ravel())
        assert np.abs(u).max() < 1
        assert np.abs(v).max() < 1
        assert not u[~m.area].any()
        if m.mask is None:  # in a whole cell the positions are symmetric
            np.testing.assert_allclose(m.cells.mean(u), 0, atol=1e-6)
            np.testing.assert_allclose(m.cells.mean(v), 0, atol=1e-6)


@given(cases(dtypes=[np.float64]))
def test_pixels_that_straddle_cells_count_by_their_shares(case):
    truth, _, mosaics, _ = case
    for m in blended(mosaics):
        shares = slow_shares(m)
        box = truth[m.box].reshape(m.height * m.width, -1)
        total = shares.sum(axis=0)[:, None]
        means = shares.T @ box / np.maximum(total, 1e-9)
        cells = m.cells
        np.testing.assert_allclose(cells.mean(truth[m.box]).reshape(means.shape), means, atol=1e-5)
        values = means.reshape(*cells.counts.shape, *truth.shape[2:])
        inside = m.area.ravel()
        np.testing.assert_allclose(cells.paint(values).reshape(box.shape)[inside], (shares @ means)[inside], atol=1e-5)
        a = shares.T / np.maximum(total, 1e-9)
        expected = np.linalg.pinv(a) @ means
        np.testing.assert_allclose(cells.spread(values).reshape(box.shape)[inside], expected[inside], atol=1e-5)


@given(cases(dtypes=[np.float32, np.float64]))
def test_laws_of_projecting_where_cells_share_pixels(case):
    truth, estimate, mosaics, _ = case
    mosaics = blended(mosaics)
    pixelated = pixelate(truth, mosaics)
    projected = project(estimate, pixelated, mosaics)
    inside = unknown(mosaics, truth.shape)
    assert np.array_equal(projected[~inside], truth[~inside])
    assert ((projected - truth)[inside] ** 2).sum() <= ((estimate - truth)[inside] ** 2).sum() + 1e-5
    np.testing.assert_allclose(project(projected, pixelated, mosaics), projected, atol=1e-5)
    np.testing.assert_allclose(pixelate(projected, mosaics), pixelated, atol=1e-5)
    assert consistency(projected, pixelated, mosaics) <= 1e-5
    assert noise(pixelated, mosaics) <= 1e-5
    for m in mosaics:
        np.testing.assert_allclose(cell_values(pixelated, m), m.cells.mean(truth[m.box]), atol=1e-5)
        np.testing.assert_allclose(m.cells.mean(projected[m.box]), m.cells.mean(truth[m.box]), atol=1e-5)
    if truth.dtype == np.float64:  # at right angles to what agrees with the input
        assert abs(((estimate - projected) * (truth - projected))[inside].sum()) < 1e-8


@given(cases(dtypes=[np.float64]))
def test_bounds_are_kept_where_cells_share_pixels(case):
    truth, estimate, mosaics, _ = case
    mosaics = blended(mosaics)
    inside = unknown(mosaics, truth.shape)
    # steps are exact where nothing is clipped; a truth at the bounds leaves hardly a way, and 50 steps may end short
    mild = truth * 0.6 + 0.2, estimate * 0.3 + 0.35, 1e-4
    for inner, z, tolerance in (mild, (truth, estimate, 0.1)):
        pixelated = pixelate(inner, mosaics)
        projected = project(z, pixelated, mosaics, bounds=(0, 1))
        assert projected[inside].min() >= 0
        assert projected[inside].max() <= 1
        assert ((projected - inner)[inside] ** 2).sum() <= ((z - inner)[inside] ** 2).sum() + 1e-5
        for m in mosaics:
            np.testing.assert_allclose(m.cells.mean(projected[m.box]), m.cells.mean(inner[m.box]), atol=tolerance)


@given(cases(dtypes=[np.uint8, np.uint16]))
def test_integers_where_cells_share_pixels(case):
    truth, estimate, mosaics, rounding = case
    top = np.iinfo(truth.dtype).max
    # away from the ends of the range, where cells beside each other may have values that no picture has
    mosaics, truth, estimate = blended(mosaics), truth // 2 + top // 4, estimate // 5 + top * 0.4
    pixelated = pixelate(truth, mosaics, rounding)
    inside = unknown(mosaics, truth.shape)
    assert np.array_equal(pixelated[~inside], truth[~inside])
    assert noise(pixelated, mosaics) <= 1
    restored = quantize(estimate, pixelated, mosaics, rounding)
    assert restored.dtype == truth.dtype
    assert np.array_equal(restored[~inside], truth[~inside])
    assert consistency(restored, pixelated, mosaics, rounding) <= 1
    for m in mosaics:
        difference = m.cells.mean(restored[m.box]) - cell_values(pixelated, m, rounding)
        assert np.abs(difference[m.cells.counts > 0]).max() <= 0.5 + 1e-6 * top
    plain = np.full_like(truth, 77)
    assert np.array_equal(pixelate(plain, mosaics, rounding), plain)


@given(cases())
def test_blending_changes_nothing_where_lines_fall_between_pixels(case):
    truth, estimate, mosaics, rounding = case
    sharp = [
        replace(m, grid=Grid(int(m.grid.x), int(m.grid.y), int(m.grid.width), int(m.grid.height))) for m in mosaics
    ]
    both = blended(sharp)
    pixelated = pixelate(truth, sharp, rounding)
    assert np.array_equal(pixelated, pixelate(truth, both, rounding))
    assert np.array_equal(project(estimate, pixelated, sharp), project(estimate, pixelated, both))
    assert not any(isinstance(m.cells, BlendedCells) or fit_blending(pixelated, m).grid.blended for m in both)


def resized(cell, scale, how):
    """A photo and its mosaic, both resized; the mosaic's exact grid, not blended."""
    truth = data.astronaut()[:, :400]
    height, width = truth.shape[:2]
    area = Mosaic.rectangle(29, 19, 330 // cell * cell, 450 // cell * cell, cell)
    size = round(width * scale), round(height * scale)
    pictures = [np.asarray(Image.fromarray(picture).resize(size, how)) for picture in (truth, pixelate(truth, [area]))]
    across, down = size[0] / width, size[1] / height
    left, top = int(area.x * across), int(area.y * down)
    right, bottom = int(-(-(area.x + area.width) * across // 1)), int(-(-(area.y + area.height) * down // 1))
    grid = Grid(area.x * across, area.y * down, cell * across, cell * down)
    return *pictures, Mosaic(left, top, right - left, bottom - top, grid)


def test_an_area_resize_mixes_tiles_by_shares():
    """At half the size Pillow's box filter averages 2 x 2 pixels: the shares of tiles of 5 pixels in them."""
    tiles = np.random.default_rng(0).integers(0, 256, (6, 8)).astype(np.uint8)
    picture = tiles.repeat(5, axis=0).repeat(5, axis=1)
    half = np.asarray(Image.fromarray(picture).resize((20, 15), Image.Resampling.BOX))
    m = Mosaic(0, 0, 20, 15, Grid(0, 0, 2.5, 2.5, blended=True))
    np.testing.assert_allclose(cell_values(half, m), tiles, atol=1.5)
    np.testing.assert_allclose(m.cells.paint(tiles.astype(float)), half, atol=1)  # Pillow rounds twice
    assert noise(half, [m]) < 0.5
    assert fit_blending(half, replace(m, grid=replace(m.grid, blended=False))) == m


@pytest.mark.parametrize("scale", [0.73, 1.31])
@pytest.mark.parametrize("how", [Image.Resampling.BICUBIC, Image.Resampling.BILINEAR])
def test_a_resized_photo_is_nearer_to_the_truth_with_blended_cells(scale, how):
    truth, pixelated, m = resized(6, scale, how)
    mixed = fit_blending(pixelated, m)
    assert mixed.grid.blended
    target = truth[m.box].astype(float)
    # the truth's means agree much better with the cells' values (but for cells that the area's border cuts)
    ours, theirs = ((one.cells.mean(target) - cell_values(pixelated, one))[1:-1, 1:-1] for one in (mixed, m))
    assert np.abs(ours).mean() < 0.75 * np.abs(theirs).mean()
    errors = [((smooth(pixelated, [grid])[m.box] - target) ** 2).mean() for grid in (m, mixed)]
    assert errors[1] < 0.99 * errors[0]


def test_tiles_of_uneven_width_with_sharp_borders_are_not_blended():
    tiles = np.random.default_rng(0).integers(0, 256, (6, 8)).astype(np.uint8)
    picture = np.asarray(Image.fromarray(tiles).resize((58, 44), Image.Resampling.NEAREST))
    m = Mosaic(0, 0, 58, 44, Grid(0, 0, 58 / 8, 44 / 6))
    assert noise(picture, [m]) == 0
    assert fit_blending(picture, m) == m


def test_cells_cut_by_the_border_have_their_own_mean():
    image = np.arange(5, dtype=np.uint8)[None, :] * 10
    m = Mosaic(0, 0, 5, 1, Grid(-1, 0, 3, 1))
    assert pixelate(image, [m]).tolist() == [[5, 5, 30, 30, 30]]


def test_rounding_rules():
    image = np.array([[1, 2]], np.uint8)
    m = Mosaic.rectangle(0, 0, 2, 1, 2)
    assert pixelate(image, [m], "nearest").tolist() == [[2, 2]]
    assert pixelate(image, [m], "truncate").tolist() == [[1, 1]]


def test_touching_masks_are_no_overlap():
    stripes = np.arange(8) % 2 == 0
    mask = np.broadcast_to(stripes, (4, 8))
    image = np.arange(32, dtype=np.uint8).reshape(4, 8)
    grid = Grid(0, 0, 4, 4)
    both = [Mosaic.from_mask(mask, grid), Mosaic.from_mask(~mask, grid)]
    assert len(np.unique(pixelate(image, both))) == 4


@pytest.mark.parametrize(
    ("mosaics", "message"),
    [
        ([Mosaic.rectangle(5, 0, 6, 4, 2)], "does not lie in the picture"),
        ([Mosaic.rectangle(-1, 0, 6, 4, 2)], "does not lie in the picture"),
        ([Mosaic.rectangle(0, 0, 5, 4, 2), Mosaic.rectangle(4, 3, 5, 4, 2)], "overlap"),
    ],
)
def test_impossible_mosaics_are_refused(mosaics, message):
    image = np.zeros((10, 10), np.uint8)
    for action in (
        lambda: pixelate(image, mosaics),
        lambda: project(np.zeros((10, 10)), image, mosaics),
        lambda: quantize(np.zeros((10, 10)), image, mosaics),
    ):
        with pytest.raises(ValueError, match=message):
            action()


@pytest.mark.parametrize("size", [0, 0.5, -3, 16385, 1e21, float("inf"), float("nan")])
def test_cells_of_impossible_sizes_are_refused_in_one_line(size):
    for width, height in ((size, 8), (8, size)):
        with pytest.raises(ValueError, match=r"cells must be at (least|most)") as caught:
            Grid(0, 0, width, height)
        assert isinstance(caught.value, DeepixError)
        assert "\n" not in str(caught.value)
    with pytest.raises(DeepixError, match="cells must be"):
        Mosaic.rectangle(0, 0, 30, 20, size)


@pytest.mark.parametrize("place", [1e10, -1e300, float("inf"), float("nan")])
def test_grids_that_begin_nowhere_are_refused(place):
    for x, y in ((place, 0), (0, place)):
        with pytest.raises(DeepixError, match="origin must lie within"):
            Grid(x, y, 8, 8)


def test_the_largest_cells_are_cells():
    image = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)
    m = Mosaic(5, 3, 20, 20, Grid(-9000, -3.5, 16384, 16384))
    assert len(np.unique(pixelate(image, [m])[m.box])) == 1


@given(st.lists(st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 6)] * 2, st.integers(0, 99)), max_size=8))
def test_overlaps_are_found_wherever_they_are(places):
    mosaics = []
    for x, y, width, height, seed in places:
        mask = np.random.default_rng(seed).random((height, width)) < 0.4
        mask[0, 0] = True
        mosaics.append(Mosaic(x, y, width, height, Grid(0, 0, 3, 3), mask))
    planes = [unknown([m], (20, 20)) for m in mosaics]
    if any((a & b).any() for a, b in combinations(planes, 2)):
        with pytest.raises(ValueError, match="overlap"):
            check(mosaics, (20, 20))
    else:
        check(mosaics, (20, 20))


@given(st.data())
def test_a_part_of_a_mask_says_as_much_as_the_whole(data):
    for m in data.draw(mosaics_of(20, 20)):
        whole = unknown([m], (20, 20))
        part = whole[m.y :, m.x :]
        assert Mosaic.from_mask(part, m.grid, x=m.x, y=m.y) == Mosaic.from_mask(whole, m.grid)


def test_a_description_whose_mask_does_not_fit_is_refused_before_memory_is_taken():
    described = Mosaic.from_mask(np.eye(4, dtype=bool), Grid(0, 0, 2, 2)).to_dict()
    described["mask"][-1] += 10**15
    with pytest.raises(ValueError, match="runs hold"):
        Mosaic.from_dict(described)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="at least 1 pixel"):
        Grid(0, 0, 0.5, 3)
    with pytest.raises(ValueError, match="at least 1 pixel"):
        Mosaic.rectangle(0, 0, 0, 3, 2)
    with pytest.raises(ValueError, match="empty"):
        Mosaic.from_mask(np.zeros((3, 3), bool), Grid(0, 0, 2, 2))
    with pytest.raises(ValueError, match="must be bool"):
        Mosaic(0, 0, 2, 2, Grid(0, 0, 2, 2), np.ones((3, 3), bool))
    image, m = np.zeros((4, 4), np.uint8), [Mosaic.rectangle(0, 0, 2, 2, 2)]
    with pytest.raises(ValueError, match="shape"):
        project(np.zeros((3, 3)), image, m)
    with pytest.raises(ValueError, match="float"):
        project(image, image, m)
    with pytest.raises(ValueError, match="integers"):
        quantize(np.zeros((4, 4)), np.zeros((4, 4)), m)


@given(st.integers(16, 80), st.integers(16, 80), st.integers(1, 6), st.integers(0, 99))
def test_random_mosaics_do_not_touch_and_repeat_with_their_seed(height, width, count, seed):
    mosaics = random_mosaics((height, width), count, np.random.default_rng(seed))
    assert 1 <= len(mosaics) <= count
    pixelate(np.zeros((height, width)), mosaics)
    assert mosaics == random_mosaics((height, width), count, np.random.default_rng(seed))
