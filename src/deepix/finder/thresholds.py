"""What is decided by a threshold that more than one step obeys: what is reported, restored, searched for.

Three scales: *confidence*, the probability that area and grid are right; *evidence*, a log-likelihood ratio of "mosaic"
to "photo" in nats; *map*, the locator's probability that a place is pixelated. Thresholds of one step stand there.
"""

from __future__ import annotations

REPORTED = 0.4
"""The least confidence of a mosaic that is reported."""
SURE = 0.5
"""The least confidence of a mosaic that is restored without being told to, and that is believed to explain a place."""
WEAK_EVIDENCE = 60.0
"""Evidence, in nats, below which a mosaic of the locator's is reported only if it is `SURE`: about twice what chance
reaches in a photo."""
CERTAIN_INTACT = 400.0
"""Evidence, in nats, of intact tiles from which on weakly contrasted ones are believed, too, and nothing else is looked
for where they are in a lossless picture."""
MAP_PIXELATED = 0.5
"""The value of the map above which a place is taken for pixelated."""
MAP_NOTHING = 0.1
"""The mean of the map over tiles below which the locator sees none: pixel art, a chart, the blocks of a file …"""
