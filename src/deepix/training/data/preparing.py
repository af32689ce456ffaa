"""One picture on its way into a packed file: decoded, and prepared as the challenge does it or cut into crops."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from deepix import challenge, draw
from deepix.errors import InputError, reason
from deepix.training.data.crops import Crops, crop
from deepix.training.data.pixels import Bytes


class Loaded(NamedTuple):
    """A picture that was read, not yet decoded.

    Attributes
    ----------
    number : its place among all pictures read: which stream of `Crops.seed` its crops are drawn from
    name : what messages call it
    content : an encoded file; or pixels, uint8 (H, W) or (H, W, 3); or why there are none
    """

    number: int
    name: str
    content: bytes | Bytes | InputError


def prepare(picture: Loaded, crops: Crops | None) -> Bytes | str:
    """Return the crops of one picture, or the picture prepared as the challenge does it.

    Returns
    -------
    uint8 (number, H, W) or (number, H, W, 3); or the line that says why there are none
    """
    content = picture.content
    if isinstance(content, InputError):
        return str(content)
    try:
        if crops is None:
            return challenge.prepare_content(content, picture.name)[None]
        if isinstance(content, bytes):
            with Image.open(io.BytesIO(content)) as file:
                image = draw.eight_bits(ImageOps.exif_transpose(file))
        else:
            image = Image.fromarray(content)
        seed = np.random.SeedSequence(crops.seed, spawn_key=(picture.number,))
        return crop(image, crops, np.random.default_rng(seed))
    except InputError as error:
        return str(error)
    except UnidentifiedImageError:
        return f"{picture.name}: not a picture"
    # Pillow's decoders raise nearly anything on broken files: OSError, SyntaxError, ValueError, struct.error …
    except Exception as error:
        return f"{picture.name}: {reason(error)}"


def prepare_batch(batch: Sequence[Loaded], crops: Crops | None) -> list[Bytes | str]:
    """Return what `prepare` returns of each picture."""
    return [prepare(picture, crops) for picture in batch]
