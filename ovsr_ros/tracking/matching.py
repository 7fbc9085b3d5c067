"""Which segment of a frame is which track: by where it is, and failing that by what it looks like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Array = NDArray[np.float32]

_MAX_AREA_RATIO = 4.0


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
