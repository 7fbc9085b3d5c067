"""Which segments have to be embedded anew, and of which the track's embedding still holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ovsr_ros.backends.contract import Regions
from ovsr_ros.tracking.association import Association
from ovsr_ros.tracking.detections import Detections, SegmentEmbeddings
from ovsr_ros.tracking.options import TrackingOptions
from ovsr_ros.tracking.tracks import Tracks
from ovsr_ros.tracking.views import Sketch, View, compare, draw_sketch, shrink_origins, sketch_size_hw

MIN_LOOKS = 6
"""How often a new track is embedded before it is due by its age only: three views' mean is off now and then."""

MAX_RENEWED = 0.1
"""At most this share of the segments is renewed per frame for its age alone."""

MOST_DUE = 0.5
"""When more than this share of the segments will have to be embedded, all of the next frame is, in one batch."""

MOST_UNKNOWN = 0.25
"""Where more than this share of the image is new, nothing waits for CLIP."""

_SETTLING = 2.0
"""A track is embedded in every frame until this many time constants of its average after it last changed."""

_SAME_LOOK = 0.9
"""Cosine of a new embedding with the track's from which a change of colours was none to CLIP."""

_MIN_OVERLAP = 0.75
"""Intersection over union with what was embedded, moved with the image, under which a segment is cut out otherwise."""


@dataclass(frozen=True)
class Look:
    """When a track was last embedded, and what was to be seen of it.

    view, part: the plan's view of that image, and the track's segment there. time_s: when that was. count: how often it
    has been embedded. changed_s: when it was last found changed; -inf never.
    """

    view: int
    part: int
    time_s: float
    count: int
    changed_s: float

    def is_settling(self, time_s: float, memory_s: float) -> bool:
        """Whether the track's average, of that time constant, still holds much of what was there before a change."""
        return time_s - self.changed_s < _SETTLING * memory_s


@dataclass(frozen=True)
class EmbeddingPlan:
    """What is to be embedded of the next frame.

    whole: every segment, in one batch, before any is matched. credit: how many segments may be renewed for their age.
    looked_s: when anything was last embedded. views: images in which tracks were embedded, by number.
    """

    whole: bool = True
    credit: float = 0.0
    looked_s: float = -math.inf
    views: Mapping[int, View] = field(default_factory=dict)

    def moved(self, small: NDArray[np.uint8], origins: NDArray[np.float32]) -> EmbeddingPlan:
        """The plan once the image has moved; small: the image as the tracks see it, origins: see `MotionEstimator`."""
        if not self.views:
            return self
        shrunk = shrink_origins(origins, sketch_size_hw(small))
        return replace(self, views={number: view.moved(shrunk) for number, view in self.views.items()})

    def must_wait(self, detections: Detections, options: TrackingOptions) -> bool:
        """Whether it is too early for another look at the whole image."""
        is_early = detections.time_s - self.looked_s < options.max_wait_s - 1e-6
        return detections.embeddings.all_at_once and not self.whole and is_early

    def follow(
        self,
        detections: Detections,
        match: Association,
        regions: Regions,
        options: TrackingOptions,
        waits: bool,
    ) -> EmbeddingPlan:
        """Have a frame's segments embedded where their tracks need it, note it in tracks.looks, and plan the next.

        match: of the detections with tracks. regions: those that show, each one's cluster its track's row. waits:
        whether nothing more may be embedded.
        """
        embeddings, time_s, tracks, rows = detections.embeddings, detections.time_s, match.tracks, regions.cluster_ids
        if not embeddings.on_demand or not len(rows):
            return EmbeddingPlan()
        segment_of_row = np.full(len(tracks), -1)
        segment_of_row[match.row_of_segment] = np.arange(len(detections))
        shown = np.flatnonzero(segment_of_row[rows] >= 0)
        sketch = draw_sketch(detections.image, regions.segment_map, len(rows))
        levels, overlap = self._compare(sketch, shown, tracks.looks[rows])

        due: list[int] = []
        changed: list[int] = []
        waiting: list[tuple[int, float, int]] = []
        for index in shown.tolist():
            look: Look | None = tracks.looks[rows[index]]
            if look is None or not tracks.weights[rows[index]] or look.view not in self.views:
                due.append(index)
            elif levels[index] > options.max_change:
                due.append(index)
                changed.append(index)
            elif look.is_settling(time_s, options.score_memory_s):
                due.append(index)
            elif look.count < MIN_LOOKS or time_s - look.time_s >= options.refresh_s or overlap[index] < _MIN_OVERLAP:
                waiting.append((look.count, look.time_s, index))
        renewed, credit = self._renew(
            waiting, len(rows), embeddings.all_at_once, detections.passed_s, options.refresh_s
        )
        if not waits:
            embeddings.want(segment_of_row[rows[due + renewed]])
        changed = _confirmed(changed, embeddings, tracks, segment_of_row, rows)

        num_due = 0
        number = max(self.views, default=0) + 1
        for index in shown.tolist():
            if embeddings.known[segment_of_row[rows[index]]]:
                before: Look | None = tracks.looks[rows[index]]
                count, changed_s = (0, -math.inf) if before is None else (before.count, before.changed_s)
                changed_s = time_s if index in changed else changed_s
                look = Look(number, 1 + index, time_s, count + 1, changed_s)
                tracks.looks[rows[index]] = look
                num_due += look.count < MIN_LOOKS or look.is_settling(time_s, options.score_memory_s)
        used = {look.view for look in tracks.looks if look is not None}
        views = {number: view for number, view in self.views.items() if number in used}
        if number in used:
            views[number] = View.of(sketch)
        looked = bool(embeddings.known.any())
        if embeddings.all_at_once:
            return EmbeddingPlan(False, 0.0 if looked else credit, time_s if looked else self.looked_s, views)
        return EmbeddingPlan(num_due > MOST_DUE * len(rows), credit, self.looked_s, views)

    def _compare(
        self, sketch: Sketch, shown: NDArray[np.int64], looks: NDArray[np.object_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How far those that show differ from when they were last embedded: `Difference.levels`, `overlap`, (M,)."""
        levels, overlap = np.zeros(len(looks)), np.ones(len(looks))
        seen = np.array([index for index in shown if looks[index] is not None and looks[index].view in self.views], int)
        if len(seen):
            numbers = sorted({look.view for look in looks[seen]})
            place = {number: index for index, number in enumerate(numbers)}
            of_part, then = (
                np.array(each) for each in zip(*((place[look.view], look.part) for look in looks[seen]), strict=True)
            )
            difference = compare([self.views[number] for number in numbers], sketch, 1 + seen, of_part, then)
            levels[seen], overlap[seen] = difference.levels, difference.overlap
        return levels, overlap

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
            pays = credit > num_shown - 1e-6
            return [index for *_, index in waiting] if pays else [], credit
        credit = min(self.credit + gained, max(gained, 1.0))  # little is saved up, so that renewals spread over frames
        renewed = [index for *_, index in sorted(waiting)[: int(credit + 1e-6)]]
        return renewed, credit - len(renewed)


def _confirmed(
    changed: list[int],
    embeddings: SegmentEmbeddings,
    tracks: Tracks,
    segment_of_row: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> list[int]:
    """Those of the segments whose colours have changed, of those that show, that are something else to CLIP, too."""
    seen = np.array([index for index in changed if embeddings.known[segment_of_row[rows[index]]]], np.int64)
    if not len(seen):
        return []
    newest = embeddings.of(segment_of_row[rows[seen]])
    average = tracks.embeddings[torch.from_numpy(rows[seen]).to(newest.device)]
    likeness = (newest * average).sum(1).cpu().numpy()
    return [int(index) for index in seen[likeness < _SAME_LOOK]]


def seconds_since_look(detections: Detections, match: Association) -> NDArray[np.float64]:
    """What a new embedding of each segment's track stands for, by which it is averaged: (N,) seconds.

    Of looks at the whole image, the time since the track's last one; else the frame's own, so that the average is over
    as many views as without reuse.
    """
    looks = match.tracks.looks[match.row_of_segment] if detections.embeddings.all_at_once else ()
    since = np.full(len(detections), detections.passed_s)
    for index, look in enumerate(looks):
        if look is not None:
            since[index] = max(detections.time_s - look.time_s, detections.passed_s)
    return since
