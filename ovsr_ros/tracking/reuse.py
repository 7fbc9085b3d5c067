"""Which segments have to be embedded anew, and of which the track's embedding still holds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.backends.contract import FoundSegments, FrameEmbeddings
from ovsr_ros.ops.motion import shrink
from ovsr_ros.tracking.options import TrackingOptions
from ovsr_ros.tracking.tracks import Tracks

MIN_LOOKS = 3
"""How often a new track is embedded before it is due by its age only."""

MAX_RENEWED = 0.1
"""At most this share of the segments is renewed per frame for its age alone."""

MOST_DUE = 0.5
"""When more than this share of the segments will have to be embedded, all of the next frame is, in one batch."""

_MIN_BOX_OVERLAP = 0.75
_MAX_AREA_RATIO = 1.3
_SETTLING = 2.0
"""A track is embedded in every frame until this many time constants of its average after it last changed."""

_SKETCH_ROWS = 60
_CELLS_PER_ROW = 4
"""At least so many rows are averaged to one of a sketch."""


@dataclass(frozen=True)
class Look:
    """What was to be seen of a track when it was last embedded.

    sketch: (h, w, 3) uint8, the image at 60 rows or a quarter of its own, where the noise of single pixels is gone.
    box_xyxy, area: its box and its area, as fractions of the image's sides and of its area. time_s: when that was.
    count: how often it has been embedded. changed_s: when it was last found changed; -inf never.
    """

    sketch: NDArray[np.uint8]
    box_xyxy: NDArray[np.float64]
    area: float
    time_s: float
    count: int
    changed_s: float

    def has_changed(self, sketch: NDArray[np.uint8], box_xyxy: NDArray[np.float64], most: float) -> bool:
        """Whether the colours in a box differ by more than `most` levels in mean from what was there then."""
        if self.sketch.shape != sketch.shape:
            return True
        height, width = sketch.shape[:2]
        left, top = int(box_xyxy[0] * width), int(box_xyxy[1] * height)
        right, bottom = math.ceil(box_xyxy[2] * width), math.ceil(box_xyxy[3] * height)
        now, then = (each[top:bottom, left:right].astype(np.int16) for each in (sketch, self.sketch))
        return float(np.abs(now - then).mean()) > most

    def is_reshaped(self, box_xyxy: NDArray[np.float64], area: float) -> bool:
        """Whether it now has another outline; where the colours are the same, it was only cut out differently."""
        inner = np.maximum(self.box_xyxy[:2], box_xyxy[:2]), np.minimum(self.box_xyxy[2:], box_xyxy[2:])
        shared = _box_area(np.concatenate(inner))
        alike = shared >= _MIN_BOX_OVERLAP * (_box_area(self.box_xyxy) + _box_area(box_xyxy) - shared)
        return not (alike and 1 / _MAX_AREA_RATIO <= area / self.area <= _MAX_AREA_RATIO)

    def is_settling(self, time_s: float, memory_s: float) -> bool:
        """Whether the track's average, of that time constant, still holds much of what was there before a change."""
        return time_s - self.changed_s < _SETTLING * memory_s


def _box_area(box_xyxy: NDArray[np.float64]) -> float:
    return float(np.prod(np.maximum(box_xyxy[2:] - box_xyxy[:2], 0)))


def draw_sketch(small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image as `Look` keeps it, from a larger one (h, w, 3)."""
    return shrink(small, min(_SKETCH_ROWS, max(min(small.shape[:2]) // _CELLS_PER_ROW, 1)))


class SegmentEmbeddings:
    """A frame's embeddings, made when they are asked for.

    table: (N, D), rows of 0 where not known. known: (N,) bool.
    """

    def __init__(self, frame: FrameEmbeddings | FoundSegments) -> None:
        self._found = frame if isinstance(frame, FoundSegments) else None
        if isinstance(frame, FrameEmbeddings):
            self.table = frame.embeddings
        else:
            self.table = torch.zeros(len(frame), frame.width, device=frame.segment_map.device)
        self.known = np.full(len(frame), self._found is None)

    def want(self, rows: NDArray[np.int64]) -> None:
        """Make the embeddings of these segments known; all of them, where they come from one look at the image."""
        rows = np.unique(rows[~self.known[rows]])
        if not len(rows) or self._found is None:
            return
        if self._found.all_at_once:
            rows = np.arange(len(self.known))
        self.table[torch.from_numpy(rows).to(self.table.device)] = self._found.embed_rows(rows)
        self.known[rows] = True

    def of(self, rows: NDArray[np.int64]) -> Tensor:
        """The embeddings of these segments, (M, D)."""
        self.want(rows)
        return self.table[torch.from_numpy(rows).to(self.table.device)]

    @property
    def all_at_once(self) -> bool:
        """Whether all embeddings cost no more than one."""
        return self._found is not None and self._found.all_at_once

    @property
    def on_demand(self) -> bool:
        """Whether embeddings are made when asked for, not there from the start."""
        return self._found is not None


@dataclass(frozen=True)
class EmbeddingPlan:
    """What is to be embedded of the next frame.

    whole: every segment, in one batch, before any is matched. credit: how many segments may be renewed for their age.
    """

    whole: bool = True
    credit: float = 0.0

    def follow(
        self,
        embeddings: SegmentEmbeddings,
        tracks: Tracks,
        row_of_segment: NDArray[np.int64],
        followed: FrameEmbeddings,
        rows: NDArray[np.int64],
        small: NDArray[np.uint8],
        time_s: float,
        passed_s: float,
        options: TrackingOptions,
    ) -> EmbeddingPlan:
        """Have a frame's segments embedded where their tracks need it, note it in tracks.looks, and plan the next.

        row_of_segment: (N,), each segment's track. followed, rows: (M,) the segments that show, and each one's track.
        small: the image as the tracks see it.
        """
        if not embeddings.on_demand or not len(rows):
            return EmbeddingPlan()
        segment_of_row = np.full(len(tracks), -1)
        segment_of_row[row_of_segment] = np.arange(len(row_of_segment))
        shown = np.flatnonzero(segment_of_row[rows] >= 0)
        sketch, (height, width) = draw_sketch(small), followed.segment_map.shape
        boxes = followed.boxes_xyxy / np.array((width, height, width, height), np.float64)
        areas = followed.areas_px / (height * width)

        due: list[int] = []
        changed: set[int] = set()
        waiting: list[tuple[int, float, int]] = []
        for index in shown.tolist():
            look: Look | None = tracks.looks[rows[index]]
            if look is None or not tracks.weights[rows[index]]:
                due.append(index)
            elif look.has_changed(sketch, boxes[index], options.max_change):
                due.append(index)
                changed.add(index)
            elif look.is_settling(time_s, options.score_memory_s):
                due.append(index)
            elif (
                look.count < MIN_LOOKS
                or time_s - look.time_s >= options.refresh_s
                or look.is_reshaped(boxes[index], float(areas[index]))
            ):
                waiting.append((look.count, look.time_s, index))
        renewed, credit = self._renew(waiting, len(rows), embeddings.all_at_once, passed_s, options.refresh_s)
        embeddings.want(segment_of_row[rows[due + renewed]])

        num_due = 0
        for index in shown.tolist():
            if embeddings.known[segment_of_row[rows[index]]]:
                before: Look | None = tracks.looks[rows[index]]
                count, changed_s = (0, -math.inf) if before is None else (before.count, before.changed_s)
                changed_s = time_s if index in changed else changed_s
                look = Look(sketch, boxes[index], float(areas[index]), time_s, count + 1, changed_s)
                tracks.looks[rows[index]] = look
                num_due += look.count < MIN_LOOKS or look.is_settling(time_s, options.score_memory_s)
        return EmbeddingPlan(num_due > MOST_DUE * len(rows), credit)

    def _renew(
        self,
        waiting: list[tuple[int, float, int]],
        num_shown: int,
        all_at_once: bool,
        passed_s: float,
        refresh_s: float,
    ) -> tuple[list[int], float]:
        """Which of those that wait are renewed now, those seen least first, and the credit that is left."""
        gained = num_shown * min(MAX_RENEWED, passed_s / refresh_s if refresh_s > 0 else 1.0)
        if all_at_once:
            credit = min(self.credit + gained, float(num_shown))
            pays = bool(waiting) and credit > num_shown - 1e-6
            return ([index for *_, index in waiting], 0.0) if pays else ([], credit)
        credit = min(self.credit + gained, max(gained, 1.0))  # little is saved up, so that renewals spread over frames
        renewed = [index for *_, index in sorted(waiting)[: int(credit + 1e-6)]]
        return renewed, credit - len(renewed)
