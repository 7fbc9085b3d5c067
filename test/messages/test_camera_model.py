"""What a CameraInfo says of the image that came with it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from ovsr_ros.errors import ImageError
from ovsr_ros.messages.camera_model import has_distortion, to_intrinsics
from ovsr_ros.ops.spatial import Intrinsics

K = [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0]
P = [400.0, 0.0, 300.0, 0.0, 0.0, 410.0, 220.0, 0.0, 0.0, 0.0, 1.0, 0.0]


ENTRIES = {"p": {"fx": 0, "cx": 2, "fy": 5, "cy": 6}, "k": {"fx": 0, "cx": 2, "fy": 4, "cy": 5}}


def camera(f, cx, cy):
    return [f, 0.0, cx, 0.0, 0.0, f, cy, 0.0, 0.0, 0.0, 1.0, 0.0]


def with_entry(matrix, entry, value, **fields):
    """A CameraInfo with that number in the matrix; if that is K, P is zeros."""
    numbers = list(P if matrix == "p" else K)
    numbers[ENTRIES[matrix][entry]] = value
    return camera_info(**{"p": [0.0] * 12, **fields, matrix: numbers})


def camera_info(**fields):
    return CameraInfo(**{"width": 640, "height": 480, "k": K, "p": P, **fields})


def test_the_rectified_camera_counts():
    assert to_intrinsics(camera_info(), (480, 640)) == Intrinsics(400.0, 410.0, 300.0, 220.0)


def test_without_p_the_raw_camera_counts():
    assert to_intrinsics(camera_info(p=[0.0] * 12), (480, 640)) == Intrinsics(500.0, 510.0, 320.0, 240.0)


def test_an_uncalibrated_camera_is_refused():
    with pytest.raises(ImageError, match="camera_info: expected a calibrated camera"):
        to_intrinsics(camera_info(k=[0.0] * 9, p=[0.0] * 12), (480, 640))


def test_binning_and_region_of_interest_are_taken_off():
    roi = RegionOfInterest(x_offset=100, y_offset=20, width=400, height=200)
    info = camera_info(binning_x=2, binning_y=4, roi=roi)
    assert to_intrinsics(info, (50, 200)) == Intrinsics(200.0, 102.5, 100.0, 50.0)


def test_a_scaled_image_keeps_the_directions_of_its_edges():
    full, half = to_intrinsics(camera_info(), (480, 640)), to_intrinsics(camera_info(), (240, 320))
    for size, camera in ((640, full), (320, half)):
        assert (-0.5 - camera.cx) / camera.fx == pytest.approx((-0.5 - 300.0) / 400.0)
        assert (size - 0.5 - camera.cx) / camera.fx == pytest.approx((639.5 - 300.0) / 400.0)
    assert half.fy == 205.0


def test_an_image_of_another_shape_is_refused():
    with pytest.raises(ImageError, match=r"calibration of an image of 640x360.*got that of 640x480.*remap camera_info"):
        to_intrinsics(camera_info(), (360, 640))


def test_a_driver_that_leaves_the_size_out_is_believed():
    assert to_intrinsics(camera_info(width=0, height=0), (360, 640)).fx == 400.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("matrix", ["p", "k"])
@pytest.mark.parametrize("entry", ["fx", "fy", "cx", "cy"])
def test_a_number_that_is_not_finite_is_refused_by_its_name(matrix, entry, value):
    index = ENTRIES[matrix][entry]
    with pytest.raises(ImageError, match=rf"camera_info: {matrix}\[{index}\]: expected a finite number, got {value}"):
        to_intrinsics(with_entry(matrix, entry, value), (480, 640))


@pytest.mark.parametrize("value", [0.0, -400.0, -1e-300])
@pytest.mark.parametrize("matrix", ["p", "k"])
@pytest.mark.parametrize("entry", ["fx", "fy"])
def test_a_focal_length_that_is_not_over_0_is_refused_by_its_name(matrix, entry, value):
    index = ENTRIES[matrix][entry]
    with pytest.raises(ImageError, match=rf"camera_info: {matrix}\[{index}\]: expected a focal length over 0"):
        to_intrinsics(with_entry(matrix, entry, value), (480, 640))


@pytest.mark.parametrize("value", [1e-300, 5e-324, 1e-3, 1.0, 4.2, 1e7, 1e300])
@pytest.mark.parametrize("matrix", ["p", "k"])
@pytest.mark.parametrize("entry", ["fx", "fy"])
@pytest.mark.parametrize("size", [(640, 480), (0, 0)])
def test_a_focal_length_that_no_camera_has_is_refused_by_its_name(matrix, entry, value, size):
    index = ENTRIES[matrix][entry]
    info = with_entry(matrix, entry, value, width=size[0], height=size[1])
    with pytest.raises(
        ImageError, match=rf"camera_info: {matrix}\[{index}\]: expected a focal length from "
    ) as refusal:
        to_intrinsics(info, (480, 640))
    assert f"got {value:g}" in str(refusal.value)


@pytest.mark.parametrize("value", [-5000.0, 5000.0, 1e6, -1e300])
@pytest.mark.parametrize("matrix", ["p", "k"])
@pytest.mark.parametrize("entry", ["cx", "cy"])
def test_a_principal_point_far_away_is_refused_by_its_name(matrix, entry, value):
    index = ENTRIES[matrix][entry]
    with pytest.raises(ImageError, match=rf"camera_info: {matrix}\[{index}\]: expected a principal point from "):
        to_intrinsics(with_entry(matrix, entry, value), (480, 640))


@pytest.mark.parametrize(("fx", "fy"), [(400.0, 90.0), (90.0, 400.0), (20.0, 20000.0)])
def test_focal_lengths_that_differ_too_much_are_refused_by_their_names(fx, fy):
    info = camera_info(p=[fx, 0.0, 300.0, 0.0, 0.0, fy, 220.0, *P[7:]])
    with pytest.raises(ImageError, match=rf"alike within a factor of 4, got p\[0\] {fx:g} and p\[5\] {fy:g}"):
        to_intrinsics(info, (480, 640))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"binning_x": 65535, "binning_y": 65535}, "binning_x: expected at most the image's width, 640, got 65535"),
        ({"binning_y": 481}, "binning_y: expected at most the image's height, 480, got 481"),
        ({"binning_x": 2**32 - 1}, "binning_x: expected at most the image's width, 640"),
        ({"binning_x": 300, "binning_y": 300}, "got that of 2x1 with binning 300x300"),
        (
            {"binning_x": 65535, "width": 0, "height": 0},
            r"p\[0\]: .* width of 41942400 px, got 400 with .* binning_x 65535",
        ),
        ({"roi": {"x_offset": 10**6}}, r"roi: .* width is 640, got x_offset 1000000 and width 0"),
        ({"roi": {"y_offset": 480}}, r"roi: .* height is 480, got y_offset 480 and height 0"),
        ({"roi": {"x_offset": 100, "width": 541, "height": 480}}, r"roi: .* got x_offset 100 and width 541"),
        ({"roi": {"width": 2**32 - 1, "height": 2**32 - 1}}, r"roi: .* got x_offset 0 and width 4294967295"),
        (
            {"roi": {"x_offset": 10**6}, "width": 0, "height": 0},
            r"p\[2\]: .* got 300 with roi.x_offset 1000000",
        ),
        ({"width": 64000, "height": 48000}, r"p\[0\]: .* from 1280 to 6.4e\+07 px for a width of 64000 px, got 400;"),
    ],
)
def test_a_region_or_binning_without_sense_is_refused_by_its_name(fields, said):
    roi = RegionOfInterest(**fields.get("roi", {}))
    with pytest.raises(ImageError, match=f"camera_info: .*{said}"):
        to_intrinsics(camera_info(**{**fields, "roi": roi}), (480, 640))


@pytest.mark.parametrize(
    ("fields", "size_hw"),
    [
        ({"p": camera(6.5e3, 320.0, 240.0)}, (480, 640)),  # a telephoto lens: 5.6 degrees
        ({"p": camera(3e5, 320.0, 240.0)}, (480, 640)),  # a telescope: 0.12 degrees
        ({"p": camera(60.0, 320.0, 240.0)}, (480, 640)),  # a fisheye, rectified: 159 degrees
        ({"p": camera(400.0, 320.0, -180.0)}, (480, 640)),  # a shifted lens
        ({"p": camera(700.0, 1224.0, 1024.0), "width": 320, "height": 240}, (240, 320)),  # a corner, without a roi
        ({"p": [400.0, 0.0, 320.0, -48.0, 0.0, 400.0, 240.0, *P[7:]]}, (480, 640)),  # the right one of two
        ({"d": [math.nan] * 5, "r": [math.nan] * 9}, (480, 640)),  # not used
        ({"k": [math.nan] * 9}, (480, 640)),  # not used beside P
        ({"p": [*[0.0] * 10, 1.0, 0.0]}, (480, 640)),  # a P that nobody filled
        ({"p": camera(9.0, 4.0, 3.0), "width": 8, "height": 6}, (6, 8)),  # a sensor of heat
        ({"binning_x": 2, "binning_y": 2}, (240, 320)),
        ({"binning_x": 8, "binning_y": 8}, (60, 80)),
        ({"binning_y": 2}, (240, 640)),  # every other line
        ({"roi": RegionOfInterest(x_offset=320, y_offset=240, width=320, height=240)}, (240, 320)),
        ({"roi": RegionOfInterest(x_offset=639, y_offset=479, width=1, height=1)}, (1, 1)),
        ({"roi": RegionOfInterest(x_offset=400, y_offset=200, width=8, height=8), "width": 0, "height": 0}, (8, 8)),
    ],
)
def test_cameras_that_there_are_are_believed(fields, size_hw):
    assert to_intrinsics(camera_info(**fields), size_hw).fx > 0


def test_distortion_is_any_coefficient_that_is_not_zero():
    assert not has_distortion(camera_info())
    assert not has_distortion(camera_info(d=[0.0] * 5))
    assert has_distortion(camera_info(d=np.array([0.0, 0.01, 0.0, 0.0, 0.0]).tolist()))
