"""How a camera hangs, and what of its own robot it sees: images as the networks are to see them, and the results back
in the image's own pixels.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.backends.reduction import measure_segments
from ovsr_ros.errors import ConfigError, ImageError
from ovsr_ros.image_files import decode_upright
from ovsr_ros.results import UNLABELED_ID, Segmentation, Segments

_FILL_RGB = np.array((124, 116, 104), np.uint8)
"""What an ignored pixel looks like to the networks: ImageNet's mean, which most of them see as 0."""
_MOST_IGNORED = 0.5
"""A segment of which more is ignored is no segment: what is left of it is the ignored thing's edge."""
_SAME_ASPECT = 0.01


@dataclass(frozen=True, eq=False)
class View:
    """How images are turned, and which pixels are ignored.

    rotation: 0, 90, 180 or 270: by how many degrees an image is turned clockwise, so that up is up. ignored: (h, w),
    True where nothing is to be looked at, in the image's own frame, at any resolution of its aspect; None: nowhere.
    """

    rotation: int = 0
    ignored: NDArray[np.bool_] | None = None
    _resized: dict[tuple[int, int], NDArray[np.bool_]] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def read(cls, rotation: int, ignore_mask: str) -> View:
        """ignore_mask: an image file, whatever is not black is ignored; empty: none.

        Raises ConfigError where the file is no image, or covers everything.
        """
        if not ignore_mask:
            return cls(rotation)
        path = Path(ignore_mask).expanduser()
        try:
            image = decode_upright(np.frombuffer(path.read_bytes(), np.uint8))
        except (OSError, ImageError) as error:
            reason = error.strerror or error if isinstance(error, OSError) else error
            raise ConfigError(f"ignore_mask: {path}: expected an image file: {reason}") from error
        ignored: NDArray[np.bool_] = np.any(image, axis=2)
        if ignored.all():
            raise ConfigError(f"ignore_mask: {path}: no pixel is black, so that nothing is left to be looked at")
        return cls(rotation, ignored)

    def upright(self, image_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 as the networks are to see it: (H, W, 3), or (W, H, 3) where it is turned by 90 or 270.

        Raises ImageError where the mask has another aspect.
        """
        if self.ignored is not None:
            image_rgb = np.where(self._ignored_in(image_rgb.shape[:2])[..., None], _FILL_RGB, image_rgb)
        return np.ascontiguousarray(np.rot90(image_rgb, -self.rotation // 90))

    def upright_mask(self, size_hw: tuple[int, int]) -> NDArray[np.bool_] | None:
        """What is ignored in the upright image of one of that height and width, True there; None: nothing.

        Raises ImageError as `upright`.
        """
        if self.ignored is None:
            return None
        ignored = self._ignored_in(size_hw)
        return np.ascontiguousarray(np.rot90(ignored, -self.rotation // 90)) if ignored.any() else None

    def of_size(self, size_hw: tuple[int, int]) -> View:
        """This view of images of that height and width, its mask at their size. Raises ImageError as `upright`."""
        return self if self.ignored is None else View(self.rotation, self._ignored_in(size_hw))

    def with_mask(self, mask: NDArray[np.bool_], size_hw: tuple[int, int]) -> View:
        """This view of images of that height and width, with a mask's pixels ignored as well.

        mask: (h, w), as `ignored`. Raises ImageError where it has another aspect or leaves nothing to be looked at, and
        as `upright`.
        """
        ignored = _resize(mask, size_hw)
        if self.ignored is not None:
            ignored = ignored | self._ignored_in(size_hw)
        if ignored.all():
            raise ImageError("covers the whole image, so that nothing is left to be looked at")
        return View(self.rotation, ignored)

    def own(self, segmentation: Segmentation) -> Segmentation:
        """The segmentation of an upright image, in the pixels of the image as it came, of which none is ignored."""
        if self.rotation == 0 and self.ignored is None:
            return segmentation
        label_map: NDArray[np.uint8] = self._turn_back(segmentation.label_map)
        confidence: NDArray[np.uint8] = self._turn_back(segmentation.confidence)
        segment_map: NDArray[np.uint16] = self._turn_back(segmentation.segment_map)
        segments = segmentation.segments
        if self.ignored is not None:
            ignored = self._ignored_in(segment_map.shape)
            is_kept = _is_kept(segment_map, ignored)
            ignored = ignored | ~is_kept[segment_map]
            label_map[ignored], confidence[ignored], segment_map[ignored] = UNLABELED_ID, 0, 0
            segments = _select(segments, is_kept[segments.ids])
        return dataclasses.replace(
            segmentation,
            label_map=label_map,
            confidence=confidence,
            segment_map=segment_map,
            segments=measure_segments(segments, segment_map),
        )

    def _turn_back(self, values: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(np.rot90(values, self.rotation // 90))

    def _ignored_in(self, size_hw: tuple[int, ...]) -> NDArray[np.bool_]:
        """(H, W)."""
        assert self.ignored is not None
        height, width = size_hw
        found = self._resized.get((height, width))
        if found is None:
            try:
                found = _resize(self.ignored, (height, width))
            except ImageError as error:
                raise ImageError(f"ignore_mask: {error}") from error
            self._resized.clear()  # cameras have one size
            self._resized[(height, width)] = found
        return found


def _resize(mask: NDArray[np.bool_], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """(h, w) -> (H, W). Raises ImageError, whose text begins with "is", where the aspect is another."""
    (rows, columns), (height, width) = mask.shape, size_hw
    if (rows, columns) == (height, width):
        return mask
    if abs(rows * width / (columns * height) - 1) > _SAME_ASPECT:
        raise ImageError(
            f"is {columns}x{rows}, which is not the image's aspect, {width}x{height}; give a mask of the camera's image"
        )
    return cv2.resize(mask.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)


def _is_kept(segment_map: NDArray[np.uint16], ignored: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """By segment id, from 0 to the highest: whether enough of it is left. 0, which is none, is."""
    all_px = np.bincount(segment_map.ravel())
    ignored_px = np.bincount(segment_map[ignored], minlength=len(all_px))
    is_kept: NDArray[np.bool_] = ignored_px <= _MOST_IGNORED * all_px
    is_kept[0] = True
    return is_kept


def _select(segments: Segments, rows: NDArray[np.bool_]) -> Segments:
    values = {each.name: getattr(segments, each.name)[rows] for each in dataclasses.fields(segments)}
    return Segments(**values)
