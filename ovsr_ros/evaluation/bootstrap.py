"""How far a difference between two runs on the same images could be chance: a paired bootstrap over the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.evaluation.metrics import ClassCounts

NUM_RESAMPLES = 2000


@dataclass(frozen=True)
class Difference:
    """A difference of two figures, and the interval in which 95 % of the resamples' differences lie."""

    value: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether 0 lies outside of the interval."""
        return self.low > 0 or self.high < 0


def compare_miou(
    base: Sequence[ClassCounts], other: Sequence[ClassCounts], num_resamples: int = NUM_RESAMPLES
) -> Difference:
    """mIoU of `other` less that of `base`, from the counts of the same images in the same order.

    Images are drawn with replacement, the same ones for both runs (Efron & Tibshirani, "An Introduction to the
    Bootstrap", 1993, chapter 13: the percentile interval). The draws are the same in each call.

    Raises ValueError when the runs do not have the same number of images, or none.
    """
    return compare_mean_miou([(base, other)], num_resamples)


def compare_mean_miou(
    sets: Sequence[tuple[Sequence[ClassCounts], Sequence[ClassCounts]]], num_resamples: int = NUM_RESAMPLES
) -> Difference:
    """The mean, over several sets of images, of what the mIoU of a run differs from that of its base.

    sets: per set the counts of the base and of the other, as in `compare_miou`; each set counts as much as any other,
    however many images it has. The bootstrap is stratified: every set is resampled within itself, independently of the
    others (Efron & Tibshirani, chapter 8, on samples from several populations).

    Raises ValueError as `compare_miou`, and without a set.
    """
    if not sets:
        raise ValueError("expected at least one set of images, got none")
    generator = np.random.default_rng(0)
    value, differences = 0.0, np.zeros(num_resamples)
    for base, other in sets:
        if len(base) != len(other) or not base:
            raise ValueError(f"expected the same images, at least one, in both runs, got {len(base)} and {len(other)}")
        num_images = len(base)
        draws = generator.multinomial(num_images, np.full(num_images, 1 / num_images), num_resamples)
        differences += (_miou(draws, other) - _miou(draws, base)) / len(sets)
        everything = np.ones((1, num_images), np.int64)
        value += float(_miou(everything, other)[0] - _miou(everything, base)[0]) / len(sets)
    low, high = np.nanpercentile(differences, (2.5, 97.5))
    return Difference(value, float(low), float(high))


def _miou(weights: NDArray[np.int64], counts: Sequence[ClassCounts]) -> NDArray[np.float64]:
    """mIoU per row of weights (B, N), which say how often each image counts: (B,)."""
    hit, wrong, missed = (
        weights.astype(np.float64) @ np.stack(column).astype(np.float64)  # (B, C)
        for column in zip(*((c.true_positive, c.false_positive, c.false_negative) for c in counts), strict=True)
    )
    present = hit + missed > 0
    iou = np.divide(hit, hit + wrong + missed, out=np.zeros_like(hit), where=present)
    return np.asarray(iou.sum(1) / np.maximum(present.sum(1), 1))
