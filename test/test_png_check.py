"""PNG files that say more of themselves than they hold are refused before memory is taken for it."""

from __future__ import annotations

import struct
import time
import zlib

import cv2
import numpy as np
import pytest

from ovsr_ros.errors import ImageError
from ovsr_ros.image_files import decode_image
from ovsr_ros.png_check import SIGNATURE, find_png_problem


def as_bytes(data):
    return np.frombuffer(bytes(data), np.uint8)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, bits, color, pixels, end=True):
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", pixels), *([chunk(b"IEND", b"")] if end else [])]
    return SIGNATURE + b"".join(parts)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (30, 40), (30, 40, 3), (30, 40, 4), (2000, 3000)])
@pytest.mark.parametrize("value", [0, None])
def test_what_encoders_write_is_let_through(shape, dtype, value):
    """The most even images, too, of which little is left."""
    rng = np.random.default_rng(0)
    image = np.zeros(shape, dtype) if value == 0 else rng.integers(0, 255, shape).astype(dtype)
    encoded = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]
    assert find_png_problem(encoded.ravel()) == ""


def test_other_files_are_let_through():
    assert find_png_problem(as_bytes(b"")) == ""
    assert find_png_problem(as_bytes(b"\xff\xd8" + bytes(50))) == ""


def test_the_end_may_be_missing():
    pixels = zlib.compress(bytes(5 * 4))
    assert find_png_problem(as_bytes(png(4, 5, 8, 0, pixels, end=False))) == ""


def test_a_part_longer_than_the_file_is_refused_at_once():
    """A changed byte in a part's length: OpenCV takes as much memory, and a second."""
    data = bytearray(png(40, 30, 8, 2, zlib.compress(bytes(30 * 121))))
    place = data.index(b"IDAT") - 4
    data[place : place + 4] = struct.pack(">I", 1_600_000_000)
    start = time.process_time()
    with pytest.raises(ImageError, match="damaged: a png image with a part 'IDAT' of 1600000000 bytes, of which "):
        decode_image(as_bytes(data))
    assert time.process_time() - start < 5


@pytest.mark.parametrize(("bits", "color"), [(8, 0), (8, 2), (16, 2), (8, 3), (16, 4), (16, 6)])
def test_more_pixels_than_the_data_can_stand_for_are_refused(bits, color):
    data = png(30_000, 30_000, bits, color, zlib.compress(bytes(2000)))
    with pytest.raises(
        ImageError, match=r"damaged: a png image with 30000x30000 pixels, which [0-9]+ bytes cannot hold"
    ):
        decode_image(as_bytes(data))
