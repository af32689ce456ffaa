"""Animations: every frame as a picture, with how long it is shown and how often all of them are.

    GIF, APNG, WebP, AVIF sequence, FLI ─ read_frames ─▶ Animation ─ write_frames ─▶ APNG or WebP, lossless

Frames are read as they are seen: what a file says of the order in which pieces are put over others (offsets, disposal,
blending) has been done. A GIF is not written: its frames hold 256 colours each, which a restored one has not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from deepix.errors import InputError, OutputError, reason
from deepix.images import deep
from deepix.images.decoding import from_opened, is_animation, stored_as
from deepix.images.encoding import animation_options, check_suffix, check_target, store
from deepix.images.limits import MAX_PIXELS
from deepix.images.opening import check_pixels, opened, opened_image
from deepix.images.types import Picture, to_array

WRITTEN = (".png", ".webp")
"""Suffixes of animations that can be written."""


@dataclass(frozen=True, eq=False)
class Animation:
    """Pictures that are shown one after the other.

    Attributes
    ----------
    frames : of one size and mode, whole, not only what changes; the first holds the file's metadata and notes
    durations : how long each is shown, in milliseconds
    plays : how often they are shown, 0: for ever
    still : the first frame is what programs show that know no animations; it is no part of this one (APNG)
    """

    frames: tuple[Picture, ...]
    durations: tuple[float, ...]
    plays: int = 0
    still: bool = False

    def with_frames(self, frames: Sequence[Picture]) -> Animation:
        """Return the animation with other frames, as many, all else kept.

        Raises
        ------
        ValueError : there are not as many
        """
        if len(frames) != len(self.frames):
            raise ValueError(f"{len(frames)} frames for an animation of {len(self.frames)}")
        return replace(self, frames=tuple(frames))


def is_animated(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> bool:
    """Say whether a file holds an animation, by its beginning.

    Raises
    ------
    InputError : as `read`, as far as the beginning tells
    """
    path = Path(path)
    with opened(path) as file, opened_image(file, str(path), max_pixels) as (image, _):
        return is_animation(image)


def read_frames(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Animation:
    """Read all frames of an animation; of any other picture, the one.

    Parameters
    ----------
    path : the file
    max_pixels : files with more pixels, in all frames together, are refused before their memory is taken

    Raises
    ------
    InputError : as `read`
    """
    path = Path(path)
    with opened(path) as file, opened_image(file, str(path), max_pixels) as (image, _):
        count = getattr(image, "n_frames", 1) if is_animation(image) else 1
        check_pixels(str(path), count * image.width * image.height, max_pixels)
        frames, durations = [], []
        for index in range(count):
            frame, shown = _frame(image, file, index, str(path), single=count == 1)
            frames.append(replace(frame, path=path))
            durations.append(shown)
        plays, still = _plays(image), bool(image.info.get("default_image", False))
    return Animation(_alike(frames), tuple(durations), plays, still and count > 1)


def _frame(image: Image.Image, file: IO[bytes], index: int, name: str, single: bool) -> tuple[Picture, float]:
    """Return a frame and its duration."""
    if single:
        return from_opened(image, name, file), 0.0
    image.seek(index)
    if deep.is_deep(stored_as(image), image.mode):
        raise InputError(f"{name}: an animation with 16 bits per channel is not supported; convert it to 8 bits first")
    return from_opened(image, name), float(image.info.get("duration") or 0)


def _plays(image: Image.Image) -> int:
    """Return how often an animation is shown: a GIF's number counts the repetitions, and without it there are none."""
    loop = image.info.get("loop")
    if image.format == "GIF":
        return 1 if loop is None else int(loop) + 1 if loop else 0
    return int(loop or 0)


def _alike(frames: Sequence[Picture]) -> tuple[Picture, ...]:
    """Return frames of one mode: the least one that holds them all."""
    modes = {frame.mode for frame in frames}
    if len(modes) == 1:
        return tuple(frames)
    transparent = any(frame.alpha is not None for frame in frames)
    colour = any(frame.pixels.ndim == 3 for frame in frames)
    mode = ("RGB" if colour else "L") + ("A" if transparent else "")
    result = []
    for frame in frames:
        pixels = frame.pixels
        if colour and pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        alpha = frame.alpha
        if transparent and alpha is None:
            alpha = np.full(pixels.shape[:2], 255, np.uint8)
        result.append(replace(frame, pixels=pixels, alpha=alpha, mode=mode))
    return tuple(result)


def check_frames(path: Path) -> None:
    """Raise OutputError if animations are not written with this suffix."""
    if path.suffix.lower() == ".gif":
        raise OutputError(f"{path}: a GIF holds 256 colours in each frame; use one of {', '.join(WRITTEN)}")
    check_suffix(path.suffix, f"{path}: an animation", WRITTEN)


def write_frames(
    animation: Animation,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    source: str | os.PathLike[str] | None = None,
) -> None:
    """Write an animation as APNG (.png) or WebP, losslessly; as `write` in all else.

    Frames that equal the one before become one with it, which is shown as long as both. A still that is no part of the
    animation is kept in a PNG, and left out of a WebP, which has no place for it.

    Raises
    ------
    OutputError : as `write`; the suffix is another; the frames have 16 bits or CMYK colours
    """
    path = Path(path)
    check_frames(path)
    check_target(path, source, overwrite=overwrite)
    check_target(path, animation.frames[0].path, overwrite=overwrite)
    store(encode_frames(animation, path.suffix, str(path)), path, overwrite, source or animation.frames[0].path)


def encode_frames(animation: Animation, suffix: str, name: str = "output") -> bytes:
    """Return an animation as the bytes of a file, as `write_frames` would write it.

    Raises
    ------
    OutputError : as `write_frames`
    """
    kind = {".png": "PNG", ".webp": "WEBP"}[suffix.lower()]
    frames, durations = list(animation.frames), list(animation.durations)
    if animation.still and kind == "WEBP":
        del frames[0], durations[0]
    first = frames[0]
    if any(f.pixels.dtype != np.uint8 or f.mode == "CMYK" for f in frames):
        raise OutputError(f"{name}: animations are written with 8-bit gray or RGB; convert the frames first")
    shown = [_shown(frame, kind) for frame in frames]
    options: dict[str, Any] = animation_options(first, kind, shown[0].mode)
    if animation.still and kind == "PNG":
        options["default_image"] = True
        durations = durations[1:]
    options |= {"save_all": True, "append_images": shown[1:], "duration": durations, "loop": animation.plays}
    buffer = BytesIO()
    try:
        shown[0].save(buffer, kind, **options)
    except MemoryError:
        raise
    except Exception as error:  # as in `encode`
        raise OutputError(f"{name}: cannot be encoded as {kind} ({reason(error)})") from error
    return buffer.getvalue()


def _shown(frame: Picture, kind: str) -> Image.Image:
    """Return a frame as a PIL image of a mode that the format holds."""
    image = Image.fromarray(to_array(frame))
    return (
        image
        if kind == "PNG" or image.mode in ("RGB", "RGBA")
        else image.convert({"L": "RGB", "LA": "RGBA"}[image.mode])
    )
