"""Stage 6: crops become embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ovsr_ros.config import option
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.ops.image import normalize


@dataclass(frozen=True)
class EmbeddingOptions:
    """Which model encodes segments and texts."""

    model: str = option(
        "ViT-B-32/laion2b_s34b_b79k",
        help="open_clip model: architecture/tag, local file or folder, or demo",
        read_only=True,
    )
    batch: int = option(32, help="most crops encoded at once", min=1, max=1024)


def embed_crops(crops: Tensor, clip: ClipModel, options: EmbeddingOptions) -> Tensor:
    """Embeddings (N, D) float32, L2-normalised, of crops (N, 3, S, S) float32 in [0, 255]."""
    normalized = normalize(crops, clip.mean, clip.std)
    return torch.cat([clip.encode_images(batch) for batch in torch.split(normalized, options.batch)])
