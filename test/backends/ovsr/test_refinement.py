"""Refinement: exact edges from coarse maps, the filters against their definitions, and what must always hold."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from ovsr_ros.backends.ovsr.refinement import (
    RefinementOptions,
    box_mean,
    guided_filter,
    one_hot,
    refine_clusters,
    upsample,
)
from ovsr_ros.ops import native


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


# --- The compiled way ---


def patchwork(image_hw, grid_hw, num_labels, seed=0):
    """An image (1, 3, H, W) uint8 of soft patches, and labels of a grid of its own that follow them as clusters do."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 7, 9, generator=generator)
    image = torch.nn.functional.interpolate(coarse, image_hw, mode="bicubic").clamp(0, 1)
    image = image + 0.02 * torch.randn(image.shape, generator=generator)
    image = (image.clamp(0, 1) * 255).round().to(torch.uint8)
    cells = torch.nn.functional.interpolate(image.float(), grid_hw, mode="area")[0].flatten(1).T
    centers = cells[torch.randperm(len(cells), generator=generator)[:num_labels]]
    return image, torch.cdist(cells, centers).argmin(1).view(grid_hw).numpy()


CASES = [
    ((240, 320), (48, 64), 20, RefinementOptions()),
    ((240, 320), (48, 64), 64, RefinementOptions(radius=2.0)),
    ((101, 77), (29, 22), 9, RefinementOptions(rows=77, guide_rows=41, radius=0.3)),
    ((60, 150), (8, 20), 5, RefinementOptions(rows=60, guide_rows=60, radius=32.0)),  # windows over the whole image
    ((90, 120), (48, 64), 30, RefinementOptions(rows=50, guide_rows=16)),  # a guide of fewer pixels than the grid has
    ((40, 1), (40, 1), 3, RefinementOptions(rows=16, guide_rows=8)),
]


@pytest.mark.parametrize(("image_hw", "grid_hw", "num_labels", "options"), CASES)
def test_compiled_it_gives_the_same_labels(image_hw, grid_hw, num_labels, options, monkeypatch):
    image, labels = patchwork(image_hw, grid_hw, num_labels)
    assert native.load() is not None
    found = refine_clusters(labels, image, options)
    monkeypatch.setattr(native, "load", lambda: None)
    expected = refine_clusters(labels, image, options)
    assert found.shape == expected.shape
    assert len(np.unique(expected)) > 1
    assert (found != expected).mean() < 1e-3  # where two scores are equal but for rounding


@pytest.mark.parametrize("vector_level", [0, 1, 2])
@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_every_vector_width_and_number_of_threads_gives_the_same_labels(vector_level, num_threads):
    image, labels = patchwork((240, 320), (48, 64), 40)
    guide, target = image[0, :, ::2, ::2].numpy(), image[0].numpy()
    expected = native.guided_labels(native.load(), labels, guide, target, 6, 1e-4, 1, 0)
    found = native.guided_labels(native.load(), labels, guide, target, 6, 1e-4, num_threads, vector_level)
    assert (found != expected).mean() < 1e-3


def test_more_coefficients_than_are_kept_at_once():
    # 256 labels scattered over the image: each covers all of it.
    labels = np.random.default_rng(0).integers(0, 256, (60, 80))
    image = patchwork((180, 240), (60, 80), 4)[0][0].numpy()
    found = native.guided_labels(native.load(), labels, image, image, 2, 1e-4)
    few = native.guided_labels(native.load(), labels // 64, image, image, 2, 1e-4)
    assert len(np.unique(found)) > 200
    assert len(np.unique(few)) == 4


@pytest.mark.parametrize(("label", "radius", "epsilon"), [(-1, 2, 1e-4), (0, 0, 1e-4), (0, 2, 0.0), (0, 2, np.nan)])
def test_what_cannot_be_refined_is_refused(label, radius, epsilon):
    labels = np.array([[label, 1], [0, 1]])
    image = np.zeros((3, 8, 8), np.uint8)
    with pytest.raises(ValueError, match=f"got labels from {min(label, 0)}, radius {radius} and epsilon {epsilon}"):
        native.guided_labels(native.load(), labels, image, image, radius, epsilon)
