"""A video file as a source, played in a loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.demo.sources.capture import VIDEO_APIS, open_capture, own_rate_hz, read_image
from ovsr_ros.demo.sources.frame_source import Frame, fit
from ovsr_ros.errors import ImageError, SourceError

_UNKNOWN_RATE_HZ = 25.0
_HEAD_BYTES = 1024
_WHOLE = 0.95
"""Of the number of images that a header tells, which for some formats is an estimate: fewer are worth a word."""


class VideoSource:
    """The images of a video file in turn; after the last comes the first.

    bound_wh: larger images are scaled down to be within, with their aspect. rate_hz: None: the video's own.
    report: told once when the video ends before its end, as one that is cut off or damaged does.

    Raises SourceError for a file that OpenCV cannot read as a video.
    """

    def __init__(
        self, path: Path, bound_wh: tuple[int, int], rate_hz: float | None, report: Callable[[str], None]
    ) -> None:
        self._path = path
        self._bound_wh = bound_wh
        self._report: Callable[[str], None] | None = report
        self._capture = self._open()
        self._num_expected = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.rate_hz = own_rate_hz(self._capture, _UNKNOWN_RATE_HZ) if rate_hz is None else rate_hz
        self._num_read = 0
        self._next: NDArray[np.uint8] | None = self._read_first()
        self.size_wh = self._next.shape[1], self._next.shape[0]
        self.description = f"the video {path}"

    def read(self) -> Frame:
        """The next frame; never None. Raises SourceError where the file can no longer be read."""
        image, self._next = self._next, None
        if image is None:
            image = self._fit(read_image(self._capture))
        if image is None:
            self._tell_of_early_end()
            self._capture.release()
            self._capture = self._open()
            image, self._num_read = self._read_first(), 0
        self._num_read += 1
        return Frame(image)

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _open(self) -> cv2.VideoCapture:
        try:
            with self._path.open("rb") as file:
                is_text = _is_text(file.read(_HEAD_BYTES))
        except OSError as error:
            raise SourceError(f"{self._path}: cannot be read: {error.strerror or error}") from error
        # FFmpeg has a reader for text, which makes pictures of letters of it.
        capture = None if is_text else open_capture(str(self._path), *VIDEO_APIS)
        if capture is None:
            what = "text" if is_text else "a file that OpenCV reads as neither: another format, damaged or cut short"
            raise SourceError(f"{self._path}: expected an image or a video, got {what}; convert it, or get it again")
        return capture

    def _read_first(self) -> NDArray[np.uint8]:
        try:
            image = self._fit(read_image(self._capture))
        except SourceError:
            self.close()
            raise
        if image is None:
            self.close()
            raise SourceError(
                f"{self._path}: expected a video, got one of which no image can be read; convert it, or get it again"
            )
        return image

    def _fit(self, image: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
        try:
            return None if image is None else fit(image, self._bound_wh)
        except ImageError as error:
            raise SourceError(f"{self._path}: {error}") from error

    def _tell_of_early_end(self) -> None:
        if self._report is not None and self._num_read + 1 < _WHOLE * self._num_expected:
            self._report(
                f"{self._path}: expected {self._num_expected:.0f} images, as the video's header says, got "
                f"{self._num_read}: the rest is damaged or missing; it goes on from the beginning"
            )
        self._report = None


def _is_text(head: bytes) -> bool:
    try:
        # The last character may be cut.
        text = head.decode("utf-8") if len(head) < _HEAD_BYTES else head[:-4].decode("utf-8", "strict")
    except UnicodeDecodeError:
        return False
    return bool(text) and all(character.isprintable() or character.isspace() for character in text)
