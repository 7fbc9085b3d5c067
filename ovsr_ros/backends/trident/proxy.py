"""Stage 2: in CLIP's last block, patches attend to those that the proxy, a self-supervised network, finds alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ovsr_ros.backends.trident.windows import WindowedImage
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.models.proxy_vit import ProxyViT
from ovsr_ros.ops.image import normalize
from ovsr_ros.ops.proxy_attention import mean_cosine, proxy_attention
from ovsr_ros.ops.tiling import Window, cut
from ovsr_ros.options import option

_FLOATS_PER_TOKEN = 40
"""Working memory of a transformer for each token, times its width: 16 to 38 were measured at ViT-B's shape."""


@dataclass(frozen=True)
class ProxyOptions:
    """Which network tells what belongs together, and how strictly."""

    model: str = option(
        "vit_base_patch16_224.dino",
        help="timm model: a plain vision transformer, by hub name, local file or folder",
        read_only=True,
    )
    beta: float = option(
        1.2, help="patches attend to each other from this many times the mean cosine on", min=0.0, max=10.0
    )
    gamma: float = option(3.0, help="factor of what a cosine is above that", min=0.01, max=100.0)


def encode_windows(
    windowed: WindowedImage, clip: ClipModel, proxy: ProxyViT, memory_mb: int, options: ProxyOptions
) -> Tensor:
    """CLIP's patches of each window after its last attention, (B, width, rows, columns) float32 on CLIP's grid.

    Where the proxy's grid is an exact multiple of CLIP's, the maps are on that. The threshold is a share of the mean
    over all windows, so the proxy sees them all first.
    """
    image, windows = windowed.image, windowed.windows
    tokens = torch.cat(
        [
            proxy.encode_patches(normalize(part, proxy.mean, proxy.std))
            for part in _batches(image, windows, proxy.patch_size, proxy.width, memory_mb)
        ]
    )  # (B, h, w, C)
    flat = tokens.flatten(1, 2)
    mean = mean_cosine(flat)
    parts, first = [], 0
    for part in _batches(image, windows, clip.patch_size, clip.width, memory_mb):
        values = clip.encode_patches(normalize(part, clip.mean, clip.std)).permute(0, 3, 1, 2)  # (b, width, h, w)
        grid_hw = (values.shape[2], values.shape[3])
        values = _resize(values, (tokens.shape[1], tokens.shape[2])).flatten(2).transpose(1, 2)  # (b, N, width)
        weights = proxy_attention(flat[first : first + len(part)], mean, options.beta, options.gamma)
        mixed = clip.mix_values(weights @ values).transpose(1, 2)  # (b, width, N)
        mixed = mixed.reshape(len(part), -1, tokens.shape[1], tokens.shape[2])
        ratio = max(1, round(tokens.shape[1] / grid_hw[0]))
        parts.append(_resize(mixed, (grid_hw[0] * ratio, grid_hw[1] * ratio)))
        first += len(part)
    return torch.cat(parts)


def _resize(maps: Tensor, size_hw: tuple[int, int]) -> Tensor:
    if tuple(maps.shape[2:]) == size_hw:
        return maps
    return functional.interpolate(maps, size_hw, mode="bilinear", align_corners=False)


def _batches(image: Tensor, windows: Sequence[Window], patch_size: int, width: int, memory_mb: int) -> Iterator[Tensor]:
    """Windows as batches (b, 3, h, w) that a transformer works on within the budget, at least one at a time."""
    first = windows[0]
    num_tokens = (first.bottom - first.top) * (first.right - first.left) // patch_size**2 + 1
    count = max(1, int(memory_mb * 2**20 / (4 * _FLOATS_PER_TOKEN * width * num_tokens)))
    for start in range(0, len(windows), count):
        yield cut(image, windows[start : start + count])
