"""Image files as a source: one, or those of a folder in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.demo.sources.frame_source import Frame, fit
from ovsr_ros.demo.sources.quiet import quiet_opencv
from ovsr_ros.errors import ImageError, SourceError
from ovsr_ros.image_files import decode_upright


class ImageSource:
    """Image files in turn, each for `each_s` seconds; after the last comes the first.

    what: the file's or folder's name, for messages. bound_wh: larger images are scaled down to be within, with their
    aspect. report: told once of each file that cannot be read; it is left out. A file is read when it is shown.

    Raises SourceError where none of the files can be read.
    """

    def __init__(
        self,
        what: str,
        files: Sequence[Path],
        bound_wh: tuple[int, int],
        rate_hz: float,
        each_s: float,
        report: Callable[[str], None],
    ) -> None:
        self.rate_hz = rate_hz
        self._what = what
        self._files = list(files)
        self._bound_wh = bound_wh
        self._num_each = max(1, round(each_s * rate_hz))
        self._report = report
        self._reported: set[Path] = set()
        self._place = -1
        self._image = self._read_next()
        self._num_shown = 0
        self.size_wh = self._image.shape[1], self._image.shape[0]
        self.description = self._what if len(files) == 1 else f"{len(files)} images of {self._what}"

    def read(self) -> Frame:
        """The next frame; never None. Raises SourceError where no file can be read any more."""
        if self._num_shown == self._num_each and len(self._files) > 1:
            self._image = self._read_next()
            self._num_shown = 0
        self._num_shown = min(self._num_shown + 1, self._num_each)
        return Frame(self._image)

    def close(self) -> None:
        """Nothing is open."""

    def _read_next(self) -> NDArray[np.uint8]:
        """The next file that can be read, of all there are."""
        first_problem = ""
        for _ in self._files:
            self._place = (self._place + 1) % len(self._files)
            file = self._files[self._place]
            try:
                return fit(_decode(file), self._bound_wh)
            except OSError as error:
                problem = f"{file}: cannot be read: {error.strerror or error}"
            except ImageError as error:
                problem = f"{file}: {error}"
            first_problem = first_problem or problem
            if file not in self._reported and len(self._files) > 1:
                self._reported.add(file)
                self._report(f"image left out: {problem}")
        if len(self._files) == 1:
            raise SourceError(first_problem)
        raise SourceError(
            f"{self._what}: expected images, of its {len(self._files)} files none can be read; the first: "
            f"{first_problem}"
        )


def _decode(file: Path) -> NDArray[np.uint8]:
    data = np.fromfile(file, np.uint8)
    try:
        with quiet_opencv():
            return decode_upright(data)
    except ImageError as error:
        raise ImageError(f"expected an image, got a file that is {error}") from error
