"""Every run of a sweep on the same images, the base measured once."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from ovsr_ros.evaluation.bootstrap import Difference
from ovsr_ros.evaluation.figures import Figures
from ovsr_ros.evaluation.measurements import Measurements, compare_figures
from ovsr_ros.evaluation.protocols import ProtocolOptions
from ovsr_ros.evaluation.sweep.file import Run, Sweep


@dataclass(frozen=True)
class Measured:
    """One run's figures, its median milliseconds per image, and how its two mIoU differ from the base's."""

    run: Run
    figures: Figures
    ms: float
    is_base: bool
    labelled_change: Difference | None
    hungarian_change: Difference | None


@dataclass(frozen=True)
class SweepResult:
    """The base, and per group of the file its runs, in the file's order. protocols: what was measured."""

    base: Measured
    groups: tuple[tuple[Measured, ...], ...]
    protocols: ProtocolOptions

    @property
    def num_images(self) -> int:
        """Images judged by the base."""
        return self.base.figures.num_images

    @property
    def num_skipped(self) -> int:
        """Images that the base could not use."""
        return len(self.base.figures.skipped)


def measure_sweep(sweep: Sweep, measurements: Measurements, progress: bool = False) -> SweepResult:
    """Measure every run of a sweep, equal ones once. Raises ConfigError and ModelError."""

    def measure(run: Run) -> Measured:
        is_base = (run.options, run.finder) == (sweep.base.options, None)
        figures = measurements.judge(run.options, run.finder)
        changes = (
            None if is_base else compare_figures(measurements.judge(sweep.base.options), figures, protocol)
            for protocol in ("labelled", "hungarian")
        )
        return Measured(run, figures, measurements.time_ms(run.options, run.finder), is_base, *changes)

    base = measure(sweep.base)
    groups = []
    for group in sweep.groups:
        measured = []
        for run in group.runs:
            if progress:
                print(f"{group.name}: {run.name}", file=sys.stderr, flush=True)
            measured.append(measure(run))
        groups.append(tuple(measured))
    return SweepResult(base, tuple(groups), measurements.protocols)
