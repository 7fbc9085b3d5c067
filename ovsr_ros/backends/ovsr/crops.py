"""Stage 5: a square crop of each segment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.backends.ovsr.regions import Regions
from ovsr_ros.ops.crops import STYLES, crop_segments
from ovsr_ros.options import option


@dataclass(frozen=True)
class CropOptions:
    """What the image encoder sees of a segment."""

    style: str = option(
        "box",
        help="what surrounds the segment in its crop: the image (box), the image blurred, CLIP's mean colour",
        choices=STYLES,
    )
    margin: float = option(
        0.1, help="room around the segment on each side, as a fraction of its longer side", min=0.0, max=2.0
    )
    centered: bool = option(
        False, help="whether a crop stays centred on a segment at the image's border, or moves inside the image"
    )


def cut_crops(
    image: Tensor,
    regions: Regions,
    size: int,
    fill: Tensor,
    options: CropOptions,
    rows: NDArray[np.int64] | None = None,
) -> Tensor:
    """Crops (N, 3, size, size) float32 in [0, 255] of an image (1, 3, H, W) uint8; fill: (3,) uint8 outside of it.

    rows: (N,), the segments to cut, from 0; None: all.
    """
    boxes, ids = torch.from_numpy(regions.boxes_xyxy), None
    if rows is not None:
        boxes, ids = boxes[torch.from_numpy(rows)], (rows + 1).tolist()
    segment_map = regions.segment_map
    return crop_segments(image, segment_map, boxes, size, options.style, options.margin, fill, options.centered, ids)
