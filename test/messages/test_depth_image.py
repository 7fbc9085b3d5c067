"""Depth messages as metres, however their bytes lie."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import Image

from ovsr_ros.errors import ImageError
from ovsr_ros.messages.depth_image import to_depth_m

DEPTH_M = np.array([[0.5, 1.25, 60.0], [0.0, 2.001, 65.535]], np.float32)


def message(encoding, depth_m=DEPTH_M, bigendian=False, padding=0):
    millimetres = encoding != "32FC1"
    values = np.rint(depth_m * 1000) if millimetres else depth_m
    rows = values.astype((">" if bigendian else "<") + ("u2" if millimetres else "f4"))
    padded = np.full((len(rows), rows[0].nbytes + padding), 0xAB, np.uint8)
    padded[:, : rows[0].nbytes] = rows.view(np.uint8).reshape(len(rows), -1)
    height, width = depth_m.shape
    image = Image(height=height, width=width, encoding=encoding, step=padded.shape[1], is_bigendian=int(bigendian))
    image.data.frombytes(padded.tobytes())
    return image


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize("encoding", ["16UC1", "mono16", "32FC1"])
def test_both_units_in_either_byte_order_with_or_without_padding(encoding, bigendian, padding):
    depth_m = to_depth_m(message(encoding, bigendian=bigendian, padding=padding), (2, 3))
    assert depth_m.dtype == np.float32
    assert depth_m.dtype.isnative
    np.testing.assert_allclose(depth_m, DEPTH_M, rtol=1e-6)


@pytest.mark.parametrize("encoding", ["16UC1", "mono16", "32FC1"])
@pytest.mark.parametrize("unit_m", [0.001, 0.0001, 0.00025, 0.01])
def test_counts_are_of_the_unit_given_and_metres_are_metres(encoding, unit_m):
    depth_m = to_depth_m(message(encoding), (2, 3), unit_m)
    scale = 1.0 if encoding == "32FC1" else unit_m / 0.001
    np.testing.assert_allclose(depth_m, DEPTH_M * scale, rtol=1e-6)


def test_what_is_no_distance_stays_that():
    depth_m = to_depth_m(message("32FC1", np.array([[np.nan, np.inf, -np.inf]], np.float32)), (1, 3))
    np.testing.assert_array_equal(depth_m, [[np.nan, np.inf, -np.inf]])


def test_depth_of_another_resolution_takes_the_nearest_pixel():
    depth_m = to_depth_m(message("32FC1"), (4, 6))
    np.testing.assert_array_equal(depth_m, DEPTH_M.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"encoding": "rgb8"}, r"depth: encoding: expected 16UC1 \(mm\) or 32FC1 \(m\), got 'rgb8'"),
        ({"height": 3}, r"depth: data: expected 36 bytes"),
        ({"step": 4, "width": 4, "height": 2}, r"depth: step: expected at least 16"),
        ({"width": 0}, r"depth: width: expected more than 0"),
    ],
)
def test_a_bad_message_is_refused_with_the_field_at_fault(change, reason):
    image = message("32FC1")
    for field, value in change.items():
        setattr(image, field, value)
    with pytest.raises(ImageError, match=reason):
        to_depth_m(image, (2, 3))


def test_depth_of_another_shape_is_refused():
    with pytest.raises(ImageError, match=r"depth: expected 4x3 pixels as the image, or the same aspect, got 3x2"):
        to_depth_m(message("16UC1"), (3, 4))
