"""Images and masks from files, decoded whole or not at all."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ovsr_ros.errors import SampleError

# What Pillow raises on a file that is cut short or damaged (SyntaxError: a broken PNG chunk).
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
_GREY_STEP = {2: 85, 4: 17}
"""Pillow stretches grey values of so many bits to 0..255; a mask's values are divided by this again."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image of any mode and depth as (H, W, 3) uint8 RGB, turned as its EXIF data says; 16 bits lose the lower 8.

    Raises SampleError when the file is missing, cut short, or no image.
    """
    with _opened(path, "an image") as file:
        image = ImageOps.exif_transpose(file)
        if image.mode.startswith("I"):  # 16-bit grey
            values = np.clip(np.asarray(image, np.int64), 0, 0xFFFF) >> 8
            return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)
        if image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")
        return np.array(image.convert("RGB"))


def read_mask(path: Path) -> NDArray[np.uint16]:
    """A mask's values as stored: (H, W) uint16. Of a paletted file the indices, not the colours.

    Takes 1 to 16 bits a pixel, grey or paletted. Raises SampleError when the file is missing, cut short, or in colour.
    """
    with _opened(path, "a mask") as file:
        if file.format == "JPEG":
            raise SampleError(f"{path}: expected a mask, came a JPEG, whose compression changes values; save it as PNG")
        if file.mode not in ("1", "L", "P", "I", "I;16", "I;16B", "I;16L"):
            raise SampleError(
                f"{path}: expected a grey or paletted mask of one value per pixel, came a file of mode {file.mode}"
            )
        values = np.array(file)
        bits = _png_grey_bits(path) if file.format == "PNG" else 8
    if values.dtype.kind != "u" and values.dtype != bool and (values.min() < 0 or values.max() > 0xFFFF):
        raise SampleError(f"{path}: expected values 0 to 65535, came {values.min()} to {values.max()}")
    return values.astype(np.uint16) // _GREY_STEP.get(bits, 1)


@contextmanager
def _opened(path: Path, what: str) -> Iterator[Image.Image]:
    """The file, to be decoded inside; whatever goes wrong there becomes a SampleError."""
    if not path.is_file():
        raise SampleError(f"{path}: expected {what}, came no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata and large images, which are no fault
            with Image.open(path) as file:
                yield file
    except SampleError:
        raise
    except _BROKEN as error:
        size = path.stat().st_size
        raise SampleError(f"{path}: expected {what}, came {size} bytes that cannot be decoded: {error}") from error


def _png_grey_bits(path: Path) -> int:
    """Bits per pixel of a grey PNG, from its header; 8 for a paletted one, whose indices Pillow leaves as they are."""
    with path.open("rb") as file:
        header = file.read(26)
    depth, color_type = header[24], header[25]
    return depth if color_type == 0 else 8
