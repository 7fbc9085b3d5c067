"""One stream's segments over time. Knows no vocabulary: what is smoothed are places and embeddings, never labels."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.backends.contract import FoundSegments, FrameEmbeddings, Regions, StageClock
from ovsr_ros.ops.motion import MotionEstimator, believe, shrink
from ovsr_ros.ops.threads import one_thread
from ovsr_ros.tracking.association import associate
from ovsr_ros.tracking.detections import Detections
from ovsr_ros.tracking.evidence import Evidence, no_evidence
from ovsr_ros.tracking.options import TrackingOptions
from ovsr_ros.tracking.reuse import MOST_UNKNOWN, EmbeddingPlan, seconds_since_observation
from ovsr_ros.tracking.stream_state import StreamState
from ovsr_ros.tracking.tracks import Tracks

_MIN_AREA = 0.0005
"""A segment that would show on less of the image than this does not show."""

_MIN_EVIDENCE = 0.1
"""A track is out of sight when no segment is it and nowhere is there more evidence for it than this."""

_MAX_OUT_OF_SIGHT = 256

_MIN_BELIEF = 0.65
"""Mean belief under which it is another view: 0.6 s of the demo's way have 0.95, pairs of its rooms 0.56 at most."""

_LEAST_LEFT = 0.1
"""A place of a track that waits shows another's, of which at least this share of its evidence is left there."""


class Tracker:
    """Follows the segments of one stream, frame by frame. Thread-safe; an id is never given twice.

    A frame's segments are matched with the tracks, moved along the image's motion. Which track a place is part of is
    decided by evidence gathered along that motion, what a track's embedding is by an average over its frames. Labels
    follow from the embeddings by whatever vocabulary is in force.

    ids: where new ids come from; pass the same to every tracker whose ids must differ. None: from 1.
    """

    def __init__(self, ids: Iterator[int] | None = None) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1) if ids is None else ids
        self._state: StreamState | None = None
        self._motion = MotionEstimator()

    def restart(self) -> None:
        """Forget every segment; ids go on."""
        with self._lock:
            self._state = None

    def snapshot(self) -> StreamState | None:
        """What is known after the last frame, from which another tracker can go on; None: nothing.

        Ids are not part of it. The next frame may write into it: keep what `stream_state.pack` makes of it.
        """
        with self._lock:
            return self._state

    def resume(self, snapshot: StreamState | None) -> None:
        """Go on from where another tracker's `snapshot` was taken; None: from nothing."""
        with self._lock:
            self._state = snapshot
            self._motion = MotionEstimator()

    def follow(
        self,
        image_rgb: NDArray[np.uint8],
        frame: FrameEmbeddings | FoundSegments,
        time_s: float,
        options: TrackingOptions,
        source: object = None,
    ) -> FrameEmbeddings:
        """The frame with its segments as the stream has them: segment map, embeddings and geometry, and track ids.

        image_rgb: (H, W, 3) uint8, what the frame is of. frame: segments and their embeddings; of `FoundSegments`, only
        those are embedded that are new to the stream, have changed or are due for a renewal.
        time_s: when it was taken, seconds from anywhere. A time that is not after the last one, or later by more than
        `lost_s`, starts anew, as does another shape of the image.
        source: compared with the last frame's; embeddings made by something else are not averaged with these.
        """
        with self._lock:
            clock = StageClock(frame.regions.segment_map.device)
            with clock.stage("motion"):
                # A small image has a grid of its own size, all others the same one, whatever their resolution.
                small = shrink(image_rgb, min(options.rows, *image_rgb.shape[:2]))
                state = self._begin(frame, small, time_s, options, source)
                state = self._move(state, small)
            before_s = sum(frame.stage_seconds.values())
            with clock.stage("tracks"):
                detections = Detections.of(frame, small, time_s, time_s - state.time_s)
                followed = self._update(state, detections, options)
            clock.seconds["tracks"] -= sum(frame.stage_seconds.values()) - before_s  # embedding has stages of its own
            return replace(followed, stage_seconds={**frame.stage_seconds, **clock.seconds})

    def _begin(
        self,
        frame: FrameEmbeddings | FoundSegments,
        small: NDArray[np.uint8],
        time_s: float,
        options: TrackingOptions,
        source: object,
    ) -> StreamState:
        """What is known before the frame; nothing, where the frame does not go on from the last one."""
        state = self._state
        width = frame.width if isinstance(frame, FoundSegments) else frame.embeddings.shape[1]
        if state is not None and state.small.shape == small.shape and 0 < time_s - state.time_s <= options.lost_s:
            if state.source == source and state.tracks.embeddings.shape[1] == width:
                return state
            unknown = state.tracks.without_embeddings(width)
            return replace(state, tracks=unknown, source=source, plan=EmbeddingPlan())
        self._motion = MotionEstimator()
        device = frame.regions.segment_map.device
        evidence = no_evidence((small.shape[0], small.shape[1]), device)
        return StreamState(time_s, small, evidence, Tracks.none(width, device), source, EmbeddingPlan())

    def _move(self, state: StreamState, small: NDArray[np.uint8]) -> StreamState:
        """What is known, with evidence and positions where they are now; evidence as far as the motion is believed."""
        if not len(state.tracks):
            return state
        origins = self._motion.origins(state.small, small)
        believed = believe(state.small, small, origins)
        if believed.mean() < _MIN_BELIEF:
            return replace(state, evidence=state.evidence.emptied(), plan=EmbeddingPlan())  # all are out of sight
        carried = state.evidence.carried(origins, believed)
        rows, columns = (np.arange(0, length, 4, dtype=np.float32) for length in small.shape[:2])
        shift_xy = np.median(np.stack(np.meshgrid(columns, rows), 2) - origins[::4, ::4], (0, 1)).astype(np.float32)
        return replace(
            state, evidence=carried, tracks=state.tracks.moved(shift_xy), plan=state.plan.moved(small, origins)
        )

    def _update(self, state: StreamState, detections: Detections, options: TrackingOptions) -> FrameEmbeddings:
        embeddings, time_s = detections.embeddings, detections.time_s
        if state.plan.whole:
            embeddings.want(np.arange(len(detections)))
        waits = state.plan.must_wait(detections, options)
        match = associate(state.tracks, state.evidence, detections, options, waits)
        tracks = match.tracks
        tracks.seen_s[match.row_of_segment] = time_s
        memory = math.exp(-detections.passed_s / options.border_memory_s) if options.border_memory_s > 0 else 0.0
        map_of_segment = np.concatenate(([0], 1 + match.row_of_segment))
        evidence = state.evidence.gathered(detections.cells, map_of_segment, 1 + match.num_in_sight, memory)
        winners, num_cells, peaks = evidence.winners()
        can_show = tracks.weights[: match.num_in_sight] > 0
        unknown = np.flatnonzero(~can_show)
        waits = waits and num_cells[1 + unknown].sum() <= MOST_UNKNOWN * winners.numel()
        if not waits:
            can_show[match.row_of_segment] = True  # a track can be embedded only while it has a segment
        # While tracks wait for their embedding: where there is little for any other, none shows.
        shown = evidence.lent(1 + unknown, _LEAST_LEFT) if waits and len(unknown) else evidence
        size_hw = (detections.regions.segment_map.shape[0], detections.regions.segment_map.shape[1])
        regions = _paint(shown, winners, can_show, num_cells, size_hw)
        rows = regions.cluster_ids
        since_s = seconds_since_observation(detections, match)
        plan = state.plan.follow(detections, match, regions, options, waits)
        known = np.flatnonzero(embeddings.known)
        tracks.average(
            match.row_of_segment[known],
            embeddings.of(known),
            match.quality[known],
            since_s[known],
            options.score_memory_s,
        )
        unnamed = rows[tracks.ids[rows] == 0]
        tracks.ids[unnamed] = list(itertools.islice(self._ids, len(unnamed)))

        whole = np.isin(rows, match.row_of_segment)  # of what is hidden the rest may show: it is remembered as it was
        tracks.positions_xy[rows[whole]] = detections.to_cells(regions.centroids_xy[whole])
        tracks.areas[rows[whole]] = regions.areas_px[whole] * detections.scale**2
        in_sight = np.zeros(len(tracks), bool)
        in_sight[: match.num_in_sight] = peaks[1:] > _MIN_EVIDENCE
        in_sight[rows] = True
        in_sight[match.row_of_segment] = True
        kept, evidence = _remember(tracks, in_sight, evidence, time_s, options)
        self._state = StreamState(time_s, detections.image, evidence, kept, state.source, plan)
        return FrameEmbeddings(
            regions,
            embeddings=tracks.embeddings[torch.from_numpy(rows).to(tracks.embeddings.device)],
            stage_seconds={},
            track_ids=tracks.ids[rows],
            num_found=len(detections),
            num_embedded=len(known),
        )


@one_thread()
def _paint(
    evidence: Evidence,
    winners: Tensor,
    can_show: NDArray[np.bool_],
    num_cells: NDArray[np.int64],
    size_hw: tuple[int, int],
) -> Regions:
    """The tracks that show, as an image's segments; each one's cluster is its track's row."""
    num_showing = np.where(np.concatenate(([True], can_show)), num_cells, 0)
    shows = num_showing >= max(1.0, _MIN_AREA * winners.numel())
    if not shows[1:].any():
        shows = num_showing > 0
    shows[0] = True  # where no segment is, none is to show
    channels = np.flatnonzero(shows)
    evidence = evidence.take(channels)
    if (num_cells[~shows] > 0).any():
        winners = evidence.winners()[0]
    else:
        place = np.zeros(len(shows), np.int64)
        place[channels] = np.arange(len(channels))
        winners = torch.from_numpy(place).to(winners.device)[winners]
    return Regions.from_labels(evidence.upsampled(winners, size_hw), channels[1:] - 1)


@one_thread()
def _remember(
    tracks: Tracks, in_sight: NDArray[np.bool_], evidence: Evidence, time_s: float, options: TrackingOptions
) -> tuple[Tracks, Evidence]:
    seen = np.flatnonzero(in_sight)
    lost = np.flatnonzero(~in_sight & (tracks.ids > 0) & (time_s - tracks.seen_s <= options.lost_s))
    lost = lost[np.argsort(-tracks.seen_s[lost], kind="stable")][:_MAX_OUT_OF_SIGHT]
    return tracks.take(np.concatenate((seen, lost))), evidence.take(np.concatenate(([0], 1 + seen)))
