"""Labels that change while the truth does not: over the points of a scene, over an image's pixels, over objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.demo.camera_path import CameraPose
from ovsr_ros.demo.scenes import Rendering

MIN_OBJECT_PX = 200
"""An object of which less is in view has no label of its own."""

_DEPTH_TOLERANCE = 0.02


@dataclass(frozen=True)
class Points:
    """Where each pixel's point of the scene was in the frame before.

    origins_xy: (H, W, 2) float32 pixels. seen: (H, W) bool, whether it was in view there, on the same object.
    """

    origins_xy: NDArray[np.float32]
    seen: NDArray[np.bool_]


def trace_points(before: Rendering, view_before: CameraPose, after: Rendering, view_after: CameraPose) -> Points:
    """Follow the points of `after` back to `before` by the scene's known geometry; nothing in the scene moves."""
    height, width = after.depth_m.shape
    world = view_after.position + after.depth_m[..., None] * view_after.rays((width, height))
    origins, depth = view_before.project(world.reshape(-1, 3).astype(np.float32), (width, height))
    origins, depth = origins.reshape(height, width, 2), depth.reshape(height, width)
    x, y = (np.rint(origins[..., axis]).astype(np.int64) for axis in (0, 1))
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    same = before.instance_map[y, x] == after.instance_map
    near = np.abs(before.depth_m[y, x] - depth) <= _DEPTH_TOLERANCE * np.abs(depth)
    return Points(origins, inside & same & near)


@dataclass(frozen=True)
class Share:
    """A count of all."""

    count: int = 0
    total: int = 0

    @property
    def value(self) -> float:
        """NaN of nothing."""
        return self.count / self.total if self.total else float("nan")

    def __add__(self, other: Share) -> Share:
        return Share(self.count + other.count, self.total + other.total)


def changed_points(before: NDArray[np.uint8], after: NDArray[np.uint8], points: Points) -> Share:
    """Points in view in two frames whose label differs.

    A point lies between four pixels of the frame before; its label is kept where any of them has it. So a border that
    moves with the scene changes nothing, wherever the pixels' grid falls.
    """
    height, width = after.shape
    left, top = (np.floor(points.origins_xy[..., axis]).astype(np.int64) for axis in (0, 1))
    kept = np.zeros(after.shape, bool)
    for x in (left, left + 1):
        for y in (top, top + 1):
            kept |= before[y.clip(0, height - 1), x.clip(0, width - 1)] == after
    return Share(int((points.seen & ~kept).sum()), int(points.seen.sum()))


def changed_pixels(
    before: NDArray[np.uint8], after: NDArray[np.uint8], truth_before: NDArray[np.uint8], truth_after: NDArray[np.uint8]
) -> Share:
    """Pixels of equal truth in two frames whose label differs; the camera's motion is not taken out."""
    same = truth_before == truth_after
    return Share(int((same & (before != after)).sum()), int(same.sum()))


def carry_labels(labels: NDArray[np.uint8], points: Points, otherwise: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels moved exactly with the scene, (H, W); pixels whose point was not in view get those given otherwise."""
    height, width = labels.shape
    x, y = (np.rint(points.origins_xy[..., axis]).astype(np.int64) for axis in (0, 1))
    moved = labels[y.clip(0, height - 1), x.clip(0, width - 1)]
    return np.where((x >= 0) & (x < width) & (y >= 0) & (y < height), moved, otherwise)


def object_labels(labels: NDArray[np.uint8], instance_map: NDArray[np.uint16]) -> dict[int, int]:
    """The label that most pixels of each object have, by instance."""
    areas = np.bincount(instance_map.ravel())
    return {
        int(instance): int(np.bincount(labels[instance_map == instance], minlength=256).argmax())
        for instance in np.flatnonzero(areas >= MIN_OBJECT_PX)
    }


def changed_objects(before: dict[int, int], after: dict[int, int]) -> Share:
    """Objects in view in two frames whose label differs."""
    both = before.keys() & after.keys()
    return Share(sum(before[instance] != after[instance] for instance in both), len(both))


def all_changes(shares: Sequence[Share]) -> Share:
    """The sum."""
    return sum(shares, Share())
