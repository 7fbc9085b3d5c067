"""Run by test_other_messages.py where vision_msgs and bond are found: prints what the node says, a JSON line each."""

from __future__ import annotations

import json
import sys

import rclpy
from bond.msg import Status
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from vision_msgs.msg import Detection2DArray, Detection3DArray, LabelInfo

from ovsr_ros import msg

LATCHED = QoSProfile(depth=100, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)


def report(kind, info, **content):
    print(json.dumps({"kind": kind, "received_ns": info["received_timestamp"], **content}), flush=True)


def stamp_of(message):
    return [message.header.stamp.sec, message.header.stamp.nanosec]


def on_label_info(message, info):
    classes = [[entry.class_id, entry.class_name] for entry in message.class_map]
    report("label_info", info, stamp=stamp_of(message), classes=classes, threshold=message.threshold)


def on_vocabulary(message, info):
    classes = [[category.id, category.name] for category in message.categories]
    report("vocabulary", info, stamp=stamp_of(message), classes=classes, version=message.version)


def on_segments(message, info):
    ids = sorted({segment.class_id for segment in message.segments})
    report("segments", info, version=message.vocabulary_version, ids=ids)


def on_detections(message, info):
    found = [
        {
            **described(detection, detection.bbox.center.position),
            "size": [detection.bbox.size_x, detection.bbox.size_y],
        }
        for detection in message.detections
    ]
    report("detections", info, stamp=stamp_of(message), detections=found)


def on_detections_3d(message, info):
    found = [
        {
            **described(detection, detection.bbox.center.position),
            "size": [detection.bbox.size.x, detection.bbox.size.y, detection.bbox.size.z],
            "upright": detection.bbox.center.orientation.w,
            "positions": [xyz(result.pose.pose.position) for result in detection.results],
        }
        for detection in message.detections
    ]
    report("detections_3d", info, stamp=stamp_of(message), detections=found)


def on_bond(message, info):
    timing = [message.heartbeat_period, message.heartbeat_timeout]
    report("bond", info, id=message.id, instance=message.instance_id, active=message.active, timing=timing)


def described(detection, center):
    results = [[result.hypothesis.class_id, result.hypothesis.score] for result in detection.results]
    frame = detection.header.frame_id
    return {"id": detection.id, "frame": frame, "results": results, "center": xyz(center)}


def xyz(point):
    return [getattr(point, axis) for axis in "xyz" if hasattr(point, axis)]


def main():
    rclpy.init(args=sys.argv)
    node = Node("observer")
    node.create_subscription(LabelInfo, "/ovsr/label_info", on_label_info, LATCHED)
    node.create_subscription(msg.Vocabulary, "/ovsr/vocabulary", on_vocabulary, LATCHED)
    node.create_subscription(msg.SegmentArray, "/ovsr/segments", on_segments, 100)
    node.create_subscription(Detection2DArray, "/ovsr/detections", on_detections, 100)
    node.create_subscription(Detection3DArray, "/ovsr/detections_3d", on_detections_3d, 100)
    node.create_subscription(Status, "/bond", on_bond, 100)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.spin()


if __name__ == "__main__":
    main()
