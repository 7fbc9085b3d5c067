"""OpenCV without what it prints of files that it cannot read, which an error of ours tells in words for people."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import cv2


@contextlib.contextmanager
def quiet_opencv() -> Iterator[None]:
    """Within, OpenCV logs nothing, in this whole process."""
    logging = getattr(cv2.utils, "logging", None)  # not in every version
    if logging is None:
        yield
        return
    before = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)
