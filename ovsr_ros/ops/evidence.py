"""Evidence for labels on a grid: moved from frame to frame, gathered, and turned into a map with smooth borders."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ovsr_ros.ops.masks import bilinear_taps

_PIXELS_AT_ONCE = 2**17
"""Pixels near borders for which the evidence is interpolated at once; bounds the working memory."""


def sample_cells(labels: Tensor, grid_hw: tuple[int, int]) -> Tensor:
    """The label at the centre of each cell of a grid: (h, w) int64 from (H, W)."""
    rows, columns = (
        ((torch.arange(cells, device=labels.device) + 0.5) * (pixels / cells)).long()
        for cells, pixels in zip(grid_hw, labels.shape, strict=True)
    )
    return labels.index_select(0, rows).index_select(1, columns).long()


def carry(evidence: Tensor, origins: Tensor) -> Tensor:
    """Evidence (K, h, w) float32 where it is now, interpolated bilinearly at each cell's origin (h, w, 2) x, y."""
    height, width = evidence.shape[1:]
    scale = origins.new_tensor((2 / width, 2 / height))
    places = (origins + 0.5) * scale - 1
    return functional.grid_sample(
        evidence[None], places[None], mode="bilinear", padding_mode="border", align_corners=False
    )[0]


def overlaps(evidence: Tensor, cells: Tensor, num_labels: int) -> Tensor:
    """How much of each evidence map (K, h, w) lies on each label of (h, w) int64, from 0: (K, num_labels)."""
    table = evidence.new_zeros(num_labels, evidence.shape[0])
    return table.index_add_(0, cells.flatten(), evidence.flatten(1).T).T


def upsample_winners(evidence: Tensor, winners: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """The label of most evidence at another resolution: (H, W) int32, the argmax of (K, h, w) upsampled bilinearly.

    winners: (h, w) int64, the argmax on the grid itself. Where four neighbouring cells agree, so does all between
    them; only the pixels near borders are interpolated, so the cost grows with the borders, not with K maps.
    """
    if tuple(winners.shape) == size_hw:
        return winners.int()
    width_in = winners.shape[1]
    top, bottom, weight_y = bilinear_taps(winners.shape[0], size_hw[0], winners.device)
    left, right, weight_x = bilinear_taps(width_in, size_hw[1], winners.device)
    differs = torch.zeros_like(winners, dtype=torch.bool)  # a cell from its right, lower or diagonal neighbour
    differs[:-1] |= winners[:-1] != winners[1:]
    differs[:, :-1] |= winners[:, :-1] != winners[:, 1:]
    differs[:-1, :-1] |= winners[:-1, :-1] != winners[1:, 1:]
    differs[:-1, :-1] |= winners[1:, :-1] != winners[:-1, 1:]
    upsampled = winners.int().index_select(0, top).index_select(1, left)  # (H, W)
    near = differs.index_select(0, top).index_select(1, left).view(-1).nonzero()[:, 0]
    flat = evidence.flatten(1).T.contiguous()  # (h*w, K)
    for pixels in torch.split(near, _PIXELS_AT_ONCE):
        y = torch.div(pixels, size_hw[1], rounding_mode="floor")
        x = pixels - y * size_hw[1]
        wy, wx = weight_y[y][:, None], weight_x[x][:, None]
        upper, lower = top[y] * width_in, bottom[y] * width_in
        above = torch.lerp(flat[upper + left[x]], flat[upper + right[x]], wx)  # (P, K)
        below = torch.lerp(flat[lower + left[x]], flat[lower + right[x]], wx)
        upsampled.view(-1)[pixels] = torch.lerp(above, below, wy).argmax(1).int()
    return upsampled
