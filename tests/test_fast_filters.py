"""What stands in for SciPy gives what SciPy gives."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from deepix.finder import fast_filters


def blob(seed, shape, sigma):
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma) > 0


def test_what_is_connected_has_one_label():
    rng = np.random.default_rng(1)
    for pairs in (1, 60, 150):
        a, b = rng.integers(0, 100, (2, pairs))
        ours = fast_filters.connected(a, b, 100)
        _, theirs = connected_components(coo_array((np.ones(pairs), (a, b)), shape=(100, 100)), directed=False)
        assert len(set(zip(ours, theirs, strict=True))) == len(set(ours)) == len(set(theirs))
        assert all(ours[label] == label for label in ours)


def test_cosines_are_those_of_scipy():
    blocks = np.random.default_rng(2).uniform(-128, 127, (2, 3, 8, 8)).astype(np.float32)
    theirs = dctn(blocks, axes=(2, 3), norm="ortho")
    np.testing.assert_allclose(fast_filters.block_cosines(blocks), theirs, atol=1e-3)


@pytest.mark.parametrize("side", [3, 10])
def test_opened_masks_are_those_of_scipy(side):
    mask = blob(side, (90, 70), 4)
    opened = fast_filters.opened(mask, side)
    assert opened.any()
    np.testing.assert_array_equal(opened, ndimage.binary_opening(mask, np.ones((side, side))))


def test_masks_grow_and_lose_their_holes():
    mask = ndimage.gaussian_filter(np.random.default_rng(0).random((60, 90)), 3) > 0.5
    np.testing.assert_array_equal(fast_filters.dilated(mask, 4), ndimage.binary_dilation(mask, np.ones((3, 3)), 4))
    np.testing.assert_array_equal(fast_filters.filled(mask), ndimage.binary_fill_holes(mask))


def test_masks_grow_along_rows_and_columns():
    mask = blob(5, (40, 50), 4)
    np.testing.assert_array_equal(fast_filters.grown_along(mask, 5), ndimage.binary_dilation(mask, iterations=5))


def test_masks_of_nothing_have_no_holes():
    assert not fast_filters.filled(np.zeros((7, 9), bool)).any()


@pytest.mark.parametrize("by", [1, 2, 5])
def test_masks_shrink_also_from_the_edges(by):
    mask = blob(by, (60, 90), 4)
    assert fast_filters.eroded(mask, by).any()
    np.testing.assert_array_equal(fast_filters.eroded(mask, by), ndimage.binary_erosion(mask, np.ones((3, 3)), by))


@pytest.mark.parametrize("shape", [(5, 40), (3, 4)])
def test_small_masks_are_filtered_as_well(shape):
    mask = np.random.default_rng(4).random(shape) < 0.9
    eight = np.ones((3, 3))
    np.testing.assert_array_equal(fast_filters.dilated(mask, 7), ndimage.binary_dilation(mask, eight, 7))
    np.testing.assert_array_equal(fast_filters.eroded(mask, 3), ndimage.binary_erosion(mask, eight, 3))
    np.testing.assert_array_equal(fast_filters.opened(mask, 6), ndimage.binary_opening(mask, np.ones((6, 6))))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_largest_along_a_short_axis(channels):
    values = np.random.default_rng(3).normal(size=(20, 30, channels))
    np.testing.assert_array_equal(fast_filters.largest(values), values.max(axis=-1))
