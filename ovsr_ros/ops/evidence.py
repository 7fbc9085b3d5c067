"""Evidence for labels on a grid: moved from frame to frame, gathered, and turned into a map with smooth borders."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_PIXELS_AT_ONCE = 2**17
"""Pixels near borders that are interpolated at once; bounds the working memory, whatever the image's size."""


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


def upsample_labels(labels: Tensor, size_hw: tuple[int, int], evidence: Tensor | None = None) -> Tensor:
    """Labels (h, w) at another resolution (H, W), with smooth borders: dtype and device stay.

    The result is which map of evidence (K, h, w) is highest once they are upsampled bilinearly (half-pixel centres);
    labels: which one is on the grid, from 0. Without evidence, the maps are the labels' one-hot ones. A pixel's label
    is that of one of the four cells around it: only pixels near borders are interpolated, for these four, at a cost
    that does not depend on K.
    """
    if tuple(labels.shape) == size_hw:
        return labels.clone()
    top, bottom, weight_y = _bilinear_taps(labels.shape[0], size_hw[0], labels.device)
    left, right, weight_x = _bilinear_taps(labels.shape[1], size_hw[1], labels.device)
    differs = torch.zeros_like(labels, dtype=torch.bool)  # a cell from its right, lower or diagonal neighbour
    differs[:-1] |= labels[:-1] != labels[1:]
    differs[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    differs[:-1, :-1] |= labels[:-1, :-1] != labels[1:, 1:]
    upsampled = _repeat_cells(labels, top, left)  # where the four cells agree, any of them is right
    cells = labels.reshape(-1)
    for pixels in torch.split(_flat_nonzero(_repeat_cells(differs, top, left)), _PIXELS_AT_ONCE):
        y = torch.div(pixels, size_hw[1], rounding_mode="floor")
        x = pixels - y * size_hw[1]
        left_x, right_x = left.index_select(0, x), right.index_select(0, x)
        upper_y, lower_y = top.index_select(0, y) * labels.shape[1], bottom.index_select(0, y) * labels.shape[1]
        corners = torch.stack((upper_y + left_x, upper_y + right_x, lower_y + left_x, lower_y + right_x))  # (4, P)
        candidates = cells[corners]
        wy, wx = weight_y.index_select(0, y), weight_x.index_select(0, x)
        if evidence is None:
            winners = _vote_of_four(candidates, wy, wx)
        else:
            values = evidence.reshape(-1)[candidates.long()[:, None] * labels.numel() + corners]  # (4 candidates, 4, P)
            weights = torch.stack(((1 - wy) * (1 - wx), (1 - wy) * wx, wy * (1 - wx), wy * wx))
            winners = candidates.gather(0, find_winners((values * weights).sum(1))[None])[0]
        upsampled.view(-1).index_copy_(0, pixels, winners)
    return upsampled


def _bilinear_taps(size_in: int, size_out: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each of size_out places the two of size_in cells around it, (L,) int64, and the second's weight (L,)."""
    position = (torch.arange(size_out, device=device, dtype=torch.float32) + 0.5) * (size_in / size_out) - 0.5
    position = position.clamp(0, size_in - 1)
    low = position.floor().long()
    return low, (low + 1).clamp_max(size_in - 1), position - low


def _repeat_cells(values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Values (h, w) at these rows (H,) and columns (W,): (H, W)."""
    if values.device.type == "cpu":
        narrow = values.numpy().take(columns.numpy(), axis=1)  # first: whole rows are cheaper to repeat
        return torch.from_numpy(narrow.take(rows.numpy(), axis=0))
    return values.index_select(1, columns).index_select(0, rows)


def _flat_nonzero(mask: Tensor) -> Tensor:
    """Where a mask is set, (P,) int64, as places in its flat order."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.reshape(-1).nonzero()[:, 0]


def _vote_of_four(labels: Tensor, wy: Tensor, wx: Tensor) -> Tensor:
    a, b, c, d = labels  # per pixel (P,), those of its four cells: upper left, upper right, lower left, lower right
    weight_d = wy * wx
    weight_c = wy - weight_d
    weight_b = wx - weight_d
    weight_a = 1.0 - wy - weight_b
    vote_a = weight_a + weight_b * (a == b) + weight_c * (a == c) + weight_d * (a == d)
    vote_b = weight_b + weight_c * (b == c) + weight_d * (b == d)
    vote_c = weight_c + weight_d * (c == d)
    # A label's full vote stands at its first cell; the later ones are partial and never exceed it.
    best = torch.where(vote_b > vote_a, b, a)
    vote = torch.maximum(vote_a, vote_b)
    best = torch.where(vote_c > vote, c, best)
    return torch.where(weight_d > torch.maximum(vote, vote_c), d, best)
