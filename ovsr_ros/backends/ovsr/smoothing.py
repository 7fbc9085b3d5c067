"""Stage 2b, an addition to the paper: latents are smoothed within regions before they are clustered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ovsr_ros.backends.ovsr.latent import singular_values_of
from ovsr_ros.ops.image import resize, rgb_to_lab
from ovsr_ros.options import option

DILATIONS = (1, 2, 4)
"""Distances, in cells, at which the eight directions are looked at."""

_OFFSETS = tuple(
    (down, right)
    for reach in DILATIONS
    for down in (-reach, 0, reach)
    for right in (-reach, 0, reach)
    if (down, right) != (0, 0)
)


@dataclass(frozen=True)
class SmoothingOptions:
    """How far latents move towards their neighbours'. Deep features blur the edges between regions: without smoothing
    the cells along them, a mix of both sides, make clusters of their own.
    """

    iterations: int = option(0, help="smoothing steps; 0: none, as the paper", min=0, max=100)
    temperature: float = option(
        0.05, help="how unlike a neighbour's direction may be: smaller keeps more edges", min=0.001, max=10.0
    )
    color_sigma: float = option(
        6.0,
        help="how unlike a neighbour's colour may be, L*a*b* distance: smaller keeps more edges",
        min=0.1,
        max=500.0,
    )


def smooth_latents(
    latents: Tensor,
    singular_values: Tensor,
    image: Tensor,
    grid_hw: tuple[int, int],
    options: SmoothingOptions,
    kept: NDArray[np.bool_] | None = None,
) -> tuple[Tensor, Tensor]:
    """Smoothed latents (N, r), rows of length 1, and their singular values (r,), from which clusters are counted.

    image: (1, 3, H, W) uint8, whose colours guide. kept: as of `smooth`. With 0 iterations both come back as they are.
    """
    if options.iterations == 0 or latents.shape[1] == 0:
        return latents, singular_values
    lab = rgb_to_lab(resize(image, grid_hw))
    smoothed = smooth(latents, lab, grid_hw, options.iterations, options.temperature, options.color_sigma, kept)
    return smoothed, singular_values_of(smoothed)


def smooth(
    vectors: Tensor,
    lab: Tensor,
    grid_hw: tuple[int, int],
    iterations: int,
    temperature: float,
    color_sigma: float,
    kept: NDArray[np.bool_] | None = None,
) -> Tensor:
    """Average each cell's direction with its neighbours', by likeness in direction and in colour.

    vectors: (N, D) float32, one per cell, row by row; lab: (1, 3, rows, columns) of the cells' colours. temperature: of
    a softmax over cosines. color_sigma: L*a*b* distance at which a neighbour counts 0.6 times as much. kept: (rows,
    columns), the cells that vectors are of, row by row, others being no neighbours; None: all.
    Returns (N, D), each row of length 1.

    The weights are computed once and applied `iterations` times, as pixel-adaptive mask refinement does for class
    scores (Araslanov & Roth, arXiv 2005.08104); here the vectors themselves move, so that cells that mix two regions
    join one of them.
    """
    directions = functional.normalize(vectors, dim=1)
    cells = _cells_around(grid_hw, vectors.device)  # (N, 25)
    colors = lab[0].flatten(1).T.contiguous()
    if kept is not None:
        of_cell = torch.from_numpy(kept.ravel()).to(vectors.device)
        cells, colors = _among(cells, of_cell), colors[of_cell]
    likeness = _gather(directions, cells).mul_(directions[:, None]).sum(2)  # (N, 25)
    differences = _gather(colors, cells).sub_(colors[:, None]).square_().sum(2)
    weights = ((likeness - 1) / temperature - differences / (2 * color_sigma**2)).softmax(1)
    for _ in range(iterations):
        # A weighted sum of gathered rows, without the rows themselves in memory.
        moved = functional.embedding_bag(cells, directions, per_sample_weights=weights, mode="sum")
        directions = functional.normalize(moved, dim=1)
    return directions


@lru_cache(maxsize=4)
def _cells_around(grid_hw: tuple[int, int], device: torch.device) -> Tensor:
    """For each cell, row by row, the indices of itself and of its neighbours by `_OFFSETS`: (N, 25) int64."""
    rows, columns = (torch.arange(length, device=device) for length in grid_hw)
    indices = [
        (rows + down).clamp(0, grid_hw[0] - 1)[:, None] * grid_hw[1] + (columns + right).clamp(0, grid_hw[1] - 1)
        for down, right in ((0, 0), *_OFFSETS)
    ]
    return torch.stack(indices, 2).flatten(0, 1)


def _among(cells: Tensor, kept: Tensor) -> Tensor:
    """Indices (N, 25) of cells around each, among those that are kept, (N,) bool: (M, 25).

    In a place of one that is not stands the cell itself, as a neighbour that differs in nothing.
    """
    own = torch.arange(len(kept), device=cells.device)[:, None]
    places = kept.cumsum(0) - 1
    among: Tensor = places[torch.where(kept[cells], cells, own)[kept]]
    return among


def _gather(values: Tensor, cells: Tensor) -> Tensor:
    return values.index_select(0, cells.flatten()).view(*cells.shape, -1)
