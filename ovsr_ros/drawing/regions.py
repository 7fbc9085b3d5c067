"""Regions on pictures: tinted, and outlined."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.results import UNLABELED_ID

Image = NDArray[np.uint8]

_UNLABELED_LINE_RGB = (205, 205, 205)


@dataclass(frozen=True)
class Scale:
    """Sizes in pixels that follow the image's size."""

    text_px: int
    line_px: float

    @classmethod
    def of(cls, height: int, width: int) -> Scale:
        relative = math.sqrt(height * width) / math.sqrt(480 * 640)
        return cls(text_px=max(7, round(10.5 * relative**0.8)), line_px=max(0.75, 1.1 * relative**0.8))


def tint(image: Image, label_map: Image, colors: Image, alpha: float) -> Image:
    """Lay colors[label_map] over an image by `alpha`, 0 to 1; where the map says 255, the image is dimmed.

    image: (H, W, 3) uint8 RGB. label_map: (H, W) uint8. colors: (256, 3) uint8 RGB. Returns (H, W, 3) uint8 RGB.
    """
    tint = cv2.LUT(cv2.merge((label_map,) * 3), colors[None])
    tinted = cv2.addWeighted(image, 1.0 - alpha, tint, alpha, 0)
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    dimmed = cv2.addWeighted(image, 0.2, gray, 0.35, 8)
    unlabeled = np.equal(label_map, UNLABELED_ID).view(np.uint8)
    return np.asarray(cv2.copyTo(dimmed, unlabeled, tinted), np.uint8)


def draw_outlines(canvas: Image, segment_map: NDArray[Any], label_map: Image, colors: Image, scale: Scale) -> None:
    """Draw a line along each border of a segment map, each side in its own label's colour, on a soft shadow.

    canvas: (H, W, 3) uint8 RGB, drawn on. segment_map: (H, W) integers. label_map, colors: as of `tint`.
    """
    border = np.zeros(segment_map.shape, bool)
    across = segment_map[:, 1:] != segment_map[:, :-1]
    down = segment_map[1:] != segment_map[:-1]
    border[:, 1:] |= across
    border[:, :-1] |= across
    border[1:] |= down
    border[:-1] |= down
    if not border.any():
        return
    distance = cv2.distanceTransform(np.logical_not(border).view(np.uint8), cv2.DIST_L2, 3)
    distance = cv2.GaussianBlur(distance, (3, 3), 0)  # takes the pixels' steps out of the line
    reach = 3.0 * scale.line_px + 1.0
    near = np.flatnonzero(distance.ravel() < reach)
    distance = distance.ravel()[near]
    labels = label_map.ravel()[near]
    unlabeled = labels == UNLABELED_ID

    line_colors = 0.75 * colors[labels] + 0.25 * 255.0  # (P, 3), lighter than the tint
    line_colors[unlabeled] = _UNLABELED_LINE_RGB
    half_width = np.where(unlabeled, 0.4 * scale.line_px, scale.line_px)
    line = np.clip(half_width + 0.7 - distance, 0, 1) * np.where(unlabeled, 0.55, 0.95)
    shadow = 0.5 * np.clip(1.0 - distance / reach, 0, 1)
    pixels = canvas.reshape(-1, 3)
    drawn = pixels[near] * (1.0 - shadow)[:, None]
    drawn += (line_colors - drawn) * line[:, None]
    pixels[near] = drawn.round().astype(np.uint8)
