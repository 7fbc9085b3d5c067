"""Depth images as compressed_depth_image_transport sends them: a header of 12 bytes, then png or RVL, of counts or of
inverse depths.
"""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.errors import ImageError
from ovsr_ros.messages.encodings import to_bytes
from ovsr_ros.png_check import find_png_problem

_HEADER = np.dtype([("format", "<i4"), ("quantization", "<f4", 2)])
_SIZE = np.dtype([("width", "<u4"), ("height", "<u4")])
_MOST_PIXELS = 1 << 24
"""Of RVL, of which a few bytes may say any size."""
_FORMAT = re.compile(r"\s*(16uc1|mono16|32fc1)\s*;\s*compresseddepth(?:\s+(png|rvl))?\s*")
"""Early versions wrote no method, and knew png alone; some later ones put the compressed encoding behind it."""
_REMEDY = "something loses or changes bytes: look at the network, or subscribe to raw depth"
_VALUE_BITS, _MORE = 3, 8
_MOST_NIBBLES = 9
"""Of a number: 27 bits, more than any run or difference needs."""


def read_compressed_depth(message: Any) -> tuple[NDArray[np.uint16] | NDArray[np.float32], bool]:
    """The depth of a sensor_msgs/CompressedImage, (h, w): counts, uint16, 0 unknown, and False; or metres, float32, NaN
    unknown, and True.

    Raises ImageError naming the field at fault, what it must be and what it is.
    """
    match = _FORMAT.match(message.format.lower())
    if match is None:
        raise ImageError(
            "format: expected '16UC1; compressedDepth png', rvl in place of png, or 32FC1 in place of 16UC1, got "
            f"'{message.format}'; let the camera send that, or raw depth"
        )
    data = to_bytes(message.data)
    if data.size <= _HEADER.itemsize:
        raise ImageError(f"data: expected a header of {_HEADER.itemsize} bytes and an image, got {data.size} bytes")
    header, compressed = data[: _HEADER.itemsize].view(_HEADER)[0], data[_HEADER.itemsize :]
    values = _decode_rvl(compressed) if match[2] == "rvl" else _decode_png(compressed)
    if match[1] != "32fc1":
        return values, False
    a, b = (float(value) for value in header["quantization"])
    if not (np.isfinite((a, b)).all() and a > 0):
        raise ImageError(f"data: expected two numbers of quantization, the first over 0, got {a:g} and {b:g}")
    with np.errstate(divide="ignore"):
        metres = np.float32(a) / (values.astype(np.float32) - np.float32(b))
    metres[values == 0] = np.nan
    return metres, True


def _decode_png(data: NDArray[np.uint8]) -> NDArray[np.uint16]:
    problem = find_png_problem(data)
    if problem:
        raise ImageError(f"data: expected a whole png image, got one with {problem}; {_REMEDY}")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise ImageError(f"data: expected a whole png image, got {data.size} bytes that are none; {_REMEDY}")
    if image.dtype != np.uint16 or image.ndim != 2:
        raise ImageError(f"data: expected a png image of 16-bit grey, got {image.shape} of {image.dtype.name}")
    return image.astype(np.uint16, copy=False)


def _decode_rvl(data: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """RVL, after Wilson, "Fast Lossless Depth Image Compression" (ISS 2017): runs of zeros and of others in turns, and
    of the others their differences, all of them numbers of 3 bits a nibble, the lowest first, 8 nibbles a word.
    """
    if data.size < _SIZE.itemsize:
        raise ImageError(f"data: expected {_SIZE.itemsize} bytes of size before RVL, got {data.size}; {_REMEDY}")
    width, height = (int(side) for side in data[: _SIZE.itemsize].view(_SIZE)[0])
    if not 0 < width * height <= _MOST_PIXELS:
        raise ImageError(f"data: expected 1 to {_MOST_PIXELS} pixels of RVL, got {width}x{height}; {_REMEDY}")
    numbers = _read_numbers(data[_SIZE.itemsize :])
    count = width * height
    folded = np.zeros(count, np.int32)  # differences, by pixel: 0, -1, 1, -2, ... as 0, 1, 2, 3, ...
    is_known = np.zeros(count, bool)
    place = pixel = 0
    while pixel < count:
        if place + 2 > len(numbers):
            raise ImageError(f"data: RVL ends after {pixel} of {count} pixels; {_REMEDY}")
        zeros, others = int(numbers[place]), int(numbers[place + 1])
        place, begin, end = place + 2, pixel + zeros, pixel + zeros + others
        if end == pixel or end > count or place + others > len(numbers):
            raise ImageError(f"data: a run of RVL does not fit, after {pixel} of {count} pixels; {_REMEDY}")
        folded[begin:end] = numbers[place : place + others]
        is_known[begin:end] = True
        place, pixel = place + others, end
    values = np.cumsum((folded >> 1) ^ -(folded & 1), dtype=np.int32)  # where nothing is known, the difference is 0
    values[~is_known] = 0
    return values.astype(np.uint16).reshape(height, width)  # modulo 65536, as the encoder's


def _read_numbers(data: NDArray[np.uint8]) -> NDArray[np.int32]:
    """All numbers of a stream of words, little-endian; what fills up the last word are zeros, which are read, too."""
    octets = data[: data.size // 4 * 4].reshape(-1, 4)[:, ::-1].ravel()
    nibbles = np.empty(2 * octets.size, np.uint8)
    nibbles[0::2], nibbles[1::2] = octets >> 4, octets & 0xF
    ends = np.flatnonzero(nibbles < _MORE)
    if not len(ends):
        return np.zeros(0, np.int32)
    begins = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - begins + 1
    longest = int(lengths.max())
    if longest > _MOST_NIBBLES:
        raise ImageError(f"data: a number of RVL has {longest} nibbles, {_MOST_NIBBLES} are the most; {_REMEDY}")
    nibbles &= _MORE - 1
    numbers = nibbles[begins].astype(np.int32)
    longer = np.arange(len(numbers))
    for digit in range(1, longest):  # of most numbers there is but one nibble, or two
        longer = longer[lengths[longer] > digit]
        numbers[longer] |= nibbles[begins[longer] + digit].astype(np.int32) << (_VALUE_BITS * digit)
    return numbers
