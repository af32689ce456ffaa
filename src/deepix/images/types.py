"""A picture as numbers, with what a file of it needs beside them; and from arrays and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as numbers, with what a file of it needs beside them.

    Attributes
    ----------
    pixels : uint8 or uint16, (H, W) for gray or (H, W, 3) RGB or (H, W, 4) CMYK; upright, alpha apart
    alpha : same dtype, (H, W), 0 is transparent; None without one
    mode : Pillow's mode for pixels and alpha: "L", "LA", "RGB", "RGBA", "CMYK" or "I;16" (16-bit gray). 16-bit
        colour, and 16-bit gray with alpha, is named as its 8-bit kin
    format : the source file's format as Pillow names it ("PNG", "JPEG", …); None for arrays
    metadata : what a writer keeps: "icc_profile", "exif", "xmp", "comment" (bytes), "dpi" (x, y: pixels per inch),
        "text" (PNG: keyword → text), "gamma", "srgb", "chromaticity" (PNG), "transparency" (the transparent value
        of a 16-bit gray PNG), "compression" (TIFF). The EXIF holds neither an orientation, as it has been
        applied, nor a thumbnail, as that shows the picture before its restoration
    lossy : the source stored its pixels lossily, as JPEG does (or may have, where a PIL image does not tell)
    path : the source file, if there is one; `write` never writes over it
    notes : one line for each thing that was not taken over as it was
    quantization : the tables by which a JPEG file divided its coefficients, by their numbers (most files: 0 for
        brightness, 1 for colours): 64 integers each, 1 to 65535, row after row from the mean to the finest; None for
        other sources. A file that was saved twice has those of the second time
    """

    pixels: Array
    alpha: Array | None
    mode: str
    format: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    lossy: bool = False
    path: Path | None = None
    notes: tuple[str, ...] = ()
    quantization: Mapping[int, tuple[int, ...]] | None = None

    def with_pixels(self, pixels: Array) -> Picture:
        """Return the picture with other pixels, all else kept.

        Raises
        ------
        ValueError : shape or dtype differ from the present pixels'
        """
        if pixels.shape != self.pixels.shape or pixels.dtype != self.pixels.dtype:
            raise ValueError(
                f"the new pixels are {pixels.dtype} {pixels.shape}, "
                f"the picture's are {self.pixels.dtype} {self.pixels.shape}"
            )
        return replace(self, pixels=pixels)


def from_array(array: Array) -> Picture:
    """Return an array as a picture.

    Parameters
    ----------
    array : uint8 or uint16; (H, W) or (H, W, 1) gray, (H, W, 2) gray and alpha, (H, W, 3) RGB, (H, W, 4) RGB and
        alpha. Its memory is shared where the layout allows

    Raises
    ------
    ValueError : another type or shape, or no pixels. Floats, booleans and wide integers are refused, as
        their range is not known: scale them first
    """
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise ValueError(f"a picture's array must be uint8 or uint16, not {array.dtype}; scale and convert it first")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)):
        raise ValueError(f"a picture's array must be (H, W) or (H, W, 1 … 4), not {array.shape}")
    if array.size == 0:
        raise ValueError(f"a picture must have pixels; the array is {array.shape}")
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    channels = 1 if native.ndim == 2 else native.shape[2]
    planar = native.reshape(*native.shape[:2], channels)
    alpha = np.ascontiguousarray(planar[..., -1]) if channels in (2, 4) else None
    pixels = planar[..., 0] if channels <= 2 else planar[..., :3]
    mode = ("L", "LA", "RGB", "RGBA")[channels - 1]
    if mode == "L" and native.dtype == np.uint16:
        mode = "I;16"
    return Picture(np.ascontiguousarray(pixels), alpha, mode)


def to_array(picture: Picture) -> Array:
    """Return pixels and alpha as one new array: uint8 or uint16, (H, W) or (H, W, 2 … 4), alpha last."""
    if picture.alpha is None:
        return picture.pixels.copy()
    return np.dstack([picture.pixels, picture.alpha])
