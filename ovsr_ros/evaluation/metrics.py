"""Counts of agreement between label maps, and the figures drawn from them.

Labels are class indices 0 to C-1; 255 in the ground truth is ignored, 255 in a prediction is "no class".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.evaluation.sample import IGNORED

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class ClassCounts:
    """Pixels per class, summed over images.

    true_positive, false_positive, false_negative: (C,) int64.
    """

    true_positive: Counts
    false_positive: Counts
    false_negative: Counts

    @classmethod
    def zeros(cls, num_classes: int) -> ClassCounts:
        """No pixels seen yet."""
        return cls(*(np.zeros(num_classes, np.int64) for _ in range(3)))

    @classmethod
    def from_confusion(cls, table: Counts) -> ClassCounts:
        """From a confusion matrix (C, C + 1): rows are the truth, columns the prediction, the last one "no class"."""
        num_classes = len(table)
        hit = np.diagonal(table).copy()
        return cls(hit, table.sum(0)[:num_classes] - hit, table.sum(1) - hit)

    def __add__(self, other: ClassCounts) -> ClassCounts:
        return ClassCounts(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
        )

    def present(self) -> NDArray[np.bool_]:
        """Which classes have a pixel in the ground truth: (C,)."""
        return self.true_positive + self.false_negative > 0

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
        """The figures of the whole data set, NaN where there is nothing to judge.

        miou: mean IoU over the classes in the ground truth. miou_all: mean over every class that occurs, in truth or
        prediction (a class that is only predicted counts as 0), which is what published tables give; the two differ
        only where the truth lacks classes. precision, recall, f1: micro, from sums over the classes; pixel_accuracy:
        share of the judged pixels that are right, which is the micro recall.
        """
        iou, present = self.iou(), self.present()
        tp, fp, fn = (int(a.sum()) for a in (self.true_positive, self.false_positive, self.false_negative))
        return {
            "miou": float(iou[present].mean()) if present.any() else float("nan"),
            "miou_all": float(np.nanmean(iou)) if not np.isnan(iou).all() else float("nan"),
            "pixel_accuracy": tp / (tp + fn) if tp + fn else float("nan"),
            "precision": tp / (tp + fp) if tp + fp else float("nan"),
            "recall": tp / (tp + fn) if tp + fn else float("nan"),
            "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else float("nan"),
        }


def _ratio(part: Counts, whole: Counts) -> NDArray[np.float64]:
    result = np.full(part.shape, np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def overlap(rows: NDArray[Any], columns: NDArray[Any], shape: tuple[int, int]) -> Counts:
    """Pixels per pair of values of two maps of one shape: counts (R, C) int64. Values must lie below R and C."""
    flat = rows.astype(np.int64).ravel() * shape[1] + columns.astype(np.int64).ravel()
    return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)


def confusion(prediction: NDArray[np.uint8], truth: NDArray[np.uint8], num_classes: int) -> Counts:
    """Pixels by true and predicted class, (H, W) maps each: (C, C + 1) int64, the last column "no class".

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
    predicted = np.where(prediction == IGNORED, num_classes, prediction.astype(np.int64))[judged]
    return overlap(truth[judged], predicted, (num_classes, num_classes + 1))


def count_labels(prediction: NDArray[np.uint8], truth: NDArray[np.uint8], num_classes: int) -> ClassCounts:
    """Compare a predicted label map with the truth, (H, W) each. Raises ValueError as `confusion`."""
    return ClassCounts.from_confusion(confusion(prediction, truth, num_classes))


def resize_nearest(labels: NDArray[Any], shape_hw: tuple[int, int]) -> NDArray[Any]:
    """A map at another size: each pixel takes the value under its centre. The same array where the size is the same."""
    if labels.shape == shape_hw:
        return labels
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64) for new, old in zip(shape_hw, labels.shape, strict=True)
    )
    return np.asarray(labels[rows[:, None], columns])


def center_square(labels: NDArray[Any]) -> NDArray[Any]:
    """The middle of a map, a square of its shortest side; where a pixel is over it falls on the right or below."""
    side = min(labels.shape)
    top, left = (labels.shape[0] - side) // 2, (labels.shape[1] - side) // 2
    return labels[top : top + side, left : left + side]
