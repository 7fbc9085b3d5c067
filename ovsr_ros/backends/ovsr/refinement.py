"""Stage 3b, an addition to the paper: the clusters' borders move to the image's edges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ovsr_ros.backends.ovsr.features import grid_size_hw
from ovsr_ros.ops import native
from ovsr_ros.ops.evidence import find_winners
from ovsr_ros.ops.image import resize
from ovsr_ros.options import option

METHODS = ("none", "guided")


@dataclass(frozen=True)
class RefinementOptions:
    """How clusters of grid cells become masks that follow edges."""

    method: str = option(
        "guided",
        help="none: the cells' labels, enlarged with smooth borders that know nothing of the image; guided: a guided "
        "filter leads them along the image's colours",
        choices=METHODS,
    )
    rows: int = option(
        240, help="rows of the refined masks along the image's short side, at most the image's own", min=16, max=2160
    )
    guide_rows: int = option(96, help="rows at which the filter works along the image's short side", min=8, max=540)
    radius: float = option(4.0, help="how far the guided filter looks, in grid cells", min=0.1, max=32.0, unit="cells")
    epsilon: float = option(
        1e-4, help="variance of colours, in [0, 1], that the guided filter takes for an edge", min=1e-6, max=1.0
    )


def refine_clusters(clusters: NDArray[np.int64], image: Tensor, options: RefinementOptions) -> NDArray[np.int64]:
    """Cluster labels (h, w) of an image (1, 3, H, W) uint8 at up to `rows`, from those of its grid (rows, columns).

    A cluster may end up without any cell.
    """
    num_clusters = int(clusters.max()) + 1
    if options.method == "none" or num_clusters == 1:
        return clusters
    image_hw = (image.shape[2], image.shape[3])
    guide_hw = grid_size_hw(image_hw, options.guide_rows)
    target = resize(image, grid_size_hw(image_hw, options.rows))
    guide = resize(target, guide_hw)
    rows, columns = clusters.shape
    radius = max(1, round(options.radius * max(guide_hw[0] / rows, guide_hw[1] / columns)))
    library = native.load() if image.device.type == "cpu" else None
    if library is not None:  # the same in a tenth of the time
        return native.guided_labels(library, clusters, guide[0].numpy(), target[0].numpy(), radius, options.epsilon)
    scores = upsample(one_hot(torch.from_numpy(clusters).to(image.device), num_clusters), guide_hw)
    scores = guided_filter(scores, guide[0].float() / 255, target[0].float() / 255, radius, options.epsilon)
    return np.asarray(find_winners(scores).cpu().numpy())


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
