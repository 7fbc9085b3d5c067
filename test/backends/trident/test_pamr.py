"""Pixel-adaptive refinement against its formula, pixel by pixel."""

import numpy as np
import pytest
import torch

from ovsr_ros.backends.trident.refinement import pamr, pamr_weights


def literal(image, maps, dilations, iterations):
    _, height, width = image.shape

    def at(values, y, x):
        return values[:, min(max(y, 0), height - 1), min(max(x, 0), width - 1)]

    offsets = [(dy * d, dx * d) for d in dilations for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
    for _ in range(iterations):
        moved = np.zeros_like(maps)
        for y in range(height):
            for x in range(width):
                around = [at(image, y + dy, x + dx) for dy, dx in offsets]
                deviation = np.std([*around, *[image[:, y, x]] * len(dilations)], axis=0, ddof=1)
                scores = np.array([-np.mean(np.abs(image[:, y, x] - n) / (1e-8 + 0.1 * deviation)) for n in around])
                weights = np.exp(scores - scores.max())
                weights /= weights.sum()
                moved[:, y, x] = sum(w * at(maps, y + dy, x + dx) for w, (dy, dx) in zip(weights, offsets, strict=True))
        maps = moved
    return maps


@pytest.mark.parametrize(("dilations", "iterations"), [((1,), 1), ((1, 3), 2)])
def test_it_is_the_formula(dilations, iterations):
    rng = np.random.default_rng(0)
    image, maps = rng.random((3, 6, 7)), rng.random((2, 6, 7))
    weights = pamr_weights(torch.from_numpy(image), dilations)
    found = pamr(torch.from_numpy(maps), weights, dilations, iterations)
    np.testing.assert_allclose(found.numpy(), literal(image, maps, dilations, iterations), rtol=1e-6)


def test_weights_sum_to_one():
    weights = pamr_weights(torch.rand(3, 9, 9, generator=torch.Generator().manual_seed(0)), (1, 2))
    assert weights.shape == (16, 9, 9)
    torch.testing.assert_close(weights.sum(0), torch.ones(9, 9))
