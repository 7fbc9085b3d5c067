"""What the demo does with the frames: the status line, the overlay pictures, the change of the vocabulary."""

from __future__ import annotations

import time
from pathlib import Path

import cv2

from ovsr_ros.nodes.demo.observer import DemoObserver, LabelledFrame
from ovsr_ros.nodes.demo.word_exchange import WordExchange, describe_shares
from ovsr_ros.nodes.status_line import StatusLine

_OVERLAY_PERIOD_S = 1.0
_KEPT_OVERLAYS = 100
_CHANGE_FRAMES = (20, 40)
_FINISH_S = 2.0


class DemoShow:
    """Directs the demo, from one thread.

    num_frames, seconds: when it is over; None: never. changing: take the largest object's word away and put it back.
    has_truth: whether the camera tells what is to be seen.
    """

    def __init__(
        self,
        observer: DemoObserver,
        console: StatusLine,
        out: Path,
        num_frames: int | None,
        seconds: float | None,
        changing: bool,
        has_truth: bool,
    ) -> None:
        self._observer = observer
        self._console = console
        self._out = out
        self._num_frames = num_frames
        self._seconds = seconds
        self._has_truth = has_truth
        change_frames = (num_frames // 3, 2 * num_frames // 3) if num_frames else _CHANGE_FRAMES
        is_changing = changing and change_frames[0] > 0
        self._exchange = WordExchange(observer, console, *change_frames, has_truth) if is_changing else None
        self._begin = time.monotonic()
        self._first_frame_time: float | None = None
        self._last_frame_time = self._begin
        self._sum_accuracy, self._num_compared = 0.0, 0
        self._next_overlay_time = 0.0
        self._overlays: list[Path] = []
        self._num_overlays = 0
        observer.on_frame = self._on_frame

    @property
    def is_over(self) -> bool:
        """Whether as many frames or seconds have passed as were asked for."""
        frame = self._observer.last_frame
        if frame is None or self._first_frame_time is None:
            return False
        if self._num_frames is not None and frame.number >= self._num_frames:
            return True
        return self._seconds is not None and time.monotonic() - self._first_frame_time >= self._seconds

    @property
    def silent_s(self) -> float:
        """Seconds since the last labelled frame, or since the start."""
        return time.monotonic() - self._last_frame_time

    def refresh(self) -> None:
        """Show the status, write an overlay picture when one is due."""
        frame = self._observer.last_frame
        if frame is None:
            self._console.update(f"starting camera and node, {time.monotonic() - self._begin:.0f} s ...")
            return
        self._console.update(self._describe(frame))
        if time.monotonic() >= self._next_overlay_time and self._write_overlay():
            self._next_overlay_time = time.monotonic() + _OVERLAY_PERIOD_S

    def finish(self) -> None:
        """Show the last status, and sum up."""
        frame = self._observer.last_frame
        if frame is None:
            return
        self._console.say(self._describe(frame))
        self._write_overlay()
        accuracy = (
            f", {100 * self._sum_accuracy / self._num_compared:.1f} % of their pixels right"
            if (self._num_compared)
            else ""
        )
        self._console.say(f"{frame.number} frames labelled{accuracy}; {self._num_overlays} overlay pictures written")

    @property
    def has_begun(self) -> bool:
        """Whether a labelled frame has come."""
        return self._first_frame_time is not None

    def _describe(self, frame: LabelledFrame) -> str:
        seen = ", ".join(frame.names) if self._has_truth else describe_shares(frame)
        accuracy = "" if frame.accuracy is None else f" | {100 * frame.accuracy:3.0f} % right"
        return (
            f"frame {frame.number} | {self._observer.rate_hz:.1f} Hz | {1e3 * frame.latency_s:.0f} ms{accuracy} | "
            f"vocabulary {frame.version} | {seen or 'nothing labelled'}"
        )

    def _on_frame(self, frame: LabelledFrame) -> None:
        self._last_frame_time = time.monotonic()
        if self._first_frame_time is None:
            self._first_frame_time = self._last_frame_time
            self._console.say(f"first labelled frame after {self._last_frame_time - self._begin:.1f} s")
        if frame.accuracy is not None:
            self._sum_accuracy += frame.accuracy
            self._num_compared += 1
        if self._exchange is not None:
            self._exchange.go_on(frame)

    def _write_overlay(self) -> bool:
        overlay, self._observer.overlay = self._observer.overlay, None
        if overlay is None:
            return False
        self._num_overlays += 1
        path = self._out / f"overlay_{self._num_overlays:05d}.png"
        cv2.imwrite(str(path), cv2.cvtColor(overlay, cv2.COLOR_RGB2BGR))
        self._overlays.append(path)
        if len(self._overlays) > _KEPT_OVERLAYS:
            self._overlays.pop(0).unlink(missing_ok=True)
        return True
