"""Pixel-adaptive refinement of many maps at full resolution (Araslanov & Roth, arXiv 2005.08104), as published."""

from __future__ import annotations

import torch
from torch import Tensor

from ovsr_ros.ops.smoothing import shifted


def pamr_weights(image: Tensor, dilations: tuple[int, ...]) -> Tensor:
    """Weights (8 * len(dilations), H, W) of each pixel's neighbours, summing to 1, from an image (3, H, W) float32.

    A softmax of how far a neighbour's colour is, in tenths of the deviation around the pixel, mean over the channels.
    The deviation is that of the pixel, once for each distance, and of its neighbours.
    """
    total, squares = image * len(dilations), image.square() * len(dilations)
    for neighbour in shifted(image, dilations):
        total = total + neighbour
        squares = squares + neighbour.square()
    count = 9 * len(dilations)
    deviation = ((squares - total.square() / count) / (count - 1)).clamp_min(0).sqrt()  # (3, H, W)
    scale = 1 / (1e-8 + 0.1 * deviation)
    likeness = [-((image - neighbour).abs() * scale).mean(0) for neighbour in shifted(image, dilations)]
    return torch.stack(likeness).softmax(0)


def pamr(maps: Tensor, weights: Tensor, dilations: tuple[int, ...], iterations: int) -> Tensor:
    """Maps (K, H, W), each pixel `iterations` times the weighted mean of its neighbours, one map at a time."""
    refined = []
    for single in maps:
        current = single[None]
        for _ in range(iterations):
            moved = torch.zeros_like(current)
            for weight, neighbour in zip(weights, shifted(current, dilations), strict=True):
                moved.addcmul_(weight, neighbour)
            current = moved
        refined.append(current[0])
    return torch.stack(refined)
