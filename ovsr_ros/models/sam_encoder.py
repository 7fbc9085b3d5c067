"""SAM's image encoder, with its global attention computed in pieces and the last one's probabilities to be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_PIECE_BYTES = {"cpu": 2**22, "cuda": 2**26}
"""Scores computed at once: on a CPU what stays in its cache, on a GPU enough to keep it busy."""

Observer = Callable[[int, int, Tensor], None]
"""Takes a head, the first of n queries, and their probabilities (n, grid * grid), which it must not change or keep."""


def encode(
    encoder: Any, pixels: Tensor, observe: Callable[[Tensor], Observer] | None, wants_embedding: bool
) -> Tensor | None:
    """Run an encoder of segment-anything's on pixels (1, 3, S, S), normalised and padded.

    observe: given the last block's values (heads, grid * grid, d), returns what takes its probabilities.

    Returns the image embedding (1, C, grid, grid), or None where it is not wanted.
    """
    tokens = encoder.patch_embed(pixels)  # (1, grid, grid, width)
    if encoder.pos_embed is not None:
        tokens = tokens + encoder.pos_embed
    last = len(encoder.blocks) - 1
    for index, block in enumerate(encoder.blocks):
        if block.window_size:
            tokens = block(tokens)
            continue
        attended = _attend(
            block.attn,
            block.norm1(tokens),
            observe if index == last else None,
            wants_output=index < last or wants_embedding,
        )
        if attended is None:
            return None
        tokens = tokens + attended
        tokens = tokens + block.mlp(block.norm2(tokens))
    if not wants_embedding:
        return None
    embedding: Tensor = encoder.neck(tokens.permute(0, 3, 1, 2))
    return embedding


def _attend(
    attention: Any, tokens: Tensor, observe: Callable[[Tensor], Observer] | None, wants_output: bool
) -> Tensor | None:
    """Multi-head attention over a whole grid (1, H, W, C), relative positions included (Li et al., arXiv 2112.01526).

    The library's own code holds scores and probabilities of all heads at once, 800 MB each for a grid of 64 x 64.
    """
    _, height, width, _ = tokens.shape
    heads = attention.num_heads
    qkv = attention.qkv(tokens).view(height * width, 3, heads, -1).permute(1, 2, 0, 3)  # (3, heads, H*W, d)
    queries, keys, values = qkv.unbind(0)
    by_row, by_column = _relative_positions(attention, queries, (height, width))
    see = None if observe is None else observe(values)
    # Query rows of the grid at once.
    step = max(1, _PIECE_BYTES.get(tokens.device.type, 2**22) // (4 * width * height * width))
    outputs = []
    for head in range(heads):
        scaled, keys_t, own = queries[head] * attention.scale, keys[head].T, values[head]
        for row in range(0, height, step):
            rows = slice(row, min(row + step, height))
            first, end = rows.start * width, rows.stop * width
            scores = (scaled[first:end] @ keys_t).view(-1, width, height, width)
            scores.add_(by_row[head, rows, :, :, None]).add_(by_column[head, rows, :, None, :])
            probabilities = scores.view(end - first, height * width).softmax(-1)
            if see is not None:
                see(head, first, probabilities)
            if wants_output:
                outputs.append(probabilities.to(own.dtype) @ own)  # (n, d)
    if not wants_output:
        return None
    mixed = torch.cat(outputs).view(heads, height, width, -1).permute(1, 2, 0, 3).flatten(2)  # (H, W, heads * d)
    projected: Tensor = attention.proj(mixed[None])
    return projected


def _relative_positions(attention: Any, queries: Tensor, grid_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """What the distance to a key adds to the scores: per query, by the key's row (heads, H, W, H) and column."""
    height, width = grid_hw
    places = queries.reshape(len(queries), height, width, -1)  # (heads, H, W, d)
    if not attention.use_rel_pos:
        zeros = places.new_zeros(*places.shape[:3], 1)
        return zeros.expand(-1, -1, -1, height), zeros.expand(-1, -1, -1, width)
    rows = torch.arange(height, device=queries.device)
    columns = torch.arange(width, device=queries.device)
    row_vectors = attention.rel_pos_h[rows[:, None] - rows + height - 1]  # (H, H, d): query row, key row
    column_vectors = attention.rel_pos_w[columns[:, None] - columns + width - 1]
    by_row = torch.einsum("nhwd,hkd->nhwk", places, row_vectors.to(places.dtype))
    by_column = torch.einsum("nhwd,wkd->nhwk", places, column_vectors.to(places.dtype))
    return by_row, by_column
