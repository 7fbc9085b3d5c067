"""Images as masks: what is not 0."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ovsr_ros.errors import ImageError
from ovsr_ros.messages.images import read_mask

EXPECTED = np.array([[False, True, False], [True, False, True]])


def message(pixels, encoding, bigendian=0, padding=0):
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAB)
    height, width = pixels.shape[:2]
    return SimpleNamespace(
        height=height, width=width, encoding=encoding, is_bigendian=bigendian, step=rows.shape[1], data=rows.tobytes()
    )


@pytest.mark.parametrize("encoding", ["mono8", "8UC1", "MONO8"])
@pytest.mark.parametrize("value", [1, 255])
def test_whatever_is_not_0_is_ignored(encoding, value):
    np.testing.assert_array_equal(read_mask(message(EXPECTED * np.uint8(value), encoding, padding=5)), EXPECTED)


@pytest.mark.parametrize("value", [1, 255, 256, 65280])
@pytest.mark.parametrize(("order", "bigendian"), [("<u2", 0), (">u2", 1)])
@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
def test_every_bit_of_16_counts(encoding, order, bigendian, value):
    np.testing.assert_array_equal(
        read_mask(message((EXPECTED * value).astype(order), encoding, bigendian, padding=2)), EXPECTED
    )


@pytest.mark.parametrize(("encoding", "channels"), [("rgb8", 3), ("bgr8", 3), ("8UC3", 3), ("rgba8", 4)])
def test_of_colours_what_is_not_black_counts_and_alpha_does_not(encoding, channels):
    pixels = np.zeros((2, 3, channels), np.uint8)
    pixels[EXPECTED, 1] = 9
    pixels[..., 3:] = 255
    np.testing.assert_array_equal(read_mask(message(pixels, encoding)), EXPECTED)


def test_what_is_no_image_is_refused_by_field():
    with pytest.raises(ImageError, match=r"encoding: expected one that docs/interfaces.md lists, got '32SC1'"):
        read_mask(message(EXPECTED.astype(np.int32), "32SC1"))
    short = message(EXPECTED.astype(np.uint8), "mono8")
    short.data = short.data[:-2]
    with pytest.raises(ImageError, match="data: expected 6 bytes"):
        read_mask(short)
