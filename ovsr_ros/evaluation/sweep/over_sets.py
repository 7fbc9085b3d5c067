"""A sweep over several sets of images: per run the mean over the sets, in which each counts as much as any other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ovsr_ros.evaluation.bootstrap import Difference
from ovsr_ros.evaluation.figures import Figures
from ovsr_ros.evaluation.measurements import compare_over_sets
from ovsr_ros.evaluation.sweep.file import Run
from ovsr_ros.evaluation.sweep.measure import Measured, SweepResult


@dataclass(frozen=True)
class RunOverSets:
    """One run on every set, in the file's order, and how the means of its two mIoU differ from the base's.

    labelled_change, hungarian_change: None for the base, and where that was not measured on each set.
    """

    on: tuple[Measured, ...]
    labelled_change: Difference | None
    hungarian_change: Difference | None

    @property
    def run(self) -> Run:
        return self.on[0].run

    @property
    def is_base(self) -> bool:
        return self.on[0].is_base

    @property
    def ms(self) -> float:
        """Median milliseconds of an image, mean over the sets."""
        return float(np.mean([measured.ms for measured in self.on]))

    def mean(self, figure: Callable[[Figures], float]) -> float:
        """A figure's mean over the sets; NaN where it was not measured on each."""
        return float(np.mean([figure(measured.figures) for measured in self.on]))


@dataclass(frozen=True)
class ResultOverSets:
    """The base, and per group of the file its runs; by_set: what they are made of."""

    base: RunOverSets
    groups: tuple[tuple[RunOverSets, ...], ...]
    by_set: tuple[SweepResult, ...]

    @property
    def num_skipped(self) -> int:
        """Images that the base could not use."""
        return sum(result.num_skipped for result in self.by_set)


def combine(results: Sequence[SweepResult]) -> ResultOverSets:
    """One sweep's results on several sets as one."""
    bases = tuple(result.base for result in results)

    def combined(on: tuple[Measured, ...]) -> RunOverSets:
        if on[0].is_base:
            return RunOverSets(on, None, None)
        pairs = [(base.figures, measured.figures) for base, measured in zip(bases, on, strict=True)]
        return RunOverSets(on, compare_over_sets(pairs, "labelled"), compare_over_sets(pairs, "hungarian"))

    groups = zip(*(result.groups for result in results), strict=True)
    return ResultOverSets(
        combined(bases),
        tuple(tuple(combined(on) for on in zip(*group, strict=True)) for group in groups),
        tuple(results),
    )
