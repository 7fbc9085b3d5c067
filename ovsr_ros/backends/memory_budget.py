"""Keeping the memory of a frame within a budget. Knows nothing of ROS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ovsr_ros.backends.reduction import FULL, Reduction
from ovsr_ros.models.device import free_unused_memory
from ovsr_ros.models.memory import MEBIBYTE, PeakMemory, resident_bytes

_MARGIN = 0.8
"""Share of the budget in which a larger frame must fit, as far as a smaller one tells."""

PATIENCE_S = 10.0
"""How long frames must have been small before larger ones are tried."""

_MAX_SIZES = 16


@dataclass
class _Level:
    """Of one size of image.

    fits_since: since when, by the clock, the frames would fit if they were larger. stepped_back: whether larger ones
    were tried; settled: and were too large.
    """

    reduction: Reduction = FULL
    peak_mib: float = float("nan")
    fits_since: float | None = None
    stepped_back: bool = False
    settled: bool = False
    told_end: bool = False


class MemoryBudget:
    """Watches what frames take, and reduces those that follow one that took more than the budget. Not thread-safe.

    What counts: on a GPU the most memory that its tensors held during a frame, models included; on a CPU how much the
    process grew, at most, over what it held before. Each size of image has a reduction of its own. A step back is made
    when frames have long taken so little that larger ones should fit: something else may have taken the memory then.
    Once larger ones have proved too large all the same, no more steps back are made, until the context changes.

    more: the reduction after another; None where nothing is left to reduce.
    warn: where words about a step go, once for each.
    """

    def __init__(
        self,
        device: torch.device,
        more: Callable[[Reduction], Reduction | None],
        warn: Callable[[str], object],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._device = device
        self._more = more
        self._warn = warn
        self._patience_s = patience_s
        self._levels: dict[tuple[int, int], _Level] = {}
        self._context: object = None
        self._baseline_mib = 0.0
        self._last = _Level()

    @property
    def reduction(self) -> Reduction:
        """Of the last frame's size."""
        return self._last.reduction

    @property
    def peak_mib(self) -> float:
        """What the last frame took, MiB; NaN where nothing is watched."""
        return self._last.peak_mib

    def begin(self, size_hw: tuple[int, int], context: object) -> Reduction:
        """How an image of this size is to be reduced. context: what memory hangs on; with another all begins anew."""
        if context != self._context:
            self._context = context
            self._levels.clear()
            self._settle()
        if size_hw not in self._levels and len(self._levels) >= _MAX_SIZES:
            self._levels.clear()
        self._last = self._levels.setdefault(size_hw, _Level())
        return self._last.reduction

    @contextmanager
    def watch(self, budget_mib: int, remedy: str) -> Iterator[None]:
        """Around the frame that was begun. remedy: what an operator can do, in words."""
        peak = PeakMemory(self._device)
        with peak:
            yield
        level = self._last
        level.peak_mib = peak.device_mib if self._device.type == "cuda" else peak.process_mib - self._baseline_mib
        if level.peak_mib > budget_mib:
            self.step(f"a frame took {level.peak_mib:.0f} MiB, memory_budget_mib is {budget_mib}", remedy)
        elif level.reduction:
            self._step_back(level, budget_mib)

    def step(self, reason: str, remedy: str) -> None:
        """Reduce the frames of the last one's size from now on, and say so."""
        level = self._last
        self._settle()
        level.fits_since = None
        level.settled = level.settled or level.stepped_back
        further = self._more(level.reduction)
        if further is not None:
            level.reduction = further
            self._warn(f"{reason}: from now on, {further}; {remedy}")
        elif not level.told_end:
            level.told_end = True
            self._warn(f"{reason}, and nothing is left to reduce ({level.reduction}); {remedy}")

    def _step_back(self, level: _Level, budget_mib: int) -> None:
        factor = 4 if level.reduction.size else 2
        if level.settled or level.peak_mib * factor > _MARGIN * budget_mib:
            level.fits_since = None
            return
        now = time.monotonic()
        if level.fits_since is None:
            level.fits_since = now
        elif now - level.fits_since > self._patience_s:
            level.fits_since, level.told_end, level.stepped_back = None, False, True
            level.reduction = level.reduction.less()

    def _settle(self) -> None:
        """Count from what the process holds now, without what it keeps of earlier frames."""
        free_unused_memory()
        self._baseline_mib = resident_bytes() / MEBIBYTE
