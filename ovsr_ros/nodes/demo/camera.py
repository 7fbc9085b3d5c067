"""The node `demo_camera`: a camera before a drawn room, photographs, a file, a video or a webcam."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from ovsr_ros import msg
from ovsr_ros.demo.scenes import CATEGORIES
from ovsr_ros.demo.sources.frame_source import Frame, FrameSource
from ovsr_ros.demo.sources.kinds import ROOMS
from ovsr_ros.demo.sources.opening import SourceOptions, open_source
from ovsr_ros.demo.sources.rooms import RoomSource
from ovsr_ros.errors import OvsrError, SourceError
from ovsr_ros.nodes.conversions.images import to_image_message
from ovsr_ros.nodes.conversions.messages import to_vocabulary_message
from ovsr_ros.nodes.parameter_services import ParameterServices
from ovsr_ros.nodes.parameters import arguments_of, declare_options, read_overrides
from ovsr_ros.nodes.process import EXIT_FAILED
from ovsr_ros.nodes.qos import latched_qos
from ovsr_ros.options import from_dict, iter_options, option, to_flat_dict
from ovsr_ros.vocabulary.category import Category, Vocabulary
from ovsr_ros.vocabulary.palette import default_color

FRAME_ID = "camera"
_RELIABILITY = {"reliable": QoSReliabilityPolicy.RELIABLE, "best_effort": QoSReliabilityPolicy.BEST_EFFORT}

OpenSource = Callable[[SourceOptions, Collection[str], Callable[[str], None]], FrameSource]


@dataclass(frozen=True)
class CameraOptions(SourceOptions):
    """What the camera sees and sends; fixed once it runs."""

    reliability: str = option(
        "reliable", help="the images' quality of service", choices=tuple(_RELIABILITY), read_only=True
    )
    depth_encoding: str = option(
        "16UC1",
        help="of depth_registered/image_rect: 16UC1 in millimetres, 32FC1 in metres, none: no depth; rooms have it",
        choices=("16UC1", "32FC1", "none"),
        read_only=True,
    )


class DemoCamera(Node):
    """Publishes image_raw and camera_info with one stamp; of rooms, which are known, what else they have.

    That is ground_truth/label_map (mono8, the index into `scenes.CATEGORIES`), ground_truth/vocabulary, which names the
    indices, and depth_registered/image_rect, with the same stamp, only while somebody subscribes to it. camera_info is
    the pinhole camera of rooms; other cameras are not calibrated: it has the image's size, and zeros.

    The parameters rate_hz, width and height are what is sent: those of a file or webcam that chose its own, too.

    arguments: the process's ROS arguments. request_exit: called with an exit code when nothing can be shown any more.
    open_with: what opens the source.

    Raises ConfigError when a parameter's name or value cannot be used, SourceError when the source cannot be opened.
    """

    def __init__(
        self,
        arguments: Sequence[str] = (),
        request_exit: Callable[[int], None] = lambda code: None,
        open_with: OpenSource = open_source,
        **node_arguments: Any,
    ) -> None:
        super().__init__("demo_camera", start_parameter_services=False, **node_arguments)
        self._request_exit = request_exit
        try:
            known = [info.name for info in iter_options(CameraOptions)]
            overrides = read_overrides(self, known, arguments_of(arguments, node_arguments))
            options = from_dict(CameraOptions, overrides)
            self._source = open_with(options, overrides, self._warn)
        except OvsrError:
            super().destroy_node()
            raise
        (width, height), rate_hz = self._source.size_wh, self._source.rate_hz
        self._options = dataclasses.replace(options, width=width, height=height, rate_hz=rate_hz)
        declare_options(self, iter_options(CameraOptions), to_flat_dict(self._options))
        self._parameter_services = ParameterServices(self)
        qos = QoSProfile(depth=5, reliability=_RELIABILITY[self._options.reliability])
        self._image = self.create_publisher(Image, "image_raw", qos)
        self._camera_info = self.create_publisher(CameraInfo, "camera_info", qos)
        self._depth = self._label_map = None
        if options.source == ROOMS:
            if options.depth_encoding != "none":
                self._depth = self.create_publisher(Image, "depth_registered/image_rect", qos)
            self._label_map = self.create_publisher(Image, "ground_truth/label_map", qos)
            self._vocabulary = self.create_publisher(msg.Vocabulary, "ground_truth/vocabulary", latched_qos())
            self._vocabulary.publish(to_vocabulary_message(_ground_truth_vocabulary(), self.get_clock().now().to_msg()))
        self._first_pass_begin: float | None = time.monotonic()
        self._timer = self.create_timer(1.0 / rate_hz, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME))
        topic = self.resolve_topic_name("image_raw")
        sent = "" if options.source == ROOMS else f", {width}x{height} at {rate_hz:g} Hz"
        self.get_logger().info(f"{topic} shows {self._source.description}{sent}")

    def destroy_node(self) -> None:
        """Destroy the node, and close its source."""
        self._source.close()
        super().destroy_node()

    def _warn(self, text: str) -> None:
        self.get_logger().warning(text)

    def _publish(self) -> None:
        try:
            frame = self._source.read()
        except SourceError as error:
            self._timer.cancel()
            self.get_logger().fatal(str(error))
            self._request_exit(EXIT_FAILED)
            return
        if frame is None:
            return
        header = Header(frame_id=FRAME_ID, stamp=self._stamp(frame))
        # The ground truth goes first, so that who waits for a labelled image has it already.
        if self._label_map is not None and frame.category_map is not None:
            self._label_map.publish(to_image_message(frame.category_map, "mono8", header))
        self._camera_info.publish(to_camera_info(frame.image.shape[:2], frame.camera_matrix, header))
        if self._depth is not None and frame.depth_m is not None and self._depth.get_subscription_count():
            self._depth.publish(to_depth_message(frame.depth_m, self._options.depth_encoding, header))
        self._image.publish(to_image_message(frame.image, "rgb8", header))
        self._report_first_pass()

    def _stamp(self, frame: Frame) -> Any:
        """When the image was taken, by this node's clock."""
        now = self.get_clock().now()
        if frame.taken_s is None:
            return now.to_msg()
        age_ns = round((time.monotonic() - frame.taken_s) * 1e9)
        return Time(nanoseconds=max(0, now.nanoseconds - age_ns), clock_type=now.clock_type).to_msg()

    def _report_first_pass(self) -> None:
        if self._first_pass_begin is None or not (isinstance(self._source, RoomSource) and self._source.is_drawn):
            return
        seconds, self._first_pass_begin = time.monotonic() - self._first_pass_begin, None
        wanted_s = self._options.clip_s
        if seconds > 1.1 * wanted_s + 1.0:
            self.get_logger().info(
                f"drawing {wanted_s:g} s of images took {seconds:.1f} s; from now on they come at "
                f"{self._options.rate_hz:g} Hz"
            )


def to_camera_info(size_hw: Sequence[int], matrix: NDArray[np.float64] | None, header: Header) -> CameraInfo:
    """The pinhole camera of that matrix, (3, 3) pixels, without distortion; None: not calibrated, the size alone."""
    height, width = size_hw
    if matrix is None:  # sensor_msgs has zeros then
        return CameraInfo(header=header, height=height, width=width)
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
