"""The programs and libraries that make the field's cases: which are there, in which version, how they are run."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

Array = NDArray[Any]

COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ImageMagick": (("magick", "convert-im6.q16", "convert"), ("-version",)),
    "GraphicsMagick": (("gm",), ("-version",)),
    "ffmpeg": (("ffmpeg",), ("-version",)),
    "GEGL": (("gegl",), ()),
    "netpbm": (("pamscale",), ("-version",)),
    "pngquant": (("pngquant",), ("--version",)),
    "gifsicle": (("gifsicle",), ("--version",)),
    "cwebp": (("cwebp",), ("-version",)),
    "avifenc": (("avifenc",), ("--version",)),
    "heif-enc": (("heif-enc",), ("--version",)),
}
"""Each program's commands, of which the first that is there is used, and what makes it print its version."""
PACKAGES = {"GEGL": "gegl", "heif-enc": "libheif-examples", "pngquant": "pngquant"}
"""Programs that do not print their version, and the Debian package that knows it."""
LIBRARIES = {
    "NumPy": ("numpy",),
    "Pillow": ("pillow",),
    "OpenCV": ("opencv-python-headless", "opencv-python"),
    "pillow-heif": ("pillow-heif",),
    "segno": ("segno",),
}
CODECS = {"Pillow WebP": "webp", "Pillow AVIF": "avif"}
"""What Pillow may be built with."""


@cache
def command(name: str) -> str | None:
    """Return the path of a program's command, or None if it is not installed."""
    for candidate in COMMANDS[name][0]:
        path = shutil.which(candidate)
        if path and (name != "ImageMagick" or "ImageMagick" in _printed([path, "-version"])):
            return path
    return None


def _printed(arguments: Sequence[str]) -> str:
    result = subprocess.run(arguments, capture_output=True, check=False)
    return (result.stdout + result.stderr).decode(errors="replace")


@cache
def version(name: str) -> str | None:
    """Return the version of a program, a library or a codec; None if it is not there."""
    if name in CODECS:
        return features.version(CODECS[name]) if features.check(CODECS[name]) else None
    for distribution in LIBRARIES.get(name, ()):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    path = command(name) if name in COMMANDS else None
    if path is None:
        return None
    if name in PACKAGES and shutil.which("dpkg-query"):
        return _printed(["dpkg-query", "-W", "-f", "${Version}", PACKAGES[name]]).strip()
    number = re.search(r"\d+(\.\d+)+[\w.+-]*", _printed([path, *COMMANDS[name][1]]))
    return number[0] if number else "?"


def there(*names: str) -> bool:
    """Whether all of these are installed."""
    return all(version(name) is not None for name in names)


def called(name: str, arguments: Sequence[str], content: bytes = b"") -> bytes:
    """Run a program on what it reads from its standard input; return what it writes.

    Raises
    ------
    RuntimeError : it fails; its last words are in the message
    """
    path = command(name)
    if path is None:
        raise RuntimeError(f"{name} is not installed")
    result = subprocess.run([path, *arguments], input=content, capture_output=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{name} {' '.join(arguments)}: {result.stderr.decode(errors='replace')[-300:]}")
    return result.stdout


def converted(name: str, arguments: Sequence[str], content: bytes, suffixes: tuple[str, str]) -> bytes:
    """Run a program that reads and writes files: "IN" and "OUT" among its arguments stand for them."""
    with tempfile.TemporaryDirectory(prefix="field-") as folder:
        source, target = Path(folder) / f"in{suffixes[0]}", Path(folder) / f"out{suffixes[1]}"
        source.write_bytes(content)
        called(name, [a.replace("IN", str(source)).replace("OUT", str(target)) for a in arguments])
        return target.read_bytes()


def ppm(pixels: Array) -> bytes:
    """Return a picture, uint8 (H, W, 3), as PPM: what programs read and write fastest."""
    return b"P6 %d %d 255\n" % (pixels.shape[1], pixels.shape[0]) + np.ascontiguousarray(pixels).tobytes()


def decoded(content: bytes) -> Array:
    """Return a file's pixels as uint8 (H, W, 3)."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def encoded(pixels: Array, kind: str, **options: Any) -> bytes:
    """Return a picture as a file of a format that Pillow writes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()
