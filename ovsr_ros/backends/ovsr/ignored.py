"""What of an image is ignored, on the grids of the stages: cells of which most is take no part in any of them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_MOST = 0.5
_NEIGHBOURS = np.ones((3, 3), np.uint8)


def is_ignored(ignored: NDArray[np.bool_], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Cells of a grid of which most is ignored, (h, w), from a mask of the image (H, W), True where it is ignored."""
    if ignored.shape == size_hw:
        return ignored
    found: NDArray[np.bool_] = _share(ignored, size_hw) > _MOST
    return found


def find_kept(ignored: NDArray[np.bool_], size_hw: tuple[int, int]) -> NDArray[np.bool_] | None:
    """The other cells; None where that is all of them, or none, of which nothing could be made."""
    kept = ~is_ignored(ignored, size_hw)
    return kept if kept.any() and not kept.all() else None


def find_untouched(ignored: NDArray[np.bool_], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Cells into which no ignored pixel was mixed when the image was brought to that size: (h, w)."""
    touched = (_share(ignored, size_hw) > 0).view(np.uint8)
    return np.asarray(cv2.dilate(touched, _NEIGHBOURS) == 0)


def spread(labels: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Labels (h, w) in which each cell that is not known has the label of about the nearest that is; one must be."""
    _, nearest = cv2.distanceTransformWithLabels(
        (~known).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    label_of = np.zeros(int(nearest.max()) + 1, labels.dtype)
    label_of[nearest[known]] = labels[known]
    filled: NDArray[np.int64] = label_of[nearest]
    return filled


def _share(ignored: NDArray[np.bool_], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(ignored.astype(np.float32), size_hw[::-1], interpolation=cv2.INTER_AREA), np.float32)
