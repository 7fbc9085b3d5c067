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
from ovsr_ros.tracking.keyframes import Keyframe, Thumbnail, compare, draw_thumbnail, shrink_origins, thumbnail_size_hw
from ovsr_ros.tracking.options import TrackingOptions
from ovsr_ros.tracking.tracks import Tracks

MIN_OBSERVATIONS = 6
"""How often a new track is embedded before it is due by its age only: three views' mean is off now and then."""

MAX_RENEWED = 0.1
"""At most this share of the segments is renewed per frame for its age alone."""

MOST_DUE = 0.5
"""When more than this share of the segments will have to be embedded, all of the next frame is, in one batch."""

MOST_UNKNOWN = 0.25
"""Where more than this share of the image is new, nothing waits for CLIP."""

_SETTLING = 2.0
"""A track is embedded in every frame until this many time constants of its average after it last changed."""

_SAME_EMBEDDING = 0.9
"""Cosine of a new embedding with the track's from which a change of colours was none to CLIP."""

_MIN_OVERLAP = 0.75
"""Intersection over union with what was embedded, moved with the image, under which a segment is cut out otherwise."""


@dataclass(frozen=True)
class Observation:
    """When a track was last embedded, and what was to be seen of it.

    keyframe, part: that image's number in the plan, and the track's segment there. time_s: when that was. count: how
    often it has been embedded. changed_s: when it was last found changed; -inf never.
    """

    keyframe: int
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
    embedded_s: when anything was last embedded. keyframes: images in which tracks were embedded, by number.
    """

    whole: bool = True
    credit: float = 0.0
    embedded_s: float = -math.inf
    keyframes: Mapping[int, Keyframe] = field(default_factory=dict)

    def moved(self, small: NDArray[np.uint8], origins: NDArray[np.float32]) -> EmbeddingPlan:
        """The plan once the image has moved; small: the image as the tracks see it, origins: see `MotionEstimator`."""
        if not self.keyframes:
            return self
        shrunk = shrink_origins(origins, thumbnail_size_hw(small))
        moved = {number: keyframe.moved(shrunk) for number, keyframe in self.keyframes.items()}
        return replace(self, keyframes=moved)

    def must_wait(self, detections: Detections, options: TrackingOptions) -> bool:
        """Whether it is too early for another look at the whole image."""
        is_early = detections.time_s - self.embedded_s < options.max_wait_s - 1e-6
        return detections.embeddings.all_at_once and not self.whole and is_early

    def follow(
        self,
        detections: Detections,
        match: Association,
        regions: Regions,
        options: TrackingOptions,
        waits: bool,
    ) -> EmbeddingPlan:
        """Have a frame's segments embedded where their tracks need it, note it in these, and plan the next.

        match: of the detections with tracks. regions: those that show, each one's cluster its track's row. waits:
        whether nothing more may be embedded.
        """
        embeddings, time_s, tracks, rows = detections.embeddings, detections.time_s, match.tracks, regions.cluster_ids
        if not embeddings.on_demand or not len(rows):
            return EmbeddingPlan()
        segment_of_row = np.full(len(tracks), -1)
        segment_of_row[match.row_of_segment] = np.arange(len(detections))
        shown = np.flatnonzero(segment_of_row[rows] >= 0)
        thumbnail = draw_thumbnail(detections.image, regions.segment_map, len(rows))
        levels, overlap = self._compare(thumbnail, shown, tracks.observations[rows])

        due: list[int] = []
        changed: list[int] = []
        waiting: list[tuple[int, float, int]] = []
        for index in shown.tolist():
            last: Observation | None = tracks.observations[rows[index]]
            if last is None or not tracks.weights[rows[index]] or last.keyframe not in self.keyframes:
                due.append(index)
            elif levels[index] > options.max_change:
                due.append(index)
                changed.append(index)
            elif last.is_settling(time_s, options.score_memory_s):
                due.append(index)
            elif (
                last.count < MIN_OBSERVATIONS
                or time_s - last.time_s >= options.refresh_s
                or overlap[index] < _MIN_OVERLAP
            ):
                waiting.append((last.count, last.time_s, index))
        renewed, credit = self._renew(
            waiting, len(rows), embeddings.all_at_once, detections.passed_s, options.refresh_s
        )
        if not waits:
            embeddings.want(segment_of_row[rows[due + renewed]])
        changed = _confirmed(changed, embeddings, tracks, segment_of_row, rows)

        num_due = 0
        number = max(self.keyframes, default=0) + 1
        for index in shown.tolist():
            if embeddings.known[segment_of_row[rows[index]]]:
                before: Observation | None = tracks.observations[rows[index]]
                count, changed_s = (0, -math.inf) if before is None else (before.count, before.changed_s)
                changed_s = time_s if index in changed else changed_s
                newest = Observation(number, 1 + index, time_s, count + 1, changed_s)
                tracks.observations[rows[index]] = newest
                num_due += newest.count < MIN_OBSERVATIONS or newest.is_settling(time_s, options.score_memory_s)
        used = {last.keyframe for last in tracks.observations if last is not None}
        keyframes = {number: keyframe for number, keyframe in self.keyframes.items() if number in used}
        if number in used:
            keyframes[number] = Keyframe.of(thumbnail)
        embedded = bool(embeddings.known.any())
        if embeddings.all_at_once:
            return EmbeddingPlan(False, 0.0 if embedded else credit, time_s if embedded else self.embedded_s, keyframes)
        return EmbeddingPlan(num_due > MOST_DUE * len(rows), credit, self.embedded_s, keyframes)

    def _compare(
        self, thumbnail: Thumbnail, shown: NDArray[np.int64], last: NDArray[np.object_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How far those that show differ from when they were last embedded: `Change.levels`, `overlap`, (M,)."""
        levels, overlap = np.zeros(len(last)), np.ones(len(last))
        seen = np.array([index for index in shown if last[index] and last[index].keyframe in self.keyframes], int)
        if len(seen):
            numbers = sorted({each.keyframe for each in last[seen]})
            place = {number: index for index, number in enumerate(numbers)}
            of_part = np.array([place[each.keyframe] for each in last[seen]])
            then = np.array([each.part for each in last[seen]])
            change = compare([self.keyframes[number] for number in numbers], thumbnail, 1 + seen, of_part, then)
            levels[seen], overlap[seen] = change.levels, change.overlap
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
    return [int(index) for index in seen[likeness < _SAME_EMBEDDING]]


def seconds_since_observation(detections: Detections, match: Association) -> NDArray[np.float64]:
    """What a new embedding of each segment's track stands for, by which it is averaged: (N,) seconds.

    Of looks at the whole image, the time since the track's last one; else the frame's own, so that the average is over
    as many views as without reuse.
    """
    observations = match.tracks.observations[match.row_of_segment] if detections.embeddings.all_at_once else ()
    since = np.full(len(detections), detections.passed_s)
    for index, last in enumerate(observations):
        if last is not None:
            since[index] = max(detections.time_s - last.time_s, detections.passed_s)
    return since
