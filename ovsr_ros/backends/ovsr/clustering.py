"""Stage 3: hierarchical clustering of the latents, with a number of clusters that follows from the singular values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.ops.ward import METHODS, linkage
from ovsr_ros.options import option

COUNT_RULES = ("energy", "eigengap", "gavish_donoho", "fixed")


@dataclass(frozen=True)
class ClusterOptions:
    """How grid cells are grouped, and into how many groups."""

    linkage: str = option("ward", help="linkage of the hierarchical clustering", choices=METHODS)
    count_rule: str = option(
        "energy",
        help="number of clusters: energy counts the singular values over count_fraction of the first, eigengap looks "
        "for the largest relative gap, gavish_donoho counts those over the white-noise threshold, fixed takes `fixed`",
        choices=COUNT_RULES,
    )
    count_fraction: float = option(0.3, help="the fraction of the rule energy", min=0.001, max=1.0)
    fixed: int = option(8, help="the number of clusters of the rule fixed", min=1, max=256)
    k_min: int = option(2, help="fewest clusters, unless the image is of one colour", min=1, max=256)
    k_max: int = option(24, help="most clusters", min=1, max=256)

    def __post_init__(self) -> None:
        if self.k_min > self.k_max:
            raise ValueError(f"k_min: expected at most k_max, {self.k_max}, got {self.k_min}")


def count_clusters(singular_values: Tensor, feature_shape: tuple[int, int], options: ClusterOptions) -> int:
    """The number of clusters of a feature matrix of that shape (N, C) with these singular values."""
    if options.count_rule == "energy":
        count = count_by_energy(singular_values, options.count_fraction)
    elif options.count_rule == "eigengap":
        count = count_by_eigengap(singular_values, options.k_max)
    elif options.count_rule == "gavish_donoho":
        count = count_by_gavish_donoho(singular_values, feature_shape)
    else:
        count = options.fixed
    return clamp_count(count, options.k_min, options.k_max, feature_shape[0])


def cluster(latents: Tensor, num_clusters: int, grid_hw: tuple[int, int], linkage_method: str) -> NDArray[np.int64]:
    """Cluster labels of the grid, (rows, columns) from 0. The tree of merges, and so its cut, live on the host."""
    return linkage(latents, linkage_method).cut(num_clusters).reshape(grid_hw)


def count_by_energy(singular_values: Tensor, fraction: float) -> int:
    """How many singular values exceed `fraction` of the first."""
    if singular_values.numel() == 0:
        return 0
    return int((singular_values > fraction * singular_values[0]).sum())


def count_by_eigengap(singular_values: Tensor, max_count: int) -> int:
    """The count before the largest relative gap, looked for from 2 to max_count.

    DiffCut and Falcon take argmax((v_i - mean(v_1..i-1)) / mean(v_1..i-1)) over the ascending eigenvalues v of a graph
    Laplacian. Here v_i = 1 - s_i / s_1 stands for them: ascending from 0, and near 0 for directions as strong as the
    first. The gap after the first value has no scale (its mean is 0), so the smallest answer is 2.
    """
    if singular_values.numel() < 3 or singular_values[0] <= 0:
        return min(1, singular_values.numel())
    ascending = 1.0 - singular_values.double() / singular_values[0]
    counts = torch.arange(1, len(ascending), device=ascending.device)  # entry j: the mean of the first j + 1
    means = (ascending.cumsum(0)[:-1] / counts).clamp_min(1e-9)
    gaps = (ascending[1:] - means) / means  # (R - 1,), entry j is the gap before value j + 1
    return int(gaps[1 : max(2, max_count)].argmax()) + 2


def count_by_gavish_donoho(singular_values: Tensor, shape: tuple[int, int]) -> int:
    """How many singular values of a matrix of `shape` exceed the optimal hard threshold for unknown white noise.

    Gavish and Donoho, arXiv 1305.5870: omega(beta) times the median singular value, with the paper's cubic for omega
    (its equation 5, within 0.02 of the exact value).
    """
    if singular_values.numel() == 0:
        return 0
    beta = min(shape) / max(shape)
    omega = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    return int((singular_values > omega * singular_values.median()).sum())


def clamp_count(count: int, k_min: int, k_max: int, num_points: int) -> int:
    """Bring a count into [k_min, k_max], and never above the number of points or below 1."""
    return max(1, min(max(count, k_min), k_max, num_points))
