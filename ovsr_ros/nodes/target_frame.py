"""Where things are in another frame than the camera's, through tf2: a map, or the robot's base."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geometry_msgs.msg import TransformStamped
from rclpy.time import Time
from std_msgs.msg import Header

from ovsr_ros.errors import ConfigError
from ovsr_ros.nodes.conversions.stamps import to_ns
from ovsr_ros.nodes.labelled_frame import Target
from ovsr_ros.ops.spatial import RigidTransform

if TYPE_CHECKING:
    from rclpy.node import Node

_WARNING_PERIOD_S = 10.0
_LASTING_S = 2.0
_RECENT_S = 10.0
_STEP_BACK_NS = 1_000_000_000
"""Stamps that go back by more are those of a recording that begins anew."""


@dataclass(frozen=True)
class TargetHealth:
    """How it stands with a target frame.

    problem: why the last frame had no transform, and what to do; empty where all is well.
    found, missed: frames with and without a transform, of those whose places somebody subscribed to.
    """

    frame: str
    problem: str
    found: int
    missed: int


class TargetFrame:
    """Listens to /tf and /tf_static, and finds the transform that holds when an image was taken. Never waits for one.

    It listens as long as the node lives: tf2's subscriptions have rclpy's events, which cannot be destroyed safely
    while an executor of several threads looks at them.

    frame: as tf2 names it.

    Raises ConfigError where tf2_ros is not installed, or no frame can have that name.
    """

    def __init__(self, node: Node, frame: str) -> None:
        self._tf2 = _import_tf2(frame)
        self._node = node
        self._frame = frame
        self._buffer = self._tf2.Buffer()
        self._listener = self._tf2.TransformListener(self._buffer, node)
        self._last_ns = 0
        self._lock = threading.Lock()
        self._problem, self._noted, self._logged = "", -float("inf"), -float("inf")
        self._missing_since: float | None = None
        self._found = self._missed = 0

    def find(self, header: Header) -> Target:
        """The target frame when an image with this header was taken; of a stamp of 0, the newest transform's.

        To be called in the order of the images.
        """
        stamp_ns = to_ns(header.stamp)
        if stamp_ns:
            if stamp_ns < self._last_ns - _STEP_BACK_NS:
                self._buffer.clear()  # or it would leave out the new round's transforms, being older than its newest
            self._last_ns = stamp_ns
        try:
            found = self._buffer.lookup_transform(self._frame, header.frame_id, Time.from_msg(header.stamp))
            transform = to_rigid_transform(found)
        except (self._tf2.TransformException, ValueError) as error:
            self._note(self._explain(header.frame_id, error), missed=1)
            return self.nowhere(header)
        self._note("", found=1)
        return Target(self.nowhere(header).header, transform)

    def nowhere(self, header: Header) -> Target:
        """As `find`, where nobody asks: without a transform."""
        return Target(Header(stamp=header.stamp, frame_id=self._frame), None)

    def health(self) -> TargetHealth:
        """The state now."""
        with self._lock:
            recent = self._problem if time.monotonic() - self._noted < _RECENT_S else ""
            return TargetHealth(self._frame, recent, self._found, self._missed)

    def _explain(self, source: str, error: Exception) -> str:
        if isinstance(error, self._tf2.ExtrapolationException):
            remedy = "publish transforms more often, and stamp them and images by one clock"
        elif not source:
            remedy = "let the camera's driver set header.frame_id"
        else:
            remedy = f"see what is published: ros2 run tf2_ros tf2_echo {self._frame} {source}"
        return (
            f"target_frame: no transform from '{source}' to '{self._frame}' at the image's stamp, so nothing is in "
            f"~/detections_3d and ~/markers: {str(error).strip()}; {remedy}"
        )

    def _note(self, problem: str, found: int = 0, missed: int = 0) -> None:
        now = time.monotonic()
        with self._lock:
            self._problem, self._noted = problem, now
            self._found += found
            self._missed += missed
            if found:
                self._missing_since = None
            elif self._missing_since is None:
                self._missing_since = now
            # A frame now and then, above all the first, is only counted. tf2's texts have stamps in them: each is new.
            lasts = self._missing_since is not None and now - self._missing_since > _LASTING_S
            is_due = lasts and now - self._logged > _WARNING_PERIOD_S
            if is_due:
                self._logged = now
        if is_due:
            self._node.get_logger().warning(problem)


def _import_tf2(frame: str) -> Any:
    if frame.startswith("/") or frame.strip() != frame:
        raise ConfigError(
            f"target_frame: expected a frame as tf2 names it, without a slash or a blank around it, got '{frame}'"
        )
    try:
        import tf2_ros
    except ImportError as error:
        raise ConfigError(
            f"target_frame: needs the package tf2_ros, which is not installed ({error}): sudo apt install "
            "ros-$ROS_DISTRO-tf2-ros-py; or leave target_frame empty, and transform ~/detections_3d elsewhere"
        ) from error
    return tf2_ros


def to_rigid_transform(message: TransformStamped) -> RigidTransform:
    """The transform of a message, from its child_frame_id to its header's frame. Raises ValueError where it is none."""
    translation, rotation = message.transform.translation, message.transform.rotation
    return RigidTransform.from_quaternion(
        (rotation.x, rotation.y, rotation.z, rotation.w), (translation.x, translation.y, translation.z)
    )
