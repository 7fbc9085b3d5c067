"""What a source of the demo camera is, and what its frames hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.errors import ImageError

MIN_SIDE_PX, MAX_SIDE_PX = 16, 4096
MIN_RATE_HZ, MAX_RATE_HZ = 0.1, 120.0
OWN_SIDE_PX = 1280
"""Longest side of images of which no size was asked for: larger ones are scaled down to it."""


@dataclass(frozen=True)
class Frame:
    """One image of a camera, and what is known of it.

    image: (H, W, 3) uint8 RGB. camera_matrix: (3, 3), pixels; None: the camera is not calibrated.
    depth_m: (H, W) float32, metres along the optical axis. category_map: (H, W) uint8, indices into
    `scenes.CATEGORIES`. taken_s: when it was taken, by `time.monotonic`; None: now.
    """

    image: NDArray[np.uint8]
    camera_matrix: NDArray[np.float64] | None = None
    depth_m: NDArray[np.float32] | None = None
    category_map: NDArray[np.uint8] | None = None
    taken_s: float | None = None


class FrameSource(Protocol):
    """Frames, one after the other, without an end."""

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the first image, pixels; a folder may hold others."""

    @property
    def rate_hz(self) -> float:
        """How many frames a second are meant to be read."""

    @property
    def description(self) -> str:
        """What is seen, for people."""

    def read(self) -> Frame | None:
        """The next frame; None: there is no new one yet. Raises SourceError when there will never be one again."""

    def close(self) -> None:
        """Give back devices and files, and end threads."""


def fit(image: NDArray[np.uint8], bound_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """The image scaled down, with its aspect, until it is within the bound; a smaller one is left as it is.

    image: (H, W, 3) uint8.

    Raises ImageError for one that has less than 16 pixels on a side then.
    """
    height, width = image.shape[:2]
    scale = min(1.0, bound_wh[0] / width, bound_wh[1] / height)
    size_wh = round(width * scale), round(height * scale)
    if min(size_wh) < MIN_SIDE_PX:
        scaled = f", {size_wh[0]}x{size_wh[1]} within {bound_wh[0]}x{bound_wh[1]}" if scale < 1 else ""
        raise ImageError(
            f"expected an image of at least {MIN_SIDE_PX}x{MIN_SIDE_PX} px, got {width}x{height}{scaled}; take another"
        )
    if scale == 1.0:
        return image
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
