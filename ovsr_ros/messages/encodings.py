"""Every encoding in which cameras send images, and how its bytes become RGB.

The names, and which bytes they stand for, are those of sensor_msgs/image_encodings.hpp. 16-bit values keep their high
byte, whatever they measure: 8-bit value = 16-bit value // 256. YUV is BT.601 of limited range (luma 16 to 235), as
OpenCV converts it.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.errors import ImageError
from ovsr_ros.messages.row_layout import Warn, find_row_bytes, no_warning


@dataclass(frozen=True)
class Encoding:
    """How an encoding stores its pixels.

    channels: values per pixel in a row of `step` bytes
    code: cv2.cvtColor's code from the 8-bit pixels to RGB; None where they are RGB
    bytes_per_value: 1, or 2 in the byte order of `is_bigendian`
    num_planes: bytes of the whole image, in planes of step * height bytes; more than 1 where a colour plane follows
    multiple_wh: width and height must be multiples of these, as pixels share colours
    min_side_px: the smallest width and height that can be converted
    """

    channels: int
    code: int | None
    bytes_per_value: int = 1
    num_planes: float = 1.0
    multiple_wh: tuple[int, int] = (1, 1)
    min_side_px: int = 1


def _bayer(code: int, bytes_per_value: int) -> Encoding:
    # Below 3 x 3 OpenCV's interpolation has no neighbours and gives black.
    return Encoding(1, code, bytes_per_value, min_side_px=3)


# ROS names a mosaic by its first row, then its second; OpenCV by the second row's second and third pixel.
_BAYER_CODES = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
_RGB, _RGBA = Encoding(3, None), Encoding(4, cv2.COLOR_RGBA2RGB)
_BGR, _BGRA = Encoding(3, cv2.COLOR_BGR2RGB), Encoding(4, cv2.COLOR_BGRA2RGB)
_RGB16, _RGBA16 = Encoding(3, None, 2), Encoding(4, cv2.COLOR_RGBA2RGB, 2)
_BGR16, _BGRA16 = Encoding(3, cv2.COLOR_BGR2RGB, 2), Encoding(4, cv2.COLOR_BGRA2RGB, 2)
_MONO, _MONO16 = Encoding(1, cv2.COLOR_GRAY2RGB), Encoding(1, cv2.COLOR_GRAY2RGB, 2)
_UYVY = Encoding(2, cv2.COLOR_YUV2RGB_UYVY, multiple_wh=(2, 1))
_YUYV = Encoding(2, cv2.COLOR_YUV2RGB_YUY2, multiple_wh=(2, 1))
# U and V interleaved after the luma: half as many rows of `step` bytes; in nv24 as many rows, of 2 * step bytes.
_NV12 = Encoding(1, cv2.COLOR_YUV2RGB_NV12, num_planes=1.5, multiple_wh=(2, 2))
_NV21 = Encoding(1, cv2.COLOR_YUV2RGB_NV21, num_planes=1.5, multiple_wh=(2, 2))
_NV24 = Encoding(1, cv2.COLOR_YUV2RGB_YUY2, num_planes=3.0)

ENCODINGS: dict[str, Encoding] = {
    "rgb8": _RGB,
    "bgr8": _BGR,
    "rgba8": _RGBA,
    "bgra8": _BGRA,
    "mono8": _MONO,
    "mono16": _MONO16,
    "rgb16": _RGB16,
    "bgr16": _BGR16,
    "rgba16": _RGBA16,
    "bgra16": _BGRA16,
    # No colours are named; arrays that OpenCV made are blue first.
    "8UC1": _MONO,
    "8UC3": _BGR,
    "8UC4": _BGRA,
    "16UC1": _MONO16,
    "16UC3": _BGR16,
    "16UC4": _BGRA16,
    **{f"bayer_{pattern}8": _bayer(code, 1) for pattern, code in _BAYER_CODES.items()},
    **{f"bayer_{pattern}16": _bayer(code, 2) for pattern, code in _BAYER_CODES.items()},
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "nv12": _NV12,
    "nv21": _NV21,
    "nv24": _NV24,
}
"""Encodings converted here, as sensor_msgs spells them; read in any case."""

_BY_LOWER_CASE = {name.lower(): encoding for name, encoding in ENCODINGS.items()}


def find_encoding(name: str) -> Encoding | None:
    """The encoding of that name, in any case; None where it is not known."""
    return _BY_LOWER_CASE.get(name.lower())


def nearest_encoding(name: str) -> str | None:
    """The known name that is most like one that is not known; None where none is like it."""
    near = difflib.get_close_matches(name.lower(), _BY_LOWER_CASE, 1)
    return next((known for known in ENCODINGS if [known.lower()] == near), None)


def read_rgb(message: Any, encoding: Encoding, warn: Warn = no_warning) -> NDArray[np.uint8]:
    """The image of a sensor_msgs/Image, stored as `encoding`, as (H, W, 3) uint8 RGB.

    Where the pixels are 8-bit RGB without padding already, the result is a view of the message's data. warn: told where
    the message does not say how its rows lie, and the data's length does.

    Raises ImageError naming the field at fault.
    """
    if encoding is _NV24:
        return _read_nv24(message, warn)
    rows = read_rows(message, encoding, warn)
    if encoding.bytes_per_value == 2:
        rows = np.ascontiguousarray(rows[:, 0 if message.is_bigendian else 1 :: 2])
    if encoding.channels > 1:
        rows = rows.reshape(message.height, message.width, encoding.channels)  # (H, W, C)
    return to_rgb(rows, encoding)


def to_rgb(pixels: NDArray[np.uint8], encoding: Encoding) -> NDArray[np.uint8]:
    """Pixels of 8 bits per value, in the encoding's order, as (H, W, 3) uint8 RGB.

    pixels: (H, W, C), (H, W) for one channel, (H * 3 / 2, W) for nv12 and nv21; rows may be padded.
    """
    if encoding.code is None:
        return np.ascontiguousarray(pixels)
    return np.asarray(cv2.cvtColor(pixels, encoding.code), np.uint8)


def read_rows(message: Any, encoding: Encoding, warn: Warn = no_warning) -> NDArray[np.uint8]:
    """The bytes of the image's rows, padding cut off, a view of the message's data.

    (H * planes, W * channels * bytes_per_value) uint8: the colour plane's rows follow the luma's. warn: as `read_rgb`.

    Raises ImageError naming the field at fault.
    """
    data, step = _read_data(message, encoding, warn)
    row_bytes = message.width * encoding.channels * encoding.bytes_per_value
    return _rows_of(data, int(message.height * encoding.num_planes), step, row_bytes)


def check_size(width: int, height: int, encoding_name: str = "", encoding: Encoding | None = None) -> None:
    """Raises ImageError when an image is empty, or of a size that its encoding cannot have."""
    for index, (field, side) in enumerate((("width", width), ("height", height))):
        if side <= 0:
            raise ImageError(f"{field}: expected more than 0, got {side}; the publisher must set it")
        if encoding is None:
            continue
        if side < encoding.min_side_px:
            raise ImageError(
                f"{field}: expected at least {encoding.min_side_px} for {encoding_name}, got {side}; "
                "let the camera send larger images"
            )
        if side % encoding.multiple_wh[index]:
            raise ImageError(
                f"{field}: expected an even number for {encoding_name}, whose neighbouring pixels share a colour, "
                f"got {side}; let the camera send an even {field}, or another encoding"
            )


def to_bytes(data: Any) -> NDArray[np.uint8]:
    """A message's data (array.array, bytes, memoryview, array, list of numbers) as (N,) uint8, without a copy but of
    a list."""
    return np.frombuffer(data, np.uint8) if isinstance(data, bytes) else np.asarray(data, np.uint8).reshape(-1)


def _read_data(message: Any, encoding: Encoding, warn: Warn) -> tuple[NDArray[np.uint8], int]:
    """The bytes of all planes, (N,) uint8, row padding included (the last row may lack it), and the step that holds."""
    check_size(message.width, message.height, message.encoding, encoding)
    data = to_bytes(message.data)
    row_bytes = message.width * encoding.channels * encoding.bytes_per_value
    step = find_row_bytes(message, data, row_bytes, encoding.num_planes, warn)
    return data[: int(step * message.height * encoding.num_planes)], step


def _rows_of(data: NDArray[np.uint8], num_rows: int, step: int, row_bytes: int) -> NDArray[np.uint8]:
    """The first row_bytes of each of data's rows, `step` apart: (num_rows, row_bytes), a view."""
    if data.size < (num_rows - 1) * step + row_bytes:
        raise ValueError(f"data: expected {num_rows} rows of {row_bytes} bytes, {step} apart, got {data.size} bytes")
    # Not by reshaping: the last row may lack its padding, which can be larger than memory when `step` is nonsense.
    return np.lib.stride_tricks.as_strided(data, (num_rows, row_bytes), (step, 1))


def _read_nv24(message: Any, warn: Warn) -> NDArray[np.uint8]:
    """OpenCV lacks the code for nv24: each pixel is made a pair of pixels that share their colour, as in yuyv."""
    height, width = message.height, message.width
    data, step = _read_data(message, _NV24, warn)
    luma = _rows_of(data, height, step, width)
    chroma = _rows_of(data[step * height :], height, 2 * step, 2 * width).reshape(height, width, 2)  # (H, W, UV)
    u, v = cv2.split(chroma)
    pairs = cv2.merge([luma, u, luma, v]).reshape(height, 2 * width, 2)  # (H, 2 * W, 2)
    doubled = to_rgb(np.asarray(pairs, np.uint8), _NV24)
    return np.asarray(cv2.resize(doubled, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
