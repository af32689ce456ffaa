"""Mosaics side by side: what is known of one is not taken for the other's."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from deepix.finder import find
from deepix.mosaic import Mosaic, pixelate, unknown
from deepix.restorer.network import estimate
from deepix.restorer.smooth import smooth


def jpeg(pixels, quality):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def overlap(a, b, shape):
    """Intersection over union."""
    one, other = unknown([a], shape), unknown([b], shape)
    return np.count_nonzero(one & other) / np.count_nonzero(one | other)


@pytest.mark.parametrize(
    ("corner", "areas", "quality", "least"),
    [
        # the map's certainty about the second would make the first wider
        ((0, 120), [(36, 54, 79, 55, 8), (115, 69, 91, 87, 15)], 64, 1.0),
        # … and here the second would be lost beside the first
        ((0, 129), [(10, 23, 100, 67, 17), (110, 46, 64, 69, 11)], 45, 0.95),
    ],
)
def test_the_map_of_one_does_not_speak_for_its_neighbour(corner, areas, quality, least):
    y, x = corner
    truth = [Mosaic.rectangle(*area) for area in areas]
    pixels = jpeg(pixelate(data.chelsea()[y : y + 300, x : x + 300], truth), quality)
    found = find(pixels, lossy=True)
    assert len(found) == 2
    for m, t in zip(found, truth, strict=True):
        assert overlap(m, t, pixels.shape) >= least
        assert (m.mask, m.grid.width, m.grid.height) == (None, t.grid.width, t.grid.height)


@pytest.mark.parametrize(("cell", "other"), [(40, 8), (8, 40), (40, 2), (20, (90, 30))])
def test_a_neighbour_on_another_lattice_is_shown_restored_not_as_tiles(cell, other):
    mosaic, neighbour = Mosaic.rectangle(30, 40, 100, 120, cell), Mosaic.rectangle(134, 40, 80, 120, other)
    pixelated = pixelate(data.coffee()[:240, :300], [mosaic, neighbour])
    together, _ = estimate(pixelated, [mosaic, neighbour])
    shown = pixelated.astype(np.float32)
    tiles, _ = estimate(shown, [mosaic])
    shown[neighbour.box] = smooth(pixelated, [mosaic, neighbour])[neighbour.box]
    alone, _ = estimate(shown, [mosaic])
    np.testing.assert_allclose(together[mosaic.box], alone[mosaic.box], atol=0.01)
    assert np.abs(together - tiles)[mosaic.box].max() > 1  # so that it matters what is shown
