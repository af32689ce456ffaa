"""The colours of cells: the most frequent ones, of every type of picture."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from skimage import data

from deepix.finder.cell_colours import EXACT, LOSSY, Cells, View, codes, most_frequent
from deepix.mosaic import Mosaic, pixelate

PHOTO = np.ascontiguousarray(data.astronaut()[:200, 100:340])
M = Mosaic.rectangle(80, 60, 96, 72, 12)


def test_the_most_frequent_value_of_each_cell_and_the_greatest_of_several():
    rng = np.random.default_rng(5)
    labels, values = rng.integers(0, 40, 700), rng.integers(0, 9, 700)
    labels[labels == 7] = 8
    most, own = most_frequent(labels, values, 40)
    for cell in range(40):
        counted = Counter(values[labels == cell].tolist())
        expected = max(((number, value) for value, number in counted.items()), default=(0, -1))
        assert (own[cell], most[cell]) == expected


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 1), (np.uint8, 3), (np.uint8, 4), (np.uint16, 3)])
def test_codes_are_equal_where_colours_are_and_in_their_order(dtype, channels):
    rng = np.random.default_rng(6)
    pixels = rng.choice(rng.integers(0, np.iinfo(dtype).max + 1, 5), (30, 20, channels)).astype(dtype)
    flat, code = pixels.reshape(-1, channels), codes(pixels).ravel()
    order = np.lexsort(flat.T[::-1])
    assert np.array_equal(np.argsort(code, kind="stable"), order)
    assert len(np.unique(code)) == len(np.unique(flat, axis=0))
    assert 0 <= code.min() <= code.max() < 1 << 32


@pytest.mark.parametrize("scale", [1, 257])
def test_cells_have_their_colours_whatever_hides_a_part_of_them(scale):
    drawn = pixelate(PHOTO, [M]).astype(np.uint16 if scale > 1 else np.uint8) * scale
    expected = drawn[M.box][::12, ::12].reshape(-1, 3) / scale
    drawn[68:74] = 250 * scale
    view = View.of(drawn, M)
    for tolerance in (EXACT, LOSSY):
        cells = Cells.of(view, view.area, tolerance)
        seen = cells.number > 0
        assert np.count_nonzero(seen) == len(expected)
        assert cells.alive[seen].all()
        assert np.array_equal(cells.colour[seen], expected.astype(np.float32))
    assert view.tolerance is EXACT


def test_a_part_of_a_view_is_as_tolerant_and_shows_the_same():
    rng = np.random.default_rng(7)
    noisy = (pixelate(PHOTO, [M]) + rng.integers(-2, 3, PHOTO.shape)).clip(0, 255).astype(np.uint8)
    view = View.of(noisy, M)
    part = view.within((slice(90, 120), slice(80, 140)))
    assert view.tolerance is part.tolerance is LOSSY
    assert np.array_equal(part.pixels, view.pixels[90:120, 80:140])
    assert np.array_equal(part.area, view.area[90:120, 80:140])
    colour = view.pixels[100, 100]
    expected = (np.abs(part.pixels - colour) <= LOSSY.same).all(axis=2)
    assert np.array_equal(part.is_of(colour), expected)
    assert expected.any()
    assert not expected.all()
