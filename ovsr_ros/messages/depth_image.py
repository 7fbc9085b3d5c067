"""Depth images as arrays, in metres."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.errors import ImageError
from ovsr_ros.messages.compressed_depth import read_compressed_depth
from ovsr_ros.messages.encodings import Encoding, read_rows
from ovsr_ros.messages.row_layout import Warn, no_warning
from ovsr_ros.ops.spatial import resize_nearest

_ASPECT_TOLERANCE = 0.01
_COUNTS = Encoding(1, None, 2)
_METRES = Encoding(1, None, 4)
_ENCODINGS = {"16uc1": _COUNTS, "mono16": _COUNTS, "32fc1": _METRES}


def to_depth_m(
    message: Any, size_hw: tuple[int, int], unit_m: float = 0.001, warn: Warn = no_warning
) -> NDArray[np.float32]:
    """A depth image in metres, at the size of the image that it is registered to: (H, W) float32.

    message: a sensor_msgs/Image, or a CompressedImage as `read_compressed_depth` takes it.

    16UC1 and mono16 count `unit_m`, by REP 118 millimetres, 32FC1 metres whatever that is, in either byte order, rows
    padded or not. What is no distance (0, NaN, infinite) stays that. Depth of another size, but of the same aspect
    within 1 %, is resized: each pixel gets its nearest one. warn: told what is wrong with the message, where it can be
    read all the same.

    Raises ImageError naming the field at fault, what it must be and what it is.
    """
    try:
        values, is_metres = read_compressed_depth(message) if hasattr(message, "format") else _read_raw(message, warn)
    except ImageError as error:
        raise ImageError(f"depth: {error}") from error
    _check_aspect((values.shape[0], values.shape[1]), size_hw)
    if is_metres:
        return resize_nearest(values.astype(np.float32, copy=False), size_hw)
    return resize_nearest(values.astype(np.float32) * np.float32(unit_m), size_hw)


def _read_raw(message: Any, warn: Warn) -> tuple[NDArray[np.generic], bool]:
    """The values, (h, w), and whether they are metres."""
    encoding = _ENCODINGS.get(message.encoding.lower())
    if encoding is None:
        raise ImageError(
            f"encoding: expected 16UC1 (mm) or 32FC1 (m), got '{message.encoding}'; remap depth to the raw registered "
            "depth image"
        )
    rows = np.ascontiguousarray(read_rows(message, encoding, lambda text: warn(f"depth: {text}")))
    order = ">" if message.is_bigendian else "<"
    return rows.view(f"{order}{'f4' if encoding is _METRES else 'u2'}"), encoding is _METRES


def _check_aspect(depth_hw: tuple[int, int], size_hw: tuple[int, int]) -> None:
    (rows, columns), (height, width) = depth_hw, size_hw
    if abs(columns * height / (rows * width) - 1) > _ASPECT_TOLERANCE:
        raise ImageError(
            f"depth: expected {width}x{height} pixels as the image, or the same aspect, got "
            f"{columns}x{rows}; let the camera register its depth to the image (align_depth, "
            "depth_image_proc's register)"
        )
