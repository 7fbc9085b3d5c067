"""Less memory for a frame: smaller batches first, which cost nothing but time, then a lower resolution; and back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ovsr_ros.backends.contract import Backend
from ovsr_ros.ops import masks
from ovsr_ros.results import Segmentation, Segments

MAX_BATCH_HALVINGS, MAX_SIZE_HALVINGS = 3, 3

BackendT = TypeVar("BackendT", bound=Backend[Any])


@dataclass(frozen=True)
class Reduction:
    """How often batches, and how often the sides of the image and of every stage's input, were halved."""

    batch: int = 0
    size: int = 0

    def __bool__(self) -> bool:
        return self.batch > 0 or self.size > 0

    def __str__(self) -> str:
        """Such as "batches 1/4, resolution 1/2"; "none"."""
        parts = [
            f"{name} 1/{2**halvings}"
            for name, halvings in (("batches", self.batch), ("resolution", self.size))
            if halvings
        ]
        return ", ".join(parts) or "none"

    def more(self, backend: Backend[Any]) -> Reduction | None:
        """The next one for this backend, unreduced: batches while they can be halved, then the resolution.

        None where nothing is left to halve.
        """
        if self.size == 0 and self.batch < MAX_BATCH_HALVINGS and reduce(backend, self).halve_batch() is not None:
            return dataclasses.replace(self, batch=self.batch + 1)
        return self.coarser() if self.size < MAX_SIZE_HALVINGS else None

    def coarser(self) -> Reduction:
        """The next lower resolution."""
        return dataclasses.replace(self, size=self.size + 1)

    def shrink(self, image_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) -> (h, w, 3): the image as the reduced backend is to see it, both sides at least 16."""
        for _ in range(self.size):
            image_rgb = _halve(image_rgb)
        return image_rgb


FULL = Reduction()


def reduce(backend: BackendT, reduction: Reduction) -> BackendT:
    """The backend in smaller batches and at a lower resolution."""
    for _ in range(reduction.batch):
        backend = backend.halve_batch() or backend
    for _ in range(reduction.size):
        backend = backend.smaller()
    return backend


def _halve(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) -> (H / 2, W / 2, 3), both sides at least 16."""
    height, width = (max(16, side // 2) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def enlarge(segmentation: Segmentation, size_hw: tuple[int, int]) -> Segmentation:
    """The segmentation of a smaller image, in the pixels of the image it was made from."""
    segment_map = _resize(segmentation.segment_map, size_hw)
    return dataclasses.replace(
        segmentation,
        label_map=_resize(segmentation.label_map, size_hw),
        confidence=_resize(segmentation.confidence, size_hw),
        segment_map=segment_map,
        segments=measure_segments(segmentation.segments, segment_map),
    )


def _resize(values: NDArray[Any], size_hw: tuple[int, int]) -> NDArray[Any]:
    return cv2.resize(values, size_hw[::-1], interpolation=cv2.INTER_NEAREST)


def measure_segments(segments: Segments, segment_map: NDArray[np.uint16]) -> Segments:
    """The segments with boxes, areas and centroids as the map has them."""
    ids = segments.ids.astype(np.int64)
    geometry = masks.measure(torch.from_numpy(segment_map.astype(np.int32)), int(ids.max(initial=0)) + 1)
    return dataclasses.replace(
        segments,
        boxes_xyxy=geometry.boxes_xyxy.numpy()[ids].astype(np.int32),
        areas_px=geometry.areas_px.numpy()[ids].astype(np.int32),
        centroids_xy=geometry.centroids_xy.numpy()[ids].astype(np.float32),
    )
