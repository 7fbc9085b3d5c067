"""Image files as arrays, and arrays as jpeg; a damaged one is refused, where the decoder can tell."""

from __future__ import annotations

import re

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from ovsr_ros.errors import ImageError
from ovsr_ros.png_check import find_png_problem

_START, _END = b"\xff\xd8", b"\xff\xd9"
_FILL_BYTES = (0x00, 0xFF)
_APP0, _HUFFMAN_TABLES, _START_OF_SCAN = 0xE0, 0xC4, 0xDA
_SEQUENTIAL_FRAMES = (0xC0, 0xC1)
_END_OF_BLOCK = 0x00
_ZEROS = bytes(64)
_WHOLE_SPECTRUM = b"\x00\x3f\x00"
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")
_JPEG_MAX_SIDE_PX = 65500
_MAX_PIXELS = 1 << 30
"""As OpenCV has it."""

_REMEDY = "something loses or changes bytes: look at the cable, the network, the disk"
_HARMLESS = "Unknown Adobe color transform"
"""How libjpeg's one warning begins that is neither about damage nor mended by `_tidy`."""


def decode_image(data: NDArray[np.uint8], keep_grey: bool = False) -> NDArray[np.uint8]:
    """The image in a file's bytes (jpeg, png, whatever OpenCV reads), as stored: its EXIF orientation is ignored.

    (H, W, 3) uint8 RGB, or (H, W) where the file is grey and `keep_grey`. 16-bit values keep their high byte, alpha is
    dropped.

    A jpeg has no checksum: bytes lost, cut off or zeroed are noticed nearly always, a single one that is another may
    make as good a stream. Of bmp, tiff, webp and jpeg 2000 only cuts are noticed, of png everything.

    Raises ImageError, "damaged: ..." or "not decodable: ...", to be put behind what was read.
    """
    if data[:2].tobytes() == _START:
        kind = _read_jpeg_kind(data)
        if kind is not None:
            return _decode_jpeg(data.tobytes() + _END, grey=keep_grey and kind == "Gray")
    return _decode_with_opencv(data, keep_grey)


def encode_jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    """The bytes of a jpeg file of an (H, W, 3) uint8 RGB image. quality: 1 to 100, as OpenCV takes it.

    Raises ImageError when the image is larger than libjpeg takes, 65500 pixels on a side.
    """
    height, width = image.shape[:2]
    if max(height, width) > _JPEG_MAX_SIDE_PX:
        raise ImageError(f"jpeg: expected at most {_JPEG_MAX_SIDE_PX} pixels on a side, got {width}x{height}")
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()


def decode_upright(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same, (H, W, 3) uint8 RGB, turned as its EXIF data says: as a photograph's viewers show it."""
    as_stored = decode_image(data)
    # It is whole. OpenCV turns it, unless it is stricter: about a jpeg that lacks no more than its end marker, say.
    turned = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return as_stored if turned is None else np.ascontiguousarray(turned[..., ::-1], np.uint8)


def _read_jpeg_kind(data: NDArray[np.uint8]) -> str | None:
    """A jpeg's colours, as simplejpeg names them; None for what it does not read and OpenCV may."""
    try:
        height, width, kind, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, KeyError):
        return None  # no header, or a subsampling that it has no name for
    if int(height) * int(width) > _MAX_PIXELS:
        raise ImageError(f"not decodable: expected at most {_MAX_PIXELS} pixels, got {width}x{height}")
    return str(kind) if kind in ("Gray", "RGB", "YCbCr") else None


def _decode_jpeg(data: bytes, grey: bool) -> NDArray[np.uint8]:
    """data: a jpeg with an end marker behind it, so that only one whose pixels are missing ends too early."""
    if _is_zeroed(data):
        raise ImageError(f"damaged: {len(_ZEROS)} zeros or more in a row where pixels are; {_REMEDY}")
    try:
        return _decode(data, grey)
    except ValueError:
        # The decoder stops at its first complaint, which may be a harmless one: without these, is there another?
        tidied = _tidy(data)
    try:
        try:
            return _decode(tidied, grey)
        except ValueError as error:
            if not str(error).startswith(_HARMLESS):
                raise
            return _decode(tidied, grey, strict=False)
    except ValueError as error:
        # Without its numbers, which are another frame's others: who logs a text once is to know it again.
        complaint = _NUMBER.sub("#", str(error))
        raise ImageError(f"damaged: {complaint}; {_REMEDY}") from error


def _decode(data: bytes, grey: bool, strict: bool = True) -> NDArray[np.uint8]:
    """Raises ValueError with the decoder's first complaint; not strict: with its first error."""
    image = np.asarray(simplejpeg.decode_jpeg(data, "GRAY" if grey else "RGB", strict=strict), np.uint8)
    return image[..., 0] if grey else image


def _tidy(data: bytes) -> bytes:
    """A jpeg without what decoders complain of although every pixel is there, and cameras are known to send: bytes
    between the header's segments, an unknown JFIF revision, a baseline scan's parameters, zeros before the end."""
    segments, begin = _read_header(data)
    if not segments:
        return data
    for segment in segments:
        if segment[1] == _APP0 and segment[4:9] == b"JFIF\x00":
            segment[9:10] = b"\x01"
    if _is_sequential(segments):
        segments[-1][-3:] = _WHOLE_SPECTRUM
    return _START + b"".join(segments) + _read_scan(data, begin) + _END


def _is_zeroed(data: bytes) -> bool:
    """Whether a jpeg's pixels have a run of zeros that no encoder writes: a packet lost and replaced, say.

    In tables whose code of zeros ends a block, zeros are blocks of one colour; in all others, the standard's too, they
    are blocks whose 63 frequencies are all there and alike.
    """
    if _ZEROS not in data:
        return False
    segments, begin = _read_header(data)
    if not _is_sequential(segments) or _ZEROS not in _read_scan(data, begin):
        return False
    of_zeros = [symbol for segment in segments if segment[1] == _HUFFMAN_TABLES for symbol in _codes_of_zeros(segment)]
    return any(symbol != _END_OF_BLOCK for symbol in of_zeros) or not of_zeros


def _read_header(data: bytes) -> tuple[list[bytearray], int]:
    """The segments before a jpeg's first pixels, and where these begin; no segments where it has no pixels."""
    segments: list[bytearray] = []
    place = len(_START)
    while True:
        place = data.find(b"\xff", place)
        if place < 0 or place + 4 > len(data):
            return [], place
        if data[place + 1] in _FILL_BYTES:
            place += 1
            continue
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        segments.append(bytearray(data[place:end]))
        if data[place + 1] == _START_OF_SCAN:
            return segments, end
        place = end


def _read_scan(data: bytes, begin: int) -> bytes:
    """What is between a header and the end marker, without zeros before that."""
    scan = data[begin : data.find(_END, begin)].rstrip(b"\x00")
    return scan + b"\x00" if scan.endswith(b"\xff") else scan  # that zero was part of a value


def _is_sequential(segments: list[bytearray]) -> bool:
    return any(segment[1] in _SEQUENTIAL_FRAMES for segment in segments)


def _codes_of_zeros(segment: bytearray) -> list[int]:
    """What zeros stand for in a segment's tables of frequencies."""
    symbols, place = [], 4
    while place + 17 < len(segment):
        if segment[place] >> 4 == 1:
            symbols.append(segment[place + 17])
        place += 17 + sum(segment[place + 1 : place + 17])
    return symbols


def _decode_with_opencv(data: NDArray[np.uint8], keep_grey: bool) -> NDArray[np.uint8]:
    problem = find_png_problem(data)
    if problem:
        raise ImageError(f"damaged: a png image with {problem}; {_REMEDY}")
    cause = "no format that is known, or cut short"
    # IMREAD_ANYCOLOR leaves grey in one channel. Both give 8 bits per value.
    flags = cv2.IMREAD_ANYCOLOR if keep_grey else cv2.IMREAD_COLOR
    try:
        image = cv2.imdecode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION) if data.size else None
    except cv2.error as error:  # more pixels than OpenCV reads, for one
        image, cause = None, str(error)
    if image is None:
        raise ImageError(f"not decodable: {cause}")
    return np.asarray(image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
