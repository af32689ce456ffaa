"""Pictures of pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from skimage import data

from deepix.draw import displayable, eight_bits, heat_map, overlay, sheet, side_by_side
from deepix.mosaic import Grid, Mosaic


def test_an_overlay_draws_the_area_and_nothing_beyond_it() -> None:
    image = Image.fromarray(data.astronaut()[:200, :240])
    mask = np.zeros((200, 240), bool)
    mask[40:120, 60:140] = True
    mask[40:60, 60:80] = False
    before = np.asarray(image)
    drawn = np.asarray(overlay(image, [Mosaic.from_mask(mask, Grid(60, 40, 16, 16))]))
    changed = (drawn != before).any(axis=2)
    assert drawn.shape == before.shape
    assert changed[40:120, 60:140].mean() > 0.9
    changed[40:120, 60:140] = False
    assert not changed.any()


def test_a_heat_map_goes_from_black_to_yellow_and_is_gray_where_nothing_is_known() -> None:
    values = np.linspace(0, 3, 60 * 50, dtype=np.float32).reshape(60, 50)
    values[10, 10] = np.nan
    drawn = np.asarray(heat_map(values, "levels"))[:, :50]
    assert drawn[0, 0].tolist() == [0, 0, 0]
    assert drawn[-1, -1].tolist() == [252, 255, 164]
    assert drawn[10, 10].tolist() == [90, 90, 90]
    brightness = drawn.astype(int).sum(axis=2).ravel()
    brightness[10 * 50 + 10] = brightness[10 * 50 + 9]
    assert np.corrcoef(np.arange(brightness.size), brightness)[0, 1] > 0.9
    assert heat_map(np.zeros((20, 20), np.float32)).getpixel((0, 0)) == (0, 0, 0)


def test_sheets_hold_every_picture() -> None:
    pictures = [Image.new("RGB", (30, 20), colour) for colour in ("red", "lime", "blue", "black")]
    both = np.asarray(sheet([("a caption that is far too long", pictures[:2]), ("b", pictures[2:])], scale=2))
    for colour in ([255, 0, 0], [0, 255, 0], [0, 0, 255]):
        assert (both == colour).all(axis=2).sum() == 60 * 40
    assert side_by_side([("one", pictures[0])]).width > 240  # small ones are enlarged


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16"])
def test_any_picture_can_be_shown(mode: str) -> None:
    gray = data.camera()[::8, ::8]
    image = Image.fromarray(gray.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(gray).convert(mode)
    assert eight_bits(image).mode == ("L" if mode in ("1", "L", "I;16") else "RGB")
    shown = displayable(image)
    assert shown.mode == "RGB"
    if mode != "1":
        assert np.abs(np.asarray(shown).astype(int) - gray[..., None]).max() <= 1


def test_what_is_transparent_is_shown_on_white() -> None:
    assert displayable(Image.new("RGBA", (4, 4), (0, 0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)
    keyed = Image.new("L", (4, 4), 7)
    keyed.info["transparency"] = 7
    assert displayable(keyed).getpixel((0, 0)) == (255, 255, 255)
    with pytest.raises(ValueError, match="range"):
        eight_bits(Image.new("F", (4, 4)))
