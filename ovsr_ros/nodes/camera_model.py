"""The pinhole camera that a CameraInfo describes, for the image that it came with."""

from __future__ import annotations

from sensor_msgs.msg import CameraInfo

from ovsr_ros.errors import ImageError
from ovsr_ros.ops.spatial import Intrinsics

_ASPECT_TOLERANCE = 0.01


def to_intrinsics(info: CameraInfo, size_hw: tuple[int, int]) -> Intrinsics:
    """The camera of a rectified image of that size.

    P is used, as image_geometry and depth_image_proc do: it is the rectified image's; K, the raw image's, where P is
    all zeros. The region of interest moves the principal point, binning divides by its factors (image_geometry's rule).
    An image that is then still of another size, but of the same aspect within 1 %, counts as scaled.

    Raises ImageError when camera_info is not calibrated, or belongs to an image of another shape.
    """
    fx, fy, cx, cy = _focal_lengths_and_center(info)
    binning_x, binning_y = max(1, info.binning_x), max(1, info.binning_y)
    roi = info.roi
    fx, cx = fx / binning_x, (cx - roi.x_offset) / binning_x
    fy, cy = fy / binning_y, (cy - roi.y_offset) / binning_y
    height, width = size_hw
    described_width = (roi.width or info.width) // binning_x
    described_height = (roi.height or info.height) // binning_y
    if (described_width, described_height) == (width, height) or not (described_width and described_height):
        return Intrinsics(fx, fy, cx, cy)
    scale_x, scale_y = width / described_width, height / described_height
    if abs(scale_x / scale_y - 1) > _ASPECT_TOLERANCE:
        raise ImageError(
            f"camera_info: expected the calibration of an image of {width}x{height}, or one of the same aspect, got "
            f"that of {described_width}x{described_height}; remap camera_info to that of the image's topic"
        )
    # Pixel centres: the image's left edge is at -0.5 in both.
    return Intrinsics(fx * scale_x, fy * scale_y, (cx + 0.5) * scale_x - 0.5, (cy + 0.5) * scale_y - 0.5)


def has_distortion(info: CameraInfo) -> bool:
    """Whether the camera's raw image differs from its rectified one."""
    return any(coefficient != 0.0 for coefficient in info.d)


def _focal_lengths_and_center(info: CameraInfo) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy of the full-resolution image."""
    p, k = info.p, info.k
    if p[0] > 0 and p[5] > 0:
        return float(p[0]), float(p[5]), float(p[2]), float(p[6])
    if k[0] > 0 and k[4] > 0:
        return float(k[0]), float(k[4]), float(k[2]), float(k[5])
    raise ImageError(
        "camera_info: expected a calibrated camera (focal lengths in p or k over 0), got "
        f"p[0] {p[0]:g}, p[5] {p[5]:g}, k[0] {k[0]:g}, k[4] {k[4]:g}; calibrate the camera (camera_calibration)"
    )
