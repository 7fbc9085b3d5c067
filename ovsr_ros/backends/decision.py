"""From match probabilities to a labelled image: the rules that all backends which score segments share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.backends.contract import FrameEmbeddings
from ovsr_ros.results import UNLABELED_ID, Segmentation, Segments


@dataclass(frozen=True)
class Decisions:
    """What each of N segments is called: tensors on one device, meanings as in `Segments`."""

    class_ids: Tensor
    scores: Tensor
    runner_up_ids: Tensor
    runner_up_scores: Tensor


def decide(probabilities: Tensor, class_ids: Tensor, score_threshold: float, num_runners_up: int) -> Decisions:
    """Choose a category per segment from probabilities (N, T) of texts whose class ids are (T,) uint8.

    Several "something else" texts (255) count as one, by their maximum. A segment is unlabeled where that one is best,
    or where the best category's score is under the threshold. The runners-up are the other candidates in descending
    order: for a labelled segment all but its category, where "something else" won all but that, and where the
    threshold decided all of them, the rejected category first.
    """
    num_segments = len(probabilities)
    is_category = class_ids != UNLABELED_ID
    candidates = probabilities[:, is_category]  # (N, C)
    candidate_ids = class_ids[is_category]
    num_categories = candidates.shape[1]
    scores = candidates.amax(1) if num_categories else probabilities.new_zeros(num_segments)
    if num_categories < len(class_ids):
        other = probabilities[:, ~is_category].amax(1, keepdim=True)
        candidates = torch.cat((candidates, other), 1)
        candidate_ids = torch.cat((candidate_ids, class_ids[~is_category][:1]))
    # Two columns of nothing, so that every segment has a first candidate and every shift below has something to show.
    padding = num_runners_up + 2
    ranked, order = torch.sort(candidates, dim=1, descending=True, stable=True)
    ranked = torch.cat((ranked, ranked.new_zeros(num_segments, padding)), 1)
    nothing = class_ids.new_full((num_segments, padding), UNLABELED_ID)
    ranked_ids = torch.cat((candidate_ids[order], nothing), 1)

    best_ids = ranked_ids[:, 0]
    rejected = (best_ids != UNLABELED_ID) & (scores < score_threshold)
    first = torch.where(rejected, 0, 1)[:, None]  # (N, 1)
    columns = first + torch.arange(num_runners_up, device=first.device)
    return Decisions(
        class_ids=torch.where(rejected, class_ids.new_full((), UNLABELED_ID), best_ids),
        scores=scores,
        runner_up_ids=ranked_ids.gather(1, columns),
        runner_up_scores=ranked.gather(1, columns),
    )


def paint(
    frame: FrameEmbeddings, decisions: Decisions, vocabulary_version: int, stage_seconds: dict[str, float]
) -> Segmentation:
    """Paint the decisions on the frame's pixels, by a lookup table each, and download them."""
    regions, segment_map = frame.regions, frame.regions.segment_map
    return Segmentation(
        label_map=_look_up(decisions.class_ids, UNLABELED_ID, segment_map),
        confidence=_look_up(confidences_of(decisions), 0, segment_map),
        segment_map=segment_map.to(torch.int16).cpu().numpy().view(np.uint16),
        segments=to_segments(
            decisions,
            np.zeros(len(frame), np.uint32) if frame.track_ids is None else frame.track_ids,
            regions.boxes_xyxy,
            regions.areas_px,
            regions.centroids_xy,
        ),
        vocabulary_version=vocabulary_version,
        stage_seconds=stage_seconds,
    )


def confidences_of(decisions: Decisions) -> Tensor:
    """(N,) uint8: the scores as the confidence map has them, 0 where nothing is labelled."""
    confidences = (decisions.scores * 255).round().clamp(0, 255).to(torch.uint8)
    return torch.where(decisions.class_ids == UNLABELED_ID, confidences.new_zeros(()), confidences)


def to_segments(
    decisions: Decisions,
    track_ids: NDArray[np.uint32],
    boxes_xyxy: NDArray[np.int32],
    areas_px: NDArray[np.int32],
    centroids_xy: NDArray[np.float32],
) -> Segments:
    """The decided segments, on the host; see `Segments` for the arrays."""
    return Segments(
        ids=np.arange(1, len(track_ids) + 1, dtype=np.uint16),
        track_ids=track_ids,
        class_ids=decisions.class_ids.cpu().numpy(),
        scores=decisions.scores.clamp(0, 1).cpu().numpy(),
        runner_up_ids=decisions.runner_up_ids.cpu().numpy(),
        runner_up_scores=decisions.runner_up_scores.clamp(0, 1).cpu().numpy(),
        boxes_xyxy=boxes_xyxy,
        areas_px=areas_px,
        centroids_xy=centroids_xy,
    )


def _look_up(values: Tensor, none: int, segment_map: Tensor) -> NDArray[np.uint8]:
    """Each pixel's segment's value of (N,) uint8, and `none` where there is no segment: (H, W) uint8."""
    table = torch.cat((values.new_full((1,), none), values))  # (N + 1,)
    return table.index_select(0, segment_map.reshape(-1)).reshape(segment_map.shape).cpu().numpy()
