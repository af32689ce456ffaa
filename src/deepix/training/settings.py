"""The former name of what `deepix.training.stages.restorer.settings` and `engine.description` hold; it goes soon."""

import warnings

from deepix.training import stages
from deepix.training.engine.description import RUN, read

__all__ = ["RUN", "Settings", "read"]

Settings = next(kind for kind in stages.settings_kinds() if kind.__name__ == "RestorerSettings")

warnings.warn(
    "deepix.training.settings is now deepix.training.stages.restorer.settings (RestorerSettings) and "
    "deepix.training.engine.description (read, RUN); this name goes with the next version",
    DeprecationWarning,
    stacklevel=2,
)
