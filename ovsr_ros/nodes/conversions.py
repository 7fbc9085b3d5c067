"""Between ROS image messages and arrays."""

from __future__ import annotations

import array
import sys
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from ovsr_ros.errors import ImageError

_CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
SUPPORTED_ENCODINGS = (*_CHANNELS, "mono16")
"""Encodings converted here; every other one is left to cv_bridge, where it is installed."""


def to_rgb_array(message: Image) -> NDArray[np.uint8]:
    """The message's image as (H, W, 3) uint8 RGB.

    Alpha is dropped, mono is repeated over the channels, mono16 keeps its high byte, padding at the ends of rows is
    cut off. An rgb8 image is a view of the message's data: do not write to it.

    Raises ImageError naming the field at fault, what it must be and what it is.
    """
    encoding = message.encoding.lower()
    if encoding not in SUPPORTED_ENCODINGS:
        _check_size(message)
        return _with_cv_bridge(message)
    bytes_per_pixel = 2 if encoding == "mono16" else _CHANNELS[encoding]
    rows = _to_rows(message, bytes_per_pixel)
    if encoding == "mono16":
        high_byte = 0 if message.is_bigendian else 1
        return np.repeat(rows.reshape(message.height, message.width, 2)[..., high_byte, None], 3, axis=2)
    pixels = rows.reshape(message.height, message.width, bytes_per_pixel)  # (H, W, C)
    if encoding == "mono8":
        return np.repeat(pixels, 3, axis=2)
    if encoding in ("bgr8", "bgra8"):
        return np.ascontiguousarray(pixels[..., 2::-1])
    return np.ascontiguousarray(pixels[..., :3])


def decode_compressed(message: CompressedImage) -> NDArray[np.uint8]:
    """The decoded image (jpeg, png, whatever OpenCV reads) as (H, W, 3) uint8 RGB.

    Raises ImageError when the data is empty or cannot be decoded.
    """
    data = np.frombuffer(message.data, np.uint8)
    if not data.size:
        raise ImageError(f"data: expected an image of format '{message.format}', got 0 bytes")
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if bgr is None:
        raise ImageError(
            f"data: expected a whole jpeg or png image, got {data.size} bytes of format '{message.format}' that cannot "
            "be decoded"
        )
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def to_image_message(image: NDArray[Any], encoding: str, header: Header) -> Image:
    """An Image message of an array, without row padding, with the given header.

    image: (H, W, 3) uint8 for rgb8, (H, W) uint8 for mono8, (H, W) uint16 for mono16.
    """
    # rclpy copies an array.array in one go; from any other type it converts element by element.
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(image).data.cast("B"))
    height, width = image.shape[:2]
    message = Image()
    message.header = header
    message.height = height
    message.width = width
    message.encoding = encoding
    message.is_bigendian = int(sys.byteorder == "big")
    message.step = len(data) // height
    message.data = data
    return message


def to_label_array(message: Image) -> NDArray[np.generic]:
    """A mono8 or mono16 message's values as (H, W) uint8 or uint16.

    Raises ImageError as `to_rgb_array`.
    """
    encoding = message.encoding.lower()
    if encoding == "mono8":
        return _to_rows(message, 1)
    if encoding != "mono16":
        raise ImageError(f"encoding: expected mono8 or mono16, got '{message.encoding}'")
    rows = np.ascontiguousarray(_to_rows(message, 2))
    values = rows.view(np.dtype(">u2" if message.is_bigendian else "<u2"))  # (H, W)
    return values.astype(np.uint16, copy=False)


def _check_size(message: Image) -> None:
    for field in ("width", "height"):
        if getattr(message, field) <= 0:
            raise ImageError(f"{field}: expected more than 0, got {getattr(message, field)}")


def _to_rows(message: Image, bytes_per_pixel: int) -> NDArray[np.uint8]:
    """The bytes of the pixels, padding cut off: (H, W * bytes_per_pixel), a view of the message's data."""
    _check_size(message)
    row_bytes = message.width * bytes_per_pixel
    if message.step < row_bytes:
        raise ImageError(
            f"step: expected at least {row_bytes} (width {message.width} x {bytes_per_pixel} bytes of "
            f"{message.encoding}), got {message.step}"
        )
    data = np.frombuffer(message.data, np.uint8)
    expected = message.step * message.height
    if data.size < expected:
        raise ImageError(
            f"data: expected {expected} bytes (step {message.step} x height {message.height}), got {data.size}"
        )
    return data[:expected].reshape(message.height, message.step)[:, :row_bytes]


def _with_cv_bridge(message: Image) -> NDArray[np.uint8]:
    known = ", ".join(SUPPORTED_ENCODINGS)
    try:
        from cv_bridge import CvBridge
    except ImportError as error:
        raise ImageError(
            f"encoding: expected one of {known}, got '{message.encoding}'; installing ROS's cv_bridge adds more"
        ) from error
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(message, "rgb8"), np.uint8)
    except Exception as error:  # its own error class, OpenCV's, NumPy's: whatever it raises, the image is at fault
        raise ImageError(
            f"encoding: expected one of {known}, got '{message.encoding}', which cv_bridge cannot convert: {error}"
        ) from error
