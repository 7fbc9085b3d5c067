"""Stage 6: segments become embeddings, by a crop of each or all from one look at the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ovsr_ros.errors import ConfigError
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.models.clip_dense import ATTENTIONS
from ovsr_ros.ops.image import normalize, resize, scaled_size_hw
from ovsr_ros.ops.masks import coverage
from ovsr_ros.options import option

_MAX_ASPECT = 2.5
"""Images longer than this are squeezed as the encoder sees them: its cost grows with the square of the patches."""


@dataclass(frozen=True)
class EmbeddingOptions:
    """Which model encodes segments and texts, and how segments."""

    model: str = option(
        "ViT-B-32/laion2b_s34b_b79k",
        help="open_clip model: architecture/tag, local file or folder, or demo",
        read_only=True,
    )
    recognition: str = option(
        "auto",
        help="crops: each segment is cut out and encoded by itself, as the paper; dense: the image is encoded once and "
        "its patches are averaged per segment; auto: dense on a CPU, where it costs less, unless the model has no "
        "patches; crops on a GPU",
        choices=("auto", "crops", "dense"),
    )
    batch: int = option(32, help="most crops encoded at once", min=1, max=1024)
    dense_short_side: int = option(
        448,
        help="the image's short side as dense encoding sees it, to the nearest multiple of the patch size",
        min=32,
        max=2048,
        unit="px",
    )
    dense_attention: str = option(
        "value",
        help="last block of dense encoding: value: a segment averages its own patches' values; correlative: these are "
        "first averaged over patches alike",
        choices=ATTENTIONS,
    )


def is_dense(options: EmbeddingOptions, clip: ClipModel, device: torch.device) -> bool:
    """Whether segments are encoded from one look at the image.

    Raises ConfigError when that is asked for and the model cannot do it.
    """
    if options.recognition == "dense":
        clip.check_dense()
        return True
    if options.recognition == "crops" or device.type != "cpu":
        return False
    try:
        clip.check_dense()
    except ConfigError:
        return False
    return True


def embed_crops(crops: Tensor, clip: ClipModel, options: EmbeddingOptions) -> Tensor:
    """Embeddings (N, D) float32, L2-normalised, of crops (N, 3, S, S) float32 in [0, 255]."""
    normalized = normalize(crops, clip.mean, clip.std)
    return torch.cat([clip.encode_images(batch) for batch in torch.split(normalized, options.batch)])


def embed_dense(
    image: Tensor, segment_map: Tensor, num_segments: int, clip: ClipModel, options: EmbeddingOptions
) -> Tensor:
    """Embeddings (N, D) float32, L2-normalised, of the segments 1 to N of an image (1, 3, H, W) uint8.

    segment_map: (H, W) int32. A patch counts as much as the segment covers of it, so one that is smaller than a patch
    has an embedding, too: its patch's.
    """
    patch = clip.patch_size
    scaled = scaled_size_hw((image.shape[2], image.shape[3]), options.dense_short_side, _MAX_ASPECT)
    rows, columns = (max(round(side / patch), 1) for side in scaled)
    small = normalize(resize(image, (rows * patch, columns * patch)), clip.mean, clip.std)
    weights = coverage(segment_map, num_segments, (rows, columns))
    return clip.encode_regions(small, weights, options.dense_attention)
