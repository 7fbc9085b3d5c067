"""Smoothing on a grid that keeps edges: each cell moves towards those neighbours that look like it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

DILATIONS = (1, 2, 4)
"""Distances, in cells, at which the eight directions are looked at."""


_OFFSETS = tuple(
    (down, right)
    for reach in DILATIONS
    for down in (-reach, 0, reach)
    for right in (-reach, 0, reach)
    if (down, right) != (0, 0)
)


def rgb_to_lab(image: Tensor) -> Tensor:
    """sRGB (B, 3, H, W), uint8 or float in [0, 255], to CIE L*a*b* (D65): float32, L in [0, 100].

    Equal distances there look about equally different. Formulas: IEC 61966-2-1 and CIE 15.
    """
    srgb = image.float() / 255
    linear = torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    matrix = linear.new_tensor(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    white = matrix.sum(1).view(1, 3, 1, 1)
    xyz = torch.einsum("ij,bjhw->bihw", matrix, linear) / white
    f = torch.where(xyz > 216 / 24389, xyz.clamp_min(1e-9) ** (1 / 3), (24389 / 27 * xyz + 16) / 116)
    x, y, z = f.unbind(1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), 1)


def shifted(grid: Tensor, dilations: tuple[int, ...]) -> Iterator[Tensor]:
    """A grid (C, H, W) seen from each cell's eight neighbours at each distance, one view after another.

    Beyond the border the border is repeated.
    """
    height, width = grid.shape[1:]
    for reach in dilations:
        padded = functional.pad(grid[None], (reach, reach, reach, reach), mode="replicate")[0]
        for row in (0, reach, 2 * reach):
            for column in (0, reach, 2 * reach):
                if (row, column) != (reach, reach):
                    yield padded[:, row : row + height, column : column + width]


def neighbours(grid: Tensor, dilations: tuple[int, ...] = DILATIONS) -> Tensor:
    """A grid (C, H, W) and what `shifted` gives of it: (1 + 8 * len(dilations), C, H, W)."""
    return torch.stack([grid, *shifted(grid, dilations)])


def smooth(
    vectors: Tensor, lab: Tensor, grid_hw: tuple[int, int], iterations: int, temperature: float, color_sigma: float
) -> Tensor:
    """Average each cell's direction with its neighbours', by likeness in direction and in colour.

    vectors: (N, D) float32, one per cell, row by row; lab: (1, 3, rows, columns) of the cells' colours. temperature: of
    a softmax over cosines. color_sigma: L*a*b* distance at which a neighbour counts 0.6 times as much.
    Returns (N, D), each row of length 1.

    The weights are computed once and applied `iterations` times, as pixel-adaptive mask refinement does for class
    scores (Araslanov & Roth, arXiv 2005.08104); here the vectors themselves move, so that cells that mix two regions
    join one of them.
    """
    directions = functional.normalize(vectors, dim=1)
    cells = _cells_around(grid_hw, vectors.device)  # (N, 25)
    likeness = _gather(directions, cells).mul_(directions[:, None]).sum(2)  # (N, 25)
    colors = lab[0].flatten(1).T.contiguous()
    differences = _gather(colors, cells).sub_(colors[:, None]).square_().sum(2)
    weights = ((likeness - 1) / temperature - differences / (2 * color_sigma**2)).softmax(1)
    for _ in range(iterations):
        # A weighted sum of gathered rows, without the rows themselves in memory.
        moved = functional.embedding_bag(cells, directions, per_sample_weights=weights, mode="sum")
        directions = functional.normalize(moved, dim=1)
    return directions


@lru_cache(maxsize=4)
def _cells_around(grid_hw: tuple[int, int], device: torch.device) -> Tensor:
    """For each cell, row by row, the indices of itself and of what `neighbours` looks at: (N, 25) int64."""
    rows, columns = (torch.arange(length, device=device) for length in grid_hw)
    indices = [
        (rows + down).clamp(0, grid_hw[0] - 1)[:, None] * grid_hw[1] + (columns + right).clamp(0, grid_hw[1] - 1)
        for down, right in ((0, 0), *_OFFSETS)
    ]
    return torch.stack(indices, 2).flatten(0, 1)


def _gather(values: Tensor, cells: Tensor) -> Tensor:
    return values.index_select(0, cells.flatten()).view(*cells.shape, -1)
