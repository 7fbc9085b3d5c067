"""An image with its segments tinted and outlined, each in another colour than its neighbours: no word is known."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.drawing.regions import Image, Scale, draw_outlines, tint
from ovsr_ros.results import UNLABELED_ID
from ovsr_ros.vocabulary.palette import default_color

_NUM_COLORS = 12
"""The palette's first: strong, and far apart."""
_FAR_ENOUGH = 60.0
"""Of two colours in CIE L*a*b*: their tints are told apart at a glance."""
_DARKEST, _LIGHTEST = 50, 240
"""Grey of the image's black and white: on black itself no tint would show."""
_NEAR_PX = 8
"""Segments this far apart across or down are neighbours, too: between many lies a sliver of a third."""


def overlay_segments(image_rgb: Image, segment_map: NDArray[Any], alpha: float = 0.5) -> Image:
    """Draw segments on their image: tinted regions with outlines, neighbours in colours far apart.

    image_rgb: (H, W, 3) uint8 RGB; it is not changed. segment_map: (H, W) integers, a segment's id from 1, 0 none.
    alpha: strength of the tint, 0 to 1. What is no segment is dimmed. Under the tints the image is grey, so that a
    colour is the same wherever it lies. Returns (H, W, 3) uint8 RGB.

    Raises ValueError when image and map differ in size.
    """
    if image_rgb.shape != (*segment_map.shape, 3) or image_rgb.dtype != np.uint8:
        expected = f"{(*segment_map.shape, 3)} uint8"
        raise ValueError(f"image_rgb: expected {expected}, got {image_rgb.shape} {image_rgb.dtype}")
    height, width = segment_map.shape
    colors = np.zeros((256, 3), np.uint8)
    colors[:_NUM_COLORS] = [default_color(id) for id in range(_NUM_COLORS)]
    color_map = choose_colors(segment_map, colors[:_NUM_COLORS])[segment_map]
    gray = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    evened = (_DARKEST + gray * ((_LIGHTEST - _DARKEST) / 255)).round().astype(np.uint8)
    canvas = tint(cv2.cvtColor(evened, cv2.COLOR_GRAY2RGB), color_map, colors, alpha)
    draw_outlines(canvas, segment_map, color_map, colors, Scale.of(height, width))
    return canvas


def choose_colors(segment_map: NDArray[Any], palette: Image) -> NDArray[np.uint8]:
    """A row of the palette, (K, 3) uint8 RGB, for each segment, so that neighbours are told apart.

    Segments choose in the order of their ids: of the colours far enough, in CIE L*a*b*, from those that their
    neighbours have already, the one that was chosen least; where none is, the farthest. Returns (N + 1,) uint8 by
    segment id; 255 for id 0, no segment.
    """
    lab = cv2.cvtColor(palette[None].astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)[0]  # (K, 3)
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=2)  # (K, K)
    num_segments = int(segment_map.max(initial=0))
    neighbors = _find_neighbors(segment_map, num_segments)
    chosen = np.full(num_segments + 1, UNLABELED_ID, np.uint8)
    uses = np.zeros(len(palette), np.int64)
    for id in range(1, num_segments + 1):
        taken = {int(chosen[other]) for other in neighbors[id]} - {UNLABELED_ID}
        apart = distances[:, sorted(taken)].min(1) if taken else np.full(len(palette), _FAR_ENOUGH)
        chosen[id] = np.lexsort((uses, -np.minimum(apart, _FAR_ENOUGH)))[0]
        uses[chosen[id]] += 1
    return chosen


def _find_neighbors(segment_map: NDArray[Any], num_segments: int) -> list[set[int]]:
    """The ids of each segment's neighbours, by id from 0."""
    ids = segment_map.astype(np.int64)
    neighbors: list[set[int]] = [set() for _ in range(num_segments + 1)]
    for step in (1, _NEAR_PX):
        for first, second in ((ids[:, step:], ids[:, :-step]), (ids[step:], ids[:-step])):
            pairs = np.unique((first * (num_segments + 1) + second)[first != second])
            for pair in pairs.tolist():
                one, other = divmod(pair, num_segments + 1)
                neighbors[one].add(other)
                neighbors[other].add(one)
    return neighbors
