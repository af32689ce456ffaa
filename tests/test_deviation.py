"""Predicted standard deviations are none that values between black and white cannot have."""

from __future__ import annotations

import numpy as np
from skimage import data

from deepix.mosaic import Mosaic, pixelate
from deepix.restorer.deviation import possible
from deepix.restorer.network import estimate


def test_black_and_white_pixels_deviate_most_of_all_with_their_mean():
    means = np.float32([[25.5, 127.5, 229.5]])
    for k, share in enumerate((0.1, 0.5, 0.9)):
        values = 255.0 * (np.arange(1000) < 1000 * share)
        assert np.isclose(possible(np.full((1, 3), 1e3, np.float32), means, 255.0)[0, k], values.std(), rtol=1e-4)
    assert np.array_equal(possible(np.float32([[3, 4, 5]]), means, 255.0), [[3, 4, 5]])


def test_means_that_were_rounded_to_black_or_white_still_may_deviate():
    assert (possible(np.float32([[9, 9]]), np.float32([[0, 255]]), 255.0) > 5).all()
    wide = possible(np.float32([[9e3, 9e3]]), np.float32([[0, 65535]]), 65535.0)
    assert (wide > 5 * 257).all()


def test_of_colours_the_luminance_counts():
    red = np.zeros((1, 1, 3), np.float32)
    red[..., 0] = 255
    mean = 0.299 * 255
    assert np.isclose(possible(np.float32([[1e3]]), red, 255.0)[0, 0], np.sqrt(mean * (255 - mean)), rtol=1e-4)


def test_at_strong_edges_no_impossible_deviation_is_predicted():
    image = data.astronaut()
    m = Mosaic.rectangle(150, 30, 160, 180, 16)
    pixelated = pixelate(image, [m])
    _, deviation = estimate(pixelated, [m])
    light = pixelated[m.box] @ np.array([0.299, 0.587, 0.114])
    bound = np.sqrt(light.clip(0.5, 254.5) * (255 - light.clip(0.5, 254.5)))
    assert (deviation[m.box] <= bound + 0.1).all()
    assert np.isclose(deviation[m.box], bound, atol=0.1).any()  # it was more
