"""What a refiner's and an adversary's ONNX files are; both describe themselves."""

from __future__ import annotations

PLANES = 9
INPUT, OUTPUT = "features", "detail"
MAP_INPUT, MAP_OUTPUT = "luminance", "restored"
