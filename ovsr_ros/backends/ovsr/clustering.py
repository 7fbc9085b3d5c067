"""Stage 3: hierarchical clustering of the latents, with a number of clusters that follows from the singular values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.ops import cluster_count
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
        count = cluster_count.count_by_energy(singular_values, options.count_fraction)
    elif options.count_rule == "eigengap":
        count = cluster_count.count_by_eigengap(singular_values, options.k_max)
    elif options.count_rule == "gavish_donoho":
        count = cluster_count.count_by_gavish_donoho(singular_values, feature_shape)
    else:
        count = options.fixed
    return cluster_count.clamp_count(count, options.k_min, options.k_max, feature_shape[0])


def cluster(latents: Tensor, num_clusters: int, grid_hw: tuple[int, int], linkage_method: str) -> NDArray[np.int64]:
    """Cluster labels of the grid, (rows, columns) from 0. The tree of merges, and so its cut, live on the host."""
    return linkage(latents, linkage_method).cut(num_clusters).reshape(grid_hw)
