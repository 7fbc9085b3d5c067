"""CLIP's image tower for places instead of whole images: its last block, changed so that patches keep their own."""

from __future__ import annotations

from typing import Any

import torch
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor
from torch.nn import functional

from ovsr_ros.errors import ConfigError
from ovsr_ros.models.positions import resize_positions

ATTENTIONS = ("value", "correlative")


def check_patches(visual: Any, name: str) -> None:
    """Raise ConfigError unless a CLIP's image tower is a transformer of patches whose embeddings can be had."""
    if not isinstance(visual, VisionTransformer):
        kind = type(visual).__name__
    elif visual.attn_pool is not None or visual.pool_type != "tok":
        kind = f"a VisionTransformer that pools by {'attention' if visual.attn_pool is not None else visual.pool_type}"
    elif not all(isinstance(block, ResidualAttentionBlock) for block in visual.transformer.resblocks):
        kind = f"a VisionTransformer of {type(visual.transformer.resblocks[-1]).__name__}"
    else:
        return
    raise ConfigError(
        f"clip.recognition: dense needs a plain VisionTransformer of open_clip with a class token, {name} has {kind}; "
        "set it to crops, or take another clip.model, such as ViT-B-16"
    )


def patch_values(visual: Any, images: Tensor, attention: str, nudge: float = 0.0) -> Tensor:
    """Values of the last block's attention, (B, h, w, width), of images (B, 3, h * patch, w * patch), normalised.

    All blocks but the last run as they are, the position embedding interpolated (bicubic) to the h x w patches. In the
    last one no patch attends to others: with "value" each keeps its own value vector (MaskCLIP: Zhou et al., arXiv
    2112.01071; TextRegion: Xiao et al., arXiv 2505.23769), with "correlative" values are averaged over patches whose
    queries, and over those whose keys, are alike (SCLIP: Wang et al., arXiv 2312.01597).

    nudge: see `resize_positions`.
    """
    tokens = visual.conv1(images)  # (B, width, h, w)
    batch, width, rows, columns = tokens.shape
    tokens = tokens.flatten(2).transpose(1, 2)  # (B, h*w, width)
    positions = resize_positions(visual.positional_embedding, tuple(visual.grid_size), (rows, columns), nudge)
    positions = positions.to(tokens.dtype)
    first = visual.class_embedding.to(tokens.dtype).expand(batch, 1, -1)
    tokens = visual.ln_pre(torch.cat((first, tokens), 1) + positions)
    if not visual.transformer.batch_first:
        tokens = tokens.transpose(0, 1)
    for block in visual.transformer.resblocks[:-1]:
        tokens = block(tokens)
    if not visual.transformer.batch_first:
        tokens = tokens.transpose(0, 1)
    last = visual.transformer.resblocks[-1]
    normalized = last.ln_1(tokens[:, 1:])
    weight, bias = last.attn.in_proj_weight, last.attn.in_proj_bias
    if attention == "correlative":
        queries, keys, values = functional.linear(normalized, weight, bias).chunk(3, -1)  # (B, h*w, width) each
        values = _correlate(queries, keys, values, last.attn.num_heads)
    else:
        values = functional.linear(normalized, weight[2 * width :], None if bias is None else bias[2 * width :])
    return values.reshape(batch, rows, columns, width)


def _correlate(queries: Tensor, keys: Tensor, values: Tensor, num_heads: int) -> Tensor:
    batch, patches, width = values.shape
    shape = (batch, patches, num_heads, width // num_heads)
    q, k, v = (part.reshape(shape).transpose(1, 2) for part in (queries, keys, values))
    by_queries = functional.scaled_dot_product_attention(q, q, v)  # (B, heads, h*w, width / heads)
    by_keys = functional.scaled_dot_product_attention(k, k, v)
    return ((by_queries + by_keys) / 2).transpose(1, 2).flatten(2)


def mix_values(visual: Any, values: Tensor) -> Tensor:
    """Values (..., width), averaged by any attention, through its output projection: (..., width)."""
    mixed: Tensor = visual.transformer.resblocks[-1].attn.out_proj(values)
    return mixed


def project_mixed(visual: Any, mixed: Tensor) -> Tensor:
    """What `mix_values` gave, or a weighted mean of several, to the joint space (..., D), not normalised.

    By the tower's own last layers alone: of the last block neither the stream beside its attention nor its
    feed-forward part counts, as in Trident (Shi et al., arXiv 2411.09219) and ClearCLIP.
    """
    embeddings: Tensor = visual.ln_post(mixed)
    return embeddings if visual.proj is None else embeddings @ visual.proj


def project_values(visual: Any, values: Tensor) -> Tensor:
    """Values (..., width), of a patch or a weighted mean of several, to the joint space (..., D), not normalised.

    The rest of the last block without the stream that passes by its attention, which holds what the whole image is
    about (as TextRegion; ClearCLIP: Lan et al., arXiv 2407.12442, shows why), then the tower's own last layers.
    """
    last = visual.transformer.resblocks[-1]
    attended = last.ls_1(last.attn.out_proj(values))
    attended = attended + last.ls_2(last.mlp(last.ln_2(attended)))
    embeddings: Tensor = visual.ln_post(attended)
    return embeddings if visual.proj is None else embeddings @ visual.proj
