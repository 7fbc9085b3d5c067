"""Stage 4: SAM's attention joins what the windows saw of one thing in different places."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ovsr_ros.backends.trident.windows import round_up
from ovsr_ros.models.sam import SamFrame, SamModel
from ovsr_ros.ops.aggregation import FilteredAttention
from ovsr_ros.options import option

NO_MODEL = "none"


@dataclass(frozen=True)
class SamOptions:
    """Which SAM joins the windows, and which places it joins."""

    model: str = option(
        "sam_vit_b",
        help="Segment Anything model: sam_vit_b, sam_vit_l, sam_vit_h, local file or folder; none: neither aggregation "
        "nor refinement by SAM",
        read_only=True,
    )
    cos_factor: float = option(
        1.2,
        help="a place is joined to those whose values have this many times the mean cosine; more joins less",
        min=0.0,
        max=10.0,
    )
    refine_negative_cos: bool = option(
        True, help="whether a threshold under 0 counts as it is; otherwise negative_threshold takes its place"
    )
    negative_threshold: float = option(
        0.6, help="the cosine that takes the place of a threshold under 0", min=-1.0, max=1.0
    )
    max_threshold: float = option(0.9, help="no threshold is above this cosine", min=-1.0, max=0.999)
    halves: bool = option(
        False, help="whether SAM sees the image's left and right halves apart: for images twice as wide as high"
    )


@dataclass(frozen=True)
class Aggregated:
    """What the slow half knows of the image's places, and what refinement needs of SAM.

    features: (C, rows, columns) float32, not normalised. embedding, sam_frame: of the whole image; None where no
    refinement by SAM is to follow.
    """

    features: Tensor
    embedding: Tensor | None
    sam_frame: SamFrame | None


def aggregate(
    image_rgb: NDArray[np.uint8],
    features: Tensor,
    sam: SamModel,
    patch_size: int,
    wants_embedding: bool,
    options: SamOptions,
) -> Aggregated:
    """Features (C, rows, columns) of an image (H, W, 3) uint8, each the mean over the places that SAM finds with it.

    SAM encodes the image once, for this and for refinement; with `halves`, each half, and the whole where refinement
    follows. patch_size: CLIP's, to whose multiples the image is stretched for SAM, too, as in the authors' code.
    """
    height, width = image_rgb.shape[:2]
    rounded = (round_up(width, patch_size), round_up(height, patch_size))
    stretched = np.asarray(cv2.resize(image_rgb, rounded, interpolation=cv2.INTER_LINEAR), np.uint8)
    if not options.halves:
        frame = sam.prepare(stretched)
        joined, embedding = _join(frame, features, sam, wants_embedding, options)
        return Aggregated(joined, embedding, frame if wants_embedding else None)
    middle, center = stretched.shape[1] // 2, features.shape[2] // 2
    parts = []
    for part, of_part in (
        (stretched[:, :middle], features[:, :, :center]),
        (stretched[:, middle:], features[:, :, center:]),
    ):
        parts.append(_join(sam.prepare(np.ascontiguousarray(part)), of_part, sam, False, options)[0])
    frame = sam.prepare(stretched)
    embedding = sam.encode(frame) if wants_embedding else None
    return Aggregated(torch.cat(parts, 2), embedding, frame if wants_embedding else None)


def _join(
    frame: SamFrame, features: Tensor, sam: SamModel, wants_embedding: bool, options: SamOptions
) -> tuple[Tensor, Tensor | None]:
    filters: list[FilteredAttention] = []
    negative = None if options.refine_negative_cos else options.negative_threshold

    def observe(values: Tensor) -> FilteredAttention:
        filters.append(FilteredAttention(values, options.cos_factor, negative, options.max_threshold))
        return filters[0]

    embedding = sam.encode(frame, lambda values: observe(values).add, wants_embedding)
    on_grid = functional.interpolate(features[None], frame.valid_hw, mode="bilinear", align_corners=False)[0]
    joined = on_grid.flatten(1) @ filters[0].matrix().T  # (C, N)
    return joined.view(-1, *frame.valid_hw), embedding
