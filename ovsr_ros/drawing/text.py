"""Text on pictures: white, with a halo that parts it from what lies beneath."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.drawing.regions import Image

_FONT = cv2.FONT_HERSHEY_DUPLEX


@lru_cache(maxsize=512)
def text_masks(text: str, cap_height_px: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coverage of a text and of the halo around it: two (h, w) float32 in [0, 1], drawn at twice the size."""
    (_, unit_height), _ = cv2.getTextSize("H", _FONT, 1.0, 1)
    font_scale = 2.0 * cap_height_px / unit_height
    thickness = max(1, round(cap_height_px / 8))
    (width, height), baseline = cv2.getTextSize(text, _FONT, font_scale, thickness)
    halo_px = max(2, round(cap_height_px / 4))
    pad = 2 * halo_px + 2
    rows, columns = height + baseline + 2 * pad, width + 2 * pad
    large = np.zeros((rows + rows % 2, columns + columns % 2), np.uint8)
    cv2.putText(large, text, (pad, pad + height), _FONT, font_scale, 255, thickness, cv2.LINE_AA)
    ink = cv2.resize(large, (large.shape[1] // 2, large.shape[0] // 2), interpolation=cv2.INTER_AREA)
    inked = np.flatnonzero(ink.any(0))
    if len(inked):  # fonts measure wider than they draw
        ink = ink[:, max(0, inked[0] - halo_px) : inked[-1] + halo_px + 1]
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * (halo_px // 2) + 1,) * 2)
    halo = cv2.GaussianBlur(cv2.dilate(ink, disk), (0, 0), halo_px / 2.5)
    return (ink / np.float32(255)).astype(np.float32), (halo / np.float32(255)).astype(np.float32)


def measure_text(text: str, text_px: int) -> tuple[int, int]:
    """Width and height in pixels of what `draw_text` draws."""
    ink, _ = text_masks(text, text_px)
    return ink.shape[1], ink.shape[0]


def draw_text(canvas: Image, text: str, x: int, y: int, text_px: int, halo: bool = True) -> None:
    """Write white text onto a canvas, (H, W, 3) uint8, its top left at (x, y), capitals `text_px` pixels tall."""
    ink, around = text_masks(text, text_px)
    y0, x0 = max(y, 0), max(x, 0)
    y1, x1 = min(y + ink.shape[0], canvas.shape[0]), min(x + ink.shape[1], canvas.shape[1])
    if y0 >= y1 or x0 >= x1:
        return
    window = np.s_[y0 - y : y1 - y, x0 - x : x1 - x]
    area = canvas[y0:y1, x0:x1]
    drawn = area.astype(np.float32)
    if halo:
        drawn *= 1.0 - 0.8 * around[window][..., None]
    drawn += (255.0 - drawn) * ink[window][..., None]
    area[...] = drawn.round().astype(np.uint8)
