"""Stage 7: what is labelled alike and touches becomes a segment, and everything comes down to the host."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ovsr_ros.backends.trident.decision import BACKGROUND, ClassMaps
from ovsr_ros.ops import masks
from ovsr_ros.options import option
from ovsr_ros.results import UNLABELED_ID, Segmentation, Segments

_MAX_GRID = 64


@dataclass(frozen=True)
class SegmentOptions:
    """Which parts of the label map are listed as segments; their pixels keep their labels either way."""

    min_area: float = option(
        0.0005, help="a part under this fraction of the image is no segment of its own", min=0.0, max=0.5
    )
    max_segments: int = option(256, help="the largest so many parts are segments", min=1, max=4096)


def build_segmentation(
    labels: Tensor, confidence: Tensor, maps: ClassMaps, version: int, num_runners_up: int, options: SegmentOptions
) -> Segmentation:
    """The result from labels (H, W), indices of classes, and each pixel's confidence (H, W) float32 in [0, 1].

    A segment's score is the mean confidence of its pixels; unlabeled, the best category's mean probability. Runners-up
    are the other classes by their mean probability over the segment, as the places' grid has it.
    """
    segment_map, geometry = _number_parts(labels, options)
    num_segments = len(geometry.areas_px)
    classes = labels.new_zeros(num_segments + 1)
    classes[segment_map.reshape(-1).long()] = labels.reshape(-1)  # all of a segment's pixels say the same
    classes = classes[1:]
    sums = torch.zeros(num_segments + 1, dtype=torch.float64, device=labels.device)
    sums.index_add_(0, segment_map.reshape(-1).long(), confidence.reshape(-1).double())
    areas = geometry.areas_px
    scores, runner_up_ids, runner_up_scores = _rank(
        classes,
        (sums[1:] / areas.clamp_min(1)).float(),
        _mean_probabilities(segment_map, areas, maps),
        maps,
        num_runners_up,
    )
    label_map = maps.class_ids[labels]
    levels = (confidence * 255).round().clamp(0, 255).to(torch.uint8)
    levels = levels.masked_fill(label_map == UNLABELED_ID, 0)
    return Segmentation(
        label_map=label_map.cpu().numpy(),
        confidence=levels.cpu().numpy(),
        segment_map=segment_map.cpu().numpy().astype(np.uint16),
        segments=Segments(
            ids=np.arange(1, num_segments + 1, dtype=np.uint16),
            track_ids=np.zeros(num_segments, np.uint32),
            class_ids=maps.class_ids[classes].cpu().numpy(),
            scores=scores.clamp(0, 1).cpu().numpy(),
            runner_up_ids=runner_up_ids.cpu().numpy(),
            runner_up_scores=runner_up_scores.clamp(0, 1).cpu().numpy(),
            boxes_xyxy=geometry.boxes_xyxy.cpu().numpy().astype(np.int32),
            areas_px=areas.cpu().numpy().astype(np.int32),
            centroids_xy=geometry.centroids_xy.cpu().numpy(),
        ),
        vocabulary_version=version,
    )


def _number_parts(labels: Tensor, options: SegmentOptions) -> tuple[Tensor, masks.Geometry]:
    """Segment ids (H, W) int32 from 1 in descending order of area, 0 for parts too small; and their geometry."""
    parts: NDArray[np.int64] = masks.connected_components(labels.cpu().numpy())
    areas = np.bincount(parts.ravel())
    order = np.argsort(-areas, kind="stable")[: options.max_segments]
    order = order[areas[order] >= options.min_area * parts.size]
    if len(order) == 0:
        order = np.argsort(-areas, kind="stable")[:1]
    ids = np.zeros(len(areas), np.int32)
    ids[order] = np.arange(1, len(order) + 1)
    segment_map = torch.from_numpy(ids[parts]).to(labels.device)
    geometry = masks.measure(segment_map, len(order) + 1)
    kept = slice(1, None)
    return segment_map, masks.Geometry(geometry.areas_px[kept], geometry.boxes_xyxy[kept], geometry.centroids_xy[kept])


def _mean_probabilities(segment_map: Tensor, areas_px: Tensor, maps: ClassMaps) -> Tensor:
    """(N, C) float32: each class's probability, mean over a segment's share of the places' grid."""
    cosines = maps.cosines
    grid_hw = (min(cosines.shape[1], _MAX_GRID), min(cosines.shape[2], _MAX_GRID))
    if grid_hw != tuple(cosines.shape[1:]):
        cosines = functional.adaptive_avg_pool2d(cosines, grid_hw)
    words = (cosines * maps.scale).softmax(0)  # (T, h, w)
    classes = torch.stack(
        [words[list(rows)].amax(0) if rows else torch.zeros_like(words[0]) for rows in maps.rows_of_class]
    )
    cells = masks.coverage(segment_map, len(areas_px), grid_hw).flatten(1).float()  # (N, h*w)
    return cells @ classes.flatten(1).T / areas_px[:, None].clamp_min(1)


def _rank(
    classes: Tensor, confidences: Tensor, means: Tensor, maps: ClassMaps, num_runners_up: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (N,), and the other classes' ids and scores (N, R), the highest first; 255 and 0 where there are none."""
    num_segments = len(classes)
    categories = means[:, BACKGROUND + 1 :]
    best = categories.amax(1) if categories.shape[1] else means.new_zeros(num_segments)
    scores = torch.where(classes == BACKGROUND, best, confidences)
    others = means.scatter(1, classes[:, None], -1.0)
    if not maps.rows_of_class[BACKGROUND]:
        others[:, BACKGROUND] = -1.0
    others = torch.cat((others, others.new_full((num_segments, num_runners_up), -1.0)), 1)
    ids = torch.cat((maps.class_ids, maps.class_ids.new_full((num_runners_up,), UNLABELED_ID)))
    ranked, order = others.sort(dim=1, descending=True, stable=True)
    ranked, order = ranked[:, :num_runners_up], order[:, :num_runners_up]
    return scores, torch.where(ranked < 0, UNLABELED_ID, ids[order]), ranked.clamp_min(0)
