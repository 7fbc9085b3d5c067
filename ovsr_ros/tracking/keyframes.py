"""Images in which tracks were embedded, carried along with the camera, and how far what is seen now differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.ops.evidence import sample_cells
from ovsr_ros.ops.image import scaled_size_hw
from ovsr_ros.ops.motion import MAX_ASPECT, shrink

_ROWS = 60
_SHRINK = 4
"""At least so many rows are averaged to one of a thumbnail."""

_OUTSIDE = -1e4
_NEIGHBOURS = np.ones((3, 3), np.uint8)

_SHADE = 1 / 3
"""What a level counts by which a segment's inside is lighter or darker as a whole."""


@dataclass(frozen=True)
class Thumbnail:
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
class Change:
    """How M segments of a thumbnail differ from what an earlier one showed of them.

    levels: (M,) difference of colours over the cells that both show, 0 where there are none. overlap: (M,) intersection
    over union with what they were then.
    """

    levels: NDArray[np.float64]
    overlap: NDArray[np.float64]


@dataclass(frozen=True)
class Keyframe:
    """An earlier image, as a thumbnail that is carried along with the camera.

    origins: (h, w, 2) float32 x, y, where each cell of the newest image was in it, in its cells; far outside for what
    has come into view since.
    """

    thumbnail: Thumbnail
    origins: NDArray[np.float32]

    @classmethod
    def of(cls, thumbnail: Thumbnail) -> Keyframe:
        """The newest image as a keyframe."""
        return cls(thumbnail, _places(thumbnail.parts.shape))

    def moved(self, origins: NDArray[np.float32]) -> Keyframe:
        """The keyframe one image later; origins: (h, w, 2), where each cell was one image before."""
        x, y = origins[..., 0], origins[..., 1]
        outside = (_OUTSIDE,) * 4
        carried = cv2.remap(self.origins, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=outside)
        return replace(self, origins=np.asarray(carried, np.float32))

    def at_rest(self, cells: NDArray[np.int64]) -> _Samples:
        """What these of its cells show, (P,), numbered row by row."""
        colors = self.thumbnail.image.reshape(-1, 3).take(cells, 0)
        return _Samples(colors, self.thumbnail.parts.ravel()[cells], np.ones(len(cells), bool))

    def along(self, origins: NDArray[np.float32]) -> _Samples:
        """What it shows at places (P, 2), P at least 1."""
        height, width = self.thumbnail.parts.shape
        x, y = origins[:, 0], origins[:, 1]
        inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
        image, replicate = self.thumbnail.image, cv2.BORDER_REPLICATE
        colors = cv2.remap(image, x[:, None], y[:, None], cv2.INTER_LINEAR, borderMode=replicate)[:, 0]
        columns, rows = (np.rint(each).clip(0, most - 1).astype(np.int64) for each, most in ((x, width), (y, height)))
        return _Samples(np.asarray(colors, np.float32), self.thumbnail.parts[rows, columns], inside)


class _Samples(NamedTuple):
    """What an earlier image shows at P places.

    colors: (P, 3) float32. parts: (P,) int64, which segment is there. inside: (P,) bool, whether the place is in it.
    """

    colors: NDArray[np.float32]
    parts: NDArray[np.int64]
    inside: NDArray[np.bool_]

    @classmethod
    def joined(cls, samples: Sequence[_Samples]) -> _Samples:
        return cls(*(np.concatenate(each) for each in zip(*samples, strict=True)))


class _Cells(NamedTuple):
    """The P cells of M segments that are compared.

    segments: (P,) from 0. inner: (P,) bool, as in `Thumbnail`. wanted: (P,) the segment's id in its keyframe. areas,
    areas_then: (M,) cells of each.
    """

    segments: NDArray[np.int64]
    inner: NDArray[np.bool_]
    wanted: NDArray[np.int64]
    areas: NDArray[np.int64]
    areas_then: NDArray[np.int64]

    def judge(
        self, then: _Samples, image: NDArray[np.float32], low: NDArray[np.float32], high: NDArray[np.float32]
    ) -> Change:
        """Of their colours (P, 3) now, any between `low` and `high`, from what was there then."""
        beyond = np.maximum(np.maximum(low - then.colors, then.colors - high), 0)
        (level,) = self._means(_mean_channel(beyond)[None], then.inside)
        shade = np.abs(self._means((image - then.colors).T, then.inside & self.inner)).mean(0)
        shared = np.bincount(self.segments, then.inside & (then.parts == self.wanted), len(self.areas))
        union = self.areas + self.areas_then - shared
        return Change(np.maximum(level, _SHADE * shade), shared / np.maximum(union, 1))

    def _means(self, channels: NDArray[np.float32], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Means of channels (C, P) over each segment's cells of those chosen: (C, M), 0 where it has none."""
        count = len(self.areas)
        counts = np.maximum(np.bincount(self.segments, chosen, count), 1)
        return np.array([np.bincount(self.segments, channel * chosen, count) for channel in channels]) / counts


def compare(
    keyframes: Sequence[Keyframe],
    now: Thumbnail,
    parts: NDArray[np.int64],
    keyframe_of_part: NDArray[np.int64],
    parts_then: NDArray[np.int64],
) -> Change:
    """How far segments differ from a keyframe of each, at the same place or along the motion, whichever is less.

    Along the motion a colour that a neighbouring cell has now is no difference, since motion is known to about a cell.
    What hides there, a small change of a whole segment's brightness, shows in the mean over its inside.

    parts, parts_then: (M,) ids in the newest image and in the segment's keyframe. keyframe_of_part: (M,) places in
    `keyframes`.
    """
    segment_of_part = np.full(len(now.areas), len(parts))
    segment_of_part[parts] = np.arange(len(parts))
    segment_of_cell = segment_of_part[now.parts.ravel()]
    keyframe_of_cell = np.append(keyframe_of_part, len(keyframes))[segment_of_cell].astype(np.uint16)  # sorted quickly
    num_cells = np.bincount(keyframe_of_cell, minlength=len(keyframes))[: len(keyframes)]
    chosen = np.argsort(keyframe_of_cell, kind="stable")[: num_cells.sum()]  # P cells, keyframe by keyframe
    if not len(chosen):
        return Change(np.zeros(len(parts)), np.zeros(len(parts)))
    by_keyframe = np.split(chosen, np.cumsum(num_cells)[:-1])
    shown = [(keyframe, cells) for keyframe, cells in zip(keyframes, by_keyframe, strict=True) if len(cells)]
    origins = [keyframe.origins.reshape(-1, 2).take(cells, 0) for keyframe, cells in shown]
    still = _Samples.joined([keyframe.at_rest(cells) for keyframe, cells in shown])
    moved = _Samples.joined([keyframe.along(places) for (keyframe, _), places in zip(shown, origins, strict=True)])

    segments = segment_of_cell[chosen]
    pairs = zip(keyframe_of_part, parts_then, strict=True)
    areas_then = np.array([keyframes[number].thumbnail.areas[part] for number, part in pairs])
    cells = _Cells(segments, now.inner.ravel()[chosen], parts_then[segments], now.areas[parts], areas_then)
    image, low, high = (each.reshape(-1, 3).take(chosen, 0) for each in (now.image, now.low, now.high))
    at_rest = cells.judge(still, image, image, image)
    distances = np.abs(np.concatenate(origins) - _places(now.parts.shape).reshape(-1, 2).take(chosen, 0))
    slack = np.maximum(distances[:, :1], distances[:, 1:]).clip(max=1)  # how far its neighbours' colours count as its
    along = cells.judge(moved, image, image + slack * (low - image), image + slack * (high - image))
    return Change(np.minimum(at_rest.levels, along.levels), np.maximum(at_rest.overlap, along.overlap))


def draw_thumbnail(small: NDArray[np.uint8], segment_map: Tensor, num_parts: int) -> Thumbnail:
    """The thumbnail of a larger image (h, w, 3); its segments: a map of any size, ids from 1 to num_parts."""
    image = shrink(small, _short_side(small))
    parts = sample_cells(segment_map, (image.shape[0], image.shape[1])).cpu().numpy()
    numbers = parts.astype(np.float32)
    low, high = (np.asarray(of(image, _NEIGHBOURS), np.float32) for of in (cv2.erode, cv2.dilate))
    inner = np.asarray(cv2.erode(numbers, _NEIGHBOURS) == cv2.dilate(numbers, _NEIGHBOURS))
    areas = np.bincount(parts.ravel(), minlength=num_parts + 1)
    return Thumbnail(image.astype(np.float32), low, high, parts, inner, areas)


def thumbnail_size_hw(small: NDArray[np.uint8]) -> tuple[int, int]:
    """Rows and columns of an image's thumbnail."""
    height, width = small.shape[:2]
    return scaled_size_hw((height, width), _short_side(small), MAX_ASPECT)


def shrink_origins(origins: NDArray[np.float32], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Where each cell of a thumbnail was, in its cells, from where each cell of the larger image was: (h, w, 2)."""
    mean = cv2.resize(origins, size_hw[::-1], interpolation=cv2.INTER_AREA)
    scale = np.array(size_hw[::-1], np.float32) / np.array(origins.shape[1::-1], np.float32)
    return np.asarray((mean + 0.5) * scale - 0.5, np.float32)


def _short_side(small: NDArray[np.uint8]) -> int:
    short_side: int = min(small.shape[0], small.shape[1])
    return min(_ROWS, max(short_side // _SHRINK, 1))


def _mean_channel(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((values[:, 0] + values[:, 1] + values[:, 2]) / 3, np.float32)  # mean(1) is ten times as slow


@lru_cache(maxsize=4)
def _places(size_hw: tuple[int, ...]) -> NDArray[np.float32]:
    x, y = np.meshgrid(np.arange(size_hw[1], dtype=np.float32), np.arange(size_hw[0], dtype=np.float32))
    return np.stack((x, y), 2)
