"""Images: from a decoded array to the tensor that a network takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ovsr_ros.errors import ImageError
from ovsr_ros.ops.upload import pool_of

MIN_SIDE_PX = 16
"""Shortest side of an image that can be segmented, in pixels."""

MAX_PIXELS = 2**26
"""Most pixels of an image that can be segmented: 67 million, eight times 4K."""


def check_image(image_rgb: NDArray[Any]) -> None:
    """Check that an array is an RGB image of a usable size: (H, W, 3) uint8, both sides at least 16 pixels.

    Raises ImageError naming what was expected and what came.
    """
    expected = "image: expected an array of shape (H, W, 3), dtype uint8, RGB"
    if not isinstance(image_rgb, np.ndarray):
        raise ImageError(f"{expected}; got {type(image_rgb).__name__}")
    if image_rgb.dtype != np.uint8:
        raise ImageError(f"{expected}; got dtype {image_rgb.dtype}")
    if image_rgb.ndim == 2 or (image_rgb.ndim == 3 and image_rgb.shape[2] == 1):
        raise ImageError(f"{expected}; got one channel, shape {image_rgb.shape}: repeat it three times")
    if image_rgb.ndim != 3 or image_rgb.shape[2] != 3:
        raise ImageError(f"{expected}; got shape {image_rgb.shape}")
    height, width = image_rgb.shape[:2]
    if min(height, width) < MIN_SIDE_PX:
        raise ImageError(f"image: expected both sides to be at least {MIN_SIDE_PX} pixels; got {width}x{height}")
    if height * width > MAX_PIXELS:
        raise ImageError(f"image: expected at most {MAX_PIXELS} pixels; got {width}x{height}")


def to_tensor(image_rgb: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Upload an image, (H, W, 3) uint8, as (1, 3, H, W) uint8 in channels_last memory order.

    On the CPU a writable array's memory is shared, not copied. To a GPU it goes through pinned memory; see `upload`.
    """
    if device.type == "cuda":
        return pool_of(device).upload(image_rgb).permute(2, 0, 1)[None]
    if not image_rgb.flags.c_contiguous or not image_rgb.flags.writeable:
        image_rgb = image_rgb.copy()
    return torch.from_numpy(image_rgb).to(device).permute(2, 0, 1)[None]


def scaled_size_hw(size_hw: tuple[int, int], short_side: int, max_aspect: float) -> tuple[int, int]:
    """Height and width of an image scaled to a short side, so that neither side is 0.

    An image longer than max_aspect to 1 is scaled to the long side max_aspect * short_side instead, which bounds the
    result's area for any input.
    """
    height, width = size_hw
    scale = min(short_side / min(height, width), max_aspect * short_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(image: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resize (B, 3, H, W), uint8 or float32 in [0, 255], to (B, 3, h, w) of the same type, bilinear and antialiased."""
    if tuple(image.shape[-2:]) == size_hw:
        return image
    return interpolate_antialiased(image, size_hw, "bilinear")


def interpolate_antialiased(image: Tensor, size_hw: tuple[int, int], mode: str) -> Tensor:
    """`interpolate` with antialiasing, of uint8 on any device: only the CPU has kernels for uint8."""
    if image.dtype != torch.uint8 or image.device.type == "cpu":
        return functional.interpolate(image, size_hw, mode=mode, antialias=True, align_corners=False)
    resized = functional.interpolate(image.float(), size_hw, mode=mode, antialias=True, align_corners=False)
    return resized.round_().clamp_(0, 255).to(torch.uint8)


def normalize(image: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Normalise (B, 3, H, W), uint8 or float32 in [0, 255], by a mean and deviation (3,) that are given for [0, 1]."""
    scale = (1.0 / (255.0 * std)).view(1, 3, 1, 1)
    return image.float() * scale - (mean / std).view(1, 3, 1, 1)


def has_contrast(image: Tensor, min_range: float = 2.0) -> Tensor:
    """Whether any channel of (B, 3, H, W) spans more than min_range of 255 levels: (B,) bool."""
    flat = image.flatten(2)  # (B, 3, H*W)
    span = flat.amax(2).float() - flat.amin(2).float()  # (B, 3)
    return span.amax(1) > min_range
