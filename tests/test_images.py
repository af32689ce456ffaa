"""Pictures come back from files as they went in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from image_cases import picture, pil, samples
from PIL import Image
from skimage import data

from deepix import images
from deepix.images.encoding import WRITERS

LOSSLESS = [
    (suffix, mode) for suffix, (kind, modes) in WRITERS.items() if kind not in ("JPEG", "AVIF") for mode in modes
]


@pytest.mark.parametrize(("suffix", "mode"), LOSSLESS)
def test_every_lossless_format_gives_back_every_mode(tmp_path: Path, suffix: str, mode: str) -> None:
    path = tmp_path / f"a{suffix.upper()}"
    before = picture(mode)
    images.write(before, path)
    after = images.read(path)
    assert after.mode == (mode if mode == "I;16" else mode.removesuffix(";16"))
    assert after.pixels.dtype == before.pixels.dtype
    assert np.array_equal(images.to_array(after), samples(mode))
    assert after.notes == ()
    assert after.path == path
    assert after.lossy == (suffix in (".jp2", ".j2k"))  # JPEG 2000 does not tell
    assert Image.open(path).format == WRITERS[suffix][0]


@pytest.mark.parametrize(("suffix", "mode"), [(".webp", "L"), (".webp", "LA"), (".qoi", "L"), (".ppm", "L")])
def test_gray_is_widened_for_formats_without_it(tmp_path: Path, suffix: str, mode: str) -> None:
    path = tmp_path / f"a{suffix}"
    images.write(picture(mode), path)
    after = images.read(path)
    gray = samples(mode).reshape(11, 13, -1)
    assert all(np.array_equal(after.pixels[..., c], gray[..., 0]) for c in range(3))
    assert after.alpha is None if mode == "L" else np.array_equal(after.alpha, gray[..., 1])


@settings(max_examples=30)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
            lambda s: st.sampled_from([s, (*s, 1), (*s, 2), (*s, 3), (*s, 4)])
        ),
    )
)
def test_arrays_come_back(array: np.ndarray) -> None:
    p = images.from_array(array)
    assert np.array_equal(images.to_array(p), array[..., 0] if array.shape[2:] == (1,) else array)
    assert images.to_array(p).dtype == array.dtype
    if array.dtype == np.uint16 and p.mode != "I;16":
        with pytest.raises(ValueError, match="16 bits"):
            images.to_pil(p)
    else:
        again = images.from_pil(images.to_pil(p))
        assert again.mode == p.mode
        assert np.array_equal(images.to_array(again), images.to_array(p))


def test_arrays_of_the_other_byte_order_and_layout() -> None:
    array = samples("I;16")
    assert np.array_equal(images.from_array(array.astype(">u2")).pixels, array)
    assert images.from_array(array.astype(">u2")).pixels.dtype == np.uint16
    colour = samples("RGB")
    assert np.array_equal(images.from_array(colour[::-1, ::2]).pixels, colour[::-1, ::2])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4)),
        np.zeros((4, 4), bool),
        np.zeros((4, 4), np.int64),
        np.zeros((4, 4), np.uint32),
        np.zeros(4, np.uint8),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros((0, 4), np.uint8),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"array must be|must have pixels"):
        images.from_array(array)


def test_load_takes_paths_bytes_images_and_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    images.write(picture(), path)
    kinds = [path, str(path), path.read_bytes(), Image.open(path), samples("RGB")]
    assert all(np.array_equal(images.load(kind).pixels, samples("RGB")) for kind in kinds)
    assert images.load(Image.open(path)).path == path
    with pytest.raises(TypeError, match="not list"):
        images.load([[1]])  # type: ignore[arg-type]


def test_an_input_image_is_not_changed() -> None:
    image = pil("RGB")
    image.info["dpi"] = (30, 40)
    exif = Image.Exif()
    exif[274] = 6
    image.info["exif"] = exif.tobytes()
    before, info = image.tobytes(), dict(image.info)
    images.from_pil(image)
    assert image.tobytes() == before
    assert image.info == info


def test_a_photo_comes_back(tmp_path: Path) -> None:
    photo = data.chelsea()
    images.write(images.from_array(photo), tmp_path / "a.webp")
    assert np.array_equal(images.read(tmp_path / "a.webp").pixels, photo)


def test_with_pixels_keeps_the_kind() -> None:
    p = picture("RGBA", metadata={"dpi": (10.0, 10.0)})
    changed = p.with_pixels(255 - p.pixels)
    assert np.array_equal(changed.pixels, 255 - p.pixels)
    assert changed.alpha is p.alpha
    assert changed.metadata == p.metadata
    for other in (p.pixels[1:], p.pixels.astype(np.uint16), p.pixels[..., 0]):
        with pytest.raises(ValueError, match="the new pixels are"):
            p.with_pixels(other)


def test_importing_loads_no_decoders() -> None:
    code = "import sys; from deepix.images import load, search, write\n"
    code += "print([m for m in sys.modules if m.startswith('PIL.') and m.endswith('Plugin')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_found() -> None:
    assert set(images.__all__) == set(images._HOMES)
    assert all(getattr(images, name) is not None for name in images.__all__)
    assert dir(images) == sorted(images.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = images.nonsense
