"""Counts of agreement between label maps, and the figures drawn from them.

Labels are class indices 0 to C-1; 255 in the ground truth is ignored, 255 in a prediction is "no class".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

IGNORED = 255


@dataclass(frozen=True)
class ClassCounts:
    """Pixels per class, summed over images.

    true_positive, false_positive, false_negative: (C,) int64.
    """

    true_positive: NDArray[np.int64]
    false_positive: NDArray[np.int64]
    false_negative: NDArray[np.int64]

    @classmethod
    def zeros(cls, num_classes: int) -> ClassCounts:
        """No pixels seen yet."""
        return cls(*(np.zeros(num_classes, np.int64) for _ in range(3)))

    def __add__(self, other: ClassCounts) -> ClassCounts:
        return ClassCounts(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
        )

    def iou(self) -> NDArray[np.float64]:
        """Intersection over union per class: (C,) in [0, 1], NaN where a class has no pixel in truth or prediction."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive + self.false_negative)

    def precision(self) -> NDArray[np.float64]:
        """Share of a class's predicted pixels that are right: (C,), NaN where none was predicted."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    def recall(self) -> NDArray[np.float64]:
        """Share of a class's true pixels that were found: (C,), NaN where there are none."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    def f1(self) -> NDArray[np.float64]:
        """Harmonic mean of precision and recall: (C,), NaN where a class has no pixel in truth or prediction."""
        return _ratio(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)

    def summary(self) -> dict[str, float]:
        """mIoU over the classes in the ground truth; micro precision, recall, F1; pixel accuracy (= recall)."""
        present = self.true_positive + self.false_negative > 0
        tp, fp, fn = (int(a.sum()) for a in (self.true_positive, self.false_positive, self.false_negative))
        return {
            "miou": float(self.iou()[present].mean()) if present.any() else float("nan"),
            "pixel_accuracy": tp / (tp + fn) if tp + fn else float("nan"),
            "precision": tp / (tp + fp) if tp + fp else float("nan"),
            "recall": tp / (tp + fn) if tp + fn else float("nan"),
            "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else float("nan"),
        }


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    result = np.full(part.shape, np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def overlap(rows: NDArray[np.integer], columns: NDArray[np.integer], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Pixels per pair of values of two maps of one shape: counts (R, C) int64. Values must lie below R and C."""
    flat = rows.astype(np.int64).ravel() * shape[1] + columns.astype(np.int64).ravel()
    return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)


def count_labels(prediction: NDArray[np.uint8], truth: NDArray[np.uint8], num_classes: int) -> ClassCounts:
    """Compare a predicted label map with the truth, (H, W) each; the open-vocabulary protocol's counts.

    Raises ValueError when the shapes differ or a label is neither a class nor 255.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"expected maps of one shape, got {prediction.shape} and {truth.shape}")
    for name, labels in (("prediction", prediction), ("truth", truth)):
        if ((labels >= num_classes) & (labels != IGNORED)).any():
            raise ValueError(
                f"{name}: expected labels below {num_classes} or 255, got {int(labels[labels != 255].max())}"
            )
    judged = truth != IGNORED
    predicted = np.where(prediction == IGNORED, num_classes, prediction)[judged]
    table = overlap(truth[judged], predicted, (num_classes, num_classes + 1))
    hit = np.diagonal(table)
    return ClassCounts(hit.copy(), table.sum(0)[:num_classes] - hit, table.sum(1) - hit)


def match_clusters(clusters: NDArray[np.integer], truth: NDArray[np.uint8], num_classes: int) -> NDArray[np.uint8]:
    """Name each cluster after one class so that the most pixels agree (Hungarian assignment), one cluster per class.

    clusters: (H, W), any non-negative values. Returns the label map (H, W) uint8; clusters left over are 255.
    Ties are broken by the order of cluster values and classes, so the answer does not depend on chance.
    """
    values, dense = np.unique(clusters, return_inverse=True)
    dense = dense.reshape(clusters.shape)
    judged = truth != IGNORED
    table = overlap(dense[judged], truth[judged], (len(values), num_classes))
    rows, columns = linear_sum_assignment(table, maximize=True)
    names = np.full(len(values), IGNORED, np.uint8)
    agreed = table[rows, columns] > 0
    names[rows[agreed]] = columns[agreed]
    return names[dense]
