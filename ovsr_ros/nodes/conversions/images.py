"""Between ROS image messages and arrays."""

from __future__ import annotations

import array
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from ovsr_ros.errors import ImageError
from ovsr_ros.image_files import encode_jpeg
from ovsr_ros.messages.encodings import find_encoding, nearest_encoding
from ovsr_ros.messages.images import explain_unknown_encoding, read_image, to_label_array
from ovsr_ros.messages.row_layout import Warn, no_warning


def to_rgb_array(message: Image, warn: Warn = no_warning) -> NDArray[np.uint8]:
    """As `read_image`; encodings that it does not know are left to cv_bridge, where it is installed."""
    return read_image(message, warn) if find_encoding(message.encoding) else _with_cv_bridge(message)


def to_mask_array(message: Image) -> NDArray[np.bool_]:
    """Where a mono8 or mono16 message is not 0: (H, W). Raises ImageError as `to_rgb_array`."""
    try:
        mask: NDArray[np.bool_] = to_label_array(message) != 0
    except ImageError as error:
        raise ImageError(f"mask: {error}") from error
    return mask


def to_image_message(image: NDArray[Any], encoding: str, header: Header) -> Image:
    """An Image message of an array, without row padding, with the given header.

    image: (H, W, 3) uint8 for rgb8, (H, W) uint8 for mono8, (H, W) uint16 for mono16 and 16UC1, float32 for 32FC1.
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


def to_jpeg_message(image: NDArray[np.uint8], quality: int, header: Header) -> CompressedImage:
    """A CompressedImage message, format "jpeg", of an (H, W, 3) uint8 RGB image, with the given header.

    quality and what is raised: as of `encode_jpeg`.
    """
    data = array.array("B", encode_jpeg(image, quality))
    message = CompressedImage(header=header, format="jpeg")
    message.data = data
    return message


def _with_cv_bridge(message: Image) -> NDArray[np.uint8]:
    expected = explain_unknown_encoding(message)
    try:
        from cv_bridge import CvBridge
    except ImportError as error:
        near = nearest_encoding(message.encoding)
        raise ImageError(f"{expected}; let the camera send {near or 'rgb8 or bgr8'}") from error
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(message, "rgb8"), np.uint8)
    except Exception as error:  # its own error class, OpenCV's, NumPy's: whatever it raises, the image is at fault
        raise ImageError(f"{expected}, which cv_bridge cannot convert: {error}") from error
