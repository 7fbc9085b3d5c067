"""The source `photos`: a camera that pans and zooms over photographs, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.demo.sources.frame_source import Frame, fit
from ovsr_ros.demo.sources.photographs import find_photographs
from ovsr_ros.errors import ImageError, SourceError
from ovsr_ros.image_files import decode_image

_PERIODS_S = (21.0, 15.0, 18.0)
"""Of the ways to the right, down, and nearer."""
_NEAREST = 0.6
"""Size of the smallest window, of the largest that the photograph has room for."""


@dataclass(frozen=True)
class PanZoom:
    """A window's way over a photograph: slow sines with chance phases. phases: (3,) radians."""

    phases: NDArray[np.float64]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> PanZoom:
        """A way by chance."""
        return cls(rng.uniform(0, 2 * np.pi, 3))

    def window_at(
        self, time_s: float, photo_wh: tuple[int, int], size_wh: tuple[int, int]
    ) -> tuple[float, float, float, float]:
        """Left, top, width and height of what is seen of a photograph, pixels; of the image's aspect, and within."""
        right, down, near = (1 + np.sin(2 * np.pi * time_s / np.array(_PERIODS_S) + self.phases)) / 2  # 0 to 1 each
        full = min(photo_wh[0] / size_wh[0], photo_wh[1] / size_wh[1]) * (1 - (1 - _NEAREST) * near)
        width, height = full * size_wh[0], full * size_wh[1]
        return float(right * (photo_wh[0] - width)), float(down * (photo_wh[1] - height)), float(width), float(height)


class PhotoSource:
    """The photographs in an order, and by ways, that the seed tells; each is left by a cut after `each_s` seconds.

    size_wh: the images'. speed: seconds of motion per second.

    Raises SourceError where scikit-image or one of its photographs is missing or damaged.
    """

    def __init__(self, size_wh: tuple[int, int], rate_hz: float, each_s: float, seed: int, speed: float) -> None:
        self.size_wh = size_wh
        self.rate_hz = rate_hz
        files = find_photographs()
        # More than twice the image's pixels would only be left out between those that are taken.
        photos = [fit(_read(file), (2 * size_wh[0] + 1, 2 * size_wh[1] + 1)) for file in files]
        order = np.random.default_rng(seed).permutation(len(files))
        self._photos = [photos[index] for index in order]
        self._seed = seed
        self._step_s = speed / rate_hz
        self._num_each = max(1, round(each_s * rate_hz))
        self._num_read = 0
        self.description = f"photographs of scikit-image's: {', '.join(files[index].stem for index in order)}"

    def read(self) -> Frame:
        """The next frame; never None."""
        visit, step = divmod(self._num_read, self._num_each)
        self._num_read += 1
        photo = self._photos[visit % len(self._photos)]
        photo_wh = photo.shape[1], photo.shape[0]
        way = PanZoom.draw(np.random.default_rng((self._seed, visit)))
        return Frame(_cut_out(photo, way.window_at(step * self._step_s, photo_wh, self.size_wh), self.size_wh))

    def close(self) -> None:
        """Nothing is open."""


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        return decode_image(np.fromfile(path, np.uint8))
    except (OSError, ImageError) as error:
        raise SourceError(
            f"photos: {path}: {error}; install it anew: pip install --force-reinstall --no-deps scikit-image"
        ) from error


def _cut_out(
    photo: NDArray[np.uint8], window: tuple[float, float, float, float], size_wh: tuple[int, int]
) -> NDArray[np.uint8]:
    """The window, enlarged or reduced to the size, places between pixels included: a slow way has no jumps."""
    left, top, width, height = window
    x_scale, y_scale = width / size_wh[0], height / size_wh[1]
    to_photo = np.array([[x_scale, 0, left + (x_scale - 1) / 2], [0, y_scale, top + (y_scale - 1) / 2]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(photo, to_photo, size_wh, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)
