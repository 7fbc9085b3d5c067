"""The one result type: what every backend answers for one image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNLABELED_ID = 255
"""Class id of a pixel or segment that no category of the vocabulary labels."""


@dataclass(frozen=True)
class Segments:
    """The segments of one image, as arrays of one length N; an empty scene has N = 0.

    ids: (N,) uint16, ascending, from 1: the values in `Segmentation.segment_map`.
    track_ids: (N,) uint32, 0 where not tracked.
    class_ids: (N,) uint8, 0 to 253, 255 unlabeled.
    scores: (N,) float32 in [0, 1], softmax probability of the best category ("something else" not counted).
    runner_up_ids: (N, R) uint8, the next best categories, 255 for "something else" or none.
    runner_up_scores: (N, R) float32 in [0, 1], descending; 0 where there is none.
    boxes_xyxy: (N, 4) int32, pixels: left and top inclusive, right and bottom exclusive.
    areas_px: (N,) int32, pixels.
    centroids_xy: (N, 2) float32, pixels, (0, 0) at the centre of the top left pixel.
    """

    ids: NDArray[np.uint16]
    track_ids: NDArray[np.uint32]
    class_ids: NDArray[np.uint8]
    scores: NDArray[np.float32]
    runner_up_ids: NDArray[np.uint8]
    runner_up_scores: NDArray[np.float32]
    boxes_xyxy: NDArray[np.int32]
    areas_px: NDArray[np.int32]
    centroids_xy: NDArray[np.float32]

    def __post_init__(self) -> None:
        n = len(self.ids)
        _expect("ids", self.ids, (n,), np.uint16)
        _expect("track_ids", self.track_ids, (n,), np.uint32)
        _expect("class_ids", self.class_ids, (n,), np.uint8)
        _expect("scores", self.scores, (n,), np.float32)
        r = self.runner_up_ids.shape[-1]
        _expect("runner_up_ids", self.runner_up_ids, (n, r), np.uint8)
        _expect("runner_up_scores", self.runner_up_scores, (n, r), np.float32)
        _expect("boxes_xyxy", self.boxes_xyxy, (n, 4), np.int32)
        _expect("areas_px", self.areas_px, (n,), np.int32)
        _expect("centroids_xy", self.centroids_xy, (n, 2), np.float32)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def empty(cls, num_runners_up: int = 0) -> Segments:
        """The segments of a scene in which nothing was found: every array of length 0."""
        return cls(
            ids=np.zeros(0, np.uint16),
            track_ids=np.zeros(0, np.uint32),
            class_ids=np.zeros(0, np.uint8),
            scores=np.zeros(0, np.float32),
            runner_up_ids=np.zeros((0, num_runners_up), np.uint8),
            runner_up_scores=np.zeros((0, num_runners_up), np.float32),
            boxes_xyxy=np.zeros((0, 4), np.int32),
            areas_px=np.zeros(0, np.int32),
            centroids_xy=np.zeros((0, 2), np.float32),
        )


@dataclass(frozen=True)
class Segmentation:
    """An image's pixels, labelled. H and W are the input image's.

    label_map: (H, W) uint8, class id per pixel, 255 unlabeled.
    confidence: (H, W) uint8, score of the pixel's segment times 255, 0 where unlabeled.
    segment_map: (H, W) uint16, segment id per pixel, 0 none.
    segments: see `Segments`.
    vocabulary_version: version of the vocabulary that labelled it; 0 when no vocabulary was set.
    stage_seconds: wall-clock seconds per stage, in the order the data passed them.

    Raises ValueError when an array's shape or dtype is not the one above.
    """

    label_map: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    segment_map: NDArray[np.uint16]
    segments: Segments
    vocabulary_version: int
    stage_seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.label_map.ndim != 2:
            raise ValueError(f"label_map: expected shape (H, W), got {self.label_map.shape}")
        _expect("label_map", self.label_map, self.label_map.shape, np.uint8)
        _expect("confidence", self.confidence, self.label_map.shape, np.uint8)
        _expect("segment_map", self.segment_map, self.label_map.shape, np.uint16)


def _expect(name: str, array: NDArray[Any], shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    if array.shape != shape or array.dtype != dtype:
        expected = f"{shape} {np.dtype(dtype).name}"
        raise ValueError(f"{name}: expected {expected}, got {array.shape} {array.dtype.name}")
