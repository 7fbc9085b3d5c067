"""A labelled image as a point cloud: a point per pixel, with its colour, label and confidence."""

from __future__ import annotations

import array
import sys

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from ovsr_ros.ops.spatial import RegisteredDepth, to_coordinates
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
    # Blue, green, red, 255 read as little-endian is 0xFFRRGGBB.
    packed = cv2.cvtColor(image, cv2.COLOR_RGB2BGRA).view("<u4")[..., 0] & np.uint32(0x00FFFFFF)
    label = segmentation.label_map.astype(np.uint32)
    confidence = segmentation.confidence * np.float32(1 / 255)
    # rclpy copies an array.array in one go, where any other type is converted element by element; the points are
    # written into it at once.
    data = array.array("B", bytes(1)) * (height * width * len(_FIELDS) * _BYTES_PER_FIELD)
    values = np.frombuffer(data, np.float32).reshape(height, width, len(_FIELDS))
    cv2.merge([*to_coordinates(depth), packed.view(np.float32), label.view(np.float32), confidence], values)
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
