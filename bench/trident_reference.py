"""Trident as it is described, every matrix whole and every stage by itself: what bench/trident.py compares with.

It shares the networks, and nothing else, with `ovsr_ros.backends.trident`; tests compare the two as well.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from ovsr_ros.backends.trident.backend import TridentBackend


def bilinear(maps: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """(B, C, h, w) -> (B, C, H, W)."""
    return functional.interpolate(maps, size_hw, mode="bilinear", align_corners=False)


@torch.inference_mode()
def cosines(backend: TridentBackend, image_rgb: NDArray[np.uint8], texts: Tensor) -> tuple[Tensor, dict[str, Any]]:
    """Cosines (T, H, W) of an image (H, W, 3) with texts (T, D), and what SAM's refinement needs."""
    options, patch = backend.options, backend.clip.patch_size
    height, width = image_rgb.shape[:2]
    scale = min(options.windows.long_side / max(height, width), options.windows.short_side / min(height, width))
    size = (int(width * scale + 0.5), int(height * scale + 0.5))
    image = torch.from_numpy(cv2.resize(image_rgb, size)).permute(2, 0, 1)[None].float()
    h, w = image.shape[2:]
    if h % patch or w % patch:
        longest = max(h, w)
        wanted = -(-longest // patch) * patch
        sides = [-(-int(side * wanted / longest) // patch) * patch for side in (h, w)]
        image = bilinear(image, (max(sides[0], options.windows.size), max(sides[1], options.windows.size)))
    places = window_places(image.shape[2], image.shape[3], options.windows.size, options.windows.stride)
    windows = torch.cat([image[:, :, top:bottom, left:right] for top, left, bottom, right in places])
    maps = last_block(backend, windows)
    total = torch.zeros(maps.shape[1], image.shape[2] // patch, image.shape[3] // patch)
    count = torch.zeros(image.shape[2] // patch, image.shape[3] // patch)
    for one, (top, left, bottom, right) in zip(maps, places, strict=True):
        total[:, top // patch : bottom // patch, left // patch : right // patch] += one
        count[top // patch : bottom // patch, left // patch : right // patch] += 1
    joined, seen = join_by_sam(backend, image_rgb, total / count)
    visual = backend.clip._network.visual
    embeddings = visual.ln_post(joined.flatten(1).T) @ visual.proj
    embeddings = functional.normalize(embeddings, dim=-1)
    logits = (embeddings @ texts.T).T.reshape(1, len(texts), *joined.shape[1:])
    return bilinear(logits, (height, width))[0], seen


def window_places(height: int, width: int, size: int, stride: int) -> list[tuple[int, int, int, int]]:
    """Top, left, bottom, right of each window."""
    places = []
    for row in range(max(height - size + stride - 1, 0) // stride + 1):
        for column in range(max(width - size + stride - 1, 0) // stride + 1):
            bottom, right = min(row * stride + size, height), min(column * stride + size, width)
            places.append((max(bottom - size, 0), max(right - size, 0), bottom, right))
    return places


def normalized(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 255]."""
    return (images / 255 - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)


def positions(embedding: Tensor, grid: int, rows: int, columns: int) -> Tensor:
    """(1 + rows * columns, C), scaled as DINO's code does."""
    if (rows, columns) == (grid, grid):
        return embedding
    patches = embedding[1:].reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
    scale = ((rows + 0.1) / grid, (columns + 0.1) / grid)
    patches = functional.interpolate(patches, scale_factor=scale, mode="bicubic")
    return torch.cat((embedding[:1], patches.permute(0, 2, 3, 1).reshape(rows * columns, -1)))


def last_block(backend: TridentBackend, windows: Tensor) -> Tensor:
    """Maps (B, C, h, w) of CLIP's last attention under the proxy's weights."""
    proxy, visual = backend.proxy._network, backend.clip._network.visual
    x = proxy.patch_embed.proj(normalized(windows, backend.proxy.mean, backend.proxy.std))
    rows, columns = x.shape[2:]
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat((proxy.cls_token.expand(len(x), -1, -1), x), 1)
    x = x + positions(proxy.pos_embed[0], proxy.patch_embed.grid_size[0], rows, columns)
    for block in proxy.blocks:
        x = block(x)
    tokens = functional.normalize(proxy.norm(x)[:, 1:], dim=-1)
    similarity = torch.einsum("bmc,bnc->bmn", tokens, tokens)
    scores = (similarity - similarity.mean() * backend.options.proxy.beta) * backend.options.proxy.gamma
    scores[scores < 0] = -torch.inf

    x = visual.conv1(normalized(windows, backend.clip.mean, backend.clip.std))
    clip_rows, clip_columns = x.shape[2:]
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat((visual.class_embedding.expand(len(x), 1, -1), x), 1)
    x = visual.ln_pre(x + positions(visual.positional_embedding, visual.grid_size[0], clip_rows, clip_columns))
    *blocks, last = visual.transformer.resblocks
    for block in blocks:
        x = block(x)
    attention, heads = last.attn, last.attn.num_heads
    projected = functional.linear(last.ln_1(x[:, 1:]), attention.in_proj_weight, attention.in_proj_bias)
    values = projected.chunk(3, -1)[2].unflatten(-1, (heads, -1)).permute(0, 2, 3, 1)  # (B, heads, d, N)
    values = bilinear(values.flatten(0, 1).unflatten(-1, (clip_rows, clip_columns)), (rows, columns))
    values = values.flatten(2).transpose(1, 2)  # (B * heads, N, d)
    weights = scores[:, None].repeat(1, heads, 1, 1).flatten(0, 1).softmax(-1)
    mixed = torch.bmm(weights, values).unflatten(0, (-1, heads)).transpose(1, 2).flatten(2)  # (B, N, C)
    maps = attention.out_proj(mixed).transpose(1, 2).unflatten(-1, (rows, columns))
    return maps if (rows, columns) == (clip_rows, clip_columns) else bilinear(maps, (clip_rows, clip_columns))


def join_by_sam(
    backend: TridentBackend, image_rgb: NDArray[np.uint8], features: Tensor
) -> tuple[Tensor, dict[str, Any]]:
    """Features (C, rows, columns) under the weights that SAM's last attention gives, and what SAM made of the image."""
    assert backend.sam is not None
    options, sam, patch = backend.options.sam, backend.sam._network, backend.clip.patch_size
    encoder = sam.image_encoder
    sides = [-(-side // patch) * patch for side in image_rgb.shape[:2]]
    stretched = cv2.resize(image_rgb, (sides[1], sides[0]))
    scale = encoder.img_size / max(sides)
    input_hw = (int(sides[0] * scale + 0.5), int(sides[1] * scale + 0.5))
    resized = np.array(Image.fromarray(stretched).resize(input_hw[::-1], Image.Resampling.BILINEAR))
    seen: dict[str, Any] = {}
    attention = encoder.blocks[-1].attn
    hook = attention.register_forward_pre_hook(lambda _, arguments: seen.update(tokens=arguments[0]))
    embedding = encoder(sam.preprocess(torch.from_numpy(resized).permute(2, 0, 1)[None].float()))
    hook.remove()
    probabilities, values = whole_attention(attention, seen.pop("tokens"))
    rows, columns = max(1, input_hw[0] // 16), max(1, input_hw[1] // 16)
    side = encoder.img_size // 16
    probabilities = probabilities.view(-1, side, side, side, side)[:, :rows, :columns, :rows, :columns]
    probabilities = probabilities.flatten(3).flatten(1, 2)  # (heads, N, N)
    values = functional.normalize(values.view(len(values), side, side, -1)[:, :rows, :columns].flatten(1, 2), dim=-1)
    similarity = torch.einsum("hmc,hnc->hmn", values, values)
    threshold = options.cos_factor * similarity.mean(0, keepdim=True).mean(-1, keepdim=True)
    if not options.refine_negative_cos:
        threshold = torch.where(threshold < 0, options.negative_threshold, threshold)
    threshold = threshold.clamp(max=options.max_threshold)
    weights = torch.where(similarity > threshold, probabilities, 0.0).mean(0)
    weights = weights / weights.sum(-1, keepdim=True)
    on_grid = bilinear(features[None], (rows, columns))[0].flatten(1)
    joined = (weights @ on_grid.T).T.unflatten(1, (rows, columns))
    return joined, {"embedding": embedding, "input_hw": input_hw, "image_hw": tuple(sides)}


def whole_attention(attention: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities (heads, N, N) and values (heads, N, d) of SAM's attention on tokens (1, H, W, C)."""
    _, height, width, _ = tokens.shape
    qkv = attention.qkv(tokens).reshape(height * width, 3, attention.num_heads, -1).permute(1, 2, 0, 3)
    queries, keys, values = qkv
    scores = (queries * attention.scale) @ keys.transpose(1, 2)
    distance = torch.arange(height)[:, None] - torch.arange(height)
    by_row = attention.rel_pos_h[distance + height - 1]
    distance = torch.arange(width)[:, None] - torch.arange(width)
    by_column = attention.rel_pos_w[distance + width - 1]
    places = queries.unflatten(1, (height, width))
    scores = scores.view(-1, height, width, height, width)
    scores = scores + torch.einsum("nhwd,hkd->nhwk", places, by_row)[..., None]
    scores = scores + torch.einsum("nhwd,wkd->nhwk", places, by_column)[..., None, :]
    return scores.flatten(3).flatten(1, 2).softmax(-1), values


@torch.inference_mode()
def labels(
    backend: TridentBackend, logits: Tensor, seen: dict[str, Any], num_background: int, threshold: float
) -> NDArray[np.int64]:
    """Labels (H, W) from cosines (T, H, W), whose first num_background rows are the background, class 0.

    With method sam, refined by SAM's masks.
    """
    words = (logits * backend.options.decision.logit_scale).softmax(0)
    probabilities = torch.cat((words[:num_background].amax(0, keepdim=True), words[num_background:]))
    best, label = probabilities.max(0)
    label[best < threshold] = 0
    if backend.options.masks.method != "sam":
        return label.numpy()
    return refined(backend, probabilities, label, seen).numpy()


def refined(backend: TridentBackend, probabilities: Tensor, label: Tensor, seen: dict[str, Any]) -> Tensor:
    """Labels (H, W) of classes (C, H, W) after SAM drew the regions of `label`."""
    assert backend.sam is not None
    options, sam = backend.options.masks, backend.sam._network
    height, width = label.shape
    half = (height // 2, width // 2)
    small = bilinear(probabilities[None], half)[0]
    small_label = functional.interpolate(label[None, None].float(), half)[0, 0].long()
    small_label[small.amax(0) < options.coarse_threshold] = len(probabilities)
    scores = torch.zeros_like(probabilities)
    side = sam.image_encoder.img_size
    scale = side / max(half)
    factors = (int(half[1] * scale + 0.5) / half[1], int(half[0] * scale + 0.5) / half[0])
    for index, probability in enumerate(small):
        if probability.max() < options.coarse_threshold:
            continue
        parts, count = ndimage.label((small_label == index).numpy(), np.ones((3, 3)))
        parts = torch.from_numpy(parts)
        regions = [parts == part for part in range(1, count + 1)]
        regions = [region for region in regions if region.sum() >= options.min_area]
        if not regions:
            continue
        points, boxes = [], []
        for region in regions:
            y, x = region.nonzero().T
            peak = int((probability * region).argmax())
            points.append((peak % half[1] * factors[0], peak // half[1] * factors[1]))
            low, high = (x.min() * factors[0], y.min() * factors[1]), (x.max() * factors[0], y.max() * factors[1])
            boxes.append((*low, *high))
        quarter = side // 4
        shrink = quarter / max(height, width)
        prompt = bilinear(probability[None, None], (int(height * shrink + 0.5), int(width * shrink + 0.5)))[0]
        prompt = functional.pad(prompt, (0, quarter - prompt.shape[2], 0, quarter - prompt.shape[1]))
        prompt = torch.where(prompt > options.coarse_threshold, options.mask_factor * prompt, 0.0)
        sparse, dense = sam.prompt_encoder(
            (torch.tensor(points)[:, None], torch.ones(len(points), 1)), torch.tensor(boxes), prompt
        )
        masks, overlaps = sam.mask_decoder(
            seen["embedding"], sam.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output=False
        )
        masks = bilinear(masks, (side, side))[..., : seen["input_hw"][0], : seen["input_hw"][1]]
        masks = bilinear(bilinear(masks, seen["image_hw"]), (height, width))[:, 0]
        masks = masks[overlaps[:, 0] > options.iou_threshold]
        if len(masks):
            scores[index] = (masks.sigmoid() * probabilities[index]).amax(0) * (masks > 0).any(0)
    best, winner = scores.max(0)
    return torch.where(best == 0, label, winner)
