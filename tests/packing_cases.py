"""What the tests of packing share: photos, and folders and archives of them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from deepix import challenge

Arrays = dict[str, np.ndarray]


def photos() -> Arrays:
    """Gray and colour, high and wide; names in the order in which they are read."""
    return {
        "a/cat.png": data.chelsea(),
        "a/coins.png": data.coins(),
        "b/deep/astronaut.png": np.ascontiguousarray(data.astronaut()[:, 100:400]),
        "c.png": data.camera()[:200],
    }


def encoded(image: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def files(photos: Arrays) -> dict[str, bytes]:
    """The photos as files, among others that are no pictures or not meant to be read."""
    return {
        "a/notes.txt": b"no picture",
        ".hidden/x.png": b"hidden",
        "__MACOSX/a/._cat.png": b"junk",
        **{name: encoded(image) for name, image in photos.items()},
    }


def make_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    path = path.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, files: dict[str, bytes], suffix: str = ".tar") -> Path:
    path = path.with_suffix(suffix)
    with tarfile.open(path, "w:gz" if suffix != ".tar" else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def make_tgz(path: Path, files: dict[str, bytes]) -> Path:
    return make_tar(path, files, ".tgz")


def prepared(photos: Arrays) -> np.ndarray:
    return np.stack([challenge.prepare(image) for image in photos.values()])
