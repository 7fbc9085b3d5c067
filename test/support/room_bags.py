"""Bags of the demo's rooms, written without ROS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from ovsr_ros.demo.scenes import Scene

IMAGE, COMPRESSED, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"
START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000
ROS1, ROS2 = get_typestore(Stores.ROS1_NOETIC), get_typestore(Stores.ROS2_HUMBLE)
WORDS = ("wall", "floor", "door", "cabinet", "picture", "rug")

Message = tuple[str, str, int, Any]
"""Topic, type, when it was recorded, and the message."""


def room_images(count: int, size_wh: tuple[int, int] = (160, 120), seed: int = 3) -> list[np.ndarray]:
    """Images (H, W, 3) uint8 RGB of a camera that goes through a room, 0.1 s apart."""
    scene = Scene(seed, split="test")
    return [scene.render(0.1 * index, size_wh).image for index in range(count)]


def header(types: dict[str, Any], stamp_ns: int, frame_id: str = "camera", seq: int = 0) -> Any:
    stamp = types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 1_000_000_000))
    if "seq" in types["std_msgs/msg/Header"].__dataclass_fields__:
        return types["std_msgs/msg/Header"](seq, stamp, frame_id)
    return types["std_msgs/msg/Header"](stamp, frame_id)


def image_message(types: dict[str, Any], image: np.ndarray, stamp_ns: int, encoding: str = "rgb8") -> Any:
    height, width = image.shape[:2]
    data = np.ascontiguousarray(image).view(np.uint8).reshape(-1)
    return types[IMAGE](header(types, stamp_ns), height, width, encoding, 0, len(data) // height, data)


def jpeg_message(types: dict[str, Any], image: np.ndarray, stamp_ns: int) -> Any:
    data = cv2.imencode(".jpg", image[..., ::-1])[1].reshape(-1)
    return types[COMPRESSED](header(types, stamp_ns), "jpeg", data)


def images_of(
    images: Iterable[np.ndarray],
    topic: str = "/camera/image_raw",
    types: dict[str, Any] = ROS2.types,
    make: Callable[..., Any] = image_message,
    start_ns: int = START_NS,
) -> Iterator[Message]:
    """Messages of images, STEP_NS apart, each recorded 5 ms after its stamp."""
    kind = COMPRESSED if make is jpeg_message else IMAGE
    for index, image in enumerate(images):
        stamp_ns = start_ns + index * STEP_NS
        yield topic, kind, stamp_ns + 5_000_000, make(types, image, stamp_ns)


def write_ros2(
    path: Path,
    messages: Iterable[Message],
    storage: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
) -> Path:
    """A ROS 2 bag, a folder."""
    writer = Writer(path, version=8, storage_plugin=storage)
    writer.set_compression(compression, CompressionFormat.ZSTD)
    _write(writer, messages, ROS2, ROS2.serialize_cdr)
    return path


def write_ros1(path: Path, messages: Iterable[Message], compression: Any = None) -> Path:
    """A ROS 1 bag, a file. The messages are of ROS1's types."""
    writer = Writer1(path)
    if compression is not None:
        writer.set_compression(compression)
    _write(writer, messages, ROS1, ROS1.serialize_ros1)
    return path


def _write(writer: Any, messages: Iterable[Message], types: Any, serialize: Callable[..., Any]) -> None:
    with writer:
        connections: dict[str, Any] = {}
        for topic, kind, log_ns, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=types)
            writer.write(connections[topic], log_ns, serialize(message, kind))
