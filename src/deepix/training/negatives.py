"""Temporary: until the rooms are merged. See `deepix.training.data.negatives`."""

from deepix.training.data.negatives import NEGATIVES, negative

__all__ = ["NEGATIVES", "negative"]
