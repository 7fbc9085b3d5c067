"""Images to measure with: rendered rooms, the same on each machine."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.demo.scenes import Scene
from ovsr_ros.errors import ConfigError
from ovsr_ros.ops.image import MAX_PIXELS, MIN_SIDE_PX

NUM_SCENES = 4
CALIBRATION_WH = (344, 256)


def render_scenes(size_wh: tuple[int, int], count: int = NUM_SCENES) -> list[NDArray[np.uint8]]:
    """Rooms of the scenes' test split, (H, W, 3) uint8 RGB each."""
    return [Scene(seed, split="test").render(0.0, size_wh).image for seed in range(count)]


def calibration_images() -> Tensor:
    """Images to calibrate fresh weights on, (B, 3, H, W) uint8 RGB: rooms of the training split."""
    images = [Scene(seed, split="train").render(0.0, CALIBRATION_WH).image for seed in range(NUM_SCENES)]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def parse_size(text: str) -> tuple[int, int]:
    """Width and height from "640x480". Raises ConfigError for anything else, or what cannot be segmented."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ConfigError(f"size: expected WIDTHxHEIGHT in pixels, such as 640x480, got '{text}'")
    size = int(width), int(height)
    if min(size) < MIN_SIDE_PX or size[0] * size[1] > MAX_PIXELS:
        raise ConfigError(f"size: expected sides from {MIN_SIDE_PX} and at most {MAX_PIXELS} pixels, got {text}")
    return size
