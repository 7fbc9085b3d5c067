"""How well the borders of a label map follow those of the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.evaluation.sample import IGNORED

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class BoundaryScore:
    """precision: share of the predicted border that lies near a true one. recall: the reverse. Both in [0, 1]."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 when both are."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def find_borders(labels: NDArray[Any], judged: Mask) -> Mask:
    """Pixels whose right or lower neighbour has another value: (H, W) maps to (H, W) bool, lines one pixel wide.

    judged: a pair of neighbours counts only where both are judged; so neither an ignored region's rim nor the image's
    is a border.
    """
    return _borders(labels, judged, None)


def score_borders(predicted: Mask, true: Mask, tolerance_px: float = 3.0) -> BoundaryScore:
    """Compare two border maps (H, W): a border pixel is right when one of the other map lies within the tolerance.

    As in the Berkeley benchmark (Martin, Fowlkes & Malik, 2004), with each pixel's Euclidean distance to the nearest
    border, from pixel centre to pixel centre, in place of its one-to-one matching. Two maps without borders agree
    (1, 1); when one of them has borders and the other none, both figures are 0.
    """
    if not predicted.any() or not true.any():
        same = float(predicted.any() == true.any())
        return BoundaryScore(same, same)
    return BoundaryScore(_share_near(predicted, true, tolerance_px), _share_near(true, predicted, tolerance_px))


def boundary_score(prediction: NDArray[Any], truth: NDArray[np.uint8], tolerance_px: float = 3.0) -> BoundaryScore:
    """Borders between regions of a map (H, W), whatever the regions are, against those between the truth's classes.

    Ignored pixels (255) of the truth make no borders in either map. Where a data set marks the contours themselves as
    ignored, as PASCAL VOC does, little is left to be judged, and the figure means little.
    """
    judged = truth != IGNORED
    return score_borders(find_borders(prediction, judged), find_borders(truth, judged), tolerance_px)


def class_boundary_scores(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], tolerance_px: float = 3.0
) -> dict[int, BoundaryScore]:
    """The same for each class in the truth by itself: its mask's border against that of its predicted mask.

    Csurka, Larlus & Perronnin, "What is a good evaluation measure for semantic segmentation?", BMVC 2013.
    """
    judged = truth != IGNORED
    scores = {}
    for label in np.unique(truth[judged]):
        true = _borders(truth, judged, int(label))
        predicted = _borders(prediction, judged, int(label))
        window = _window(true | predicted)
        scores[int(label)] = score_borders(predicted[window], true[window], tolerance_px)
    return scores


def _borders(labels: NDArray[Any], judged: Mask, label: int | None) -> Mask:
    """As `find_borders`; with a label, only the borders of its region."""
    borders = np.zeros(labels.shape, bool)
    region = labels if label is None else labels == label
    borders[:, :-1] |= (region[:, 1:] != region[:, :-1]) & judged[:, 1:] & judged[:, :-1]
    borders[:-1] |= (region[1:] != region[:-1]) & judged[1:] & judged[:-1]
    return borders


def _share_near(borders: Mask, others: Mask, tolerance_px: float) -> float:
    distance = cv2.distanceTransform((~others).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float((distance[borders] <= tolerance_px + 1e-3).mean())


def _window(mask: Mask) -> tuple[slice, slice]:
    """The smallest part of a map that holds all that is set."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return np.s_[:1, :1]
    return np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
