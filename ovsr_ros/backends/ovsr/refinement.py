"""Stage 3b, an addition to the paper: the clusters' borders move to the image's edges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ovsr_ros.backends.ovsr.features import GridFeatures, describe_cells, grid_size_hw
from ovsr_ros.ops.evidence import find_winners
from ovsr_ros.ops.image import resize, rgb_to_lab, shifted
from ovsr_ros.options import option

METHODS = ("none", "bilinear", "guided", "pamr")

_PAMR_DILATIONS = (1, 2, 4)


@dataclass(frozen=True)
class RefinementOptions:
    """How clusters of grid cells become masks that follow edges."""

    method: str = option(
        "guided",
        help="none: the cells' labels, enlarged with smooth borders that know nothing of the image; bilinear: the "
        "scores are interpolated first; guided: a guided filter leads them along the image's colours; pamr: repeated "
        "averaging over pixels of like colour does",
        choices=METHODS,
    )
    scores: str = option(
        "clusters",
        help="what is refined: which cluster a cell is in, or how near it is to the mean features of the clusters "
        "around (prototypes), at the finest feature level's own resolution",
        choices=("clusters", "prototypes"),
    )
    rows: int = option(
        240, help="rows of the refined masks along the image's short side, at most the image's own", min=16, max=2160
    )
    guide_rows: int = option(96, help="rows at which the filter works along the image's short side", min=8, max=540)
    radius: float = option(4.0, help="how far the guided filter looks, in grid cells", min=0.1, max=32.0, unit="cells")
    epsilon: float = option(
        1e-4, help="variance of colours, in [0, 1], that the guided filter takes for an edge", min=1e-6, max=1.0
    )
    iterations: int = option(10, help="steps of pamr", min=1, max=100)
    color_sigma: float = option(
        8.0, help="how unlike a neighbour's colour may be in pamr, L*a*b* distance", min=0.1, max=500.0
    )
    temperature: float = option(
        0.05, help="of the prototypes' scores: smaller trusts small differences more", min=0.001, max=10.0
    )
    reach: int = option(
        2, help="how far from its own cells a cluster may gain any by prototypes, in grid cells", min=0, max=32
    )


def refine_clusters(
    clusters: NDArray[np.int64], image: Tensor, grid: GridFeatures, normalization: str, options: RefinementOptions
) -> NDArray[np.int64]:
    """Cluster labels (h, w) of an image (1, 3, H, W) uint8 at up to `rows`, from those of its grid (rows, columns).

    normalization: the features'. A cluster may end up without any cell.
    """
    num_clusters = int(clusters.max()) + 1
    if options.method == "none" or num_clusters == 1:
        return clusters
    image_hw = (image.shape[2], image.shape[3])
    target_hw, guide_hw = grid_size_hw(image_hw, options.rows), grid_size_hw(image_hw, options.guide_rows)
    labels = torch.from_numpy(clusters).to(image.device)
    if options.scores == "prototypes":
        finest = max((level.shape[2], level.shape[3]) for level in grid.levels)
        cells = describe_cells(grid.levels, finest, normalization)  # (h*w, C)
        features = cells.T.reshape(-1, *finest)
        scores = score_by_prototypes(features, labels, num_clusters, options.reach, options.temperature)
    else:
        scores = one_hot(labels, num_clusters)
    scores = _follow_edges(scores, image, guide_hw, target_hw, grid.grid_hw, options)
    return np.asarray(find_winners(scores).cpu().numpy())


def _follow_edges(
    scores: Tensor,
    image: Tensor,
    guide_hw: tuple[int, int],
    target_hw: tuple[int, int],
    grid_hw: tuple[int, int],
    options: RefinementOptions,
) -> Tensor:
    if options.method == "bilinear":
        return upsample(scores, target_hw)
    scores = upsample(scores, guide_hw)
    target = resize(image, target_hw)
    guide = resize(target, guide_hw)
    if options.method == "pamr":
        lab = rgb_to_lab(guide)[0]
        scores = pamr(scores, lab, options.iterations, options.color_sigma, _PAMR_DILATIONS)
        return upsample(scores, target_hw)
    radius = max(1, round(options.radius * max(guide_hw[0] / grid_hw[0], guide_hw[1] / grid_hw[1])))
    return guided_filter(scores, guide[0].float() / 255, target[0].float() / 255, radius, options.epsilon)


def one_hot(labels: Tensor, num_labels: int) -> Tensor:
    """Labels (h, w) int64 as scores (K, h, w) float32: 1 for a cell's own label, 0 for the others."""
    return functional.one_hot(labels, num_labels).permute(2, 0, 1).float()


def upsample(scores: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Scores (K, h, w) at another resolution, (K, H, W), bilinear between cell centres."""
    if tuple(scores.shape[1:]) == size_hw:
        return scores
    if scores.device.type == "cpu" and scores.numel():
        # The same weights, in a quarter of PyTorch's time.
        planes = np.empty((len(scores), *size_hw), np.float32)
        for plane, enlarged in zip(scores.numpy(), planes, strict=True):
            cv2.resize(plane, size_hw[::-1], enlarged, interpolation=cv2.INTER_LINEAR)
        return torch.from_numpy(planes)
    return functional.interpolate(scores[None], size_hw, mode="bilinear", align_corners=False)[0]


def prototypes(features: Tensor, labels: Tensor, num_labels: int) -> Tensor:
    """Mean direction of each label's cells, (K, C) float32 of length 1, from features (C, h, w).

    labels: (h, w) int64. Cells whose eight neighbours carry the same label count alone where a label has any: those
    along its border mix both sides. A label without cells gets zeros.
    """
    directions = functional.normalize(features, dim=0).flatten(1).T  # (h*w, C)
    interior = _interior(labels).flatten()
    flat = labels.flatten()
    inner = directions.new_zeros(num_labels, directions.shape[1]).index_add_(0, flat, directions * interior[:, None])
    every = torch.zeros_like(inner).index_add_(0, flat, directions)
    has_interior = inner.new_zeros(num_labels).index_add_(0, flat, interior.float()) > 0
    return functional.normalize(torch.where(has_interior[:, None], inner, every), dim=1)


def _interior(labels: Tensor) -> Tensor:
    values = labels[None, None].double()
    padded = functional.pad(values, (1, 1, 1, 1), mode="replicate")
    largest = functional.max_pool2d(padded, 3, 1)
    return ((largest == values) & (-functional.max_pool2d(-padded, 3, 1) == values))[0, 0]


def score_by_prototypes(features: Tensor, labels: Tensor, num_labels: int, reach: int, temperature: float) -> Tensor:
    """How well each cell fits each label nearby: (K, H, W) float32, a softmax over cosines.

    labels: (h, w) int64 on a coarse grid. features: (C, H, W) on one at least as fine. A label stands for election
    only within `reach` coarse cells of its own cells: what looks alike far away is something else.
    """
    height, width = features.shape[1:]
    coarse = features if labels.shape == features.shape[1:] else upsample(features, (labels.shape[0], labels.shape[1]))
    directions = functional.normalize(features, dim=0).flatten(1)  # (C, H*W)
    cosines = (prototypes(coarse, labels, num_labels) @ directions).view(num_labels, height, width)
    near = functional.max_pool2d(one_hot(labels, num_labels), 2 * reach + 1, 1, reach)
    near = functional.interpolate(near[None], (height, width), mode="nearest")[0]
    return (cosines / temperature).masked_fill(near == 0, -torch.inf).softmax(0)


def neighbours(grid: Tensor, dilations: tuple[int, ...]) -> Tensor:
    """A grid (C, H, W) and what `shifted` gives of it: (1 + 8 * len(dilations), C, H, W)."""
    return torch.stack([grid, *shifted(grid, dilations)])


def pamr(scores: Tensor, lab: Tensor, iterations: int, color_sigma: float, dilations: tuple[int, ...]) -> Tensor:
    """Average each pixel's scores (K, H, W) with its neighbours', by likeness in colour (3, H, W), L*a*b*.

    Pixel-adaptive mask refinement (Araslanov & Roth, arXiv 2005.08104): eight neighbours at each distance, weights by a
    softmax, here of Gaussian L*a*b* distances of deviation color_sigma, computed once and applied `iterations` times.
    """
    weights = (neighbours(lab, dilations) - lab).square().sum(1).div(-2 * color_sigma**2).softmax(0)  # (M, H, W)
    for _ in range(iterations):
        scores = (neighbours(scores, dilations) * weights[:, None]).sum(0)
    return scores


def box_mean(maps: Tensor, radius: int) -> Tensor:
    """Mean of (..., H, W) over the square window of that radius, cut off at the border."""
    height, width = maps.shape[-2:]
    if maps.device.type == "cpu" and maps.numel():
        planes = maps.reshape(-1, height, width).numpy()
        means = np.empty(planes.shape, np.float32)
        counts = _box_sum(np.ones((height, width), np.float32), radius)
        for plane, mean in zip(planes, means, strict=True):
            np.divide(_box_sum(plane, radius), counts, out=mean)
        return torch.from_numpy(means).view(maps.shape)
    rows, columns = _window(height, radius, maps), _window(width, radius, maps)
    # As two products with banded matrices, which cost less than any pooling at grids of about a hundred rows.
    return rows @ maps @ columns.T


def _box_sum(plane: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    side = 2 * radius + 1
    return np.asarray(cv2.boxFilter(plane, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT))


def _window(length: int, radius: int, like: Tensor) -> Tensor:
    position = torch.arange(length, device=like.device)
    inside = ((position[:, None] - position).abs() <= radius).to(like.dtype)
    return inside / inside.sum(1, keepdim=True)


def guided_filter(scores: Tensor, guide: Tensor, target: Tensor, radius: int, epsilon: float) -> Tensor:
    """Scores (K, h, w) as locally linear functions of a guide's colours: (K, H, W) at the resolution of the target.

    guide: (3, h, w) float32 in [0, 1], the image at the scores' resolution; target: (3, H, W), the same image at the
    resolution wanted. The fast guided filter (He, Sun & Tang, TPAMI 2013, equations 19 to 21; He & Sun, arXiv
    1505.00996): in every window of `radius` cells the scores are regressed on the colours, with a ridge of epsilon;
    the coefficients are averaged over the windows that hold a cell, upsampled, and applied to the target's colours.
    """
    mean_guide = box_mean(guide, radius)  # (3, h, w)
    mean_scores = box_mean(scores, radius)  # (K, h, w)
    products = box_mean(guide[:, None] * guide, radius) - mean_guide[:, None] * mean_guide  # (3, 3, h, w)
    ridge = epsilon * torch.eye(3, device=guide.device, dtype=guide.dtype)
    covariance = products.permute(2, 3, 0, 1) + ridge  # (h, w, 3, 3)
    joint = box_mean(scores[:, None] * guide, radius) - mean_scores[:, None] * mean_guide  # (K, 3, h, w)
    inverse = _inverse_of_symmetric(covariance).permute(2, 3, 0, 1)  # (3, 3, h, w)
    slopes = torch.stack([(joint * inverse[i]).sum(1) for i in range(3)], 1)  # (K, 3, h, w)
    offsets = mean_scores - (slopes * mean_guide).sum(1)
    coefficients = box_mean(torch.cat((slopes, offsets[:, None]), 1), radius)  # (K, 4, h, w)
    return _apply(coefficients, target)


def _apply(coefficients: Tensor, target: Tensor) -> Tensor:
    """Three slopes and an offset (K, 4, h, w), upsampled, of the colours (3, H, W) of a target: (K, H, W)."""
    size_hw = (target.shape[1], target.shape[2])
    if target.device.type == "cpu":  # one plane after another, so that all that is upsampled stays in a cache
        applied = np.empty((len(coefficients), *size_hw), np.float32)
        slope = np.empty(size_hw, np.float32)
        for planes, result in zip(coefficients.numpy(), applied, strict=True):
            cv2.resize(planes[3], size_hw[::-1], result, interpolation=cv2.INTER_LINEAR)
            for channel, color in enumerate(target.numpy()):
                cv2.resize(planes[channel], size_hw[::-1], slope, interpolation=cv2.INTER_LINEAR)
                cv2.accumulateProduct(slope, color, result)
        return torch.from_numpy(applied)
    coefficients = upsample(coefficients.flatten(0, 1), size_hw).view(-1, 4, *size_hw)
    filtered = coefficients[:, 3]
    for channel in range(3):
        filtered = filtered + coefficients[:, channel] * target[channel]
    return filtered


def _inverse_of_symmetric(matrices: Tensor) -> Tensor:
    # By cofactors: a batched solver takes ten times as long for 3 x 3.
    a, b, c = matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 0, 2]
    d, e, f = matrices[..., 1, 1], matrices[..., 1, 2], matrices[..., 2, 2]
    rows = (d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b)
    determinant = a * rows[0] + b * rows[1] + c * rows[2]
    r = [row / determinant for row in rows]
    return torch.stack((r[0], r[1], r[2], r[1], r[3], r[4], r[2], r[4], r[5]), -1).view(matrices.shape)
