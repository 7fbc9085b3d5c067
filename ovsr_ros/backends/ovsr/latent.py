"""Stage 2: the feature matrix's truncated SVD."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ovsr_ros.ops.latent import truncated_svd
from ovsr_ros.options import option


@dataclass(frozen=True)
class LatentOptions:
    """How many latent dimensions describe a grid cell."""

    energy: float = option(
        0.95, help="fraction of the sum of squared singular values that the latent dimensions hold", min=0.01, max=1.0
    )
    max_rank: int = option(16, help="most latent dimensions", min=1, max=512)


def compute_latents(features: Tensor, options: LatentOptions) -> tuple[Tensor, Tensor]:
    """Latents U_r S_r of a feature matrix (N, C), (N, r) float32, and all its singular values, descending."""
    return truncated_svd(features, options.energy, options.max_rank)
