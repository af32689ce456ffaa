"""Bytes of every format, damaged at random, are read, searched and restored: one line or a result, nothing else.

A few examples run with the other tests; `make fuzz COUNT=20000` runs many. What it finds becomes a test of its own.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

import deepix
from deepix import images
from deepix.errors import DeepixError

COUNT = int(os.environ.get("FUZZ", "60"))
"""How many damaged files each test tries."""

MOST = 400_000
"""KiB by which the memory may grow over all examples of a test: a few copies of what `PIXELS` allows, and models."""

PIXELS = 4_000_000

OPTIONS: dict[str, dict[str, object]] = {
    "png": {},
    "palette.png": {},
    "apng": {"save_all": True},
    "jpg": {"quality": 85},
    "progressive.jpg": {"progressive": True, "restart_marker_rows": 1},
    "gif": {},
    "animated.gif": {"save_all": True},
    "webp": {"lossless": True},
    "lossy.webp": {"quality": 70},
    "animated.webp": {"save_all": True},
    "tif": {"compression": "raw"},
    "lzw.tif": {"compression": "tiff_lzw"},
    "jpeg.tif": {"compression": "jpeg"},
    "bmp": {},
    "tga": {"compression": "tga_rle"},
    "jp2": {"irreversible": False},
    "avif": {"quality": 80},
    "ppm": {},
    "qoi": {},
    "ico": {},
    "dds": {},
    "pcx": {},
    "sgi": {},
}
WIDE = ("wide.png", "wide.tif", "wide.ppm")


@cache
def photo() -> np.ndarray:
    """A small part of a photo with a mosaic of 8."""
    shown = data.chelsea()[100:164, 100:180].copy()
    tiles = shown[16:48, 16:56].reshape(4, 8, 5, 8, 3).mean((1, 3)).round().astype(np.uint8)
    shown[16:48, 16:56] = tiles.repeat(8, 0).repeat(8, 1)
    return shown


@cache
def content(kind: str) -> bytes:
    """The photo as a file."""
    if kind in WIDE:
        wide = images.from_array(photo().astype(np.uint16) * 257)
        return images.encode(wide, f".{kind.rpartition('.')[2]}")
    suffix = "png" if kind == "apng" else kind.rpartition(".")[2]
    image = Image.fromarray(photo())
    if kind == "palette.png":
        image = image.quantize(64)
    options = dict(OPTIONS[kind])
    if "save_all" in options:
        options["append_images"] = [image.transpose(Image.Transpose.ROTATE_180), image]
    exif = Image.Exif()
    exif[274], exif[271] = 1, "Maker"
    if suffix in ("png", "jpg", "webp"):
        options["exif"] = exif
    buffer = BytesIO()
    image.save(buffer, Image.registered_extensions()[f".{suffix}"], **options)
    return buffer.getvalue()


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file of some kind in which bytes were changed, cut out, put in or moved."""
    kind = draw(st.sampled_from([*OPTIONS, *WIDE]))
    body = bytearray(content(kind))
    for _ in range(draw(st.integers(0, 6))):
        # most of what decides how a file is read stands at its beginning
        last = draw(st.sampled_from([40, 300, len(body)]))
        at = draw(st.integers(0, max(0, min(last, len(body)) - 1)))
        number = st.sampled_from([0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])
        change = draw(st.integers(0, 5))
        if change == 0:
            body[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif change == 1:
            body[at : at + 4] = struct.pack(draw(st.sampled_from("<>")) + "L", draw(number))
        elif change == 2:
            body[at : at + 2] = struct.pack(draw(st.sampled_from("<>")) + "H", draw(number) & 0xFFFF)
        elif change == 3:
            del body[at : at + draw(st.integers(1, 400))]
        elif change == 4:
            body[at:at] = draw(st.binary(max_size=20))
        else:
            del body[at:]
        if not body:
            break
    return kind, bytes(body)


@pytest.fixture
def bounded_memory() -> Iterator[None]:
    """The examples together may not make the process grow by more than `MOST`."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST


examples = settings(
    max_examples=COUNT,
    derandomize=COUNT == 60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.usefixtures("bounded_memory")
@examples
@given(damaged())
def test_reading(tmp_path_factory: pytest.TempPathFactory, file: tuple[str, bytes]) -> None:
    kind, body = file
    folder = tmp_path_factory.mktemp("fuzz", numbered=True)
    path = folder / f"a.{kind.rpartition('.')[2].replace('apng', 'png')}"
    path.write_bytes(body)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for call in (
            lambda: again(images.read(path, first_frame=True, max_pixels=PIXELS)),
            lambda: images.read_frames(path, max_pixels=PIXELS),
            lambda: images.read_mask(path, max_pixels=PIXELS),
            lambda: images.default_output(path, max_pixels=PIXELS),
            lambda: images.load(BytesIO(body), max_pixels=PIXELS),
        ):
            one_line(call)
    found, skipped = images.search([folder])
    assert [f.path for f in found] == [path]
    assert not skipped
    path.unlink()
    path.parent.rmdir()


def again(picture: images.Picture) -> None:
    """What was read can be written and read once more."""
    for suffix in (".png", ".tif"):
        encoded = one_line(lambda suffix=suffix: images.encode(picture, suffix))
        if encoded is not None:  # Pillow cannot put all nonsense into a TIFF
            assert np.array_equal(images.load(encoded).pixels, picture.pixels)


def one_line(call: Callable[[], Any]) -> Any:
    """Return what it returns; None for a `DeepixError` of one line, which is as good as a result."""
    try:
        return call()
    except DeepixError as error:
        text = str(error)
    assert "\n" not in text
    assert len(text) < 1000
    return None


@pytest.mark.usefixtures("bounded_memory")
@settings(parent=examples, max_examples=max(8, COUNT // 20))
@given(damaged())
def test_finding_and_restoring(file: tuple[str, bytes]) -> None:
    _, body = file
    picture = one_line(lambda: images.load(body, first_frame=True, max_pixels=PIXELS))
    if picture is None:
        return
    array = images.to_array(picture)
    if picture.mode == "CMYK" or array.shape[0] * array.shape[1] > 100_000:
        return
    result = one_line(lambda: deepix.restore(array))
    if result is None:
        return
    unknown = np.zeros(array.shape[:2], bool)
    for mosaic in result.mosaics:
        box = (slice(mosaic.y, mosaic.y + mosaic.height), slice(mosaic.x, mosaic.x + mosaic.width))
        unknown[box] |= True if mosaic.mask is None else mosaic.mask
    restored = images.to_array(result.picture)
    assert restored.dtype == array.dtype
    assert np.array_equal(restored[~unknown], array[~unknown])


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Over every format, with bytes changed at places that follow from its length."""
    for kind in (*OPTIONS, *WIDE):
        for seed in range(3):
            body = bytearray(content(kind))
            rng = np.random.default_rng(seed)
            for at in rng.integers(0, len(body), 1 + 20 * seed):
                body[at] ^= 0x55
            one_line(lambda body=body: images.load(bytes(body), first_frame=True, max_pixels=PIXELS))
    sys.stdout.flush()
    assert capfd.readouterr() == ("", "")
