"""Who subscribes with more than is offered, or with another type, gets nothing: the node says so."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage, Image

from ovsr_ros import msg

LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)


@pytest.mark.parametrize(
    ("message_type", "qos", "text"),
    [
        (
            Image,
            LATCHED,
            "/ovsr/confidence: /test_client (sensor_msgs/msg/Image, reliable, transient local) asks for more than is "
            "offered, reliable, volatile: subscribe with this or less",
        ),
        (
            CompressedImage,
            QoSProfile(depth=1),
            "/ovsr/confidence: /test_client (sensor_msgs/msg/CompressedImage, reliable, volatile) expects another type "
            "than sensor_msgs/msg/Image: subscribe with this",
        ),
    ],
)
def test_a_subscriber_that_gets_nothing_is_named_with_the_remedy(
    run_module, node_config, ovsr, client, message_type, qos, text
):
    run_module("ovsr_ros.nodes.ovsr_node", "--ros-args", "-p", f"config:={node_config}")
    ovsr.wait_until_active()
    client.collect("/ovsr/confidence", message_type, qos)
    client.wait(lambda: [log for log in ovsr.logs if log.msg == text], "the warning")
    client.wait(lambda: ovsr.status_message("segmentation") == f"not served: {text}", "the same in /diagnostics")
    assert ovsr.status("segmentation").level == DiagnosticStatus.WARN
    client.stop_collecting("/ovsr/confidence")
    client.wait(lambda: "not served" not in ovsr.status_message("segmentation"), "its end")
    assert ovsr.label().segments


@pytest.mark.usefixtures("active_node")
def test_subscribers_that_ask_for_less_are_served(ovsr, client):
    client.collect("/ovsr/vocabulary", msg.Vocabulary, QoSProfile(depth=1))
    ovsr.label()
    count = len(ovsr.diagnostics)
    client.wait(lambda: len(ovsr.diagnostics) > count + 2, "diagnostics that are news")
    assert not any("not served" in status.message for array in ovsr.diagnostics for status in array.status)
