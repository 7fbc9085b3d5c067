"""The node `demo_camera`: a camera in a drawn room, with the ground truth of every pixel beside its images."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from ovsr_ros import msg
from ovsr_ros.demo.scenes import CATEGORIES, SPLITS, Rendering, Scene
from ovsr_ros.errors import ConfigError
from ovsr_ros.nodes.conversions.images import to_image_message
from ovsr_ros.nodes.conversions.messages import to_vocabulary_message
from ovsr_ros.nodes.parameter_services import ParameterServices
from ovsr_ros.nodes.parameters import arguments_of, declare_options, read_overrides
from ovsr_ros.nodes.qos import latched_qos
from ovsr_ros.options import from_dict, iter_options, option, to_flat_dict
from ovsr_ros.vocabulary.category import Category, Vocabulary
from ovsr_ros.vocabulary.palette import default_color

FRAME_ID = "camera"
_RELIABILITY = {"reliable": QoSReliabilityPolicy.RELIABLE, "best_effort": QoSReliabilityPolicy.BEST_EFFORT}


@dataclass(frozen=True)
class CameraOptions:
    """What the camera sees and sends; fixed once it runs."""

    rate_hz: float = option(10.0, help="images per second", min=0.1, max=120.0, unit="Hz", read_only=True)
    width: int = option(640, help="image width", min=16, max=4096, unit="px", read_only=True)
    height: int = option(480, help="image height", min=16, max=4096, unit="px", read_only=True)
    seed: int = option(0, help="which room is drawn", min=0, max=2**31 - 1, read_only=True)
    split: str = option(
        "test", help="test: rooms that the demo models were not trained on", choices=tuple(SPLITS), read_only=True
    )
    num_objects: int = option(-1, help="objects in the room; -1: as the seed has it", min=-1, max=12, read_only=True)
    speed: float = option(1.0, help="seconds of camera motion per second", min=0.0, max=10.0, read_only=True)
    clip_s: float = option(
        6.0,
        help="length of the clip that is drawn while it is first played, then played back and forth",
        min=0.1,
        max=120.0,
        unit="s",
        read_only=True,
    )
    reliability: str = option(
        "reliable", help="the images' quality of service", choices=tuple(_RELIABILITY), read_only=True
    )
    depth_encoding: str = option(
        "16UC1",
        help="of depth_registered/image_rect: 16UC1 in millimetres, 32FC1 in metres, none: no depth",
        choices=("16UC1", "32FC1", "none"),
        read_only=True,
    )


class Clip:
    """Frames of a camera's way through a room, played back and forth; each is drawn when it is first needed.

    On a slow machine drawing a frame takes longer than the camera's period; playing what is drawn takes nothing.
    """

    def __init__(self, options: CameraOptions) -> None:
        num_objects = None if options.num_objects < 0 else options.num_objects
        self._scene = Scene(options.seed, num_objects=num_objects, split=options.split)
        self._size_wh = (options.width, options.height)
        self._step_s = options.speed / options.rate_hz
        self._length = max(2, round(options.clip_s * options.rate_hz))
        self._frames: list[Rendering] = []
        self._num_shown = 0

    @property
    def instance_names(self) -> tuple[str, ...]:
        """Full names of what is in the room."""
        return self._scene.instance_names

    @property
    def is_drawn(self) -> bool:
        """Whether every frame of the clip has been drawn."""
        return len(self._frames) == self._length

    def next(self) -> Rendering:
        """The next frame: 0, 1, ..., n - 1, n - 2, ..., 1, 0, 1, ..."""
        period = 2 * self._length - 2
        phase = self._num_shown % period
        index = min(phase, period - phase)
        self._num_shown += 1
        if index == len(self._frames):
            self._frames.append(self._scene.render(index * self._step_s, self._size_wh))
        return self._frames[index]


class DemoCamera(Node):
    """Publishes image_raw, camera_info and ground_truth/label_map with one stamp, and ground_truth/vocabulary.

    depth_registered/image_rect, with the same stamp, only while somebody subscribes to it. camera_info is its, too.
    ground_truth/label_map is mono8, the index into `scenes.CATEGORIES`; ground_truth/vocabulary names the indices.

    arguments: the process's ROS arguments.

    Raises ConfigError when a parameter's name or value cannot be used.
    """

    def __init__(self, arguments: Sequence[str] = (), **node_arguments: Any) -> None:
        super().__init__("demo_camera", start_parameter_services=False, **node_arguments)
        try:
            known = [info.name for info in iter_options(CameraOptions)]
            overrides = read_overrides(self, known, arguments_of(arguments, node_arguments))
            self._options = from_dict(CameraOptions, overrides)
        except ConfigError:
            self.destroy_node()
            raise
        declare_options(self, iter_options(CameraOptions), to_flat_dict(self._options))
        self._parameter_services = ParameterServices(self)
        self._clip = Clip(self._options)
        qos = QoSProfile(depth=5, reliability=_RELIABILITY[self._options.reliability])
        self._image = self.create_publisher(Image, "image_raw", qos)
        self._camera_info = self.create_publisher(CameraInfo, "camera_info", qos)
        encoding = self._options.depth_encoding
        self._depth = None if encoding == "none" else self.create_publisher(Image, "depth_registered/image_rect", qos)
        self._label_map = self.create_publisher(Image, "ground_truth/label_map", qos)
        self._vocabulary = self.create_publisher(msg.Vocabulary, "ground_truth/vocabulary", latched_qos())
        self._vocabulary.publish(to_vocabulary_message(_ground_truth_vocabulary(), self.get_clock().now().to_msg()))
        self._first_pass_begin: float | None = time.monotonic()
        self._timer = self.create_timer(
            1.0 / self._options.rate_hz, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        topic = self.resolve_topic_name("image_raw")
        self.get_logger().info(f"{topic} shows {', '.join(self._clip.instance_names)}")

    def _publish(self) -> None:
        frame = self._clip.next()
        header = Header(frame_id=FRAME_ID, stamp=self.get_clock().now().to_msg())
        # The ground truth goes first, so that who waits for a labelled image has it already.
        self._label_map.publish(to_image_message(frame.category_map, "mono8", header))
        self._camera_info.publish(to_camera_info(frame, header))
        if self._depth is not None and self._depth.get_subscription_count():
            self._depth.publish(to_depth_message(frame.depth_m, self._options.depth_encoding, header))
        self._image.publish(to_image_message(frame.image, "rgb8", header))
        if self._first_pass_begin is not None and self._clip.is_drawn:
            self._report_first_pass(time.monotonic() - self._first_pass_begin)
            self._first_pass_begin = None

    def _report_first_pass(self, seconds: float) -> None:
        wanted_s = self._options.clip_s
        if seconds > 1.1 * wanted_s + 1.0:
            self.get_logger().info(
                f"drawing {wanted_s:g} s of images took {seconds:.1f} s; from now on they come at "
                f"{self._options.rate_hz:g} Hz"
            )


def to_camera_info(frame: Rendering, header: Header) -> CameraInfo:
    """The pinhole camera that took the frame, without distortion."""
    height, width = frame.image.shape[:2]
    matrix = frame.camera_matrix
    info = CameraInfo(header=header, height=height, width=width, distortion_model="plumb_bob")
    info.d = [0.0] * 5
    info.k = [float(value) for value in matrix.flat]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [float(value) for row in matrix for value in (*row, 0.0)]
    return info


def to_depth_message(depth_m: NDArray[np.float32], encoding: str, header: Header) -> Image:
    """A depth image message.

    depth_m: (H, W) float32, metres, up to 65.5. encoding: 16UC1 (rounded to millimetres) or 32FC1 (metres).
    """
    if encoding == "16UC1":
        return to_image_message(np.rint(depth_m * 1000.0).astype(np.uint16), encoding, header)
    return to_image_message(depth_m.astype(np.float32), encoding, header)


def _ground_truth_vocabulary() -> Vocabulary:
    categories = (Category(index, name, (), default_color(index)) for index, name in enumerate(CATEGORIES))
    return Vocabulary(version=1, categories=tuple(categories))
