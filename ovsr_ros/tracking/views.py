"""Images in which tracks were embedded, carried along with the camera, and how far what is seen now differs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.ops.motion import shrink

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
    num_parts: how many segments there are.
    """

    image: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    parts: NDArray[np.int64]
    inner: NDArray[np.bool_]
    num_parts: int


@dataclass(frozen=True)
class Difference:
    """How a sketch's segments, ids from 0 for none, differ from what an earlier one showed of them.

    levels: (1 + N,) difference of colours over the cells that both show, 0 where there are none. overlap:
    (1 + N, 1 + M), intersection over union with each of the earlier one's segments.
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

    def compare(self, now: Sketch) -> Difference:
        """How far the newest image's segments differ, at the same place or along the motion, whichever is less.

        Along the motion a colour that a neighbouring cell has now is no difference, since motion is known to about a
        cell. What hides there, a small change of a whole segment's brightness, shows in the mean over its inside.
        """
        places = _places(now.parts.shape)
        still = self._difference(now, places, np.zeros(now.parts.shape, np.float32))
        shift = np.abs(self.origins - places).max(2)
        moved = self._difference(now, self.origins, np.minimum(shift, 1))
        return Difference(np.minimum(still.levels, moved.levels), np.maximum(still.overlap, moved.overlap))

    def _difference(self, now: Sketch, origins: NDArray[np.float32], tolerance: NDArray[np.float32]) -> Difference:
        """Along the origins; tolerance: (h, w) in [0, 1], how far the neighbours' colours count as a cell's own."""
        height, width = now.parts.shape
        x, y = origins[..., 0], origins[..., 1]
        inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
        then = cv2.remap(self.sketch.image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        low, high = (now.image + tolerance[..., None] * (bound - now.image) for bound in (now.low, now.high))
        levels = np.maximum(np.maximum(low - then, then - high), 0).mean(2)
        (levels_of_part,) = _means(levels[..., None], now, inside)
        shade = np.abs(_means(now.image - then, now, inside & now.inner)).mean(0)

        then_parts = np.zeros_like(now.parts)
        columns, rows = (np.rint(each[inside]).astype(np.int64) for each in (x, y))
        then_parts[inside] = self.sketch.parts[rows.clip(0, height - 1), columns.clip(0, width - 1)]
        shape = now.num_parts + 1, self.sketch.num_parts + 1
        pairs = np.bincount((now.parts * shape[1] + then_parts).ravel(), minlength=shape[0] * shape[1]).reshape(shape)
        union = pairs.sum(1, keepdims=True) + pairs.sum(0, keepdims=True) - pairs
        return Difference(np.maximum(levels_of_part, _SHADE * shade), pairs / np.maximum(union, 1))


def draw_sketch(small: NDArray[np.uint8], segment_map: NDArray[np.int32], num_parts: int) -> Sketch:
    """Sketch a larger image (h, w, 3) whose segments are those of a map of any size, ids from 1 to num_parts."""
    image = shrink(small, sketch_rows(small))
    rows, columns = (
        ((np.arange(cells) + 0.5) * (pixels / cells)).astype(np.int64)
        for cells, pixels in zip(image.shape[:2], segment_map.shape, strict=True)
    )
    parts = segment_map[rows[:, None], columns].astype(np.int64)
    numbers = parts.astype(np.float32)
    low, high = (np.asarray(of(image, _NEIGHBOURS), np.float32) for of in (cv2.erode, cv2.dilate))
    inner = np.asarray(cv2.erode(numbers, _NEIGHBOURS) == cv2.dilate(numbers, _NEIGHBOURS))
    return Sketch(image.astype(np.float32), low, high, parts, inner, num_parts)


def sketch_rows(small: NDArray[np.uint8]) -> int:
    """Rows, along the short side, of an image's sketch."""
    short_side: int = min(small.shape[0], small.shape[1])
    return min(_SKETCH_ROWS, max(short_side // _CELLS_PER_ROW, 1))


def shrink_origins(origins: NDArray[np.float32], small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Where each cell of a sketch was, in its cells, from where each cell of the larger image was: (h, w, 2)."""
    height, width = shrink(small, sketch_rows(small)).shape[:2]
    mean = cv2.resize(origins, (width, height), interpolation=cv2.INTER_AREA)
    scale = np.array((width, height), np.float32) / np.array(origins.shape[1::-1], np.float32)
    return np.asarray((mean + 0.5) * scale - 0.5, np.float32)


def _means(values: NDArray[np.float32], now: Sketch, cells: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Means of (h, w, C) over each segment's cells: (C, 1 + N), 0 where it has none."""
    parts = now.parts[cells]
    counts = np.maximum(np.bincount(parts, minlength=now.num_parts + 1), 1)
    sums = [np.bincount(parts, channel, now.num_parts + 1) for channel in np.moveaxis(values[cells], 1, 0)]
    return np.asarray(np.array(sums) / counts)


def _places(size_hw: tuple[int, ...]) -> NDArray[np.float32]:
    x, y = np.meshgrid(np.arange(size_hw[1], dtype=np.float32), np.arange(size_hw[0], dtype=np.float32))
    return np.stack((x, y), 2)
