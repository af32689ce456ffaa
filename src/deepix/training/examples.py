"""Temporary: until the rooms are merged. See `deepix.training.data.examples`."""

from deepix.training.data.examples import CLASSES, Example, Placed, Settings, example

__all__ = ["CLASSES", "Example", "Placed", "Settings", "example"]
