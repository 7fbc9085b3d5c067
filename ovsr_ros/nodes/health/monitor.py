"""What the node knows of its own speed and health. Knows nothing of ROS."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

_MIN_LOST = 3
_LOST_SHARE = 0.2


@dataclass(frozen=True)
class Durations:
    """What a number of durations have in common, in seconds; NaN where there are none. p50: the median."""

    mean_s: float
    p50_s: float
    p95_s: float
    max_s: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Durations:
        """The durations' mean, percentiles (interpolated between neighbours) and maximum."""
        if not seconds:
            nan = float("nan")
            return cls(nan, nan, nan, nan)
        p50_s, p95_s = np.percentile(seconds, (50, 95))
        return cls(float(np.mean(seconds)), float(p50_s), float(p95_s), float(np.max(seconds)))


@dataclass(frozen=True)
class StreamStatistics:
    """A stream's last `window_s` seconds; times in seconds, rates in Hz, NaN where there is nothing to tell.

    num_frames: how many frames were published in that time.
    latency: from the image's arrival to its outputs' publication, waiting included.
    age: from the image's stamp to its outputs' publication, by the node's clock; of the images that have one.
    stages: what the latency is made of, by stage, in the order in which they were first seen.
    num_segments: segments found in these frames. num_embedded: those of them that were embedded, not reused.
    num_lost: images that were sent and lost on the way. lost_rate_hz: as many a second.
    """

    window_s: float
    num_frames: int
    input_rate_hz: float
    output_rate_hz: float
    latency: Durations
    age: Durations
    stages: dict[str, Durations]
    since_image_s: float
    since_error_s: float
    last_error: str
    last_frame_failed: bool
    num_segments: int = 0
    num_embedded: int = 0
    num_lost: int = 0
    lost_rate_hz: float = 0.0

    @property
    def sent_rate_hz(self) -> float:
        """Images sent a second, as far as those that arrive and those that are lost tell; NaN where neither does."""
        if not self.num_lost:
            return self.input_rate_hz
        return self.lost_rate_hz + (0.0 if math.isnan(self.input_rate_hz) else self.input_rate_hz)

    @property
    def loses_images(self) -> bool:
        """Whether so many are lost that somebody should do something about it: a fifth, and not just one or two."""
        return self.num_lost >= _MIN_LOST and self.lost_rate_hz >= _LOST_SHARE * self.sent_rate_hz

    @property
    def embedded_share(self) -> float:
        """Share of the segments that were embedded; NaN where none are counted."""
        return self.num_embedded / self.num_segments if self.num_segments else float("nan")


@dataclass
class _Published:
    time: float
    latency_s: float
    age_s: float
    stage_seconds: dict[str, float] = field(default_factory=dict)
    num_segments: int = 0
    num_embedded: int = 0


class StreamMonitor:
    """Collects arrivals, frames and errors from any thread.

    window_s: how far back its statistics look; may be changed.
    """

    def __init__(self, window_s: float = 10.0) -> None:
        self.window_s = window_s
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything; silence counts from now."""
        with self._lock:
            self._started = time.monotonic()
            self._arrivals: deque[tuple[float, float]] = deque()  # times, seconds since the one before or NaN
            self._listening_since: float | None = self._started
            self._losses: deque[tuple[float, int]] = deque()  # times, how many were lost since the one before
            self._frames: deque[_Published] = deque()
            self._last_arrival: float | None = None
            self._last_error_time: float | None = None
            self._last_error = ""
            self._last_frame_failed = False

    def listening(self, is_listening: bool) -> None:
        """Whether images are received now; silence counts only while they are."""
        now = time.monotonic()
        with self._lock:
            if not is_listening:
                self._listening_since = None
            elif self._listening_since is None:
                self._listening_since = now

    def image_arrived(self, tells_pace: bool = True) -> None:
        """An image came in. tells_pace: whether the time since the one before is the camera's, none passed over."""
        now = time.monotonic()
        with self._lock:
            known = tells_pace and self._last_arrival is not None
            self._arrivals.append((now, now - (self._last_arrival or 0.0) if known else math.nan))
            self._last_arrival = now
            self._trim(now)

    def images_lost(self, num: int) -> None:
        """So many images were lost on the way since the last call. To be called regularly."""
        now = time.monotonic()
        with self._lock:
            if num:
                self._losses.append((now, num))
            self._trim(now)

    def frame_published(
        self,
        latency_s: float,
        age_s: float,
        stage_seconds: dict[str, float],
        num_segments: int = 0,
        num_embedded: int = 0,
    ) -> None:
        """A frame's outputs went out. age_s: NaN where the stamp does not tell. num_*: as in `StreamStatistics`."""
        now = time.monotonic()
        with self._lock:
            self._frames.append(_Published(now, latency_s, age_s, dict(stage_seconds), num_segments, num_embedded))
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
            nan = float("nan")
            num_lost = self._num_lost()
            return StreamStatistics(
                window_s=self.window_s,
                num_frames=len(self._frames),
                input_rate_hz=self._input_rate_hz(now),
                output_rate_hz=self._output_rate_hz(now),
                latency=Durations.of([frame.latency_s for frame in self._frames]),
                age=Durations.of([frame.age_s for frame in self._frames if not math.isnan(frame.age_s)]),
                stages=self._summarise_stages(),
                since_image_s=self._since_image_s(now),
                since_error_s=nan if self._last_error_time is None else now - self._last_error_time,
                last_error=self._last_error,
                last_frame_failed=self._last_frame_failed,
                num_segments=sum(frame.num_segments for frame in self._frames),
                num_embedded=sum(frame.num_embedded for frame in self._frames),
                num_lost=num_lost,
                lost_rate_hz=num_lost / max(min(self.window_s, now - self._started), 1e-9),
            )

    def num_lost(self) -> int:
        """How many images were lost on the way within the window."""
        with self._lock:
            self._trim(time.monotonic())
            return self._num_lost()

    def silence_s(self) -> float:
        """Seconds in which images were received, if any had come, and none came; 0 while none are received."""
        with self._lock:
            return self._silence_s(time.monotonic())

    def _num_lost(self) -> int:
        return sum(num for _, num in self._losses)

    def _silence_s(self, now: float) -> float:
        if self._listening_since is None:
            return 0.0
        return min(self._since_image_s(now), now - self._listening_since)

    def _input_rate_hz(self, now: float) -> float:
        intervals = [interval for _, interval in self._arrivals if not math.isnan(interval)]
        return _rate(len(intervals), sum(intervals), self._silence_s(now))

    def _output_rate_hz(self, now: float) -> float:
        if not self._frames:
            return math.nan
        first, last = self._frames[0].time, self._frames[-1].time
        return _rate(len(self._frames) - 1, last - first, now - last)

    def _since_image_s(self, now: float) -> float:
        return now - (self._started if self._last_arrival is None else self._last_arrival)

    def _summarise_stages(self) -> dict[str, Durations]:
        values: dict[str, list[float]] = {}
        for frame in self._frames:
            for stage, seconds in frame.stage_seconds.items():
                values.setdefault(stage, []).append(seconds)
        return {stage: Durations.of(seconds) for stage, seconds in values.items()}

    def _trim(self, now: float) -> None:
        oldest = now - self.window_s
        while self._arrivals and self._arrivals[0][0] < oldest:
            self._arrivals.popleft()
        while self._losses and self._losses[0][0] < oldest:
            self._losses.popleft()
        while self._frames and self._frames[0].time < oldest:
            self._frames.popleft()


def _rate(num_intervals: int, total_s: float, silence_s: float) -> float:
    """Events per second; a stream that has stopped decays towards 0 instead of keeping its last rate."""
    if not num_intervals:
        return math.nan
    # Silence longer than the usual interval counts as one interval more.
    overdue = max(0.0, silence_s - total_s / num_intervals)
    return num_intervals / max(total_s + overdue, 1e-9)
