"""A webcam as a source: the newest image counts, and one that goes away is waited for."""

from __future__ import annotations

import errno
import os
import re
import threading
import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.demo.sources.capture import open_capture, own_rate_hz, read_image
from ovsr_ros.demo.sources.frame_source import Frame, fit
from ovsr_ros.errors import ImageError, SourceError

_UNKNOWN_RATE_HZ = 30.0
_RETRY_S = 1.0
_CLOSE_S = 1.0
_NUMBERED = re.compile(r"/dev/video(\d+)")
_REMEDIES = {
    errno.EACCES: "be a member of its group: sudo usermod -aG video $USER, and log in again",
    errno.EBUSY: "end the program that uses it",
}


class DeviceSource:
    """A thread reads whatever the camera sends; a frame is the newest image, with the time at which it came.

    device: /dev/video0, or a link to it. asked_wh: the size that the camera is asked for; None: its own. bound_wh:
    larger images are scaled down to be within, with their aspect. rate_hz: None: the camera's own. report: told once
    when the camera sends no more, and once when it is back; it is looked for every second. api: OpenCV's back end.

    Raises SourceError for a camera that cannot be opened, or sends nothing.
    """

    def __init__(
        self,
        device: str,
        asked_wh: tuple[int, int] | None,
        bound_wh: tuple[int, int],
        rate_hz: float | None,
        report: Callable[[str], None],
        api: int = cv2.CAP_V4L2,
    ) -> None:
        self._device = device
        self._asked_wh = asked_wh
        self._bound_wh = bound_wh
        self._report = report
        self._api = api
        capture, first = self._open()
        self.size_wh = first.shape[1], first.shape[0]
        self.rate_hz = own_rate_hz(capture, _UNKNOWN_RATE_HZ) if rate_hz is None else rate_hz
        self.description = f"the camera {self._device}"
        self._lock = threading.Lock()
        self._newest: Frame | None = Frame(first, taken_s=time.monotonic())
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(capture,), name="camera", daemon=True)
        self._thread.start()

    def read(self) -> Frame | None:
        """The newest image, if it was not read before."""
        with self._lock:
            frame, self._newest = self._newest, None
        return frame

    def close(self) -> None:
        """End the thread and close the camera; one that hangs is left to the end of the process."""
        self._ending.set()
        self._thread.join(_CLOSE_S)

    def _watch(self, capture: cv2.VideoCapture | None) -> None:
        while not self._ending.is_set():
            image = None if capture is None else self._read_fitting(capture)
            if image is not None:
                with self._lock:
                    self._newest = Frame(image, taken_s=time.monotonic())
                continue
            # A read after one that failed may give an old image: the camera is opened anew instead.
            if capture is not None:
                capture.release()
                capture = None
                self._report(
                    f"{self._device} sends no images any more; it is looked for every second: plug it in again"
                )
            self._ending.wait(_RETRY_S)
            capture = self._reopen()
        if capture is not None:
            capture.release()

    def _reopen(self) -> cv2.VideoCapture | None:
        if self._ending.is_set():
            return None
        try:
            capture, image = self._open()
        except SourceError:
            return None
        with self._lock:
            self._newest = Frame(image, taken_s=time.monotonic())
        self._report(f"{self._device} is back")
        return capture

    def _open(self) -> tuple[cv2.VideoCapture, NDArray[np.uint8]]:
        """The camera and its first image."""
        try:
            os.close(os.open(self._device, os.O_RDWR | os.O_NONBLOCK))  # OpenCV does not tell why it cannot
        except OSError as error:
            remedy = _REMEDIES.get(error.errno or 0, "plug it in again, or name another")
            raise SourceError(
                f"{self._device}: expected a camera that can be opened, got: {error.strerror or error}; {remedy}"
            ) from error
        numbered = _NUMBERED.fullmatch(os.path.realpath(self._device))
        capture = open_capture(int(numbered[1]) if numbered else self._device, self._api)
        if capture is None:
            raise SourceError(
                f"{self._device}: expected a camera that can be opened, got a device that OpenCV cannot: no camera, a "
                "camera's second device (v4l2-ctl --list-devices), or one in use by another program "
                f"(fuser -v {self._device})"
            )
        if self._asked_wh is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._asked_wh[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._asked_wh[1])
        image = self._read_fitting(capture)
        if image is None:
            capture.release()
            raise SourceError(
                f"{self._device}: expected images, got none from this camera; it may be in use by another program "
                f"(fuser -v {self._device}): end that, or plug it in again"
            )
        return capture, image

    def _read_fitting(self, capture: cv2.VideoCapture) -> NDArray[np.uint8] | None:
        image = read_image(capture)
        try:
            return None if image is None else fit(image, self._bound_wh)
        except ImageError:
            return None  # no camera has such a size: what came is no image
