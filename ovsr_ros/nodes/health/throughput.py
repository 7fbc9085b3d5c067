"""Whether images that arrive come out labelled, and if nearly none does, why and what to do. Knows nothing of ROS."""

from __future__ import annotations

import time
from collections.abc import Callable

from ovsr_ros.nodes.worker import CountHistory, WorkerCounts

_WINDOW_S = 10.0
_LEAST_IMAGES = 10
"""From so few, nothing follows."""

_NEARLY_ALL = 0.9


class Throughput:
    """Compares what a worker's counts have become within the last ten seconds.

    clock: the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._history = CountHistory(clock)

    def reset(self) -> None:
        """Forget: nobody wants frames, or the worker has only begun."""
        self._history.clear()

    def judge(self, counts: WorkerCounts, rate_hz: float, remedy: str) -> str:
        """Why nearly no image is labelled and what to do, or empty. To be called about once a second.

        counts: the worker's now. rate_hz: how often the newest image is to be taken. remedy: what makes frames faster.
        """
        seconds, before = self._history.remember(counts, _WINDOW_S)
        received = counts.received - before.received - (counts.rested - before.rested)
        repeated = counts.repeated - before.repeated
        done = counts.processed - before.processed + counts.failed - before.failed
        if received < _LEAST_IMAGES:
            return ""
        if repeated >= _NEARLY_ALL * received:
            return (
                f"{repeated} of the last {received} images have the stamp of the image before and are skipped as the "
                "same one: expected a stamp of its own on each (header.stamp; 0 on all is taken for none), so mend the "
                "driver's"
            )
        due = min(received - repeated, rate_hz * seconds)
        if due >= _LEAST_IMAGES and done <= (1 - _NEARLY_ALL) * due:
            return (
                f"{done} of the {due:.0f} images that were due in the last {seconds:.0f} s are done: frames take too "
                f"long for rate_hz {rate_hz:g}; lower rate_hz, or {remedy}"
            )
        return ""
