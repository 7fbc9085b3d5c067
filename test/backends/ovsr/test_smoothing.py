"""Smoothing keeps edges, settles mixed cells, and does what its formula says."""

import cv2
import numpy as np
import pytest
import torch

from ovsr_ros.backends.ovsr.smoothing import SmoothingOptions, smooth, smooth_latents
from ovsr_ros.ops.image import rgb_to_lab, shifted

ROWS, COLUMNS = 12, 16


def two_regions():
    """Left one direction, right another, a seam of two columns that mixes both; colours part within the seam."""
    share = torch.zeros(ROWS, COLUMNS)
    share[:, 7], share[:, 8], share[:, 9:] = 0.4, 0.6, 1.0
    vectors = torch.stack((1 - share, share), -1).reshape(-1, 2)
    lab = torch.zeros(1, 3, ROWS, COLUMNS)
    lab[:, 0, :, 8:] = 50
    return vectors, lab


def test_lab_agrees_with_opencv():
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    ours = rgb_to_lab(torch.from_numpy(image).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    theirs = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    assert np.abs(ours - theirs).max() < 0.5


def test_a_grid_is_seen_from_eight_directions_at_each_distance():
    grid = torch.arange(ROWS * COLUMNS, dtype=torch.float32).view(1, ROWS, COLUMNS)
    found = torch.stack(list(shifted(grid, (1, 2))))
    assert found.shape == (16, 1, ROWS, COLUMNS)
    center = 5 * COLUMNS + 6
    expected = {center + reach * (dy * COLUMNS + dx) for reach in (1, 2) for dy in (-1, 0, 1) for dx in (-1, 0, 1)}
    expected.remove(center)
    assert set(found[:, 0, 5, 6].int().tolist()) == expected
    assert set(found[:, 0, 0, 0].int().tolist()) == {0, 1, 2, COLUMNS, COLUMNS + 1, 2 * COLUMNS, 2 * COLUMNS + 2}


def test_one_step_against_loops():
    generator = torch.Generator().manual_seed(1)
    vectors = torch.nn.functional.normalize(torch.randn(ROWS * COLUMNS, 3, generator=generator), dim=1)
    lab = torch.rand(1, 3, ROWS, COLUMNS, generator=generator) * 20
    result = smooth(vectors, lab, (ROWS, COLUMNS), 1, 0.2, 5.0).view(ROWS, COLUMNS, 3)
    grid = vectors.view(ROWS, COLUMNS, 3)
    for y, x in ((0, 0), (5, 7), (11, 15), (3, 0)):
        total, weights = torch.zeros(3), 0.0
        places = [(0, 0)] + [
            (d * i, d * j) for d in (1, 2, 4) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)
        ]
        for dy, dx in places:
            v, u = min(max(y + dy, 0), ROWS - 1), min(max(x + dx, 0), COLUMNS - 1)
            color = float((lab[0, :, v, u] - lab[0, :, y, x]).square().sum())
            weight = np.exp((float(grid[v, u] @ grid[y, x]) - 1) / 0.2 - color / 50)
            total, weights = total + weight * grid[v, u], weights + weight
        torch.testing.assert_close(result[y, x], total / total.norm(), atol=1e-5, rtol=1e-4)


def test_mixed_cells_join_the_side_whose_colour_they_have():
    vectors, lab = two_regions()
    smoothed = smooth(vectors, lab, (ROWS, COLUMNS), 10, 0.5, 6.0).view(ROWS, COLUMNS, 2)
    assert (smoothed[:, :8, 0] > 0.95).all()
    assert (smoothed[:, 8:, 1] > 0.95).all()


def test_uniform_vectors_stay():
    vectors = torch.tensor([[0.6, 0.8]]).repeat(ROWS * COLUMNS, 1)
    smoothed = smooth(vectors, torch.rand(1, 3, ROWS, COLUMNS) * 100, (ROWS, COLUMNS), 5, 0.05, 6.0)
    torch.testing.assert_close(smoothed, vectors)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (3, 2)])
def test_any_grid(size_hw):
    count = size_hw[0] * size_hw[1]
    smoothed = smooth(torch.randn(count, 4), torch.zeros(1, 3, *size_hw), size_hw, 3, 0.1, 5.0)
    assert smoothed.shape == (count, 4)
    assert torch.isfinite(smoothed).all()


def test_without_iterations_nothing_changes():
    latents, values = torch.randn(20, 3), torch.tensor([3.0, 2.0, 1.0])
    image = torch.zeros(1, 3, 32, 40, dtype=torch.uint8)
    result = smooth_latents(latents, values, image, (4, 5), SmoothingOptions(iterations=0))
    assert result[0] is latents
    assert result[1] is values


def test_singular_values_are_those_of_the_smoothed_latents():
    latents = torch.randn(20, 3)
    image = torch.randint(0, 255, (1, 3, 32, 40), dtype=torch.uint8)
    smoothed, values = smooth_latents(latents, torch.zeros(3), image, (4, 5), SmoothingOptions(iterations=3))
    torch.testing.assert_close(values, torch.linalg.svdvals(smoothed), atol=1e-4, rtol=1e-4)
