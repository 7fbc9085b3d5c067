"""What a camera may do to a photograph: another distance and part of it, light, colour, blur, JPEG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

CROP_HW = (288, 384)
SHORT_SIDES = (1.0, 1.64)
"""An image's short side is drawn between these, in heights of a crop, before the crop is taken from it."""
_MAX_STRETCH = 0.12
_BLURRED, _COMPRESSED = 0.2, 0.3


def draw_crop(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A part of an image (H, W, 3) uint8 RGB and of its mask (H, W) uint8, both of CROP_HW."""
    image, mask = _draw_place(image, mask, rng)
    return _change_look(image, rng), np.ascontiguousarray(mask)


def _draw_place(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    height, width = image.shape[:2]
    rows, columns = CROP_HW
    scale = rows * float(np.exp(rng.uniform(*np.log(SHORT_SIDES)))) / min(height, width)
    stretch = float(np.exp(rng.uniform(-_MAX_STRETCH, _MAX_STRETCH)))
    size_wh = (max(columns, round(width * scale * stretch)), max(rows, round(height * scale / stretch)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image = np.asarray(cv2.resize(image, size_wh, interpolation=method), np.uint8)
    mask = np.asarray(cv2.resize(mask, size_wh, interpolation=cv2.INTER_NEAREST), np.uint8)
    top, left = rng.integers(size_wh[1] - rows + 1), rng.integers(size_wh[0] - columns + 1)
    window = np.s_[top : top + rows, left : left + columns]
    image, mask = image[window], mask[window]
    return (image[:, ::-1], mask[:, ::-1]) if rng.random() < 0.5 else (image, mask)


def _change_look(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    pixels = image.astype(np.float32) * np.exp(rng.uniform(-0.3, 0.3)) * np.exp(rng.uniform(-0.12, 0.12, 3))
    middle = pixels.mean((0, 1))
    pixels = (pixels - middle) * np.exp(rng.uniform(-0.3, 0.3)) + middle
    gray = pixels.mean(2, keepdims=True)
    changed = np.clip(gray + (pixels - gray) * rng.uniform(0.4, 1.4), 0, 255).astype(np.uint8)
    if rng.random() < _BLURRED:
        changed = np.asarray(cv2.GaussianBlur(changed, (0, 0), rng.uniform(0.4, 1.6)), np.uint8)
    if rng.random() < _COMPRESSED:
        _, encoded = cv2.imencode(".jpg", changed, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 80))])
        changed = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(changed)
