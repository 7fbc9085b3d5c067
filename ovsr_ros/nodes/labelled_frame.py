"""A labelled frame, and what its messages have in common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Header
from torch import Tensor

from ovsr_ros.ops.spatial import RegisteredDepth, SegmentLocations, locate_segments
from ovsr_ros.results import Segmentation
from ovsr_ros.vocabulary.category import Vocabulary


@dataclass(frozen=True)
class LabelledFrame:
    """All that is published of an image.

    image: (H, W, 3) uint8 RGB. vocabulary: the one that labelled it. header: the input image's. depth: the image's;
        without it there are no points, and the segments are nowhere.
    embeddings: (M, D) float32 on the device, L2-normalised; row i belongs to the segment with the id i + 1. None: the
        backend has none. model_id: of what made them.
    """

    image: NDArray[np.uint8]
    segmentation: Segmentation
    vocabulary: Vocabulary
    header: Header
    depth: RegisteredDepth | None = None
    embeddings: Tensor | None = None
    model_id: str = ""

    @cached_property
    def locations(self) -> SegmentLocations | None:
        """Where its segments are, in their order; None: unknown. Computed once, when it is first asked for."""
        if self.depth is None:
            return None
        return locate_segments(self.depth, self.segmentation.segment_map, self.segmentation.segments.ids)
