"""Images in which tracks were embedded, carried along with the camera, and how far what is seen now differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.ops.evidence import sample_cells
from ovsr_ros.ops.image import scaled_size_hw
from ovsr_ros.ops.motion import MAX_ASPECT, shrink

_SKETCH_ROWS = 60
_CELLS_PER_ROW = 4
"""At least so many rows are averaged to one of a sketch."""

_OUTSIDE = -1e4
_NEIGHBOURS = np.ones((3, 3), np.uint8)

_SHADE = 1 / 3
"""What a level counts by which a segment's inside is lighter or darker as a whole."""


@dataclass(frozen=True)
class Sketch:
    """A small image with its segments.

    image: (h, w, 3) float32, at 60 rows or a quarter of the larger one's, where the noise of single pixels is gone.
    low, high: (h, w, 3) float32, the least and the most of each cell and its neighbours. parts: (h, w) int64, which
    segment each cell is in: ids from 1, 0 none. inner: (h, w) bool, cells whose neighbours are in the same segment.
    areas: (1 + N,) cells of each segment, 0 for none first.
    """

    image: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    parts: NDArray[np.int64]
    inner: NDArray[np.bool_]
    areas: NDArray[np.int64]


@dataclass(frozen=True)
class Difference:
    """How M segments of a sketch differ from what an earlier one showed of them.

    levels: (M,) difference of colours over the cells that both show, 0 where there are none. overlap: (M,) intersection
    over union with what they were then.
    """

    levels: NDArray[np.float64]
    overlap: NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """A sketch of an earlier image.

    origins: (h, w, 2) float32 x, y, where each cell of the newest image was in it, in its cells; far outside for what
    has come into view since.
    """

    sketch: Sketch
    origins: NDArray[np.float32]

    @classmethod
    def of(cls, sketch: Sketch) -> View:
        """A view of the newest image."""
        return cls(sketch, _places(sketch.parts.shape))

    def moved(self, origins: NDArray[np.float32]) -> View:
        """The view one image later; origins: (h, w, 2), where each cell was one image before."""
        x, y = origins[..., 0], origins[..., 1]
        outside = (_OUTSIDE,) * 4
        carried = cv2.remap(self.origins, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=outside)
        return replace(self, origins=np.asarray(carried, np.float32))

    def compare(self, now: Sketch, parts: NDArray[np.int64], parts_then: NDArray[np.int64]) -> Difference:
        """How far segments of the newest image differ, at the same place or along the motion, whichever is less.

        Along the motion a colour that a neighbouring cell has now is no difference, since motion is known to about a
        cell. What hides there, a small change of a whole segment's brightness, shows in the mean over its inside.

        parts, parts_then: (M,) ids of the same segments in the newest image and in this one.
        """
        then_of_part = np.zeros(len(now.areas), np.int64)
        then_of_part[parts] = parts_then
        chosen = (then_of_part > 0)[now.parts]
        places, origins = _places(now.parts.shape)[chosen], self.origins[chosen]
        still = self._difference(now, chosen, then_of_part, places, np.zeros(len(places), np.float32))
        moved = self._difference(now, chosen, then_of_part, origins, np.abs(origins - places).max(1).clip(max=1))
        return Difference(
            np.minimum(still.levels, moved.levels)[parts], np.maximum(still.overlap, moved.overlap)[parts]
        )

    def _difference(
        self,
        now: Sketch,
        chosen: NDArray[np.bool_],
        then_of_part: NDArray[np.int64],
        origins: NDArray[np.float32],
        tolerance: NDArray[np.float32],
    ) -> Difference:
        """Of all segments, over the P chosen cells alone.

        origins: (P, 2). tolerance: (P,) in [0, 1], how far the neighbours' colours count as a cell's own.
        """
        height, width = now.parts.shape
        x, y = origins[:, 0], origins[:, 1]
        parts, image, slack = now.parts[chosen], now.image[chosen], tolerance[:, None]
        inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
        then = (
            np.asarray(
                cv2.remap(self.sketch.image, x[:, None], y[:, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            )[:, 0]
            if len(x)
            else image
        )
        low, high = (image + slack * (bound[chosen] - image) for bound in (now.low, now.high))
        levels = np.maximum(np.maximum(low - then, then - high), 0).mean(1)
        num_parts = len(now.areas)
        (levels_of_part,) = _means((levels,), parts, inside, num_parts)
        shade = np.abs(_means((image - then).T, parts, inside & now.inner[chosen], num_parts)).mean(0)

        columns, rows = (np.rint(each).clip(0, most - 1).astype(np.int64) for each, most in ((x, width), (y, height)))
        same = inside & (self.sketch.parts[rows, columns] == then_of_part[parts])
        shared = np.bincount(parts[same], minlength=num_parts)
        union = now.areas + self.sketch.areas[then_of_part] - shared
        return Difference(np.maximum(levels_of_part, _SHADE * shade), shared / np.maximum(union, 1))


def draw_sketch(small: NDArray[np.uint8], segment_map: Tensor, num_parts: int) -> Sketch:
    """Sketch a larger image (h, w, 3) whose segments are those of a map of any size, ids from 1 to num_parts."""
    image = shrink(small, _short_side(small))
    parts = sample_cells(segment_map, (image.shape[0], image.shape[1])).cpu().numpy()
    numbers = parts.astype(np.float32)
    low, high = (np.asarray(of(image, _NEIGHBOURS), np.float32) for of in (cv2.erode, cv2.dilate))
    inner = np.asarray(cv2.erode(numbers, _NEIGHBOURS) == cv2.dilate(numbers, _NEIGHBOURS))
    areas = np.bincount(parts.ravel(), minlength=num_parts + 1)
    return Sketch(image.astype(np.float32), low, high, parts, inner, areas)


def sketch_size_hw(small: NDArray[np.uint8]) -> tuple[int, int]:
    """Rows and columns of an image's sketch."""
    height, width = small.shape[:2]
    return scaled_size_hw((height, width), _short_side(small), MAX_ASPECT)


def shrink_origins(origins: NDArray[np.float32], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Where each cell of a sketch was, in its cells, from where each cell of the larger image was: (h, w, 2)."""
    mean = cv2.resize(origins, size_hw[::-1], interpolation=cv2.INTER_AREA)
    scale = np.array(size_hw[::-1], np.float32) / np.array(origins.shape[1::-1], np.float32)
    return np.asarray((mean + 0.5) * scale - 0.5, np.float32)


def _short_side(small: NDArray[np.uint8]) -> int:
    short_side: int = min(small.shape[0], small.shape[1])
    return min(_SKETCH_ROWS, max(short_side // _CELLS_PER_ROW, 1))


def _means(
    channels: Sequence[NDArray[np.float32]] | NDArray[np.float32],
    parts: NDArray[np.int64],
    cells: NDArray[np.bool_],
    num_parts: int,
) -> NDArray[np.float64]:
    """Means of each channel, (P,), over each segment's cells of those marked: (C, 1 + N), 0 where it has none."""
    counts = np.maximum(np.bincount(parts[cells], minlength=num_parts), 1)
    return np.array([np.bincount(parts[cells], channel[cells], num_parts) for channel in channels]) / counts


@lru_cache(maxsize=4)
def _places(size_hw: tuple[int, ...]) -> NDArray[np.float32]:
    x, y = np.meshgrid(np.arange(size_hw[1], dtype=np.float32), np.arange(size_hw[0], dtype=np.float32))
    return np.stack((x, y), 2)
