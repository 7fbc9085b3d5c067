"""Stage 2b, an addition to the paper: latents are smoothed within regions before they are clustered."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ovsr_ros.ops.image import resize
from ovsr_ros.ops.smoothing import rgb_to_lab, smooth
from ovsr_ros.options import option


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
    latents: Tensor, singular_values: Tensor, image: Tensor, grid_hw: tuple[int, int], options: SmoothingOptions
) -> tuple[Tensor, Tensor]:
    """Smoothed latents (N, r), rows of length 1, and their singular values (r,), from which clusters are counted.

    image: (1, 3, H, W) uint8, whose colours guide. With 0 iterations both come back as they are.
    """
    if options.iterations == 0 or latents.shape[1] == 0:
        return latents, singular_values
    lab = rgb_to_lab(resize(image, grid_hw))
    smoothed = smooth(latents, lab, grid_hw, options.iterations, options.temperature, options.color_sigma)
    values = torch.linalg.eigvalsh((smoothed.T @ smoothed).double()).flip(0).clamp_min(0).sqrt().float()
    return smoothed, values
