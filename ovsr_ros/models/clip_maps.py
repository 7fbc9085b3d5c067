"""CLIP's image towers of timm's that are convolutional: feature maps, and embeddings of places, from one look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from open_clip.timm_model import TimmModel
from torch import Tensor
from torch.nn.functional import normalize

_TOLERANCE = 1e-2
"""Of the distance between two unit vectors that are to be one: towers in 16 bits differ that much."""


@dataclass(frozen=True)
class ImageMaps:
    """What one look at an image gives.

    levels: a feature map per level that was asked for, (1, C_l, H_l, W_l) float32. last: what the tower pools before it
    embeds an image, (1, C, h, w) float32; None: the network embeds nothing.
    """

    levels: tuple[Tensor, ...]
    last: Tensor | None = None


def has_maps(visual: Any) -> bool:
    """Whether an image tower embeds the mean of its last map, so that means over parts of it can be embedded, too."""
    if not isinstance(visual, TimmModel) or not hasattr(visual.trunk, "forward_intermediates"):
        return False
    if hasattr(visual.trunk, "patch_embed"):  # a transformer: its tokens are no map
        return False
    if hasattr(visual.head, "pool"):  # by attention, which untrained may be near the mean
        return False
    parameter = next(visual.parameters())
    generator = torch.Generator().manual_seed(0)
    example = torch.randn(1, 3, 64, 96, generator=generator).to(parameter.device, parameter.dtype)
    with torch.inference_mode():
        last = visual.trunk.forward_features(example)
        if last.ndim != 4 or last.shape[1] != visual.trunk.num_features:
            return False
        difference = embed_pooled(visual, last.mean((2, 3))) - normalize(visual(example).float(), dim=-1)
    return bool(difference.norm() < _TOLERANCE)


def stride_of(visual: Any) -> int:
    """Pixels of the input along a side of a cell of the last map."""
    return int(visual.trunk.feature_info[-1]["reduction"])


def look(visual: Any, images: Tensor, levels: Sequence[int]) -> ImageMaps:
    """Maps of normalised images (B, 3, H, W): those of `levels`, in that order, and the last one."""
    indices = sorted(levels)
    last, maps = visual.trunk.forward_intermediates(images, indices=indices)
    return ImageMaps(tuple(maps[indices.index(level)].float() for level in levels), last.float())


def embed_pooled(visual: Any, pooled: Tensor) -> Tensor:
    """Means (N, C) over parts of the last map, embedded as an image's mean is: (N, D) float32, L2-normalised."""
    embeddings = visual.head(visual.trunk.forward_head(pooled[:, :, None, None]))
    return normalize(embeddings.float(), dim=-1)
