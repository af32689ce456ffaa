"""What programs, files and people do to mosaics: uneven cells, overlays, mosaics over mosaics; what looks like one."""

import io
from itertools import pairwise

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from deepix.finder import find, intact_tiles, shifted_grids
from deepix.finder.areas import with_noise
from deepix.finder.cell_colours import View
from deepix.finder.drawings import is_drawn
from deepix.finder.file_blocks import are_blocks
from deepix.finder.frames import framed
from deepix.finder.grid_box import GridBox
from deepix.finder.likelihood import LikelihoodMaps
from deepix.finder.luminance import luminance
from deepix.finder.square_cells import squared
from deepix.finder.uneven_tiles import fitted
from deepix.mosaic import Mosaic, pixelate

PHOTO = skimage.data.astronaut()[100:400, 60:460]
CODE = Mosaic.rectangle(64, 54, 84, 70, 7)


def saved(pixels, quality):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def overlap(a, b):
    return overlap_in(a, b, PHOTO.shape[:2])


def overlap_in(a, b, shape):
    """Return the intersection over union of two areas in a picture."""
    masks = []
    for m in (a, b):
        mask = np.zeros(shape, bool)
        mask[m.box] = m.area
        masks.append(mask)
    return np.count_nonzero(masks[0] & masks[1]) / np.count_nonzero(masks[0] | masks[1])


def assert_found(found, *truth, least=0.9):
    """Check that these are found, and nothing else: their areas, and their cells within 2 %."""
    assert len(found) == len(truth), found
    for t in truth:
        m = max(found, key=lambda m: overlap(m, t))
        assert overlap(m, t) >= least, (m, t)
        sizes = [m.grid.width / t.grid.width, m.grid.height / t.grid.height]
        assert np.allclose(sizes, 1, atol=0.02), (m, t)


def cut_at(lines, photo, x, y):
    """Return a photo with a part whose columns and rows were cut at these lines, from (x, y) on."""
    result = photo.copy()
    columns, rows = lines
    for a, b in pairwise(columns):
        for c, d in pairwise(rows):
            part = result[y + c : y + d, x + a : x + b]
            part[:] = np.rint(part.reshape(-1, 3).mean(axis=0))
    return result


CUTS = {
    "rounded": lambda side, number: [round(i * side / number) for i in range(number + 1)],
    "down": lambda side, number: [i * side // number for i in range(number + 1)],
    "up": lambda side, number: [-(-i * side // number) for i in range(number + 1)],
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("numbers", "size"), [((11, 7), (153, 96)), ((7, 4), (65, 38)), ((15, 20), (100, 87))])
def test_uneven_cells_are_one_grid_with_exactly_these_lines(cut, numbers, size):
    lines = [CUTS[cut](side, number) for side, number in zip(size, numbers, strict=True)]
    (found,) = find(cut_at(lines, PHOTO, 90, 70), lossy=False)
    assert (found.x, found.y, found.width, found.height) == (90, 70, *size)
    assert np.allclose([found.grid.width, found.grid.height], np.divide(size, numbers), rtol=0.02)
    for index, edges in zip((found.cells.column_index, found.cells.row_index), lines, strict=True):
        assert np.flatnonzero(np.diff(index)).tolist() == [edge - 1 for edge in edges[1:-1]]


def test_a_cut_first_cell_makes_no_uneven_grid():
    assert fitted(np.array([100, 115, 131, 147, 162])) == (115.0, 16.0, False)
    assert fitted(np.array([10, 39, 67, 96])) is not None
    assert fitted(np.array([10, 39, 67, 96]))[2]  # 29, 28, 29: the middle one is not cut
    assert fitted(np.array([0, 10, 21, 40, 41, 60])) is None


def test_equal_cells_between_others_may_be_uneven_ones():
    up = np.ceil(np.arange(12) * 100 / 11 - 1e-9)  # 10, 9, 9 … 9: no even grid's first cell is larger
    origin, size, uneven = fitted(300 + up.astype(np.int64))
    assert uneven
    assert size == pytest.approx(100 / 11)
    assert 299.5 < origin <= 300.5
    assert fitted(np.array([177, 208, 240, 271])) == (208.0, 32.0, False)  # 31, 32, 31: as likely cut at both ends
    assert fitted(np.array([177, 180, 183, 186, 190])) == (180.0, 3.0, False)  # a pixel that is alike
    assert fitted(np.array([177, 208, 240, 272])) == (208.0, 32.0, False)  # cut at one end
    assert fitted(np.array([177, 199, 231, 263, 285])) == (199.0, 32.0, False)


def test_a_line_of_words_across_a_mosaic_in_a_lossy_file_does_not_cut_it():
    m = Mosaic.rectangle(100, 60, 150, 120, 15)
    for at in (8, 12):
        image = Image.fromarray(pixelate(PHOTO, [m]))
        draw = ImageDraw.Draw(image)
        draw.text((104, 60 + 4 * at), "in words that go across", fill="yellow", font=ImageFont.load_default(13))
        assert_found(find(saved(np.asarray(image), 90), lossy=True), m, least=0.8)


@pytest.mark.parametrize("across", [True, False])
def test_parts_of_square_cells_are_told_from_cells(across):
    truth = Mosaic.rectangle(60, 40, 210, 180, 30)
    rng = np.random.default_rng(3)
    soft = luminance(pixelate(PHOTO, [truth])) + rng.normal(0, 1.5, PHOTO.shape[:2]).astype(np.float32)
    size = (6, 30) if across else (30, 6)
    grid = squared(soft, Mosaic.rectangle(60, 40, 210, 180, size)).grid
    assert (grid.width, grid.height) == (30, 30)
    assert (grid.x - 60) % 30 == 0 == (grid.y - 40) % 30
    thin = Mosaic.rectangle(60, 40, 210, 180, size)
    assert squared(luminance(pixelate(PHOTO, [thin])), thin) is thin


def written(pixels, m, text="CENSORED"):
    """Return a picture with a word over a mosaic, and the word's pixels."""
    image = Image.fromarray(pixels)
    ImageDraw.Draw(image).text((m.x + 12, m.y + 45), text, fill=(255, 255, 0), font=ImageFont.load_default(size=32))
    result = np.asarray(image)
    return result, np.any(result != pixels, axis=2)


def test_a_word_over_a_mosaic_is_foreign():
    truth = Mosaic.rectangle(100, 80, 210, 140, 14)
    pixels, word = written(pixelate(PHOTO, [truth]), truth)
    (found,) = find(pixels, lossy=False)
    assert (found.x, found.y, found.width, found.height) == (100, 80, 210, 140)
    assert (found.grid.width, found.grid.height) == (14, 14)
    foreign = np.zeros(word.shape, bool)
    foreign[found.box] = found.foreign
    assert np.all(foreign[word])
    assert np.count_nonzero(foreign & ~word) <= 0.1 * np.count_nonzero(~word[truth.box])


@pytest.mark.parametrize(
    ("width", "inside", "quality"), [(3, False, None), (1, False, None), (2, True, None), (3, False, 92), (2, True, 92)]
)
def test_a_frame_that_touches_a_mosaic_is_foreign(width, inside, quality):
    truth = Mosaic.rectangle(100, 80, 160, 128, 16)
    by = 0 if inside else width
    image = Image.fromarray(pixelate(PHOTO, [truth]))
    box = (truth.x - by, truth.y - by, truth.x + truth.width - 1 + by, truth.y + truth.height - 1 + by)
    ImageDraw.Draw(image).rectangle(box, outline=(255, 255, 255), width=width)
    pixels = np.asarray(image)
    (found,) = find(pixels if quality is None else saved(pixels, quality), lossy=quality is not None)
    visible = width if inside else 0
    area, foreign = np.zeros(PHOTO.shape[:2], bool), np.zeros(PHOTO.shape[:2], bool)
    area[found.box], foreign[found.box] = found.area, found.foreign
    expected, frame = np.zeros_like(area), np.zeros_like(area)
    expected[80 + visible : 208 - visible, 100 + visible : 260 - visible] = True
    frame[box[1] : box[3] + 1, box[0] : box[2] + 1] = True
    assert np.array_equal(area, expected)
    assert np.array_equal(foreign, frame & ~expected)


def _framed(plane, m):
    return framed(plane, m, View.of(plane, m))


def test_a_mosaic_without_a_frame_has_none():
    for cell in (8, 12, 24):
        m = Mosaic.rectangle(100, 80, 144, 96, cell)
        assert _framed(luminance(pixelate(PHOTO, [m])), m) is None


def layered(*mosaics):
    """Return a photo that was pixelated several times, and what of each mosaic can be seen."""
    pixels, seen, taken = PHOTO, [], np.zeros(PHOTO.shape[:2], bool)
    for m in mosaics:
        pixels = pixelate(pixels, [m])
    for m in reversed(mosaics):
        area = np.zeros_like(taken)
        area[m.box] = True
        seen.append(Mosaic.from_mask(area & ~taken, m.grid))
        taken |= area
    return pixels, seen


LAYERS = {
    "coarse in fine": ((40, 30, 200, 160, 8), (90, 70, 80, 60, 20)),
    "fine in coarse": ((40, 30, 264, 240, 24), (100, 80, 128, 96, 8)),
    "over a corner": ((60, 40, 176, 128, 16), (160, 120, 143, 110, 11)),
    "shifted": ((60, 40, 144, 117, 9), (130, 105, 144, 117, 9)),
}


@pytest.mark.parametrize("layers", LAYERS)
def test_the_later_of_two_mosaics_has_what_they_share(layers):
    pixels, seen = layered(*(Mosaic.rectangle(*v) for v in LAYERS[layers]))
    assert_found(find(pixels, lossy=False), *seen)


@pytest.mark.parametrize("layers", ["coarse in fine", "fine in coarse"])
def test_a_mosaic_in_another_one_is_found_in_a_jpeg_file(layers):
    pixels, seen = layered(*(Mosaic.rectangle(*v) for v in LAYERS[layers]))
    assert_found(find(saved(pixels, 92), lossy=True), *seen, least=0.8)


@pytest.mark.parametrize("radius", [20, 45])
def test_rounded_corners(radius):
    m = Mosaic.rectangle(100, 80, 165, 132, 11)
    shape = Image.new("L", (m.width, m.height))
    ImageDraw.Draw(shape).rounded_rectangle((0, 0, m.width - 1, m.height - 1), radius=radius, fill=255)
    truth = Mosaic(m.x, m.y, m.width, m.height, m.grid, np.asarray(shape) > 127)
    assert_found(find(pixelate(PHOTO, [truth]), lossy=False), truth, least=0.93)


def chequerboard(rng):
    y, x = np.mgrid[:240, :320] // 20
    light = np.where((x + y) % 2, 60, 180) * np.linspace(0.6, 1.1, 320)
    return np.clip(light[..., None] + rng.normal(0, 2, (240, 320, 1)), 0, 255).repeat(3, axis=2)


def textured_blocks(rng):
    kinds = rng.integers(40, 220, (4, 1, 1, 3)) + rng.normal(0, 20, (4, 16, 16, 1))
    rows = [np.concatenate(list(kinds[rng.integers(0, 4, 6)]), axis=1) for _ in range(5)]
    return np.clip(np.concatenate(rows), 0, 255).repeat(4, axis=0).repeat(4, axis=1)


def sprites(rng):
    colours = rng.integers(0, 256, (6, 3))
    sprite = colours[rng.integers(0, 6, (12, 12))]
    return np.tile(sprite, (4, 5, 1)).repeat(5, axis=0).repeat(5, axis=1)


@pytest.mark.parametrize("drawing", [chequerboard, textured_blocks, sprites])
@pytest.mark.parametrize("quality", [None, 95])
def test_what_was_drawn_of_squares_is_no_mosaic(drawing, quality):
    pixels = np.rint(drawing(np.random.default_rng(1))).astype(np.uint8)
    assert find(pixels if quality is None else saved(pixels, quality), lossy=quality is not None) == []


@pytest.mark.parametrize("cell", [5, 9, 20])
@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_pixelated_photos_were_not_drawn(name, cell):
    photo = getattr(skimage.data, name)()
    whole = Mosaic.rectangle(0, 0, photo.shape[1], photo.shape[0], cell)
    assert not is_drawn(luminance(pixelate(photo, [whole])), whole)


def few_colours(rng):
    """A ground of a few colours and a figure on it, drawn in squares of 6 pixels."""
    colours = rng.integers(0, 256, (6, 3))
    ground = np.digitize(ndimage.gaussian_filter(rng.random((50, 60)), 2), (0.48, 0.52))
    half = rng.integers(1, 6, (16, 8))
    ground[20:36, 20:36] = np.concatenate([half, half[:, ::-1]], axis=1)
    return colours[ground].repeat(6, axis=0).repeat(6, axis=1).astype(np.uint8)


def printed_code(rng):
    """A square of dark and bright modules of 7 pixels on a white page."""
    page = np.full((300, 320, 3), 255, np.uint8)
    page[40:250, 50:260] = 255 * rng.integers(0, 2, (30, 30, 1)).repeat(7, axis=0).repeat(7, axis=1)
    return page


def board_in_uneven_light(_):
    """A chequerboard of 26 pixels that becomes brighter to the right, by a level every few pixels."""
    y, x = np.mgrid[0:260, 0:400]
    return np.rint(np.where((y // 26 + x // 26) % 2, 60, 190) + x / 8).astype(np.uint8)[..., None].repeat(3, axis=2)


@pytest.mark.parametrize("drawing", [few_colours, printed_code, board_in_uneven_light])
@pytest.mark.parametrize("seed", range(3))
def test_pieces_of_drawings_in_few_colours_are_no_mosaics(drawing, seed):
    assert find(drawing(np.random.default_rng(seed)), lossy=False) == []


def test_two_squares_of_a_drawing_side_by_side_are_no_cell():
    plane = luminance(few_colours(np.random.default_rng(0)))
    assert is_drawn(plane, Mosaic.rectangle(120, 120, 48, 60, (12, 6)))
    assert is_drawn(plane, Mosaic.rectangle(0, 0, 360, 300, 6))  # all of it


def test_modules_of_a_code_are_no_cells():
    page = printed_code(np.random.default_rng(0))
    assert is_drawn(luminance(saved(page, 85)), CODE)
    assert not is_drawn(luminance(saved(pixelate(PHOTO, [CODE]), 85)), CODE)


def test_uneven_modules_of_a_code_are_no_cells():
    modules = np.random.default_rng(3).random((33, 33)) < 0.5
    code = np.array(Image.fromarray((255 * modules).astype(np.uint8)).resize((305, 305), Image.Resampling.NEAREST))
    lines = np.flatnonzero(np.diff(code, axis=1).any(axis=0)) + 1
    size = np.diff(lines)
    start = next(int(lines[k]) for k in range(8, 30) if size[k] == size[k + 1] == size[k + 2] == 9)
    few = Mosaic.rectangle(start, start, 27, 27, 9)
    assert is_drawn(luminance(code), few)
    photo = luminance(PHOTO).copy()
    photo[few.box] = code[few.box]
    assert not is_drawn(photo, few)


def test_few_cells_in_two_colours_may_be_a_photo():
    plane = np.full((120, 120), 90, np.float32) + np.arange(120, dtype=np.float32) / 40
    plane[20:95] += 80 * (np.arange(75) // 25 % 2)[:, None]
    assert not is_drawn(plane, Mosaic.rectangle(20, 20, 75, 75, 25))
    striped = np.full((400, 60), 90, np.float32) + np.arange(60, dtype=np.float32) / 9
    striped += 40 * (np.arange(400) // 20 % 2)[:, None]
    assert is_drawn(striped, Mosaic.rectangle(10, 20, 16, 340, (6, 20)))


def test_flat_blocks_of_a_file_that_were_moved_are_no_cells():
    """A coarse frame of a film: flat blocks where blocks are, and some that moved; they differ by a few levels."""
    rng = np.random.default_rng(0)
    frame = 100 + rng.integers(0, 4, (20, 24)).repeat(8, axis=0).repeat(8, axis=1)
    textured = rng.random((20, 24)) < 0.6
    frame += rng.integers(0, 9, frame.shape) * textured.repeat(8, axis=0).repeat(8, axis=1)
    cells = rng.permutation(48).reshape(6, 8).repeat(8, axis=0).repeat(8, axis=1)
    for contrast, number in ((0.2, 0), (2, 1)):
        moved = frame.copy()
        moved[42:90, 59:123] = 100 + np.rint(contrast * cells)
        assert len(intact_tiles.candidates(moved.astype(np.uint8))) == number
    strip = frame.copy()
    strip[42:90, 59:75] = 100 + 2 * cells[:, :16]
    assert not intact_tiles.candidates(strip.astype(np.uint8))
    frame += rng.integers(0, 2, frame.shape)  # without flat blocks around, a mosaic may differ as little
    frame[42:90, 59:123] = 100 + np.rint(0.2 * cells)
    assert len(intact_tiles.candidates(frame.astype(np.uint8))) == 1
    frame[42:90, 59:123] = 100 + rng.integers(0, 2, (48, 64))
    frame[42:90, 59:75] = 100 + 2 * cells[:, :16]
    assert len(intact_tiles.candidates(frame.astype(np.uint8))) == 1


@pytest.mark.parametrize("quality", [64, 256])
def test_mosaics_in_few_colours_were_not_drawn(quality):
    """A palette's colours come again as well, but the photo around the cells has steps anywhere."""
    m = Mosaic.rectangle(100, 80, 120, 96, 12)
    image = Image.fromarray(pixelate(PHOTO, [m])).quantize(quality, dither=Image.Dither.NONE).convert("RGB")
    assert not is_drawn(luminance(np.asarray(image)), m)
    assert_found(find(np.asarray(image), lossy=False), m)


def test_blocks_of_a_coarse_file_are_no_cells():
    plane = luminance(saved(PHOTO, 12))
    blocks = Mosaic.rectangle(96, 80, 64, 48, 8)
    assert are_blocks(plane, blocks)
    assert are_blocks(plane, Mosaic.rectangle(96, 80, 64, 48, (16, 8)))  # two of them are flat and alike
    assert not are_blocks(plane, blocks.moved(3, 0))
    assert not are_blocks(plane, Mosaic.rectangle(96, 80, 64, 48, 16))
    assert not are_blocks(luminance(pixelate(PHOTO, [blocks])), blocks)


def test_cells_alike_are_no_frame() -> None:
    plane = np.random.default_rng(0).uniform(0, 60, (120, 140)).astype(np.float32)
    m = Mosaic.rectangle(20, 30, 96, 64, 32)
    plane[m.box] = 200
    assert _framed(plane, m) is None
    plane[35:89, 25:111] = 150
    inside, frame = _framed(plane, m) or (m, np.zeros(0))
    assert (inside.x, inside.y, inside.width, inside.height) == (25, 35, 86, 54)
    assert frame.sum() == 96 * 64 - 86 * 54
    mask = np.ones((64, 96), bool)
    mask[8:, :2] = mask[:, -1] = False  # pieces of the frame, not all of it, were taken for cells
    again = _framed(plane, Mosaic(20, 30, 96, 64, m.grid, mask))
    assert again is not None
    assert again[0] == inside
    assert np.array_equal(again[1], frame)
    mask[:30, :30] = False  # another shape than a rectangle
    assert _framed(plane, Mosaic(20, 30, 96, 64, m.grid, mask)) is None


def resized(pixels, scale, how):
    return np.asarray(
        Image.fromarray(pixels).resize((round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)), how)
    )


@pytest.mark.parametrize(("cell", "scale", "how"), [(10, 2.0, 1), (12, 2.0, 2), (8, 1.5, 3), (8, 1.25, 2)])
def test_cells_that_are_whole_pixels_after_resizing(cell, scale, how):
    photo = PHOTO[:240, :320]
    m = Mosaic.rectangle(48, 40, 19 * cell, 14 * cell, cell)
    found = find(resized(pixelate(photo, [m]), scale, how), lossy=False)
    x, y, w, h, size = (round(scale * v) for v in (48, 40, 19 * cell, 14 * cell, cell))
    truth = Mosaic.rectangle(x, y, w, h, size)
    assert len(found) == 1
    assert overlap_in(found[0], truth, (480, 640)) >= 0.9
    assert found[0].grid.width == pytest.approx(size, rel=0.01)
    assert found[0].grid.height == pytest.approx(size, rel=0.01)
    assert not found[0].grid.blended


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((96, 64, 96, 96, 8), (160, 112, 96, 96, 16)),  # the lines of the later are some of the first's
        ((96, 64, 96, 96, 8), (160, 108, 96, 96, 16)),  # 8x4 has the lines of both
        ((60, 60, 150, 150, 5), (90, 80, 60, 60, 10)),  # one in another
    ],
)
def test_a_grid_with_the_lines_of_two_mosaics_is_neither(first, second):
    ones = [Mosaic.rectangle(*given[:4], given[4]) for given in (first, second)]
    pixels = PHOTO
    for m in ones:
        pixels = pixelate(pixels, [m])
    hidden = np.zeros(PHOTO.shape[:2], bool)
    hidden[ones[0].box] = True
    hidden[ones[1].box] = False
    assert_found(find(pixels, lossy=False), Mosaic.from_mask(hidden, ones[0].grid), ones[1])


@pytest.mark.parametrize("quality", [90, 94])
def test_two_mosaics_on_cells_of_one_size_are_two_in_a_jpeg_file(quality):
    upper, lower = Mosaic.rectangle(60, 30, 150, 100, 10), Mosaic.rectangle(166, 104, 150, 120, 10)
    found = find(saved(pixelate(pixelate(PHOTO, [upper]), [lower]), quality), lossy=True)
    assert len(found) == 2
    assert [(m.grid.width, m.grid.height) for m in found] == [(10, 10), (10, 10)]
    assert overlap(max(found, key=lambda m: m.y), lower) >= 0.9


def test_blocks_of_a_coarse_file_that_was_resized_are_no_cells():
    bright = np.clip(skimage.data.coffee()[:240, :320].astype(np.float64) * 0.12 + 200, 0, 255).astype(np.uint8)
    pixels = resized(saved(bright, 12), 1.5, 2)
    assert not find(pixels, lossy=False)


@pytest.mark.parametrize(
    ("area", "out"), [((0, 97, 195, 120), 2), ((4, 97, 195, 120), 2), ((60, 60, 290, 18), 2), ((60, 60, 290, 18), 5)]
)
def test_the_frame_of_an_area_at_the_pictures_edge_and_of_a_narrow_one(area, out) -> None:
    x, y, w, h = area
    m = Mosaic(x, y, w, h, Mosaic.rectangle(x, y, w, h, (10, 6)).grid)
    image = Image.fromarray(pixelate(PHOTO, [m]))
    corners = (x - out, y - out, x + w - 1 + out, y + h - 1 + out)
    ImageDraw.Draw(image).rectangle(corners, outline=(255, 0, 40), width=5)
    (found,) = find(np.asarray(image), lossy=False)
    seen, foreign = np.zeros(PHOTO.shape[:2], bool), np.zeros(PHOTO.shape[:2], bool)
    seen[found.box], foreign[found.box] = found.area, found.foreign
    frame = np.any(np.asarray(image) != pixelate(PHOTO, [m]), axis=2)
    expected = np.zeros_like(seen)
    expected[m.box] = True
    assert np.array_equal(seen, expected & ~frame)
    assert (frame & ~foreign).sum() <= 0.01 * frame.sum()


def test_blocks_of_a_coarse_file_that_was_halved_are_no_cells():
    """A wall in uneven light: flat blocks of 4 x 4 pixels, a level or two apart, and a piece of sharper ones."""
    rng = np.random.default_rng(0)
    wall = 120 + np.add.outer(np.arange(40) // 5, np.arange(50) // 6) + rng.integers(0, 3, (40, 50))
    pixels = wall.repeat(4, axis=0).repeat(4, axis=1)
    pixels += rng.integers(0, 9, pixels.shape) * (rng.random((40, 50)) < 0.6).repeat(4, axis=0).repeat(4, axis=1)
    cells = rng.permutation(72).reshape(6, 12).repeat(4, axis=0).repeat(4, axis=1)
    m = Mosaic.rectangle(80, 40, 48, 24, 4)
    for contrast in (0.2, 2):
        pixels[m.box] = 100 + np.rint(contrast * cells)
        found = intact_tiles.candidates(pixels.astype(np.uint8))
        assert bool(found) == (contrast > 1)
    best = max(found, key=lambda c: c.log_ratio).mosaic  # blocks around may go on on its grid
    assert best.x <= m.x < m.x + m.width <= best.x + best.width
    assert best.y <= m.y < m.y + m.height <= best.y + best.height


@pytest.mark.parametrize("noise", [1, 6])
def test_a_grid_is_an_areas_own_where_shifted_cells_explain_less(noise):
    m = Mosaic.rectangle(100, 80, 120, 96, 12)
    photo = luminance(PHOTO)
    smooth = np.add.outer(np.arange(len(photo)), np.arange(photo.shape[1])) / 8
    dots = np.random.default_rng(0).normal(0, noise, photo.shape)
    inside = np.zeros(photo.shape, bool)
    inside[m.box] = True
    for plane, own in ((luminance(pixelate(PHOTO, [m])), True), (smooth, False), (photo, False)):
        likelihood = LikelihoodMaps.of(np.asarray(plane + dots, np.float32), 92)
        assert shifted_grids.is_own(with_noise(likelihood, m.grid, inside), GridBox.of(m)) == own
