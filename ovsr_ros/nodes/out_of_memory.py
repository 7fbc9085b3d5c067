"""When the device's memory runs out on a frame: recognise it, free what can be freed, enlarge a smaller result."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ovsr_ros.results import Segmentation, Segments

OutOfMemory = torch.cuda.OutOfMemoryError


def free_device_memory() -> None:
    """Give cached, unused device memory back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def halve(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) -> (H / 2, W / 2, 3), both sides at least 16."""
    height, width = (max(16, side // 2) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def enlarge(segmentation: Segmentation, size_hw: tuple[int, int]) -> Segmentation:
    """The segmentation of a smaller image, in the pixels of the image it was made from."""
    segment_map = _resize(segmentation.segment_map, size_hw)
    return replace(
        segmentation,
        label_map=_resize(segmentation.label_map, size_hw),
        confidence=_resize(segmentation.confidence, size_hw),
        segment_map=segment_map,
        segments=_measure(segmentation.segments, segment_map),
    )


def _resize(values: NDArray[Any], size_hw: tuple[int, int]) -> NDArray[Any]:
    return cv2.resize(values, size_hw[::-1], interpolation=cv2.INTER_NEAREST)


def _measure(segments: Segments, segment_map: NDArray[np.uint16]) -> Segments:
    """The segments with boxes, areas and centroids as the map has them."""
    boxes, areas, centroids = segments.boxes_xyxy.copy(), segments.areas_px.copy(), segments.centroids_xy.copy()
    for index, id in enumerate(segments.ids):
        rows, columns = np.nonzero(segment_map == id)
        boxes[index] = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        areas[index] = rows.size
        centroids[index] = (columns.mean(), rows.mean())
    return replace(segments, boxes_xyxy=boxes, areas_px=areas, centroids_xy=centroids)
