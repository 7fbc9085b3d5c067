"""Run by test_label_info.py where vision_msgs is found: prints what arrives on the node's topics, a JSON line each."""

from __future__ import annotations

import json
import sys

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from vision_msgs.msg import LabelInfo

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


def main():
    rclpy.init(args=sys.argv)
    node = Node("observer")
    node.create_subscription(LabelInfo, "/ovsr/label_info", on_label_info, LATCHED)
    node.create_subscription(msg.Vocabulary, "/ovsr/vocabulary", on_vocabulary, LATCHED)
    node.create_subscription(msg.SegmentArray, "/ovsr/segments", on_segments, 100)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.spin()


if __name__ == "__main__":
    main()
