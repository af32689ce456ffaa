"""Cells that are no upright rectangles: what is said of a picture that has them."""

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageDraw
from scipy import ndimage, spatial
from typer.testing import CliRunner

from deepix.cli import app
from deepix.finder import other_cells
from deepix.mosaic import Mosaic, pixelate

PHOTO = skimage.data.astronaut()[100:340, 60:380]
BOX = slice(40, 200), slice(60, 260)


def turned(y, x):
    """Square cells of 13 pixels, turned by 25 degrees."""
    angle = np.deg2rad(25)
    column, row = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return np.floor(column / 13) * 1000 + np.floor(row / 13)


def crystals(y, x):
    """The cells of random points."""
    points = np.random.default_rng(0).random((150, 2)) * (200, 160)
    return spatial.cKDTree(points).query(np.stack([x, y], axis=-1))[1]


def hexagons(y, x):
    """Hexagons of 16 pixels."""
    rows, columns = np.arange(-1, 14), np.arange(-1, 14)
    points = [((c + 0.5 * (r % 2)) * 16, r * 16 * np.sqrt(3) / 2) for r in rows for c in columns]
    return spatial.cKDTree(points).query(np.stack([x, y], axis=-1))[1]


def with_cells(kind):
    """Return the photo with a part of these cells, each of its mean."""
    result = PHOTO.copy()
    y, x = np.mgrid[0:160, 0:200] + 0.5
    labels = np.unique(kind(y, x), return_inverse=True)[1].reshape(y.shape)
    for channel in range(3):
        means = ndimage.mean(PHOTO[BOX][..., channel], labels, np.arange(labels.max() + 1))
        result[BOX][..., channel] = np.rint(means)[labels]
    return result


@pytest.mark.parametrize("kind", [turned, crystals, hexagons])
def test_their_place_is_told(kind):
    rows, columns = other_cells(with_cells(kind))
    assert abs(rows.start - 40) < 8
    assert abs(rows.stop - 200) < 8
    assert abs(columns.start - 60) < 8
    assert abs(columns.stop - 260) < 8
    assert other_cells(with_cells(kind)[..., 0].astype(np.uint16) * 257) is not None


def test_upright_cells_photos_and_drawings_have_none():
    page = Image.new("RGB", (320, 240), "white")
    draw = ImageDraw.Draw(page)
    for k in range(12):
        draw.text((10, 10 + 18 * k), "a page of text in many words, all of one colour", fill="black")
    for pixels in (
        PHOTO,
        skimage.data.coffee(),
        np.asarray(page),
        pixelate(PHOTO, [Mosaic.rectangle(20, 30, 200, 150, 9)]),
        np.zeros((50, 60), np.uint8),
    ):
        assert other_cells(pixels) is None


@pytest.mark.parametrize("verb", ["restore", "find"])
def test_the_commands_say_so_and_name_no_area(verb, tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(with_cells(turned)).save(path)
    result = CliRunner().invoke(app, [verb, str(path)])
    assert "are no upright rectangles" in " ".join(result.output.split())
    assert "name it with" not in result.output
    assert "nothing pixelated" not in result.output
