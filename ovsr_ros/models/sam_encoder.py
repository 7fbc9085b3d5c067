"""SAM's image encoder, with its attention computed in pieces and the last one's probabilities to be seen.

The networks are segment-anything's own; only the order of computation is another. The library pads windows before it
projects them, and holds scores and probabilities of all heads at once: 800 MB each for a grid of 64 x 64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_PIECE_BYTES = {"cpu": 2**22, "cuda": 2**26}
"""Scores computed at once: on a CPU what stays in its cache, on a GPU enough to keep it busy."""

Observer = Callable[[int, int, Tensor], None]
"""Takes a head, the first of n queries, and their probabilities (n, grid * grid), which it must not change or keep."""


def encode(
    encoder: Any,
    pixels: Tensor,
    observe: Callable[[Tensor], Observer] | None,
    wants_embedding: bool,
    observed_rows: int | None = None,
) -> Tensor | None:
    """Run an encoder of segment-anything's on pixels (1, 3, S, S), normalised and padded.

    observe: given the last block's values (heads, grid * grid, d), returns what takes its probabilities, for queries in
    the grid's first observed_rows rows at least (None: all).

    Returns the image embedding (1, C, grid, grid), or None where it is not wanted.
    """
    tokens = encoder.patch_embed(pixels)  # (1, grid, grid, width)
    if encoder.pos_embed is not None:
        tokens = tokens + encoder.pos_embed
    for block in encoder.blocks[:-1]:
        attend = _attend_in_windows if block.window_size else _attend
        tokens = tokens + attend(block, block.norm1(tokens))
        tokens = tokens + block.mlp(block.norm2(tokens))
    last = encoder.blocks[-1]
    normalized = last.norm1(tokens)
    if not wants_embedding:
        if observe is not None:
            _attend_globally(last.attn, normalized, observe, False, observed_rows)
        return None
    tokens = tokens + _attend_globally(last.attn, normalized, observe, True)
    tokens = tokens + last.mlp(last.norm2(tokens))
    embedding: Tensor = encoder.neck(tokens.permute(0, 3, 1, 2))
    return embedding


def _attend(block: Any, tokens: Tensor) -> Tensor:
    return _attend_globally(block.attn, tokens, None, True)


def _attend_globally(
    attention: Any,
    tokens: Tensor,
    observe: Callable[[Tensor], Observer] | None,
    wants_output: bool,
    num_rows: int | None = None,
) -> Tensor:
    """Multi-head attention over a whole grid (1, H, W, C), relative positions included (Li et al., arXiv 2112.01526).

    num_rows: only the queries of the grid's first so many rows. Where no output is wanted, what came in is returned.
    """
    _, height, width, _ = tokens.shape
    heads = attention.num_heads
    qkv = attention.qkv(tokens).view(height * width, 3, heads, -1).permute(1, 2, 0, 3)  # (3, heads, H*W, d)
    queries, keys, values = qkv.unbind(0)
    by_row, by_column = _relative_positions(attention, queries.reshape(heads, height, width, -1))
    see = None if observe is None else observe(values)
    # Query rows of the grid at once.
    step = max(1, _PIECE_BYTES.get(tokens.device.type, 2**22) // (4 * width * height * width))
    outputs = []
    for head in range(heads):
        scaled, keys_t, own = queries[head] * attention.scale, keys[head].T, values[head]
        for row in range(0, num_rows or height, step):
            rows = slice(row, min(row + step, num_rows or height))
            first, end = rows.start * width, rows.stop * width
            added = by_row[head, rows, :, :, None] + by_column[head, rows, :, None, :]  # (n, W, H, W)
            added = added.view(end - first, height * width)
            if see is None:
                outputs.append(_attention(scaled[first:end], keys[head], own, added))
                continue
            probabilities = torch.addmm(added, scaled[first:end], keys_t).softmax(-1)
            see(head, first, probabilities)
            if wants_output:
                outputs.append(probabilities.to(own.dtype) @ own)  # (n, d)
    if not wants_output:
        return tokens
    mixed = torch.cat(outputs).view(heads, height, width, -1).permute(1, 2, 0, 3).flatten(2)  # (H, W, heads * d)
    projected: Tensor = attention.proj(mixed[None])
    return projected


def _attention(queries: Tensor, keys: Tensor, values: Tensor, added: Tensor) -> Tensor:
    """One head's attention of queries (n, d), already scaled, with what is added to their scores (n, N): (n, d)."""
    query, key, value, mask = (part[None, None] for part in (queries, keys, values, added))
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=1.0)[0, 0]


def _attend_in_windows(block: Any, tokens: Tensor) -> Tensor:
    """Multi-head attention within windows of a grid (1, H, W, C); those at the border are filled up with zeros."""
    _, height, width, channels = tokens.shape
    attention, size = block.attn, block.window_size
    heads = attention.num_heads
    projected = attention.qkv(tokens)[0]  # (H, W, 3 * C)
    rows, columns = -(-height // size), -(-width // size)
    # What the projection makes of zeros is its bias.
    padded = attention.qkv.bias.to(projected.dtype).expand(rows * size, columns * size, -1).clone()
    padded[:height, :width] = projected
    windows = padded.view(rows, size, columns, size, 3, heads, -1)
    windows = windows.permute(4, 0, 2, 5, 1, 3, 6)  # (3, rows, columns, heads, size, size, d)
    mixed = padded.new_empty(rows, size, columns, size, heads, channels // heads)
    for row in range(rows):
        queries, keys, values = windows[:, row].flatten(1, 2)  # (columns * heads, size, size, d) each
        by_row, by_column = _relative_positions(attention, queries)
        added = (by_row[..., None] + by_column[..., None, :]).view(1, columns * heads, size**2, size**2)
        query, key, value = (part.reshape(1, columns * heads, size**2, -1) for part in (queries, keys, values))
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=added, scale=attention.scale)
        mixed[row] = found.view(columns, heads, size, size, -1).permute(2, 0, 3, 1, 4)
    whole = mixed.view(rows * size, columns * size, channels)[:height, :width]
    output: Tensor = attention.proj(whole[None])
    return output


def _relative_positions(attention: Any, queries: Tensor) -> tuple[Tensor, Tensor]:
    """What the distance to a key adds to the scores of queries (n, H, W, d): by its row (n, H, W, H), and column."""
    count, height, width, _ = queries.shape
    if not attention.use_rel_pos:
        return queries.new_zeros(count, height, width, height), queries.new_zeros(count, height, width, width)
    rows = torch.arange(height, device=queries.device)
    columns = torch.arange(width, device=queries.device)
    row_vectors = attention.rel_pos_h[rows[:, None] - rows + height - 1]  # (H, H, d): query row, key row
    column_vectors = attention.rel_pos_w[columns[:, None] - columns + width - 1]
    by_row = torch.einsum("nhwd,hkd->nhwk", queries, row_vectors.to(queries.dtype))
    by_column = torch.einsum("nhwd,wkd->nhwk", queries, column_vectors.to(queries.dtype))
    return by_row.contiguous(), by_column.contiguous()
