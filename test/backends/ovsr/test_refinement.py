"""Refinement: exact edges from coarse maps, the filters against their definitions, and what must always hold."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from ovsr_ros.backends.ovsr.refinement import (
    box_mean,
    guided_filter,
    one_hot,
    upsample,
)


def two_colours(height=96, width=128):
    """A disk on a ground, (3, H, W) in [0, 1], and where the disk is."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    disk = (y - 0.45 * height) ** 2 + (x - 0.55 * width) ** 2 < (height / 3) ** 2
    image = torch.where(disk, torch.tensor([0.8, 0.2, 0.1]).view(3, 1, 1), torch.tensor([0.3, 0.5, 0.6]).view(3, 1, 1))
    return image, disk


def coarse_labels(disk, cell=8):
    shares = torch.nn.functional.avg_pool2d(disk[None].float(), cell)[0]
    return (shares > 0.5).long()


def edge_distance(found, true):
    """How far, in pixels, the farthest wrong pixel lies inside the region it should belong to."""
    wrong = found != true
    inside = np.maximum(ndimage.distance_transform_edt(true), ndimage.distance_transform_edt(~true))
    return inside[wrong].max(initial=0)


@pytest.mark.parametrize("factor", [1, 2])
def test_a_guided_filter_finds_the_exact_edge_again(factor):
    target, disk = two_colours(96 * factor, 128 * factor)
    guide = torch.nn.functional.avg_pool2d(target, factor)
    scores = upsample(one_hot(coarse_labels(disk, 8 * factor), 2), (96, 128))
    assert edge_distance(upsample(scores, (96 * factor, 128 * factor)).argmax(0).numpy() == 1, disk.numpy()) > 1.5
    found = guided_filter(scores, guide, target, 12, 1e-5).argmax(0)
    assert edge_distance(found.numpy() == 1, disk.numpy()) <= 1


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (7, 5), (30, 41)])
@pytest.mark.parametrize("radius", [1, 3, 50])
def test_a_box_mean_is_the_mean_over_the_window_inside(size_hw, radius):
    maps = torch.rand(2, *size_hw, generator=torch.Generator().manual_seed(0))
    means = box_mean(maps, radius)
    for y, x in {(0, 0), (size_hw[0] // 2, size_hw[1] // 2), (size_hw[0] - 1, size_hw[1] - 1)}:
        window = maps[:, max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
        torch.testing.assert_close(means[:, y, x], window.mean((1, 2)))


def slow_guided_filter(scores, guide, radius, epsilon):
    """The guided filter by its definition: a ridge regression in each window, its answers averaged per pixel."""
    num_labels, height, width = scores.shape
    total, count = np.zeros((num_labels, height, width)), np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            window = np.s_[:, max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
            colors, values = guide[window].reshape(3, -1), scores[window].reshape(num_labels, -1)
            centered = colors - colors.mean(1, keepdims=True)
            covariance = centered @ centered.T / colors.shape[1] + epsilon * np.eye(3)
            joint = (values - values.mean(1, keepdims=True)) @ centered.T / colors.shape[1]
            slopes = np.linalg.solve(covariance, joint.T).T
            total[window] += (slopes @ centered + values.mean(1, keepdims=True)).reshape(scores[window].shape)
            count[window[1:]] += 1
    return total / count


def test_the_guided_filter_is_what_its_definition_says():
    generator = torch.Generator().manual_seed(0)
    scores, guide = torch.rand(3, 9, 11, generator=generator), torch.rand(3, 9, 11, generator=generator)
    # Windows that are cut off weigh by their centres, in both: each pixel averages the windows whose centres it sees.
    filtered = guided_filter(scores, guide, guide, 2, 1e-3)
    expected = slow_guided_filter(scores.double().numpy(), guide.double().numpy(), 2, 1e-3)
    np.testing.assert_allclose(filtered.numpy(), expected, atol=2e-4)


def test_scores_of_a_pixel_still_add_up_to_one():
    image, disk = two_colours()
    labels = coarse_labels(disk) + torch.arange(16) // 8
    scores = upsample(one_hot(labels, 3), (96, 128))
    refined = guided_filter(scores, image, image, 8, 1e-5)
    torch.testing.assert_close(refined.sum(0), torch.ones(96, 128), atol=1e-3, rtol=0)


def test_the_order_of_the_labels_does_not_matter():
    image, disk = two_colours()
    labels = coarse_labels(disk) + torch.arange(16) // 8
    order = torch.tensor([2, 0, 1])
    plain, permuted = (
        guided_filter(upsample(one_hot(some, 3), (96, 128)), image, image, 8, 1e-5) for some in (labels, order[labels])
    )
    torch.testing.assert_close(permuted[order], plain, atol=1e-4, rtol=1e-4)


def test_an_image_of_one_colour_keeps_its_scores_borders():
    flat = torch.full((3, 48, 64), 0.4)
    labels = torch.zeros(48, 64, dtype=torch.long)
    labels[:, 32:] = 1
    refined = guided_filter(one_hot(labels, 2), flat, flat, 4, 1e-5)
    assert torch.equal(refined.argmax(0)[:, :31], labels[:, :31])
    assert torch.equal(refined.argmax(0)[:, 33:], labels[:, 33:])


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 60), (60, 1), (2, 3)])
def test_any_grid(size_hw):
    guide = torch.rand(3, *size_hw, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(size_hw[0] * size_hw[1]).view(size_hw) % 2
    target = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(1))
    filtered = guided_filter(one_hot(labels, 2), guide, target, 2, 1e-5)
    assert filtered.shape == (2, 5, 7)
    assert torch.isfinite(filtered).all()


@pytest.mark.parametrize("size_hw", [(24, 40), (37, 53), (6, 9)])
def test_upsampling_has_pytorchs_weights(size_hw):
    scores = torch.rand(3, 12, 20, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(scores[None], size_hw, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(upsample(scores, size_hw), expected, atol=1e-5, rtol=0)
