"""The former name of `deepix.training.engine.run`; it goes with the next version."""

import warnings

from deepix.training.engine.run import Result, fit, resume

__all__ = ["Result", "fit", "resume"]

warnings.warn(
    "deepix.training.fit is now called deepix.training.engine.run; this name goes with the next version",
    DeprecationWarning,
    stacklevel=2,
)
