"""Position embeddings of vision transformers at other grids than they were trained on."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def resize_positions(
    positions: Tensor, grid_hw: tuple[int, int], target_hw: tuple[int, int], nudge: float = 0.0
) -> Tensor:
    """Position embeddings (1 + h * w, C), the class token's first, for a grid of target_hw: (1 + H * W, C).

    Bicubic. nudge: DINO's code scales by (H + 0.1) / h where H / h is meant, and so does what was tuned upon it: 0.1
    gives that code's embeddings, 0 the ones meant. They differ by up to a hundredth of a patch along the far border.
    """
    if grid_hw == target_hw:
        return positions
    patches = positions[1:].T.reshape(1, -1, *grid_hw).float()
    if nudge:
        scale = tuple((target + nudge) / side for target, side in zip(target_hw, grid_hw, strict=True))
        patches = functional.interpolate(patches, scale_factor=scale, mode="bicubic", align_corners=False)
    else:
        patches = functional.interpolate(patches, target_hw, mode="bicubic", align_corners=False)
    return torch.cat((positions[:1].float(), patches[0].flatten(1).T))
