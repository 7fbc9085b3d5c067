"""Bilinear upsampling of many maps, a band of rows at a time, so that they never exist whole at full resolution."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional


def upsample_rows(maps: Tensor, size_hw: tuple[int, int], first: int, end: int) -> Tensor:
    """Rows first to end (exclusive) of maps (K, h, w) upsampled to size_hw: (K, end - first, W).

    The same numbers as `interpolate(maps, size_hw, mode="bilinear", align_corners=False)` has there, but for rounding.
    """
    height, width = size_hw
    if (first, end) == (0, height):
        return functional.interpolate(maps[None], size_hw, mode="bilinear", align_corners=False)[0]
    rows = maps.shape[1]
    position = (torch.arange(first, end, device=maps.device, dtype=torch.float32) + 0.5) * (rows / height) - 0.5
    position = position.clamp(0, rows - 1)
    upper = position.floor().long()
    weight = (position - upper)[:, None]  # (n, 1)
    lower = (upper + 1).clamp_max(rows - 1)
    band = maps[:, upper] * (1 - weight) + maps[:, lower] * weight  # (K, n, w)
    shape = (end - first, width)
    return functional.interpolate(band[None], shape, mode="bilinear", align_corners=False)[0]


def bands(num_maps: int, size_hw: tuple[int, int], max_bytes: int) -> Iterator[tuple[int, int]]:
    """Row ranges of size_hw in which num_maps float32 maps take at most max_bytes, a row each at least."""
    height, width = size_hw
    step = max(1, min(height, max_bytes // (4 * max(num_maps, 1) * width)))
    for first in range(0, height, step):
        yield first, min(first + step, height)
