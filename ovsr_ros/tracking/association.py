"""Which track each segment of a frame is: by where it is, and of those that were out of sight by how it looks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ovsr_ros.tracking.detections import Detections
from ovsr_ros.tracking.evidence import Evidence
from ovsr_ros.tracking.options import TrackingOptions
from ovsr_ros.tracking.tracks import Tracks

Array = NDArray[np.float32]

_MAX_AREA_RATIO = 4.0

_REACH = 0.2
"""How far from where it was a segment out of sight is looked for, as a fraction of the image's diagonal."""

_STRIDE = 2
"""Overlaps are summed over every second cell of every second row."""


@dataclass(frozen=True)
class Association:
    """Tracks once a frame's segments are among them.

    tracks: those in sight before, found again and new (C of them), then those out of sight. row_of_segment: (N,).
    quality: (N,) float32 in [0, 1], how well each segment is its track.
    """

    tracks: Tracks
    num_in_sight: int
    row_of_segment: NDArray[np.int64]
    quality: NDArray[np.float32]


def associate(
    tracks: Tracks,
    evidence: Evidence,
    detections: Detections,
    options: TrackingOptions,
    waits: bool,
) -> Association:
    """Find each segment's track, or begin one.

    tracks, evidence: what is known, moved to where it is now; see `Tracker`. waits: whether nothing may be
    embedded now.
    """
    num_in_sight, num_segments = evidence.num_maps - 1, len(detections)
    overlap, peaks = evidence.overlaps(detections.cells, num_segments + 1, _STRIDE)  # (1 + K, 1 + N)
    coarse = detections.cells[::_STRIDE, ::_STRIDE].flatten()
    areas = torch.bincount(coarse, minlength=num_segments + 1).cpu().numpy()[1:].astype(np.float32)
    place_ratios = overlap_ratios(overlap[1:, 1:], peaks[1:], areas)
    row_of_segment = match_by_place(place_ratios, peaks[1:], options.min_overlap)
    placed = np.flatnonzero(row_of_segment >= 0)
    quality = np.ones(num_segments, np.float32)
    quality[placed] = place_ratios[row_of_segment[placed], placed]

    areas_in_cells = areas * _STRIDE**2
    if not waits:
        tracks, row_of_segment = _find_again(
            tracks, num_in_sight, row_of_segment, detections, areas_in_cells, options.min_likeness
        )
    return _with_new(tracks, num_in_sight, row_of_segment, quality, detections, areas_in_cells)


def _find_again(
    tracks: Tracks,
    num_in_sight: int,
    row_of_segment: NDArray[np.int64],
    detections: Detections,
    areas_in_cells: NDArray[np.float32],
    min_likeness: float,
) -> tuple[Tracks, NDArray[np.int64]]:
    """Among segments without a track those that look like one that was lost near there."""
    embeddings = detections.embeddings
    free = np.flatnonzero(row_of_segment < 0)
    lost = np.setdiff1d(np.flatnonzero(tracks.ids > 0), row_of_segment)
    lost = lost[tracks.weights[lost] > 0]
    if embeddings.all_at_once and len(tracks):  # those that had to wait have a place, and nobody knows what they are
        free = np.flatnonzero((row_of_segment < 0) | ((tracks.ids == 0) & (tracks.weights == 0))[row_of_segment])
    if not (len(free) and len(lost)):
        return tracks, row_of_segment
    reach = _REACH * math.hypot(*detections.cells.shape)
    distances = np.linalg.norm(tracks.positions_xy[lost, None] - detections.positions_xy[free], axis=2)
    growth = tracks.areas[lost, None] / np.maximum(areas_in_cells[free], 1)
    ratios = np.maximum(growth, 1 / np.maximum(growth, 1e-6)).astype(np.float32)
    possible = can_be(distances, ratios, reach)
    embeddings.want(free[possible.any(0)])
    table = embeddings.table
    likeness = (tracks.take(lost).embeddings @ table[torch.from_numpy(free).to(table.device)].T).cpu()
    found = match_by_appearance(likeness.numpy(), distances, possible, min_likeness, reach)
    segments, found_again = free[found >= 0], lost[found[found >= 0]]
    had = row_of_segment[segments]
    keeps = (had >= 0) & (found_again >= num_in_sight)  # evidence stays, and is that track's from now on
    order = np.arange(len(tracks))
    order[had[keeps]], order[found_again[keeps]] = found_again[keeps], had[keeps]
    tracks = tracks.take(order)
    found_again = np.where(keeps, had, found_again)
    row_of_segment = row_of_segment.copy()
    row_of_segment[segments] = found_again
    tracks.weights[found_again] = 0  # what it looks like now counts, not what it looked like then
    tracks.observations[found_again] = None
    return tracks, row_of_segment


def _with_new(
    tracks: Tracks,
    num_in_sight: int,
    row_of_segment: NDArray[np.int64],
    quality: NDArray[np.float32],
    detections: Detections,
    areas_in_cells: NDArray[np.float32],
) -> Association:
    """Tracks in sight stay where they are, then come those found again, new ones, and the rest."""
    again = np.setdiff1d(row_of_segment[row_of_segment >= num_in_sight], [])
    rest = np.setdiff1d(np.arange(num_in_sight, len(tracks)), again)
    fresh = np.flatnonzero(row_of_segment < 0)
    positions, (_, width) = detections.positions_xy[fresh], tracks.embeddings.shape
    new = Tracks.new(width, tracks.embeddings.device, detections.time_s, positions, areas_in_cells[fresh])
    row_of_segment = row_of_segment.copy()
    row_of_segment[fresh] = len(tracks) + np.arange(len(fresh))
    order = np.concatenate((np.arange(num_in_sight), again, len(tracks) + np.arange(len(fresh)), rest)).astype(np.int64)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    tracks = tracks.joined(new).take(order)
    return Association(tracks, num_in_sight + len(again) + len(fresh), place[row_of_segment], quality)


def overlap_ratios(overlap: Array, peaks: Array, areas: Array) -> Array:
    """Intersection over union of tracks and segments, (K, N), each track's evidence taken relative to its peak.

    overlap: (K, N), each track's evidence summed over each segment. peaks: (K,) its highest anywhere, in [0, 1]. areas:
    (N,) cells of each segment. So a segment that is seen now and then is found again although little speaks for it.
    """
    shape = overlap / np.maximum(peaks, 1e-6)[:, None]
    union = shape.sum(1, keepdims=True) + areas - shape
    return np.asarray(shape / np.maximum(union, 1e-6), np.float32)


def match_by_place(ratios: Array, peaks: Array, min_overlap: float) -> NDArray[np.int64]:
    """Pair tracks with segments so that their overlaps (K, N) are largest in sum: (N,), each segment's track, -1 none.

    Of two tracks at one place, the one with more evidence is preferred. No overlap under min_overlap counts.
    """
    return _assign(np.where(ratios >= min_overlap, ratios * (1 + peaks[:, None]) / 2, 0))


def can_be(distances: Array, area_ratios: Array, reach: float) -> NDArray[np.bool_]:
    """Which segments are near enough to tracks out of sight, and large enough, to be looked at: (K, N).

    distances: (K, N) between centroids, at most `reach`. area_ratios: (K, N), the larger area over the smaller one, at
    most 4.
    """
    return np.asarray((distances <= reach) & (area_ratios <= _MAX_AREA_RATIO))


def match_by_appearance(
    likeness: Array, distances: Array, possible: NDArray[np.bool_], min_likeness: float, reach: float
) -> NDArray[np.int64]:
    """Pair tracks out of sight with segments like them and near: (N,), each segment's track, -1 none.

    likeness: (K, N) cosines. distances: (K, N) between centroids. possible: (K, N), see `can_be`.
    """
    return _assign(np.where(possible & (likeness >= min_likeness), 2 + likeness - distances / reach, 0))


def _assign(score: Array) -> NDArray[np.int64]:
    tracks, segments = linear_sum_assignment(score, maximize=True)
    matched = score[tracks, segments] > 0
    track_of_segment = np.full(score.shape[1], -1, np.int64)
    track_of_segment[segments[matched]] = tracks[matched]
    return track_of_segment
