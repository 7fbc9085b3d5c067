"""Stage 3: hierarchical clustering of the latents, with a number of clusters that follows from the singular values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ovsr_ros.backends.ovsr.ignored import spread
from ovsr_ros.backends.ovsr.latent import singular_values_of
from ovsr_ros.backends.ovsr.merging import merge_clusters
from ovsr_ros.ops.ward import METHODS, linkage
from ovsr_ros.options import option

COUNT_RULES = ("effective_rank", "energy", "fixed")
BLOCK = 4
"""Cells along the side of the blocks whose means the rule effective_rank looks at."""


@dataclass(frozen=True)
class ClusterOptions:
    """How grid cells are grouped, and into how many groups."""

    metric: str = option(
        "cosine",
        help="what latents are compared by: cosine (each is brought to length 1 first) or euclidean",
        choices=("cosine", "euclidean"),
    )
    linkage: str = option(
        "average",
        help="linkage of the hierarchical clustering: two clusters' distance is the mean of their points' distances "
        "(average), or of their squares (average_squared, in half the time), or what joining them adds to the "
        "variance (ward)",
        choices=METHODS,
    )
    count_rule: str = option(
        "effective_rank",
        help="number of clusters: effective_rank takes rank_factor times the effective rank of the singular values of "
        "the latents' means over blocks of 4 x 4 cells, energy counts the features' singular values over "
        "count_fraction of the first, fixed takes `fixed`",
        choices=COUNT_RULES,
    )
    rank_factor: float = option(2.1, help="clusters per effective rank, of the rule effective_rank", min=0.1, max=20.0)
    count_fraction: float = option(0.3, help="the fraction of the rule energy", min=0.001, max=1.0)
    fixed: int = option(8, help="the number of clusters of the rule fixed", min=1, max=256)
    k_min: int = option(2, help="fewest clusters, unless the image is of one colour", min=1, max=256)
    k_max: int = option(32, help="most clusters", min=1, max=256)
    merge_from: int = option(
        64,
        help="the tree is cut into this many clusters, which then merge further, those with a long common border "
        "first (border_weight); 0: the tree alone is cut",
        min=0,
        max=256,
    )
    border_weight: float = option(
        0.3, help="how much nearer a common border brings two clusters: by up to this share", min=0.0, max=1.0
    )

    def __post_init__(self) -> None:
        if self.k_min > self.k_max:
            raise ValueError(f"k_min: expected at most k_max, {self.k_max}, got {self.k_min}")


def count_clusters(
    latents: Tensor,
    singular_values: Tensor,
    grid_hw: tuple[int, int],
    options: ClusterOptions,
    kept: NDArray[np.bool_] | None = None,
) -> int:
    """The number of clusters of a grid with latents (N, r), N = rows * columns, row by row.

    singular_values: of the feature matrix (N, C), descending. kept: (rows, columns), the N cells that the latents are
    of; None: all.
    """
    if options.count_rule == "effective_rank":
        count = round(options.rank_factor * effective_rank(singular_values_of_blocks(latents, grid_hw, BLOCK, kept)))
    elif options.count_rule == "energy":
        count = count_by_energy(singular_values, options.count_fraction)
    else:
        count = options.fixed
    return clamp_count(count, options.k_min, options.k_max, len(latents))


def cluster(
    latents: Tensor,
    num_clusters: int,
    grid_hw: tuple[int, int],
    options: ClusterOptions,
    kept: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Cluster labels of the grid, (rows, columns) from 0. The tree of merges, and so its cut, live on the host.

    kept: as of `count_clusters`; the other cells get the nearest one's label.
    """
    if options.metric == "cosine":
        latents = functional.normalize(latents, dim=1)
    tree = linkage(latents, options.linkage)
    merges = num_clusters < options.merge_from
    labels = tree.cut(min(options.merge_from, len(latents)) if merges else num_clusters)
    if kept is None:
        parts = labels.reshape(grid_hw)
    else:
        parts = np.full(grid_hw, -1, np.int64)
        parts[kept] = labels
    if merges:
        parts = merge_clusters(parts, latents.double().cpu().numpy(), num_clusters, options.border_weight)
    return parts if kept is None else spread(parts, kept)


def singular_values_of_blocks(
    latents: Tensor, grid_hw: tuple[int, int], block: int, kept: NDArray[np.bool_] | None = None
) -> Tensor:
    """Singular values of the means of latents (N, r) over about block x block cells of the grid, descending.

    A mean over a block has lost the texture within it: what is left is what sets regions apart. kept: as of
    `count_clusters`; a block counts by how much of it is kept.
    """
    blocks_hw = (-(-grid_hw[0] // block), -(-grid_hw[1] // block))
    if kept is None:
        means = functional.adaptive_avg_pool2d(latents.T.reshape(1, -1, *grid_hw), blocks_hw)[0].flatten(1)  # (r, M)
        return singular_values_of(means.T)
    of_cell = torch.from_numpy(kept).to(latents.device)
    cells = latents.new_zeros(*grid_hw, 1 + latents.shape[1])
    cells[of_cell] = functional.pad(latents, (1, 0), value=1.0)
    share, *sums = functional.adaptive_avg_pool2d(cells.permute(2, 0, 1)[None], blocks_hw)[0].flatten(1)  # (M,) each
    return singular_values_of((torch.stack(sums) / share.clamp_min(1e-6).sqrt()).T)


def effective_rank(singular_values: Tensor) -> float:
    """exp of the entropy of the singular values' shares in the energy: 1 where one has it all, R where R share it.

    After Roy & Vetterli, "The effective rank" (EUSIPCO 2007), with squared singular values. 0 where all are 0.
    """
    squares = singular_values.double() ** 2
    total = squares.sum()
    if singular_values.numel() == 0 or total <= 0:
        return 0.0
    shares = squares / total
    return float(torch.exp(-(shares * shares.clamp_min(1e-30).log()).sum()))


def count_by_energy(singular_values: Tensor, fraction: float) -> int:
    """How many singular values exceed `fraction` of the first."""
    if singular_values.numel() == 0:
        return 0
    return int((singular_values > fraction * singular_values[0]).sum())


def clamp_count(count: int, k_min: int, k_max: int, num_points: int) -> int:
    """Bring a count into [k_min, k_max], and never above the number of points or below 1."""
    return max(1, min(max(count, k_min), k_max, num_points))
