"""A restored picture, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix import images
from deepix.mosaic import Mosaic


@dataclass(frozen=True, eq=False)
class Restoration:
    """A restored picture and what is known of it.

    Attributes
    ----------
    picture : the restored picture with what its file held besides pixels, as `deepix.images` reads and writes it
    mosaics : the mosaics that were restored; empty when none was found: then the picture is the input
    consistency : the largest deviation, in levels of the picture's type, that re-pixelating the restoration leaves to
        the input's cells; 0 when the input's tiles are intact. Cells of blended grids, those of a mosaic that was
        resized, agree to 1 level only, also where this says 0: their values are fitted
    noise : root mean square deviation of the input's pixels from their cells' means, in levels; 0 when the tiles are
        intact, and what the promise of consistency is held to when a lossy file disturbed them
    as_array : whether `image` is an array
    uncertainty : float32, the shape of the picture's pixels: standard deviation of the restoration's error as the
        network expects it, in levels of the picture's type; the same in all channels, 0 on known pixels, not a number
        where cells are too small for the network. None without a network
    detail : how much plausible detail was added, 0 … 1; with it, `uncertainty` is that of the picture with detail
    variants : the pictures of different detail, the first one being `picture`; one, where no more were asked for
    seed : of the first one's detail; each further one's is 1 larger
    restored_map : float32 (H, W): the probability with which a network that is to tell takes each pixel of `picture`
        for a restored one, around the mosaics; 0 elsewhere. None where it was not asked for
    unsure : mosaics that were found, but left as they are, because it is not sure where their cells lie
    other_sizes : mosaics that were found, but left as they are, because their cells are not of the size asked for
    notes : one line for each thing that was left out or not done as it was asked for
    """

    picture: images.Picture
    mosaics: list[Mosaic]
    consistency: float
    noise: float
    as_array: bool = False
    uncertainty: NDArray[np.float32] | None = None
    detail: float = 0.0
    variants: tuple[images.Picture, ...] = ()
    seed: int = 0
    restored_map: NDArray[np.float32] | None = None
    unsure: Sequence[Mosaic] = ()
    other_sizes: Sequence[Mosaic] = ()
    notes: tuple[str, ...] = ()

    @property
    def mean_uncertainties(self) -> list[float | None]:
        """The uncertainty's mean over each mosaic, in levels; None where it is not known."""
        if self.uncertainty is None:
            return [None] * len(self.mosaics)
        plane = self.uncertainty if self.uncertainty.ndim == 2 else self.uncertainty[..., 0]
        means = [float(plane[m.box][m.area].mean(dtype=np.float64)) for m in self.mosaics]
        return [None if np.isnan(mean) else mean for mean in means]

    @cached_property
    def image(self) -> Any:
        """The restored picture, of the kind that was given: an array for an array, else a PIL image.

        Raises
        ------
        ValueError : of a file with 16-bit colour, for which Pillow has no mode: `save` keeps it, `picture` holds it
        """
        return self._as_given(self.picture)

    @cached_property
    def variant_images(self) -> list[Any]:
        """The variants, each as `image` is; the first one is that."""
        return [self.image, *(self._as_given(picture) for picture in self.variants[1:])]

    def _as_given(self, picture: images.Picture) -> Any:
        return images.to_array(picture) if self.as_array else images.to_pil(picture)

    def save(self, path: str | PathLike[str], *, overwrite: bool = False, quality: int = images.QUALITY) -> None:
        """Write the picture, with the input's alpha channel, colour profile and EXIF data.

        Raises
        ------
        OutputError : the file exists and `overwrite` is False, or cannot be written
        """
        images.write(self.picture, path, overwrite=overwrite, quality=quality)
