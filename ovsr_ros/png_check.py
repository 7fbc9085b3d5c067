"""Whether a PNG file can hold what its headers say: a decoder takes memory for it before it finds out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type."""
_MOST_INFLATED = 1032
"""Bytes that deflate can make of one, at most (RFC 1951: 258 bytes of two bits)."""


def find_png_problem(data: NDArray[np.uint8]) -> str:
    """Why a file (N,) that begins as a PNG cannot be whole; "" where it may be, or where it is no PNG.

    A chunk is longer than what is left of the file, or the pixels are more than its data can stand for.
    """
    if data[: len(SIGNATURE)].tobytes() != SIGNATURE:
        return ""
    place, num_compressed, num_raw = len(SIGNATURE), 0, 0.0
    while place + 8 <= data.size:
        length = int.from_bytes(data[place : place + 4].tobytes(), "big")
        kind = data[place + 4 : place + 8].tobytes()
        place += 8
        if length > data.size - place:
            name = kind.decode("ascii", "replace")
            return f"a part {name!r} of {length} bytes, of which {data.size - place} are there"
        if kind == b"IHDR" and length >= 10:
            width, height = (int.from_bytes(data[place + n : place + n + 4].tobytes(), "big") for n in (0, 4))
            num_raw = width * height * int(data[place + 8]) * _CHANNELS.get(int(data[place + 9]), 0) / 8
            size = f"{width}x{height} pixels"
        elif kind == b"IDAT":
            num_compressed += length
        elif kind == b"IEND":
            break
        place += length + 4  # its checksum
    if num_raw > _MOST_INFLATED * (num_compressed + 1):
        return f"{size}, which {num_compressed} bytes cannot hold"
    return ""
