"""OpenCV's VideoCapture, for videos and webcams: opened quietly, its images as RGB."""

from __future__ import annotations

import math
import os

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.demo.sources.frame_source import MAX_RATE_HZ, MIN_RATE_HZ
from ovsr_ros.demo.sources.quiet import quiet_opencv

_FFMPEG_QUIET = "-8"

VIDEO_APIS = (cv2.CAP_FFMPEG, cv2.CAP_GSTREAMER)
"""OpenCV's back ends that read videos; its own for AVI complains on stderr, and one takes any name for a sequence."""


def open_capture(what: str | int, *apis: int) -> cv2.VideoCapture | None:
    """A capture that is open, or None. what: a file, or a camera's number. apis: OpenCV's back ends, tried in turn.

    What OpenCV and FFmpeg print of a file that they cannot read says nothing to who gave it, and is not printed.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", _FFMPEG_QUIET)
    for api in apis:
        with quiet_opencv():
            capture = cv2.VideoCapture(what, api)
        if capture.isOpened():
            return capture
        capture.release()
    return None


def read_image(capture: cv2.VideoCapture) -> NDArray[np.uint8] | None:
    """The next image, (H, W, 3) uint8 RGB; None where there is none."""
    with quiet_opencv():
        is_read, image = capture.read()
    if not is_read or image is None or image.size == 0:
        return None
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB), np.uint8)


def own_rate_hz(capture: cv2.VideoCapture, unknown_hz: float) -> float:
    """The images per second that a video or camera says it has, within what a camera node sends."""
    rate_hz = capture.get(cv2.CAP_PROP_FPS)
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        return unknown_hz
    return min(max(rate_hz, MIN_RATE_HZ), MAX_RATE_HZ)
