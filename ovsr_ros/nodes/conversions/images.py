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
from ovsr_ros.image_files import decode_image
from ovsr_ros.nodes.conversions.encodings import (
    ENCODINGS,
    check_size,
    find_encoding,
    nearest_encoding,
    read_rgb,
    read_rows,
    to_bytes,
    to_rgb,
)
from ovsr_ros.nodes.conversions.row_layout import Warn, no_warning

_JPEG_MAX_SIDE_PX = 65500


def to_rgb_array(message: Image, warn: Warn = no_warning) -> NDArray[np.uint8]:
    """The message's image as (H, W, 3) uint8 RGB.

    Alpha is dropped, grey is repeated over the channels, 16-bit values keep their high byte, mosaics are interpolated,
    padding at the ends of rows is cut off. An rgb8 image is a view of the message's data: do not write to it.
    Encodings that `encodings` does not know are left to cv_bridge, where it is installed. warn: told what is wrong with
    the message, where it can be read all the same.

    Raises ImageError naming the field at fault, what it must be and what it is.
    """
    encoding = find_encoding(message.encoding)
    if encoding is None:
        check_size(message.width, message.height)
        return _with_cv_bridge(message)
    return read_rgb(message, encoding, warn)


def decode_compressed(message: CompressedImage) -> NDArray[np.uint8]:
    """The decoded image (jpeg, png, whatever OpenCV reads) as (H, W, 3) uint8 RGB.

    format: "jpeg", "png", or as image_transport writes it, "rgb8; jpeg compressed bgr8": what the image was, how it
    was compressed, and in which order its colours were given to the compressor. Two cases need it: "compressed rgb"
    (the file's red and blue are swapped), and a Bayer encoding, of which image_transport compresses the mosaic.
    16-bit values keep their high byte, alpha is dropped, EXIF orientation is ignored: rotated, an image would no longer
    match the camera's calibration, nor what its driver publishes raw.

    Raises ImageError when the data is empty, damaged (see `decode_image`) or cannot be decoded.
    """
    data = to_bytes(message.data)
    if "compresseddepth" in message.format.lower():
        raise ImageError(
            f"format: expected a jpeg or png image, got '{message.format}', which holds depth; subscribe to the "
            "camera's compressed colour image"
        )
    if not data.size:
        raise ImageError(f"data: expected an image of format '{message.format}', got 0 bytes")
    original_name, _, compression = message.format.lower().partition(";")
    original = find_encoding(original_name.strip()) if original_name.startswith("bayer_") else None
    try:
        image = decode_image(data, keep_grey=original is not None)
    except ImageError as error:
        raise ImageError(
            f"data: expected a whole jpeg or png image, got one of format '{message.format}' that is {error}"
        ) from error
    if original is not None and image.ndim == 2:
        check_size(image.shape[1], image.shape[0], original_name, original)
        return to_rgb(image, original)
    if image.ndim == 2:
        return to_rgb(image, ENCODINGS["mono8"])
    return to_rgb(image, ENCODINGS["bgr8"]) if "compressed rgb" in compression else image


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

    quality: 1 to 100, as OpenCV takes it.

    Raises ImageError when the image is larger than libjpeg takes, 65500 pixels on a side.
    """
    height, width = image.shape[:2]
    if max(height, width) > _JPEG_MAX_SIDE_PX:
        raise ImageError(f"jpeg: expected at most {_JPEG_MAX_SIDE_PX} pixels on a side, got {width}x{height}")
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    data = array.array("B")
    data.frombytes(encoded.tobytes())
    message = CompressedImage(header=header, format="jpeg")
    message.data = data
    return message


def to_label_array(message: Image) -> NDArray[np.generic]:
    """A mono8 or mono16 message's values as (H, W) uint8 or uint16.

    Raises ImageError as `to_rgb_array`.
    """
    encoding = find_encoding(message.encoding)
    if encoding is None or message.encoding.lower() not in ("mono8", "mono16"):
        raise ImageError(f"encoding: expected mono8 or mono16, got '{message.encoding}'")
    rows = read_rows(message, encoding)
    if encoding.bytes_per_value == 1:
        return rows
    values = np.ascontiguousarray(rows).view(np.dtype(">u2" if message.is_bigendian else "<u2"))  # (H, W)
    return values.astype(np.uint16, copy=False)


def _with_cv_bridge(message: Image) -> NDArray[np.uint8]:
    near = nearest_encoding(message.encoding)
    expected = (
        f"encoding: expected one that docs/interfaces.md lists, got '{message.encoding}'"
        f"{f' (did you mean {near!r}?)' if near else ''}"
    )
    try:
        from cv_bridge import CvBridge
    except ImportError as error:
        raise ImageError(f"{expected}; let the camera send {near or 'rgb8 or bgr8'}") from error
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(message, "rgb8"), np.uint8)
    except Exception as error:  # its own error class, OpenCV's, NumPy's: whatever it raises, the image is at fault
        raise ImageError(f"{expected}, which cv_bridge cannot convert: {error}") from error
