"""A labelled image as a point cloud: a point per pixel, with its colour, label and confidence."""

from __future__ import annotations

import array
import sys

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from ovsr_ros.ops.spatial import RegisteredDepth, to_points
from ovsr_ros.results import Segmentation

# Names and types are PCL's (PointXYZRGBL has a label of 32 bits; rgb is 0x00RRGGBB in a float's bits) and rviz's.
_FIELDS = (
    ("x", PointField.FLOAT32),
    ("y", PointField.FLOAT32),
    ("z", PointField.FLOAT32),
    ("rgb", PointField.FLOAT32),
    ("label", PointField.UINT32),
    ("confidence", PointField.FLOAT32),
)
_BYTES_PER_FIELD = 4


def to_labeled_points(
    image: NDArray[np.uint8], segmentation: Segmentation, depth: RegisteredDepth, header: Header
) -> PointCloud2:
    """An organised cloud of the image's size: point (row, column) is pixel (row, column).

    image: (H, W, 3) uint8 RGB. x, y, z are NaN where the depth is unknown; rgb is the image's colour; label is the
    class id, 255 unlabeled; confidence is 0 to 1, 0 where unlabeled. Label and confidence are there without depth, too.
    """
    height, width = segmentation.label_map.shape
    values = np.empty((height, width, len(_FIELDS)), np.float32)
    values[..., :3] = to_points(depth)
    bits = values.view(np.uint32)
    red, green, blue = (image[..., channel].astype(np.uint32) for channel in range(3))
    bits[..., 3] = (red << 16) | (green << 8) | blue
    bits[..., 4] = segmentation.label_map
    values[..., 5] = segmentation.confidence * np.float32(1 / 255)
    data = array.array("B")  # rclpy copies it in one go; from any other type it converts element by element
    data.frombytes(values.data.cast("B"))
    cloud = PointCloud2(
        header=header,
        height=height,
        width=width,
        fields=[
            PointField(name=name, offset=index * _BYTES_PER_FIELD, datatype=datatype, count=1)
            for index, (name, datatype) in enumerate(_FIELDS)
        ],
        is_bigendian=sys.byteorder == "big",
        point_step=len(_FIELDS) * _BYTES_PER_FIELD,
        row_step=len(_FIELDS) * _BYTES_PER_FIELD * width,
        is_dense=False,
    )
    cloud.data = data
    return cloud
