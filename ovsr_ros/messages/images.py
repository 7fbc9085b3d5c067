"""Image messages as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.errors import ImageError
from ovsr_ros.image_files import decode_image
from ovsr_ros.messages.encodings import (
    ENCODINGS,
    check_size,
    find_encoding,
    nearest_encoding,
    read_rgb,
    read_rows,
    to_bytes,
    to_rgb,
)
from ovsr_ros.messages.row_layout import Warn, no_warning


def read_image(message: Any, warn: Warn = no_warning) -> NDArray[np.uint8]:
    """The image of a sensor_msgs/Image as (H, W, 3) uint8 RGB.

    Alpha is dropped, grey is repeated over the channels, 16-bit values keep their high byte, mosaics are interpolated,
    padding at the ends of rows is cut off. An rgb8 image is a view of the message's data: do not write to it. warn:
    told what is wrong with the message, where it can be read all the same.

    Raises ImageError naming the field at fault, what it must be and what it is.
    """
    encoding = find_encoding(message.encoding)
    if encoding is None:
        near = nearest_encoding(message.encoding)
        raise ImageError(f"{explain_unknown_encoding(message)}; let the camera send {near or 'rgb8 or bgr8'}")
    return read_rgb(message, encoding, warn)


def explain_unknown_encoding(message: Any) -> str:
    """What is wrong with a sensor_msgs/Image whose encoding `encodings` does not know.

    Raises ImageError where its size is wrong already.
    """
    check_size(message.width, message.height)
    near = nearest_encoding(message.encoding)
    return (
        f"encoding: expected one that docs/interfaces.md lists, got '{message.encoding}'"
        f"{f' (did you mean {near!r}?)' if near else ''}"
    )


def read_mask(message: Any, warn: Warn = no_warning) -> NDArray[np.bool_]:
    """Where the image of a sensor_msgs/Image is not 0: (H, W).

    Of one channel (mono8, 8UC1, mono16, 16UC1) every bit counts, of other encodings what `read_image` makes of them.
    Raises ImageError as `read_image`, whose `warn` this is.
    """
    encoding = find_encoding(message.encoding)
    if encoding is None or encoding not in (ENCODINGS["mono8"], ENCODINGS["mono16"]):
        is_set: NDArray[np.bool_] = np.any(read_image(message, warn), axis=2)
        return is_set
    is_set = read_rows(message, encoding, warn) != 0  # (H, W * bytes)
    return is_set if encoding.bytes_per_value == 1 else is_set[:, ::2] | is_set[:, 1::2]


def decode_compressed(message: Any) -> NDArray[np.uint8]:
    """The image of a sensor_msgs/CompressedImage (jpeg, png, whatever OpenCV reads) as (H, W, 3) uint8 RGB.

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


def to_label_array(message: Any) -> NDArray[np.generic]:
    """A mono8 or mono16 message's values as (H, W) uint8 or uint16.

    Raises ImageError as `read_image`.
    """
    encoding = find_encoding(message.encoding)
    if encoding is None or message.encoding.lower() not in ("mono8", "mono16"):
        raise ImageError(f"encoding: expected mono8 or mono16, got '{message.encoding}'")
    rows = read_rows(message, encoding)
    if encoding.bytes_per_value == 1:
        return rows
    values = np.ascontiguousarray(rows).view(np.dtype(">u2" if message.is_bigendian else "<u2"))  # (H, W)
    return values.astype(np.uint16, copy=False)
