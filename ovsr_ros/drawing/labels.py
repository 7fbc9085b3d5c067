"""An image with its segments tinted and outlined in the colours of their categories, and named."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ovsr_ros.drawing.regions import Image, Scale, draw_outlines, tint
from ovsr_ros.drawing.text import draw_text, text_masks
from ovsr_ros.results import UNLABELED_ID, Segmentation, Segments
from ovsr_ros.vocabulary.category import Vocabulary

_MIN_SIDE_FOR_TEXT_PX = 96
_MAX_NAME_CHARACTERS = 24
_LOCATE_AT_PX = 320
"""Long side of the map on which the places of names are looked for."""


@dataclass(frozen=True)
class _Rect:
    x: int
    y: int
    width: int
    height: int

    def overlaps(self, other: _Rect, gap: int) -> bool:
        return (
            self.x < other.x + other.width + gap
            and other.x < self.x + self.width + gap
            and self.y < other.y + other.height + gap
            and other.y < self.y + self.height + gap
        )


def overlay(
    image_rgb: Image, segmentation: Segmentation, vocabulary: Vocabulary, alpha: float = 0.42, legend: bool = True
) -> Image:
    """Draw a segmentation on its image: tinted regions, outlines, names with scores, and a legend.

    Where segments of one category touch, the largest has the name and its own score for all of them.

    image_rgb: (H, W, 3) uint8 RGB; it is not changed. vocabulary: the one that labelled it; gives names and colours.
    alpha: strength of the tint, 0 to 1. Unlabeled regions are dimmed, not coloured. Images with a side under 96 pixels
    get no text. Returns (H, W, 3) uint8 RGB.

    Raises ValueError when image and segmentation differ in size.
    """
    height, width = segmentation.label_map.shape
    if image_rgb.shape != (height, width, 3) or image_rgb.dtype != np.uint8:
        raise ValueError(f"image_rgb: expected ({height}, {width}, 3) uint8, got {image_rgb.shape} {image_rgb.dtype}")
    scale = Scale.of(height, width)
    canvas = tint(image_rgb, segmentation.label_map, vocabulary.colors, alpha)
    draw_outlines(canvas, segmentation.segment_map, segmentation.label_map, vocabulary.colors, scale)
    if min(height, width) < _MIN_SIDE_FOR_TEXT_PX:
        return canvas
    taken: list[_Rect] = []
    if legend:
        panel = _draw_legend(canvas, segmentation, vocabulary, scale)
        taken += [] if panel is None else [panel]
    _draw_names(canvas, segmentation, vocabulary, scale, taken)
    return canvas


# --- Names ---


def _shortened(name: str) -> str:
    return name if len(name) <= _MAX_NAME_CHARACTERS else f"{name[: _MAX_NAME_CHARACTERS - 3]}..."


def _draw_names(
    canvas: Image, segmentation: Segmentation, vocabulary: Vocabulary, scale: Scale, taken: list[_Rect]
) -> None:
    """A name and score on each area of one category, the largest first; one that finds no free place is left out."""
    names = {category.id: category.name for category in vocabulary.categories}
    segments = segmentation.segments
    height, width = canvas.shape[:2]
    gap = max(1, scale.text_px // 5)
    factor = min(1.0, _LOCATE_AT_PX / max(height, width))
    small_size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small_map = cv2.resize(segmentation.segment_map, small_size, interpolation=cv2.INTER_NEAREST)
    for index in _named_segments(small_map, segments):
        class_id = int(segments.class_ids[index])
        text = f"{_shortened(names.get(class_id, str(class_id)))} {segments.scores[index]:.2f}"
        ink, _ = text_masks(text, scale.text_px)
        size = (min(ink.shape[1], width), min(ink.shape[0], height))
        box = segments.boxes_xyxy[index]
        center = _innermost_point(small_map, int(segments.ids[index]), box, factor)
        for rect in _candidate_rects(center, box, size, (height, width)):
            if not any(rect.overlaps(other, gap) for other in taken):
                taken.append(rect)
                draw_text(canvas, text, rect.x, rect.y, scale.text_px)
                break


def _named_segments(small_map: NDArray[Any], segments: Segments) -> NDArray[np.int64]:
    """Of the labelled segments that touch others of their category, the largest of each such area; and those that touch
    none. Their places among the segments, in ascending order.
    """
    count = len(segments)
    place_of_id = np.full(max(int(segments.ids.max(initial=0)), int(small_map.max(initial=0))) + 1, count)
    place_of_id[segments.ids] = np.arange(count)
    class_of_place = np.append(segments.class_ids, UNLABELED_ID)
    places = place_of_id[small_map]
    edges = []
    for one, other in ((places[:, 1:], places[:, :-1]), (places[1:], places[:-1])):
        touch = (one != other) & (class_of_place[one] == class_of_place[other])
        edges.append(np.stack((one[touch], other[touch])))
    ones, others = np.concatenate(edges, 1)
    graph = coo_array((np.ones(len(ones), bool), (ones, others)), shape=(count + 1, count + 1))
    _, areas = connected_components(graph, directed=False)
    labelled = np.flatnonzero(segments.class_ids != UNLABELED_ID)
    largest_first = labelled[np.argsort(-segments.areas_px[labelled], kind="stable")]
    _, first = np.unique(areas[largest_first], return_index=True)
    return np.sort(largest_first[first])


def _innermost_point(
    small_map: NDArray[Any], segment_id: int, box: NDArray[np.int32], factor: float
) -> tuple[int, int]:
    """The pixel of a segment that is farthest from its border: a name there lies on the segment, whatever its shape."""
    left, top = int(box[0] * factor), int(box[1] * factor)
    part = small_map[top : math.ceil(box[3] * factor) + 1, left : math.ceil(box[2] * factor) + 1]
    mask = np.pad(np.equal(part, segment_id), 1).view(np.uint8)
    if not mask.any():
        return int(box[0] + box[2]) // 2, int(box[1] + box[3]) // 2
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    return round((left + x - 0.5) / factor), round((top + y - 0.5) / factor)


def _candidate_rects(
    center: tuple[int, int], box: NDArray[np.int32], size: tuple[int, int], image_hw: tuple[int, int]
) -> Iterator[_Rect]:
    """Places for a name: on the segment, then up and down from there, then above and below its box."""
    width, height = size
    places = [(center[0], center[1] + step * height) for step in (0, -1, 1, -2, 2)]
    middle = (int(box[0]) + int(box[2])) // 2
    places += [(middle, int(box[1]) - height // 2), (middle, int(box[3]) + height // 2)]
    for x, y in places:
        left = min(max(x - width // 2, 0), image_hw[1] - width)
        top = min(max(y - height // 2, 0), image_hw[0] - height)
        yield _Rect(left, top, width, height)


# --- Legend ---


def _legend_rows(segmentation: Segmentation, vocabulary: Vocabulary) -> list[tuple[str, tuple[int, int, int]]]:
    """Text and colour of each class in the picture, the largest area first, unlabeled last."""
    pixels = np.bincount(segmentation.label_map.ravel(), minlength=256)
    present = sorted((c for c in vocabulary.categories if pixels[c.id]), key=lambda c: -pixels[c.id])
    rows = [(f"{category.id}  {_shortened(category.name)}", category.color_rgb) for category in present]
    if pixels[UNLABELED_ID]:
        rows.append((f"{UNLABELED_ID}  unlabeled", (90, 90, 90)))
    return rows


def _draw_legend(canvas: Image, segmentation: Segmentation, vocabulary: Vocabulary, scale: Scale) -> _Rect | None:
    height, width = canvas.shape[:2]
    text_px = max(7, round(0.85 * scale.text_px))
    line_height, pad, swatch = round(2.0 * text_px), text_px, round(1.2 * text_px)
    rows = _legend_rows(segmentation, vocabulary)
    room = max(1, int((0.5 * height - 2 * pad) / line_height))
    if len(rows) > room:
        rows = [*rows[: room - 1], (f"+{len(rows) - room + 1} more", (0, 0, 0))]
    text_width = max((text_masks(text, text_px)[0].shape[1] for text, _ in rows), default=0)
    panel_size = (text_width + swatch + round(2.5 * pad), len(rows) * line_height + pad)
    if not rows or panel_size[0] > 0.6 * width or panel_size[1] > 0.7 * height:
        return None
    panel = _quietest_corner(panel_size, segmentation, (height, width), margin=text_px // 2)
    _darken_rounded(canvas, panel, radius=text_px // 2)
    cap_middle = round(np.flatnonzero(text_masks("H", text_px)[0].any(1)).mean())
    for number, (text, color) in enumerate(rows):
        middle = panel.y + pad // 2 + number * line_height + line_height // 2
        left = panel.x + pad
        if not text.startswith("+"):
            top = middle - swatch // 2
            canvas[top : top + swatch, left : left + swatch] = color
            cv2.rectangle(canvas, (left, top), (left + swatch - 1, top + swatch - 1), (235, 235, 235), 1)
        draw_text(canvas, text, left + swatch + pad // 2, middle - cap_middle, text_px, halo=False)
    return panel


def _quietest_corner(
    size: tuple[int, int], segmentation: Segmentation, image_hw: tuple[int, int], margin: int
) -> _Rect:
    """The corner where a panel hides the least of the labelled segments, each counting as the share that it loses."""
    right, bottom = image_hw[1] - size[0] - margin, image_hw[0] - size[1] - margin
    corners = [_Rect(x, y, *size) for y in (bottom, margin) for x in (margin, right)]
    segments = segmentation.segments
    share_of_pixel = np.zeros(len(segments) + 1)
    share_of_pixel[1:] = (segments.class_ids != UNLABELED_ID) / np.maximum(segments.areas_px, 1)

    def hidden(corner: _Rect) -> float:
        under = segmentation.segment_map[corner.y : corner.y + corner.height, corner.x : corner.x + corner.width]
        return float(share_of_pixel[under].sum())

    return min(corners, key=hidden)


def _darken_rounded(canvas: Image, rect: _Rect, radius: int) -> None:
    mask = np.zeros((rect.height, rect.width), np.uint8)
    mask[radius : rect.height - radius] = 255
    mask[:, radius : rect.width - radius] = 255
    for x in (radius, rect.width - 1 - radius):
        for y in (radius, rect.height - 1 - radius):
            cv2.circle(mask, (x, y), radius, 255, -1, cv2.LINE_AA)
    area = canvas[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width]
    strength = 0.72 * mask[..., None] / 255.0
    area[...] = (area * (1.0 - strength) + 22.0 * strength).round().astype(np.uint8)
