"""How an image moved since the one before it, and how far that can be believed."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.ops.image import scaled_size_hw

# OpenCV's type hints leave out None for a map or a result that is not given, and a colour beside an image: the calls
# whose types are ignored below.

MIN_FLOW_SIDE = 32
"""Shortest side of an image for which motion is estimated, pixels; a smaller one is taken to stand still."""

MAX_ASPECT = 4.0
"""Sides of a grid, the longer over the shorter one, at most."""

_RESIDUAL_CELLS = 5
_BELIEVED, _DISBELIEVED = 15.0, 35.0
"""Levels by which a moved neighbourhood may differ: up to the first it is the same, from the second another."""


def shrink(image_rgb: NDArray[np.uint8], short_side: int) -> NDArray[np.uint8]:
    """An image (H, W, 3) uint8 averaged over the cells of a grid with that short side: (h, w, 3) uint8, a copy.

    A very long image has a grid with a shorter one, see `scaled_size_hw`.
    """
    size_hw = scaled_size_hw((image_rgb.shape[0], image_rgb.shape[1]), short_side, MAX_ASPECT)
    if image_rgb.shape[:2] == size_hw:
        return np.array(image_rgb)
    return np.asarray(cv2.resize(image_rgb, size_hw[::-1], interpolation=cv2.INTER_AREA), np.uint8)


class MotionEstimator:
    """Dense optical flow between images of one size: dense inverse search (Kroeger et al., ECCV 2016).

    Keeps buffers between calls: one thread at a time.
    """

    def __init__(self) -> None:
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def origins(self, previous: NDArray[np.uint8], current: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Where each pixel of `current` (h, w, 3) was in `previous`: (h, w, 2) float32 x, y in pixels."""
        height, width = current.shape[:2]
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        origins = np.stack((x, y), 2)
        if min(height, width) < MIN_FLOW_SIDE:
            return origins
        gray = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (current, previous)]
        return np.asarray(origins + self._search.calc(*gray, None), np.float32)  # type: ignore[call-overload]


def believe(
    previous: NDArray[np.uint8], current: NDArray[np.uint8], origins: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How far each pixel of `current` shows what its origin in `previous` showed: (h, w) float32 in [0, 1].

    0 where the origin lies outside, and where the neighbourhood's colours (h, w, 3) differ by more than a change of the
    whole image's brightness: what was hidden before, what has come in, a cut.
    """
    height, width = current.shape[:2]
    moved = cv2.remap(previous, origins, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    difference = cv2.subtract(current, moved, dtype=cv2.CV_32F)
    usual = (*np.median(difference[::4, ::4], (0, 1)).tolist(), 0.0)
    residual = cv2.blur(cv2.absdiff(difference, usual), (_RESIDUAL_CELLS, _RESIDUAL_CELLS))  # type: ignore[call-overload]
    red, green, blue = cv2.split(residual)
    largest = cv2.max(cv2.max(red, green), blue)
    belief = np.clip((_DISBELIEVED - largest) / (_DISBELIEVED - _BELIEVED), 0, 1)
    inside = cv2.inRange(origins, (-0.5, -0.5), (width - 0.5, height - 0.5))  # 255 there
    return np.asarray(np.where(inside, belief, 0), np.float32)
