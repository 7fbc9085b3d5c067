"""Stage 6: SAM draws what the labels roughly say: each region becomes a prompt, and good masks replace it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ovsr_ros.backends.trident.decision import BACKGROUND, ClassMaps, Decided
from ovsr_ros.models.sam import SamFrame, SamModel
from ovsr_ros.ops import pamr
from ovsr_ros.ops.components import Components, find_components
from ovsr_ros.options import option

METHODS = ("none", "sam", "pamr")

_HALF = 2

_PAMR_PIXELS = 2**21
"""Pixels at which pamr works at most: twice Full HD's; larger images are refined at that many."""


@dataclass(frozen=True)
class MaskOptions:
    """How labels become masks that follow edges."""

    method: str = option(
        "sam",
        help="none: the places' labels, interpolated; sam: each region prompts SAM for a mask; pamr: likeness is "
        "averaged over pixels of like colour before it is decided upon",
        choices=METHODS,
    )
    coarse_threshold: float = option(
        0.2, help="pixels whose best class has less probability prompt nothing", min=0.0, max=1.0
    )
    min_area: int = option(
        225,
        help="regions under this area at half the image's resolution prompt nothing",
        min=1,
        max=1000000,
        unit="px",
    )
    mask_factor: float = option(0.005, help="what probabilities are times as SAM's mask input", min=0.0, max=100.0)
    iou_threshold: float = option(
        0.8, help="masks count for which SAM predicts more overlap with the truth than this", min=0.0, max=1.0
    )
    prompts_at_once: int = option(8, help="most masks that are computed together", min=1, max=256)
    pamr_iterations: int = option(10, help="steps of pamr", min=1, max=100)
    pamr_dilations: tuple[int, ...] = option(
        (8, 16), help="distances of the neighbours in pamr, pixels", min=1, max=256
    )


@dataclass(frozen=True)
class Refined:
    """labels and confidence as `Decided`; is_mask: (H, W) bool, where a mask of SAM's decided."""

    labels: Tensor
    confidence: Tensor
    is_mask: Tensor


def refine_by_sam(decided: Decided, embedding: Tensor, frame: SamFrame, sam: SamModel, options: MaskOptions) -> Refined:
    """Replace labels by SAM's masks where it finds good ones; everywhere else they stay.

    A class's score at a pixel is the largest over its accepted masks of sigmoid(mask logit) times the class's
    probability, inside the union of these masks; the largest score wins. The authors' code also lets the coarse
    probabilities of rejected regions take part, but after a step that makes them never exceed what they are compared
    with: labels do not depend on them, and neither do they here.
    """
    maps = decided.maps
    height, width = maps.size_hw
    half_hw = (height // _HALF, width // _HALF)
    coarse = _halve_labels(decided.labels, half_hw)
    ignored = _below_threshold(maps, half_hw, options.coarse_threshold)
    best = torch.zeros_like(decided.confidence)
    labels = decided.labels.clone()
    for index in range(BACKGROUND, len(maps)):
        at_half = (coarse == index) & ~ignored
        if not bool(at_half.any()):
            continue
        probability = maps.probability(index)
        small = _resize(probability, half_hw)
        if float(small.max()) < options.coarse_threshold:
            continue
        regions = find_components(at_half.cpu().numpy(), small.cpu().numpy(), options.min_area)
        if len(regions) == 0:
            continue
        score = _score_class(regions, small, maps, embedding, frame, sam, options)
        if score is None:
            continue
        score *= probability
        better = score > best
        labels[better] = index
        best = torch.where(better, score, best)
    is_mask = best > 0
    return Refined(labels, torch.where(is_mask, best, decided.confidence), is_mask)


def refine_by_pamr(cosines: Tensor, guide: Tensor, image_hw: tuple[int, int], options: MaskOptions) -> Tensor:
    """Cosines (T, h, w) upsampled and averaged over pixels of like colour: (T, H, W) at up to 2 million pixels.

    guide: (1, 3, h', w') float32, the image at any size.
    """
    shrink = min(1.0, (_PAMR_PIXELS / (image_hw[0] * image_hw[1])) ** 0.5)
    size_hw = (max(1, int(image_hw[0] * shrink)), max(1, int(image_hw[1] * shrink)))
    colors = functional.interpolate(guide, size_hw, mode="bilinear", align_corners=False)[0]
    upsampled = functional.interpolate(cosines[None], size_hw, mode="bilinear", align_corners=False)[0]
    weights = pamr.pamr_weights(colors / 255, options.pamr_dilations)
    return pamr.pamr(upsampled, weights, options.pamr_dilations, options.pamr_iterations)


def _score_class(
    regions: Components,
    probability: Tensor,
    maps: ClassMaps,
    embedding: Tensor,
    frame: SamFrame,
    sam: SamModel,
    options: MaskOptions,
) -> Tensor | None:
    """(H, W) float32: the largest sigmoid of a class's accepted masks inside their union; None without any.

    probability: (h, w), the class's at half resolution.
    """
    half_hw = (probability.shape[0], probability.shape[1])
    scaled_hw = sam.scaled_size_hw(half_hw)
    factor = torch.tensor([scaled_hw[1] / half_hw[1], scaled_hw[0] / half_hw[0]])
    points = (torch.from_numpy(regions.peaks_xy) * factor).to(probability.device)
    boxes = (torch.from_numpy(regions.boxes_xyxy) * factor.repeat(2)).to(probability.device)
    prompt = mask_prompt(probability, maps.size_hw, sam, options)
    score: Tensor | None = None
    union = torch.zeros(maps.size_hw, dtype=torch.bool, device=probability.device)
    for start in range(0, len(regions), options.prompts_at_once):
        part = slice(start, start + options.prompts_at_once)
        masks, overlaps = sam.predict(embedding, points[part], boxes[part], prompt)
        for mask in masks[overlaps > options.iou_threshold]:
            logits = sam.upscale_masks(mask[None], frame, maps.size_hw)[0]
            union |= logits > 0
            score = logits if score is None else torch.maximum(score, logits)
    return None if score is None else score.sigmoid() * union


def mask_prompt(probability: Tensor, image_hw: tuple[int, int], sam: SamModel, options: MaskOptions) -> Tensor:
    """SAM's mask input (1, S, S), S four times its grid, from a class's probability at half resolution (h, w)."""
    side = 4 * sam.grid_size
    height, width = sam.scaled_size_hw(image_hw, side)
    resized = _resize(probability, (height, width))
    kept = torch.where(resized > options.coarse_threshold, options.mask_factor * resized, 0.0)
    return functional.pad(kept, (0, side - width, 0, side - height))[None]


def _halve_labels(labels: Tensor, half_hw: tuple[int, int]) -> Tensor:
    halved = functional.interpolate(labels[None, None].float(), half_hw, mode="nearest")
    return halved[0, 0].long()


def _below_threshold(maps: ClassMaps, half_hw: tuple[int, int], threshold: float) -> Tensor:
    """(h, w) bool: where no class has the threshold's probability at half resolution."""
    best = torch.zeros(half_hw, device=maps.cosines.device)
    if threshold <= 0:
        return best > 0
    for index in range(BACKGROUND, len(maps)):
        best = torch.maximum(best, _resize(maps.probability(index), half_hw))
    return best < threshold


def _resize(values: Tensor, size_hw: tuple[int, int]) -> Tensor:
    if tuple(values.shape) == size_hw:
        return values
    return functional.interpolate(values[None, None], size_hw, mode="bilinear", align_corners=False)[0, 0]
