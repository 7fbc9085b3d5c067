"""Evidence for labels on a grid: moved from frame to frame, gathered, and turned into a map with smooth borders."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ovsr_ros.ops.masks import bilinear_taps, flat_nonzero, repeat_cells

_PIXELS_AT_ONCE = 2**17
"""Pixels near borders for which the evidence is interpolated at once; bounds the working memory."""


def sample_cells(labels: Tensor, grid_hw: tuple[int, int]) -> Tensor:
    """The label at the centre of each cell of a grid: (h, w) int64 from (H, W)."""
    strides = [pixels // cells for cells, pixels in zip(grid_hw, labels.shape, strict=True)]
    if all(stride * cells == pixels for stride, cells, pixels in zip(strides, grid_hw, labels.shape, strict=True)):
        return labels[strides[0] // 2 :: strides[0], strides[1] // 2 :: strides[1]].long()
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
    labels = torch.arange(num_labels, device=cells.device)[:, None]
    return evidence.flatten(1) @ (cells.flatten() == labels).to(evidence.dtype).T


def find_winners(evidence: Tensor) -> Tensor:
    """Which map has most evidence at each place: (...) int64 from (K, ...), the first of equals.

    As argmax(0), which is fifty times slower on a CPU.
    """
    if evidence.device.type == "cpu" and evidence.ndim == 3 and len(evidence):
        return torch.from_numpy(_find_winners(evidence.numpy()))
    count = len(evidence)
    indices = torch.arange(count, device=evidence.device, dtype=evidence.dtype).view(-1, *[1] * (evidence.ndim - 1))
    behind = (evidence.amax(0) - evidence).sign_()  # 0 for the best, 1 for the others
    return behind.mul_(count).add_(indices).amin(0).long()


def _find_winners(evidence: NDArray[np.float32]) -> NDArray[np.int64]:
    most = evidence[0].copy()
    winners = np.zeros(most.shape, np.int64)
    for index, plane in enumerate(evidence[1:], 1):
        np.copyto(winners, index, where=plane > most)
        np.maximum(most, plane, out=most)
    return winners


def upsample_winners(evidence: Tensor, winners: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """The winners of evidence (K, h, w) that is upsampled bilinearly: (H, W) int32.

    winners: (h, w) int64, those on the grid itself. A pixel's is one of those of the four cells around it; only the
    pixels near borders are interpolated, for these four, so that the cost grows neither with H x W nor with K.
    """
    if tuple(winners.shape) == size_hw:
        return winners.int()
    width_in, num_cells = winners.shape[1], winners.numel()
    top, bottom, weight_y = bilinear_taps(winners.shape[0], size_hw[0], winners.device)
    left, right, weight_x = bilinear_taps(width_in, size_hw[1], winners.device)
    differs = torch.zeros_like(winners, dtype=torch.bool)  # a cell from its right, lower or diagonal neighbours
    differs[:-1] |= winners[:-1] != winners[1:]
    differs[:, :-1] |= winners[:, :-1] != winners[:, 1:]
    differs[:-1, :-1] |= winners[:-1, 1:] != winners[1:, 1:]
    differs[:-1, :-1] |= winners[1:, :-1] != winners[1:, 1:]
    upsampled = repeat_cells(winners.int(), top, left)
    near = flat_nonzero(repeat_cells(differs, top, left))
    flat = evidence.reshape(-1)
    for pixels in torch.split(near, _PIXELS_AT_ONCE):
        y = torch.div(pixels, size_hw[1], rounding_mode="floor")
        x = pixels - y * size_hw[1]
        upper, lower = top[y] * width_in, bottom[y] * width_in
        corners = torch.stack((upper + left[x], upper + right[x], lower + left[x], lower + right[x]))  # (4, P)
        wy, wx = weight_y[y], weight_x[x]
        weights = torch.stack(((1 - wy) * (1 - wx), (1 - wy) * wx, wy * (1 - wx), wy * wx))
        candidates = winners.view(-1)[corners]  # (4, P)
        values = flat[candidates[:, None] * num_cells + corners]  # (4 candidates, 4 corners, P)
        best = find_winners((values * weights).sum(1))
        upsampled.view(-1).index_copy_(0, pixels, candidates.gather(0, best[None])[0].int())
    return upsampled
