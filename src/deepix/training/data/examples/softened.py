"""What lies over mosaics or at their edges: areas that fade into the photo, frames, captions, watermarks, pointers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

from deepix.mosaic import Mosaic
from deepix.training.data import overlays
from deepix.training.data.examples.settings import Settings
from deepix.training.data.pixels import Bytes, to_bytes


def feather(canvas: Bytes, m: Mosaic, values: Bytes, rng: np.random.Generator) -> Mosaic:
    """Let a mosaic fade into the canvas, which is changed; return it with the pixels of which it has at least half.

    Parameters
    ----------
    canvas : uint8 (H, W) or (H, W, 3)
    m : as it was drawn, without fading
    values : uint8, of its box
    rng : decides how far it fades: by a tenth to half of a cell, 1 pixel at least, as far as a core is left
    """
    sigma = max(1.0, rng.uniform(0.1, 0.5) * min(m.grid.width, m.grid.height))
    inside = np.pad(m.area, 1)
    depth = ndimage.distance_transform_edt(inside)[1:-1, 1:-1]
    sigma = min(sigma, float(depth.max()) / 4)
    # the edge of the mask that is blurred lies so far inside that the mosaic's colours, which end at the area, suffice
    weight = ndimage.gaussian_filter((depth > 2 * sigma).astype(np.float32), sigma, truncate=2) * m.area
    shares = weight if canvas.ndim == 2 else weight[..., None]
    canvas[m.box] = to_bytes(canvas[m.box] + shares * (values.astype(np.float32) - canvas[m.box]))
    core = weight >= 0.5
    return Mosaic.from_mask(core, m.grid, x=m.x, y=m.y) if core.any() else m


def drawn_over(
    canvas: Bytes, clean: Image.Image, mosaics: Sequence[Mosaic], rng: np.random.Generator, settings: Settings
) -> tuple[Bytes, Image.Image]:
    """Return a picture with mosaics, and the same without, with something drawn over or beside some of the mosaics."""
    for m in mosaics:
        if settings.overlays and rng.random() < settings.overlays:
            kind = list(overlays.KINDS.values())[int(rng.integers(len(overlays.KINDS)))]
            drawn = kind((canvas.shape[0], canvas.shape[1]), (m.x, m.y, m.width, m.height), rng)
            canvas, clean = drawn.over(canvas), Image.fromarray(drawn.over(np.asarray(clean)))
    return canvas, clean
