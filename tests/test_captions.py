"""Captions over and beside mosaics are foreign, and areas go on between their letters."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from deepix.finder import find
from deepix.finder.candidates import Candidate
from deepix.finder.captions import captioned
from deepix.finder.cell_colours import View
from deepix.finder.joined_pieces import joined
from deepix.finder.luminance import luminance
from deepix.mosaic import Grid, Mosaic, pixelate

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


def found_in(pixels, lossy=False):
    """Return the areas and the foreign pixels of what is found, one (H, W) each, and the mosaics."""
    found = find(pixels, lossy=lossy)
    area, foreign = np.zeros(pixels.shape[:2], bool), np.zeros(pixels.shape[:2], bool)
    for m in found:
        area[m.box] |= m.area
        if m.foreign is not None:
            foreign[m.box] |= m.foreign
    return area, foreign, found


def test_words_that_hide_small_cells_wholly_do_not_cut_a_mosaic():
    m = Mosaic.rectangle(120, 60, 48, 120, 6)
    plain = pixelate(PHOTO, [m])
    image = Image.fromarray(plain)
    ImageDraw.Draw(image).text(
        (112, 100), "the 10", fill=(255, 0, 255), font=ImageFont.load_default(30), stroke_width=1
    )
    area, foreign, found = found_in(np.asarray(image))
    assert len(found) == 1
    expected = np.zeros_like(area)
    expected[m.box] = True
    changed = (np.asarray(image) != plain).any(axis=2)
    assert (area & changed).sum() <= 0.01 * changed.sum()
    assert (area & ~expected).sum() == 0
    assert (expected & ~area & ~foreign).sum() <= 0.02 * expected.sum()


def test_thin_soft_letters_do_not_cut_a_mosaic():
    m = Mosaic.rectangle(90, 80, 100, 40, 10)
    image = Image.fromarray(pixelate(PHOTO, [m]))
    ImageDraw.Draw(image).text((122, 92), "the fox", fill=(255, 255, 0), font=ImageFont.load_default(10))
    area, foreign, found = found_in(np.asarray(image))
    assert len(found) == 1
    expected = np.zeros_like(area)
    expected[m.box] = True
    assert np.array_equal(area | foreign, expected)


def test_cells_of_the_colour_of_a_page_are_not_hidden_by_it():
    page = np.full((160, 260, 3), (38, 40, 45), np.uint8)
    page[78:112] = (20, 45, 70)  # a row of a table, with words
    image = Image.fromarray(page)
    pen = ImageDraw.Draw(image)
    for y in (50, 85, 122):
        pen.text((20, y), "Training   settings", fill=(220, 220, 220), font=ImageFont.load_default(16))
    m = Mosaic.rectangle(100, 46, 84, 70, 14)
    nothing = np.zeros((160, 260), bool)
    result = captioned(View.of(pixelate(np.asarray(image), [m]), m), nothing, nothing)
    if result is not None:  # the row may be taken for a label, as far as the cells
        assert (result[0].x, result[0].y, result[0].width, result[0].height) == (m.x, m.y, m.width, m.height)
        assert result[0].area.all()
        assert not result[1][m.box].any()


def test_a_label_across_a_mosaic_leaves_one():
    m = Mosaic.rectangle(80, 40, 96, 144, 12)
    image = Image.fromarray(pixelate(PHOTO, [m]))
    pen = ImageDraw.Draw(image)
    pen.rectangle((40, 90, 230, 124), fill=(0, 160, 40))
    pen.text((48, 92), "open mosaic", fill=(255, 160, 160), font=ImageFont.load_default(26))
    area, foreign, found = found_in(np.asarray(image))
    assert len(found) == 1
    expected = np.zeros_like(area)
    expected[m.box] = True
    expected[90:125, 40:231] = False
    assert np.array_equal(area, expected)
    assert foreign[90:125, 80:176].all()


def test_pieces_beside_words_in_a_lossy_file_are_one_mosaic_with_what_lies_between_them():
    m = Mosaic.rectangle(80, 40, 96, 144, 12)
    image = Image.fromarray(pixelate(PHOTO, [m]))
    ImageDraw.Draw(image).text((84, 86), "quick", fill=(255, 255, 255), font=ImageFont.load_default(34))
    plane = luminance(np.asarray(image))

    def piece(x, y, width, height, cell, log_ratio):
        mosaic = Mosaic(x, y, width, height, Grid(80, 40, *cell), confidence=0.99)
        return Candidate.of_noisy_tiles(log_ratio, mosaic)

    # words have cut an end of the lower piece, and a letter was taken for cells of another size
    upper, lower = piece(80, 40, 96, 48, (12, 12), 900.0), piece(80, 124, 86, 60, (12, 12), 1000.0)
    letter = piece(98, 92, 20, 24, (12, 11), 60.0)
    (found,) = joined(plane, [upper, lower, letter])
    assert (found.mosaic.x, found.mosaic.y, found.mosaic.height) == (80, 40, 144)
    assert found.foreign is not None
    assert found.foreign[48:84].any()
    # another mosaic, with evidence of its own, keeps its place
    later = piece(98, 92, 20, 24, (12, 11), 800.0)
    assert len(joined(plane, [upper, lower, later])) == 3
    # nor is one that lies far to a side the other's piece
    assert len(joined(plane, [upper, piece(80, 124, 60, 60, (12, 12), 1000.0)])) == 2
