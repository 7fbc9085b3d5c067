"""Connected parts of a mask, with a box and a peak of each."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Components:
    """The N 8-connected parts of a mask (H, W) that are large enough.

    labels: (H, W) int32, from 1, 0 for everything else. boxes_xyxy: (N, 4) float32, pixels, right and bottom inclusive.
    peaks_xy: (N, 2) float32, the pixel of each part that has the highest value, the first of equals.
    """

    labels: NDArray[np.int32]
    boxes_xyxy: NDArray[np.float32]
    peaks_xy: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.boxes_xyxy)


def find_components(mask: NDArray[np.bool_], values: NDArray[np.float32], min_area_px: int) -> Components:
    """Parts of a mask (H, W) of at least min_area_px pixels, and the peaks of values (H, W) in them."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = [label for label in range(1, count) if areas[label] >= min_area_px]
    renumbered = np.zeros(count, np.int32)
    renumbered[kept] = np.arange(1, len(kept) + 1)
    boxes = np.zeros((len(kept), 4), np.float32)
    peaks = np.zeros((len(kept), 2), np.float32)
    for row, label in enumerate(kept):
        left, top, width, height = (int(value) for value in stats[label, :4])
        boxes[row] = (left, top, left + width - 1, top + height - 1)
        place = (slice(top, top + height), slice(left, left + width))
        inside = np.where(labels[place] == label, values[place], -np.inf)
        y, x = divmod(int(inside.argmax()), width)
        peaks[row] = (left + x, top + y)
    return Components(renumbered[labels], boxes, peaks)
