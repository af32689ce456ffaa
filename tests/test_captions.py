"""Captions over and beside mosaics are foreign, and areas go on between their letters."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from deepix.finder.captions import captioned
from deepix.finder.cell_colours import View
from deepix.mosaic import Mosaic, pixelate

PHOTO = np.ascontiguousarray(data.astronaut()[:240, 100:400])
M = Mosaic.rectangle(80, 60, 144, 96, 12)


def told(pixels, m):
    """Return area and foreign pixels, (H, W) both; None where nothing is drawn."""
    nothing = np.zeros(PHOTO.shape[:2], bool)
    result = captioned(View.of(pixels, m), nothing, nothing)
    if result is None:
        return None
    area = nothing.copy()
    area[result[0].box] = result[0].area
    return area, result[1]


@pytest.mark.parametrize("colour", [(255, 255, 0), (255, 255, 255), (0, 0, 0)])
def test_all_that_a_caption_changes_is_foreign_and_nothing_else_of_the_area(colour):
    plain = pixelate(PHOTO, [M])
    image = Image.fromarray(plain)
    ImageDraw.Draw(image).text((100, 85), "caption", fill=colour, font=ImageFont.load_default(34))
    area, foreign = told(np.asarray(image), M)
    changed = (np.asarray(image) != plain).any(axis=2)
    inside = np.zeros_like(area)
    inside[M.box] = True
    assert (changed & inside & ~foreign).sum() <= 0.01 * changed.sum()
    assert (foreign & inside & ~changed).sum() <= 0.1 * changed.sum()
    assert np.array_equal(area, inside & ~foreign)


def test_an_area_goes_on_beside_a_label_over_its_first_rows():
    image = Image.fromarray(pixelate(PHOTO, [M]))
    pen = ImageDraw.Draw(image)
    pen.rectangle((100, 60, 179, 83), fill=(255, 0, 255))
    pen.text((104, 62), "label", fill=(0, 255, 0), font=ImageFont.load_default(20))
    below = Mosaic(80, 84, 144, 72, M.grid)  # what is found of it without
    area, foreign = told(np.asarray(image), below)
    expected = np.zeros_like(area)
    expected[60:84, 100:180] = True
    assert np.array_equal(foreign, expected)
    whole = np.zeros_like(area)
    whole[M.box] = True
    assert np.array_equal(area, whole & ~expected)


def test_where_nothing_is_drawn_nothing_changes():
    for cell in (6, 12, 24):
        m = Mosaic.rectangle(80, 60, 144, 96, cell)
        assert told(pixelate(PHOTO, [m]), m) is None
