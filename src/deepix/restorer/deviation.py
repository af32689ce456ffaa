"""What a predicted standard deviation can be at most: values between black and white have a mean that bounds it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepix.restorer.colour import to_planes

Floats = NDArray[np.float32]


def possible(deviation: Floats, painted: Floats, white: float) -> Floats:
    """Return predicted standard deviations, none larger than values in [0, white] of the cells' means can have.

    That is the root of m (white − m) for the mean m (R. Bhatia and C. Davis, A better bound on the variance, American
    Mathematical Monthly 107, 2000). At strong edges networks predict up to twice as much.

    Parameters
    ----------
    deviation : float32 (H, W), in the unit of white; of red, green and blue that of the luminance
    painted : float32 (H, W) or (H, W, C), the cells' means in all of their pixels
    white : the value of white
    """
    planes = to_planes(painted.reshape(*deviation.shape, -1))
    planes = planes[..., :1] if planes.shape[2] == 3 else planes
    # a mean that was rounded is off by up to half a level
    means = planes.clip(white / 510, white - white / 510)
    return np.asarray(np.minimum(deviation, np.sqrt(means * (np.float32(white) - means)).mean(axis=2)))
