"""Depth compressed as compressed_depth_image_transport does it; RVL number by number, as its paper writes it down."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def compress(values: NDArray[np.uint16], method: str, quantization: tuple[float, float] = (0.0, 0.0)) -> bytes:
    """A message's data: header and png or rvl. values: (h, w), counts, or what inverse depths were quantised to."""
    header = np.array([0], "<i4").tobytes() + np.array(quantization, "<f4").tobytes()
    if method == "png":
        return header + cv2.imencode(".png", values)[1].tobytes()
    return header + np.array(values.shape[::-1], "<u4").tobytes() + encode_rvl(values.ravel().tolist())


def encode_rvl(values: list[int]) -> bytes:
    nibbles: list[int] = []

    def write(number: int) -> None:
        while number > 7:
            nibbles.append(number & 7 | 8)
            number >>= 3
        nibbles.append(number)

    place = previous = 0
    while place < len(values):
        begin = place
        while place < len(values) and not values[place]:
            place += 1
        write(place - begin)
        begin = place
        while place < len(values) and values[place]:
            place += 1
        write(place - begin)
        for value in values[begin:place]:
            difference, previous = value - previous, value
            write(2 * difference if difference >= 0 else -2 * difference - 1)
    nibbles += [0] * (-len(nibbles) % 8)
    shifts = np.arange(28, -1, -4, dtype=np.uint32)
    return (np.array(nibbles, np.uint32).reshape(-1, 8) << shifts).sum(1).astype("<u4").tobytes()


def quantise(depth_m: NDArray[np.float32], a: float, b: float) -> NDArray[np.uint16]:
    """Inverse depths, 0 where nothing is known."""
    known = np.isfinite(depth_m) & (depth_m > 0)
    return np.where(known, np.rint(a / np.where(known, depth_m, 1) + b), 0).astype(np.uint16)
