"""Grid lines to a fraction of a pixel, in regions that are known roughly, whatever happened to the file."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from deepix.finder import grid_lines
from deepix.finder.luminance import luminance
from deepix.mosaic import Grid, Mosaic, pixelate

PHOTO = skimage.data.astronaut()
ROOMY = Mosaic(120, 70, 156, 132, Grid(120, 70, 12, 11))


def posted(pixels, scale=1.0, quality=None, subsampling=2, resampling=Image.Resampling.BICUBIC):
    image = Image.fromarray(pixels)
    if scale != 1:
        image = image.resize((round(image.width * scale), round(image.height * scale)), resampling)
    if quality:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
        image = Image.open(buffer)
    return luminance(np.asarray(image))


def region(m, shape, scale=(1.0, 1.0), slack=2):
    """Return the area as a network sees it: some pixels off."""
    inside = np.zeros(shape, bool)
    y0, y1 = (round(v * scale[1]) for v in (m.y, m.y + m.height))
    x0, x1 = (round(v * scale[0]) for v in (m.x, m.x + m.width))
    inside[y0 + slack : y1 + slack, max(x0 - slack, 0) : x1 - slack] = True
    return inside


def off(found, true, near):
    """Return how far the found lines (origin, size) lie from the true line nearest to a place."""
    place = true[0] + round((near - true[0]) / true[1]) * true[1]
    return abs(found[0] + round((place - found[0]) / found[1]) * found[1] - place)


@pytest.mark.parametrize("guess", [0.8, 1.0, 1.25])
@pytest.mark.parametrize("quality", [None, 92, 75, 55])
def test_whole_pixels_come_out_exactly(guess, quality):
    plane = posted(pixelate(PHOTO, [ROOMY]), quality=quality)
    found = grid_lines.fit(plane, region(ROOMY, plane.shape), (12 * guess, 11 / guess))
    grid = found.grid()
    assert (grid.width, grid.height) == (12, 11)
    assert (grid.x - 120) % 12 == 0 == (grid.y - 70) % 11
    assert found.log_odds > 0


@pytest.mark.parametrize("scale", [0.62, 0.87, 1.13, 1.66])
@pytest.mark.parametrize("resampling", [Image.Resampling.BILINEAR, Image.Resampling.LANCZOS])
def test_resized_cells_come_out_to_a_fraction_of_a_pixel(scale, resampling):
    plane = posted(pixelate(PHOTO, [ROOMY]), scale, 85, resampling=resampling)
    sx, sy = plane.shape[1] / PHOTO.shape[1], plane.shape[0] / PHOTO.shape[0]
    found = grid_lines.fit(plane, region(ROOMY, plane.shape, (sx, sy)), (12 * sx * 1.15, 11 * sy * 0.9))
    grid = found.grid()
    assert found.log_odds < 0
    assert grid.width == pytest.approx(12 * sx, rel=0.01)
    assert grid.height == pytest.approx(11 * sy, rel=0.01)
    assert off((grid.x, grid.width), (120 * sx, 12 * sx), 120 * sx) < 0.5
    assert off((grid.y, grid.height), (70 * sy, 11 * sy), 70 * sy) < 0.5


def test_blocks_of_a_jpeg_file_are_not_taken_for_cells():
    m = Mosaic(101, 53, 135, 126, Grid(101, 53, 9, 9))
    plane = posted(pixelate(PHOTO, [m]), quality=50)
    grid = grid_lines.fit(plane, region(m, plane.shape), (8.2, 8.2)).grid()
    assert (grid.width, grid.height) == (9, 9)


def test_regions_of_any_shape():
    y, x = np.mgrid[: PHOTO.shape[0], : PHOTO.shape[1]]
    circle = (x - 220) ** 2 + (y - 120) ** 2 < 70**2
    m = Mosaic.from_mask(circle, Grid(3, 5, 14, 10))
    plane = posted(pixelate(PHOTO, [m]), quality=80)
    grid = grid_lines.fit(plane, circle, (12.0, 11.0)).grid()
    assert (grid.width, grid.height) == (14, 10)
    assert (grid.x - 3) % 14 == 0 == (grid.y - 5) % 10


def test_a_few_cells_are_enough():
    m = Mosaic.rectangle(200, 100, 48, 48, 16)
    plane = posted(pixelate(PHOTO, [m]), quality=85)
    found = grid_lines.fit(plane, region(m, plane.shape, slack=1), (14.0, 17.5))
    grid = Grid(*[v for line in (found.across,) for v in (line.origin, 0)], 1, 1)
    assert off((grid.x, found.across.size), (200, 16), 216) <= 1
    assert found.across.size == pytest.approx(16, abs=0.6)


def test_the_ends_of_an_area_tell_the_size_of_few_cells():
    line = grid_lines.AxisFit(10.4, 50.0, 0.4, 0.2, 0.9, 0.5, 2)
    better = line.with_ends(40.0, 70.0)
    assert better.size == pytest.approx(10, abs=0.15)
    assert better.error < line.error
    assert line.with_ends(45.0, 65.5) == line  # ends that lie on no lines say nothing


def test_photos_inspire_no_confidence():
    plane = posted(PHOTO)
    m = Mosaic.rectangle(150, 80, 120, 120, 12)
    clean = grid_lines.fit(plane, region(m, plane.shape), (12.0, 12.0))
    pixelated = grid_lines.fit(posted(pixelate(PHOTO, [m]), quality=75), region(m, plane.shape), (12.0, 12.0))
    assert clean.confidence < 0.25 < pixelated.confidence


def test_an_empty_region_is_refused():
    with pytest.raises(ValueError, match="empty"):
        grid_lines.fit(np.zeros((40, 40), np.float32), np.zeros((40, 40), bool), (8, 8))
