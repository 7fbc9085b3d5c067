"""Images and videos whose frames can be told apart by their brightness, as real files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

LEVEL_STEP = 12


def grey(level: int, size_wh: tuple[int, int] = (64, 48)) -> np.ndarray:
    """An image of one brightness."""
    return np.full((size_wh[1], size_wh[0], 3), level, np.uint8)


def write_image(path: Path, level: int, size_wh: tuple[int, int] = (64, 48)) -> Path:
    """An image file of one brightness, of the format that its name has."""
    assert cv2.imwrite(str(path), grey(level, size_wh))
    return path


def write_video(
    path: Path, num_images: int = 20, rate_hz: float = 25.0, size_wh: tuple[int, int] = (64, 48), codec: str = "MJPG"
) -> Path:
    """A video file; the image of index i has the brightness `LEVEL_STEP * i`."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate_hz, size_wh)
    assert writer.isOpened()
    for index in range(num_images):
        writer.write(grey(LEVEL_STEP * index, size_wh))
    writer.release()
    return path


def level_of(image: np.ndarray) -> int:
    """The brightness of an image, to the nearest of a video's."""
    return round(float(image.mean()) / LEVEL_STEP) * LEVEL_STEP
