"""What a CameraInfo says of the image that came with it."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from ovsr_ros.errors import ImageError
from ovsr_ros.nodes.camera_model import has_distortion, to_intrinsics
from ovsr_ros.ops.spatial import Intrinsics

K = [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0]
P = [400.0, 0.0, 300.0, 0.0, 0.0, 410.0, 220.0, 0.0, 0.0, 0.0, 1.0, 0.0]


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


def test_distortion_is_any_coefficient_that_is_not_zero():
    assert not has_distortion(camera_info())
    assert not has_distortion(camera_info(d=[0.0] * 5))
    assert has_distortion(camera_info(d=np.array([0.0, 0.01, 0.0, 0.0, 0.0]).tolist()))
