"""A labelled frame, and what its messages have in common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Header
from torch import Tensor

from ovsr_ros.ops.spatial import RegisteredDepth, RigidTransform, SegmentLocations, locate_segments
from ovsr_ros.results import Segmentation
from ovsr_ros.vocabulary.category import Vocabulary


@dataclass(frozen=True)
class Target:
    """Another frame than the camera's, in which things are to be placed.

    header: its name, and the image's stamp. transform: from the camera's optical frame; None: it is not known.
    """

    header: Header
    transform: RigidTransform | None


@dataclass(frozen=True)
class LabelledFrame:
    """All that is published of an image.

    image: (H, W, 3) uint8 RGB. vocabulary: the one that labelled it. header: the input image's. depth: the image's;
        without it there are no points, and the segments are nowhere.
    embeddings: (M, D) float32 on the device, L2-normalised; row i belongs to the segment with the id i + 1. None: the
        backend has none. model_id: of what made them.
    target: in which frame things are placed; None: the camera's optical frame.
    """

    image: NDArray[np.uint8]
    segmentation: Segmentation
    vocabulary: Vocabulary
    header: Header
    depth: RegisteredDepth | None = None
    embeddings: Tensor | None = None
    model_id: str = ""
    target: Target | None = None

    @property
    def places_header(self) -> Header:
        """Of messages that say where things are."""
        return self.header if self.target is None else self.target.header

    @property
    def has_places(self) -> bool:
        """Whether it is known where things are: there is depth, and the transform to the target frame."""
        return self.depth is not None and (self.target is None or self.target.transform is not None)

    @cached_property
    def locations(self) -> SegmentLocations | None:
        """Where its segments are, in their order, in the camera's optical frame; None: unknown. Computed once, and only
        when it is asked for.
        """
        if self.depth is None:
            return None
        return locate_segments(self.depth, self.segmentation.segment_map, self.segmentation.segments.ids)

    @cached_property
    def places(self) -> SegmentLocations | None:
        """As `locations`, along the target frame's axes, but from the camera's centre: for a map's origin, which may be
        far away, 32 bits are too few.
        """
        if self.depth is None or not self.has_places:
            return None
        if self.target is None or self.target.transform is None:
            return self.locations
        segmentation = self.segmentation
        return locate_segments(
            self.depth, segmentation.segment_map, segmentation.segments.ids, self.target.transform.rotation
        )
