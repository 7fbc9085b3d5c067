"""The pinhole camera that a CameraInfo describes, for the image that it came with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ovsr_ros.errors import ImageError
from ovsr_ros.ops.spatial import Intrinsics

_ASPECT_TOLERANCE = 0.01

# What no camera breaks, however its image is cropped; numbers in other units, or without sense, do.
_MIN_FOCAL_SIZES, _MAX_FOCAL_SIZES = 0.02, 1000.0
"""Focal length in sizes of the image: 175 to 0.06 degrees across."""
_MAX_PIXEL_ASPECT = 4.0
_MAX_SIZES_OUTSIDE = 4.0
"""How far the principal point may be outside the image: far where a small crop has no roi."""

_REMEDY = "calibrate the camera (camera_calibration), or mend its driver"


@dataclass(frozen=True)
class _Axis:
    """A CameraInfo's numbers along one axis of the image; the first four are named by the fields they are from.

    full: the calibrated image's size; roi_size: of the part of it that was read, 0: all of it; size: the image's.
    """

    name: str
    size_field: str
    focal_field: str
    center_field: str
    focal: float
    center: float
    full: int
    offset: int
    roi_size: int
    binning: int
    size: int

    @property
    def described(self) -> int:
        """The size of the image that camera_info came with, as it says; 0 where it does not."""
        return (self.roi_size or self.full) // self.binning


def to_intrinsics(info: Any, size_hw: tuple[int, int]) -> Intrinsics:
    """The camera of a rectified image of that size.

    P is used, as image_geometry and depth_image_proc do: it is the rectified image's; K, the raw image's, where P has
    no focal lengths. The region of interest moves the principal point, binning divides by its factors (image_geometry's
    rule). An image that is then still of another size, but of the same aspect within 1 %, counts as scaled.

    Raises ImageError when camera_info is not calibrated, belongs to an image of another shape, or holds numbers that no
    camera has, naming the field.
    """
    x, y = axes = _read_axes(info, size_hw)
    for axis in axes:
        _check_fields(axis)
        _check_sense(axis)
    if not 1 / _MAX_PIXEL_ASPECT <= x.focal / y.focal <= _MAX_PIXEL_ASPECT:
        raise ImageError(
            f"camera_info: expected focal lengths alike within a factor of {_MAX_PIXEL_ASPECT:g}, got {x.focal_field} "
            f"{x.focal:g} and {y.focal_field} {y.focal:g}; {_REMEDY}"
        )
    scales = [1.0, 1.0]
    if all(axis.described for axis in axes):
        scales = [axis.size / axis.described for axis in axes]
        if abs(scales[0] / scales[1] - 1) > _ASPECT_TOLERANCE:
            binned = f" with binning {x.binning}x{y.binning}" if x.binning > 1 or y.binning > 1 else ""
            raise ImageError(
                f"camera_info: expected the calibration of an image of {x.size}x{y.size}, or one of the same aspect, "
                f"got that of {x.described}x{y.described}{binned}; remap camera_info to that of the image's topic"
            )
    fx, fy = (axis.focal / axis.binning * scale for axis, scale in zip(axes, scales, strict=True))
    # Pixel centres: the image's left edge is at -0.5 in both.
    cx, cy = (
        ((axis.center - axis.offset) / axis.binning + 0.5) * scale - 0.5
        for axis, scale in zip(axes, scales, strict=True)
    )
    return Intrinsics(fx, fy, cx, cy)


def has_distortion(info: Any) -> bool:
    """Whether the camera's raw image differs from its rectified one."""
    return any(coefficient != 0.0 for coefficient in info.d)


def _read_axes(info: Any, size_hw: tuple[int, int]) -> tuple[_Axis, _Axis]:
    """Right and down, from P, or from K where P has no focal lengths."""
    p, k, roi = info.p, info.k, info.roi
    if p[0] or p[5]:
        name, matrix, columns = "p", p, 4
    elif k[0] or k[4]:
        name, matrix, columns = "k", k, 3
    else:
        raise ImageError(
            "camera_info: expected a calibrated camera (focal lengths in p or k over 0), got "
            f"p[0] {p[0]:g}, p[5] {p[5]:g}, k[0] {k[0]:g}, k[4] {k[4]:g}; calibrate the camera (camera_calibration)"
        )

    def read(axis: str, row: int, size_field: str, *sizes: int) -> _Axis:
        focal, center = row * columns + row, row * columns + 2
        values = float(matrix[focal]), float(matrix[center])
        return _Axis(axis, size_field, f"{name}[{focal}]", f"{name}[{center}]", *values, *sizes)

    height, width = size_hw
    return (
        read("x", 0, "width", info.width, roi.x_offset, roi.width, max(1, info.binning_x), width),
        read("y", 1, "height", info.height, roi.y_offset, roi.height, max(1, info.binning_y), height),
    )


def _check_fields(axis: _Axis) -> None:
    """Raises ImageError for a field that cannot be true, whatever the others are."""
    for field, value in ((axis.focal_field, axis.focal), (axis.center_field, axis.center)):
        if not math.isfinite(value):
            raise ImageError(f"camera_info: {field}: expected a finite number, got {value:g}; {_REMEDY}")
    if axis.focal <= 0:
        raise ImageError(
            f"camera_info: {axis.focal_field}: expected a focal length over 0, got {axis.focal:g}; {_REMEDY}"
        )
    if axis.full and axis.offset + max(1, axis.roi_size) > axis.full:
        raise ImageError(
            f"camera_info: roi: expected a part of the calibrated image, whose {axis.size_field} is {axis.full}, got "
            f"{axis.name}_offset {axis.offset} and {axis.size_field} {axis.roi_size}; the driver must set "
            f"{axis.size_field} to the calibrated image's, or roi to zeros"
        )
    if (axis.roi_size or axis.full) and not axis.described:
        raise ImageError(
            f"camera_info: binning_{axis.name}: expected at most the image's {axis.size_field}, "
            f"{axis.roi_size or axis.full}, got {axis.binning}; the driver must set how many pixels were joined to one"
        )


def _check_sense(axis: _Axis) -> None:
    """Raises ImageError for a camera that cannot be, judged by the calibrated image: the part read may be tiny."""
    size, center, made_of = axis.full, axis.center, ""
    if not size:
        made_of = f" with roi.{axis.name}_offset {axis.offset}, binning_{axis.name} {axis.binning}"
        if axis.roi_size:
            size = axis.offset + axis.roi_size  # at least
        else:
            size, center = axis.size * axis.binning, axis.center - axis.offset
    for field, what, value, given, low, high in (
        (axis.focal_field, "focal length", axis.focal, axis.focal, _MIN_FOCAL_SIZES, _MAX_FOCAL_SIZES),
        (axis.center_field, "principal point", center, axis.center, -_MAX_SIZES_OUTSIDE, 1 + _MAX_SIZES_OUTSIDE),
    ):
        if not low * size <= value <= high * size:
            raise ImageError(
                f"camera_info: {field}: expected a {what} from {low * size:g} to {high * size:g} px for a "
                f"{axis.size_field} of {size} px, got {given:g}{made_of}; {_REMEDY}"
            )
