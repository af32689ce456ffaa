"""Where mosaics end: at flat surroundings, at other mosaics of the same cells, at those that hide a part of them."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from deepix.finder import find, hidden_parts, locator, map_regions, square_cells, uneven_tiles
from deepix.finder.candidates import Candidate
from deepix.finder.drawings import is_drawn
from deepix.finder.geometry import same_grid
from deepix.finder.jpeg_noise import SIDE
from deepix.finder.luminance import luminance
from deepix.finder.surroundings import without_surroundings
from deepix.mosaic import Grid, Mosaic, pixelate

ASTRONAUT, COFFEE = skimage.data.astronaut(), skimage.data.coffee()


def saved(pixels, form, quality):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, quality=quality)
    return np.asarray(Image.open(file))


def overlap(a, b, shape):
    """Return the intersection over union of two areas in a picture."""
    masks = np.zeros((2, *shape[:2]), bool)
    for mask, m in zip(masks, (a, b), strict=True):
        mask[m.box] = m.area
    return np.count_nonzero(masks.all(axis=0)) / np.count_nonzero(masks.any(axis=0))


def assert_found(found, shape, *truth, least=0.9):
    """Check that these are found, and nothing else: their areas, and their cells within 2 %."""
    assert len(found) == len(truth), found
    for t in truth:
        m = max(found, key=lambda m: overlap(m, t, shape))
        assert overlap(m, t, shape) >= least, (m, t)
        assert np.allclose([m.grid.width / t.grid.width, m.grid.height / t.grid.height], 1, atol=0.02), (m, t)


def layered(photo, *mosaics):
    """Return a photo with mosaics, the later over the earlier, and what can be seen of each."""
    seen, pixels = [], photo
    for m in mosaics:
        pixels = pixelate(pixels, [m])
        areas = []
        for old in seen:
            mask = old.area.copy()
            rows, columns = (
                slice(max(s.start - b.start, 0), max(s.stop - b.start, 0)) for s, b in zip(m.box, old.box, strict=True)
            )
            mask[rows, columns] = False
            areas.append(Mosaic(old.x, old.y, old.width, old.height, old.grid, mask))
        seen = [*areas, m]
    return pixels, seen


class Fading:
    """Maps that fade to the left of a mosaic, as those of flat surroundings do."""

    def __init__(self, m, shape, fading):
        stride = locator.STRIDE
        self.pixelated = np.zeros([side // stride for side in shape], np.float32)
        rows, columns = (slice(s.start // stride, s.stop // stride) for s in m.box)
        self.pixelated[rows, columns.start - fading // stride : columns.start] = 0.75
        self.pixelated[rows, columns] = 0.99
        self.border = np.zeros_like(self.pixelated)
        self.width = self.height = np.full_like(self.pixelated, m.grid.width)


@pytest.mark.parametrize("flat", [True, False])
def test_a_region_ends_where_flat_surroundings_begin(flat):
    pixels = COFFEE[:240, :400].copy()
    if flat:
        pixels[:, :170] = 255
    m = Mosaic(160, 80, 96, 80, Grid(160, 80, 16, 16))
    plane = luminance(pixelate(pixels, [m]))
    seen = Fading(m, plane.shape, 60)
    (region,) = map_regions.regions(seen, locator.STRIDE, plane.shape)
    ended = without_surroundings(region, plane, seen, locator.STRIDE)
    # what is not flat there may be more of the mosaic as far as this step knows
    assert (ended is region) is not flat
    assert abs(ended.x - (160 if flat else 100)) <= 4
    assert abs(ended.x + ended.inside.shape[1] - 256) <= 4


def test_a_region_in_flat_surroundings_alone_stays():
    plane = np.full((120, 160), 255, np.float32)
    m = Mosaic.rectangle(64, 40, 48, 40, 8)
    seen = Fading(m, plane.shape, 0)
    (region,) = map_regions.regions(seen, locator.STRIDE, plane.shape)
    assert without_surroundings(region, plane, seen, locator.STRIDE) is region


@pytest.mark.parametrize("quality", [45, 60])
def test_large_cells_in_webp_are_not_cut_into_strips(quality):
    m = Mosaic.rectangle(140, 90, 156, 117, 39)
    pixels = saved(pixelate(COFFEE[:300, :420], [m]), "WEBP", quality)
    assert_found(find(pixels), pixels.shape, m)


def test_parts_of_the_cells_that_lines_show_are_none():
    grid = Grid(140, 90, 38, 29)
    m = Mosaic(140, 90, 152, 116, grid)
    plane = luminance(pixelate(COFFEE[:300, :420], [m]))
    thinner = Mosaic(140, 90, 152, 116, Grid(140, 90, 19, 29))
    assert same_grid(square_cells.as_lined(plane, thinner, grid), m)
    assert square_cells.as_lined(plane, m, Grid(140, 90, 76, 29)).grid == grid


@pytest.mark.parametrize("photo", [ASTRONAUT[:320, 60:420], COFFEE[:300, :420]])
def test_mosaics_of_the_same_cells_side_by_side_are_two_in_a_jpeg_file(photo):
    first, second = Mosaic(134, 120, 96, 56, Grid(134, 126, 8, 8)), Mosaic(150, 176, 110, 56, Grid(152, 176, 8, 8))
    pixels, truth = layered(photo, first, second)
    pixels = saved(pixels, "JPEG", 90)
    assert_found(find(pixels), pixels.shape, *truth)


@pytest.mark.parametrize("photo", [ASTRONAUT, COFFEE])
def test_a_mosaic_goes_on_beside_the_one_that_hides_its_corner(photo):
    later = Mosaic(134, 53, 66, 75, Grid(136, 56, 9, 9))
    pixels, truth = layered(photo[:320, 60:420], Mosaic.rectangle(160, 84, 90, 90, 9), later)
    pixels = saved(pixels, "JPEG", 90)
    assert_found(find(pixels), pixels.shape, *truth, least=0.84)


def test_pieces_on_either_side_of_a_mosaic_are_one():
    pixels, (around, inner) = layered(
        ASTRONAUT[:320, 60:420], Mosaic.rectangle(82, 95, 143, 182, 13), Mosaic.rectangle(104, 99, 93, 116, 29)
    )
    pieces = [Mosaic(82, 95, 22, 182, around.grid), Mosaic(197, 95, 28, 182, around.grid), inner]
    found = [Candidate.of_intact_tiles(1000.0, m) for m in pieces]
    joined = hidden_parts.rejoined(luminance(pixels), found)
    assert len(joined) == 2
    assert overlap(joined[0].mosaic, around, pixels.shape) == 1
    # not over what is no part of its grid
    pixels[278 - 40, 150] ^= 64
    assert len(hidden_parts.rejoined(luminance(pixels), found)) == 3


def tiles(columns, rows):
    """Return the tiles between these lines: (n, 4) of x, y, width, height."""
    across, down = (list(zip(lines, np.diff(lines), strict=False)) for lines in (columns, rows))
    return np.array([(x, y, w, h) for x, w in across for y, h in down], np.int64)


def test_cells_are_uneven_along_both_axes():
    # 5, 5, 5, 5, 6 pixels are also five of 5 beside pixels like them, but not where the rows are uneven for sure
    (found,) = uneven_tiles.proposals(tiles([110, 115, 120, 125, 130, 136], [163, 169, 174, 180, 185]))
    assert np.allclose(found.cell, (5.2, 5.5))
    # ends lack a pixel of 22 and of 23 along both axes: cuts anywhere would hardly have it so
    (found,) = uneven_tiles.proposals(tiles([358, 379, 401, 422], [89, 111, 134, 157]))
    assert np.allclose(found.cell, (64 / 3, 68 / 3))


def test_cells_that_are_cut_are_even():
    assert not uneven_tiles.proposals(tiles([100, 109, 119, 129, 139], [50, 60, 70, 80]))
    on_blocks = tiles([161, 176, 192, 208, 223], [65, 80, 96, 111])
    assert (on_blocks[0, 0] + on_blocks[0, 2]) % SIDE == 0
    assert not uneven_tiles.proposals(on_blocks)
    # what resizing has left of tiles does not reach from line to line
    left = tiles([171, 180, 190, 200, 209], [121, 130, 140, 150, 159])
    left[5, 2] -= 1
    assert not uneven_tiles.proposals(left)


def test_a_strip_of_a_board_in_uneven_light_was_drawn():
    y, x = np.mgrid[0:260, 0:250]
    pixels = np.where((x // 22 + y // 22) % 2, 60.0, 200.0) + 50 * (x / 250)
    ground = (x < 5) | (x >= 128) | (y < 61) | (y >= 195)
    pixels[ground] = 120 + 50 * (x / 250)[ground]
    plane = np.rint(pixels).astype(np.float32)
    strip = Mosaic(67, 61, 15, 134, Grid(67, 66, 5, 22))
    assert is_drawn(plane, strip)
    photo = luminance(pixelate(ASTRONAUT[:260, 60:310], [strip]))
    assert not is_drawn(photo, strip)
