"""Depth as compressed_depth_image_transport sends it, whole and damaged."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from depth_codec import compress, encode_rvl, quantise
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sensor_msgs.msg import CompressedImage

from ovsr_ros.errors import ImageError
from ovsr_ros.messages.depth_image import to_depth_m

COUNTS = np.array([[500, 1250, 60000], [0, 2001, 65535]], np.uint16)
DEPTH_M = np.array([[0.5, 1.25, 9.0], [np.nan, 2.001, 4.0]], np.float32)
A, B = 1000.0, 5.0


def message(values, method, encoding="16UC1", quantization=(0.0, 0.0), image_format=None):
    data = compress(values, method, quantization)
    return CompressedImage(format=image_format or f"{encoding}; compressedDepth {method}", data=data)


@pytest.mark.parametrize("method", ["png", "rvl"])
@pytest.mark.parametrize("unit_m", [0.001, 0.0001])
def test_counts_are_of_the_unit_given(method, unit_m):
    depth_m = to_depth_m(message(COUNTS, method), (2, 3), unit_m)
    assert depth_m.dtype == np.float32
    np.testing.assert_allclose(depth_m, COUNTS * np.float32(unit_m), rtol=1e-6)


@pytest.mark.parametrize("method", ["png", "rvl"])
def test_metres_are_inverse_depths_and_unknown_where_there_is_none(method):
    depth_m = to_depth_m(message(quantise(DEPTH_M, A, B), method, "32FC1", (A, B)), (2, 3), 0.1)
    np.testing.assert_allclose(depth_m, DEPTH_M, rtol=0.01)  # the quantisation's own error, far away


@pytest.mark.parametrize(
    "image_format", ["16UC1; compressedDepth", "mono16;compressedDepth png", "16UC1; compressedDepth png mono16"]
)
def test_formats_of_other_versions_are_known(image_format):
    depth_m = to_depth_m(message(COUNTS, "png", image_format=image_format), (2, 3))
    np.testing.assert_allclose(depth_m, COUNTS * np.float32(0.001), rtol=1e-6)


def test_depth_of_another_size_is_resized_and_of_another_aspect_refused():
    assert to_depth_m(message(COUNTS, "rvl"), (4, 6)).shape == (4, 6)
    with pytest.raises(ImageError, match="depth: expected 6x2 pixels as the image, or the same aspect, got 3x2"):
        to_depth_m(message(COUNTS, "rvl"), (2, 6))


COLUMNS = st.integers(1, 12)
IMAGES = st.tuples(COLUMNS, COLUMNS).flatmap(
    lambda size: arrays(np.uint16, size, elements=st.integers(0, 65535) | st.just(0) | st.integers(900, 920))
)


@settings(max_examples=150)
@given(IMAGES)
def test_rvl_gives_back_every_image(values):
    np.testing.assert_allclose(to_depth_m(message(values, "rvl"), values.shape, 1.0), values)


@settings(max_examples=150)
@given(IMAGES, st.data())
def test_rvl_that_is_damaged_is_refused_or_read_and_never_anything_else(values, data):
    """A wrong byte may be another image; it is never another size, nor another exception."""
    whole = bytearray(compress(values, "rvl"))
    place = data.draw(st.integers(12, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    try:
        depth_m = to_depth_m(CompressedImage(format="16UC1; compressedDepth rvl", data=bytes(whole)), values.shape)
    except ImageError:
        return
    assert depth_m.shape == values.shape


RVL = compress(COUNTS, "rvl")


@pytest.mark.parametrize(
    ("image_format", "data", "said"),
    [
        ("jpeg", RVL, "format: expected '16UC1; compressedDepth png'.*, got 'jpeg'"),
        ("16UC1; compressedDepth zstd", b"\0" * 40, "expected a whole png image, got 28 bytes that are none"),
        ("8UC1; compressedDepth png", RVL, "format: expected"),
        ("16UC1; compressedDepth png", b"", "data: expected a header of 12 bytes and an image, got 0 bytes"),
        ("16UC1; compressedDepth png", RVL, "data: expected a whole png image, got"),
        ("16UC1; compressedDepth png", compress(COUNTS, "png")[:-20], "data: expected a whole png image, got"),
        ("16UC1; compressedDepth rvl", RVL[:16], "data: expected 8 bytes of size before RVL, got 4"),
        ("16UC1; compressedDepth rvl", RVL[:-4], "data: "),
        ("16UC1; compressedDepth rvl", RVL[:20], "data: RVL ends after 0 of 6 pixels"),
        ("16UC1; compressedDepth rvl", RVL[:12] + b"\0" * 16, "data: expected 1 to 16777216 pixels of RVL, got 0x0"),
        ("16UC1; compressedDepth rvl", RVL[:20] + b"\xff" * 16, "data: "),
        ("16UC1; compressedDepth rvl", RVL[:20] + b"\0" * 16, "data: a run of RVL does not fit, after 0 of 6 pixels"),
        ("32FC1; compressedDepth rvl", RVL, "expected two numbers of quantization, the first over 0, got 0 and 0"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(image_format, data, said):
    with pytest.raises(ImageError, match=f"depth: .*{said}"):
        to_depth_m(CompressedImage(format=image_format, data=data), (2, 3))


def test_a_png_of_8_bits_is_refused():
    eight = cv2.imencode(".png", COUNTS.astype(np.uint8))[1].tobytes()
    broken = CompressedImage(format="16UC1; compressedDepth png", data=b"\0" * 12 + eight)
    with pytest.raises(ImageError, match=r"depth: data: expected a png image of 16-bit grey, got \(2, 3\) of uint8"):
        to_depth_m(broken, (2, 3))


def test_the_encoder_writes_what_the_paper_says():
    """7 zeros, then two others: 5, and 4, which is one less. Numbers of 3 bits, folded: 10 is 2 and 1, -1 is 1."""
    assert encode_rvl([0] * 7 + [5, 4]).hex() == "".join(reversed(["72", "a1", "10", "00"]))
