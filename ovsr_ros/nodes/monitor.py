"""What the node knows of its own speed and health. Knows nothing of ROS."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

_WINDOW_S = 10.0


@dataclass(frozen=True)
class StreamStatistics:
    """The last ten seconds of a stream; times in seconds, rates in Hz, NaN where there is nothing to tell.

    latency: from the image's arrival to its outputs' publication, waiting included.
    age: from the image's stamp to its outputs' publication, by the node's clock.
    """

    input_rate_hz: float
    output_rate_hz: float
    latency_mean_s: float
    latency_p95_s: float
    age_mean_s: float
    stage_mean_s: dict[str, float]
    since_image_s: float
    since_error_s: float
    last_error: str
    last_frame_failed: bool


@dataclass
class _Frame:
    time: float
    latency_s: float
    age_s: float
    stage_seconds: dict[str, float] = field(default_factory=dict)


class StreamMonitor:
    """Collects arrivals, frames and errors from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything; silence counts from now."""
        with self._lock:
            self._started = time.monotonic()
            self._arrivals: deque[float] = deque()
            self._frames: deque[_Frame] = deque()
            self._last_arrival: float | None = None
            self._last_error_time: float | None = None
            self._last_error = ""
            self._last_frame_failed = False

    def image_arrived(self) -> None:
        """An image came in."""
        now = time.monotonic()
        with self._lock:
            self._last_arrival = now
            self._arrivals.append(now)
            self._trim(now)

    def frame_published(self, latency_s: float, age_s: float, stage_seconds: dict[str, float]) -> None:
        """A frame's outputs went out."""
        now = time.monotonic()
        with self._lock:
            self._frames.append(_Frame(now, latency_s, age_s, dict(stage_seconds)))
            self._last_frame_failed = False
            self._trim(now)

    def frame_failed(self, text: str) -> None:
        """A frame ended in an error."""
        with self._lock:
            self._last_error_time = time.monotonic()
            self._last_error = text
            self._last_frame_failed = True

    def snapshot(self) -> StreamStatistics:
        """The statistics now."""
        now = time.monotonic()
        with self._lock:
            self._trim(now)
            latencies = np.array([frame.latency_s for frame in self._frames])
            ages = np.array([frame.age_s for frame in self._frames])
            nan = float("nan")
            return StreamStatistics(
                input_rate_hz=_rate(list(self._arrivals), now),
                output_rate_hz=_rate([frame.time for frame in self._frames], now),
                latency_mean_s=float(latencies.mean()) if latencies.size else nan,
                latency_p95_s=float(np.percentile(latencies, 95)) if latencies.size else nan,
                age_mean_s=float(ages.mean()) if ages.size else nan,
                stage_mean_s=self._mean_stages(),
                since_image_s=now - (self._started if self._last_arrival is None else self._last_arrival),
                since_error_s=nan if self._last_error_time is None else now - self._last_error_time,
                last_error=self._last_error,
                last_frame_failed=self._last_frame_failed,
            )

    def _mean_stages(self) -> dict[str, float]:
        values: dict[str, list[float]] = {}
        for frame in self._frames:
            for stage, seconds in frame.stage_seconds.items():
                values.setdefault(stage, []).append(seconds)
        return {stage: float(np.mean(seconds)) for stage, seconds in values.items()}

    def _trim(self, now: float) -> None:
        while self._arrivals and self._arrivals[0] < now - _WINDOW_S:
            self._arrivals.popleft()
        while self._frames and self._frames[0].time < now - _WINDOW_S:
            self._frames.popleft()


def _rate(times: list[float], now: float) -> float:
    """Events per second; a stream that has stopped decays towards 0 instead of keeping its last rate."""
    if len(times) < 2:
        return float("nan")
    intervals = len(times) - 1
    # Silence longer than the usual interval counts as one interval more.
    usual = (times[-1] - times[0]) / intervals
    overdue = max(0.0, now - times[-1] - usual)
    return intervals / max(times[-1] - times[0] + overdue, 1e-9)
