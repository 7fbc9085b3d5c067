"""When images are worked on: at the node's rate while somebody wants the results, not at all while nobody does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rclpy.timer import Timer

    from ovsr_ros.nodes.input.depth_source import DepthSource
    from ovsr_ros.nodes.input.image_source import ImageSource
    from ovsr_ros.nodes.segmenter import ArrivedImage
    from ovsr_ros.nodes.worker import NewestItemWorker


class Pace:
    """Wakes the worker at each tick of a timer; while nobody wants frames, the timer stands still, depth is not
    received, and of the camera's images a sample only.

    Every change between the two goes under one lock, with everything that belongs to it: a timer that stands still
    beside a worker that does not rest would be the last of the node's frames.

    source, depth: what is received from. create_timer: given the callback, makes the timer, which begins at once.
    is_wanted: whether anybody wants frames now.
    """

    def __init__(
        self,
        worker: NewestItemWorker[ArrivedImage],
        source: ImageSource,
        depth: DepthSource,
        create_timer: Callable[[Callable[[], None]], Timer],
        is_wanted: Callable[[], bool],
    ) -> None:
        self._worker = worker
        self._source = source
        self._depth = depth
        self._is_wanted = is_wanted
        self._lock = threading.Lock()
        self._closed = False
        with self._lock:  # a first tick waits until there is a timer
            self.timer = create_timer(self._tick)

    def close(self) -> None:
        """Change nothing any more: the timer, source and depth are about to be destroyed."""
        with self._lock:
            self._closed = True

    def set_rate_hz(self, rate_hz: float) -> None:
        """Let the timer tick at another rate, from now on."""
        with self._lock:
            if self._closed:
                return
            self.timer.timer_period_ns = round(1e9 / rate_hz)
            if not self._worker.is_resting:
                self.timer.reset()

    def image_arrived(self) -> None:
        """Begin again for an image, where somebody wants it: who has just subscribed is not to wait for the timer."""
        if not self._worker.is_resting:
            return
        with self._lock:
            if self._is_resting() and self._is_wanted():
                self._begin()
                self._worker.wake()

    def look(self) -> None:
        """Follow who subscribes while the timer stands still. To be called several times a second."""
        with self._lock:
            if not self._is_resting():
                return
            if not self._is_wanted():
                self._source.sample()
                return
            # The image kept is the newest where none was passed over; else the newest is about to be received.
            is_newest = self._source.receives_all
            self._begin()
            if is_newest:
                self._worker.wake()

    def _is_resting(self) -> bool:
        return self._worker.is_resting and not self._closed

    def _begin(self) -> None:
        self._source.listen()
        self._depth.listen()
        self.timer.reset()

    def _tick(self) -> None:
        with self._lock:
            if self._closed:
                return
            if self._is_wanted():
                self._worker.wake()
                return
            self.timer.cancel()
            self._depth.rest()
            self._worker.rest()
