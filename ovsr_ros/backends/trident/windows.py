"""Stage 1: the image is resized and covered by windows of the size that CLIP sees."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ovsr_ros.ops.image import to_tensor
from ovsr_ros.ops.tiling import Window, cover
from ovsr_ros.options import option


@dataclass(frozen=True)
class WindowOptions:
    """How the image is cut for CLIP and its proxy."""

    short_side: int = option(
        448, help="the image's short side before it is cut into windows", min=64, max=4096, unit="px"
    )
    long_side: int = option(
        2048, help="the image's long side at most, whatever its short side", min=64, max=8192, unit="px"
    )
    size: int = option(336, help="side of a window, a multiple of both networks' patches", min=32, max=1024, unit="px")
    stride: int = option(
        224,
        help="from one window to the next, a multiple of CLIP's patch, at most the size",
        min=8,
        max=1024,
        unit="px",
    )
    memory_mb: int = option(
        256,
        help="memory that the networks may work in while they see windows: how many at once",
        min=16,
        max=1048576,
        unit="MB",
    )


@dataclass(frozen=True)
class WindowedImage:
    """resized: (1, 3, h, w) float32 in [0, 255] on the device. image: the same, sides multiples of CLIP's patch.

    windows: that cover it, in pixels. grid_hw: CLIP's patches along its sides.
    """

    resized: Tensor
    image: Tensor
    windows: list[Window]
    grid_hw: tuple[int, int]


def cut_windows(
    image_rgb: NDArray[np.uint8], patch_size: int, device: torch.device, options: WindowOptions
) -> WindowedImage:
    """Resize an image (H, W, 3) uint8 and say where its windows are: one where it is no larger than a window."""
    size_hw = scaled_size_hw((image_rgb.shape[0], image_rgb.shape[1]), options.short_side, options.long_side)
    # OpenCV's bilinear, as the published figures were computed with: it does not smooth what it shrinks.
    small = cv2.resize(image_rgb, size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    resized = to_tensor(np.asarray(small, np.uint8), device).float().contiguous()
    target_hw = padded_size_hw(size_hw, patch_size, options.size)
    image = resized
    if target_hw != size_hw:
        image = functional.interpolate(resized, target_hw, mode="bilinear", align_corners=False)
    grid_hw = (target_hw[0] // patch_size, target_hw[1] // patch_size)
    return WindowedImage(resized, image, cover(target_hw, options.size, options.stride), grid_hw)


def scaled_size_hw(size_hw: tuple[int, int], short_side: int, long_side: int) -> tuple[int, int]:
    """A size scaled to a short side, or to the long side where it would be longer; no side is 0."""
    scale = min(long_side / max(size_hw), short_side / min(size_hw))
    return max(1, int(size_hw[0] * scale + 0.5)), max(1, int(size_hw[1] * scale + 0.5))


def padded_size_hw(size_hw: tuple[int, int], patch_size: int, window: int) -> tuple[int, int]:
    """The size to which an image is stretched so that both sides are whole patches.

    The long side becomes the next multiple, the short one follows and is rounded up; then neither is shorter than a
    window. An image whose sides are multiples already stays as it is, even when it is smaller than a window.
    """
    if all(side % patch_size == 0 for side in size_hw):
        return size_hw
    long_side = max(size_hw)
    wanted = round_up(long_side, patch_size)
    height, width = (round_up(int(side * wanted / long_side), patch_size) for side in size_hw)
    return max(height, window), max(width, window)


def round_up(length: int, multiple: int) -> int:
    """The least multiple that is at least `length`, and at least one."""
    return max(1, -(-length // multiple)) * multiple
