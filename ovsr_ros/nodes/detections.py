"""~/detections and ~/detections_3d: labelled segments for consumers that speak vision_msgs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geometry_msgs.msg import Point, Pose, Quaternion, Vector3

from ovsr_ros.nodes.conversions.labelled_segments import LabelledSegment, labelled_segments
from ovsr_ros.nodes.labelled_frame import LabelledFrame
from ovsr_ros.nodes.publishers import offer
from ovsr_ros.nodes.qos import output_qos

try:
    from vision_msgs.msg import Detection2D, Detection2DArray, Detection3D, Detection3DArray, ObjectHypothesisWithPose
except ImportError:  # not installed
    Detection2D = Detection2DArray = Detection3D = Detection3DArray = ObjectHypothesisWithPose = None

if TYPE_CHECKING:
    from rclpy.callback_groups import CallbackGroup
    from rclpy.node import Node


class DetectionTopics:
    """Publishes the labelled segments as detections; where vision_msgs is not installed there are no topics.

    flat, spatial: their publishers: none, or one each; the other needs depth.
    """

    def __init__(self, node: Node, group: CallbackGroup) -> None:
        self.flat: tuple[Any, ...] = ()
        self.spatial: tuple[Any, ...] = ()
        if Detection2DArray is not None:
            self.flat = (offer(node, Detection2DArray, "~/detections", output_qos(), group),)
            self.spatial = (offer(node, Detection3DArray, "~/detections_3d", output_qos(), group),)

    def publish(self, frame: LabelledFrame) -> None:
        """Publish those that somebody subscribes to; of a frame without places none in space."""
        for publisher in self.flat:
            if publisher.get_subscription_count():
                publisher.publish(_to_detections_2d(frame))
        for publisher in self.spatial:
            if frame.has_places and publisher.get_subscription_count():
                publisher.publish(_to_detections_3d(frame))


def _to_detections_2d(frame: LabelledFrame) -> Any:
    found = []
    for segment in labelled_segments(frame, with_places=False):
        x_min, y_min, x_max, y_max = segment.box_xyxy
        detection = Detection2D(header=frame.header, results=_hypotheses(segment), id=_track(segment))
        # Edges of pixels, as detectors have them: the image's own box is (0, 0) to (width, height).
        detection.bbox.center.position.x, detection.bbox.center.position.y = (x_min + x_max) / 2, (y_min + y_max) / 2
        detection.bbox.size_x, detection.bbox.size_y = float(x_max - x_min), float(y_max - y_min)
        found.append(detection)
    return Detection2DArray(header=frame.header, detections=found)


def _to_detections_3d(frame: LabelledFrame) -> Any:
    found = []
    for segment in labelled_segments(frame, with_places=True):
        assert segment.place is not None
        detection = Detection3D(header=frame.places_header, results=_hypotheses(segment), id=_track(segment))
        detection.bbox.center = Pose(position=_to_point(segment.place.center), orientation=Quaternion(w=1.0))
        x, y, z = (float(value) for value in segment.place.size)
        detection.bbox.size = Vector3(x=x, y=y, z=z)
        for result in detection.results:
            result.pose.pose.position = _to_point(segment.place.position)
        found.append(detection)
    return Detection3DArray(header=frame.places_header, detections=found)


def _hypotheses(segment: LabelledSegment) -> list[Any]:
    hypotheses = []
    for name, score in segment.scores:
        result = ObjectHypothesisWithPose()
        result.hypothesis.class_id, result.hypothesis.score = name, score
        hypotheses.append(result)
    return hypotheses


def _track(segment: LabelledSegment) -> str:
    return str(segment.track_id) if segment.track_id else ""


def _to_point(xyz: Any) -> Point:
    x, y, z = (float(value) for value in xyz)
    return Point(x=x, y=y, z=z)
