"""The refiner that comes with the package, on pictures that it was not trained on."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

import deepix
from deepix.inference.models import shipped
from deepix.mosaic import Mosaic, consistency, pixelate
from deepix.restorer import refine
from deepix.restorer.refine_model import ADVERSARY, REFINER, load_refiner

SEEDS = 4


@pytest.fixture(scope="module")
def cases():
    """Pictures, their mosaics, what is pixelated, and restorations without and with detail."""
    result = []
    for name, m in (
        ("chelsea", Mosaic.rectangle(100, 70, 160, 120, 8)),
        ("coffee", Mosaic.rectangle(40, 250, 144, 108, 12)),
        ("camera", Mosaic.rectangle(180, 60, 120, 120, 6)),
    ):
        truth = getattr(data, name)()
        pixelated = pixelate(truth, [m])
        plain = deepix.restore(pixelated, [m])
        many = deepix.restore(pixelated, [m], detail=1, variants=SEEDS, restored_map=True)
        result.append((truth, m, pixelated, plain, many))
    return result


def error(picture, truth, m):
    return float(np.square(np.asarray(picture, float) - truth)[m.box].mean()) ** 0.5


def steps(picture, m):
    """Return the mean step between neighbouring pixels of an area."""
    part = np.asarray(picture, float)[m.box]
    return float(np.abs(np.diff(part, axis=0)).mean() + np.abs(np.diff(part, axis=1)).mean())


def test_it_knows_the_restorers_of_the_package():
    assert {REFINER, ADVERSARY} <= set(shipped())
    for model in (None, "photo", "challenge"):
        refine.check_restorer(load_refiner(), model)


def test_detail_is_plausible_and_agrees_with_the_mosaic(cases):
    for truth, m, pixelated, plain, many in cases:
        assert len(many.variant_images) == len(many.variants) == SEEDS
        for variant in many.variant_images:
            assert consistency(np.asarray(variant), pixelated, [m]) == 0
            # more steps than the restoration, which is smooth, and no more than the truth
            assert 1.1 * steps(plain.image, m) < steps(variant, m) < 1.1 * steps(truth, m)
            assert error(variant, truth, m) < 1.15 * error(plain.image, truth, m)


def test_variants_differ_and_their_mean_is_nearer_to_the_truth(cases):
    for truth, m, _, _, many in cases:
        mean = np.mean([np.asarray(v, float) for v in many.variant_images], axis=0)
        assert error(mean, truth, m) < 0.99 * np.mean([error(v, truth, m) for v in many.variant_images])
        one, other = (np.asarray(v, float)[m.box] for v in many.variant_images[:2])
        assert np.abs(one - other).mean() > 1


def test_the_adversary_sees_where_a_picture_is_restored(cases):
    for _, m, _, _, many in cases:
        inside = np.zeros(many.restored_map.shape, bool)
        inside[m.box] = True
        assert many.restored_map[inside].mean() > 2 * many.restored_map[~inside].mean()
