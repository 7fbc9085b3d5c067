"""Where images, depth and calibration come from: what was chosen counts, also where it is the name that there is."""

from __future__ import annotations

import pytest
from rclpy.node import Node

from ovsr_ros.nodes.input.inputs import Inputs

IMAGE = ("-r", "image:=/camera/color/image_raw")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (IMAGE, "/camera/color/camera_info"),
        ((*IMAGE, "-r", "camera_info:=/camera_info"), "/camera_info"),
        ((*IMAGE, "-r", "camera_info:=camera_info"), "/camera_info"),
        ((*IMAGE, "-r", "/camera_info:=/camera_info"), "/camera_info"),
        ((*IMAGE, "-r", "ovsr:camera_info:=/camera_info"), "/camera_info"),
        ((*IMAGE, "--remap", "camera_info:=/other/info"), "/other/info"),
        ((*IMAGE, "-r", "rostopic://camera_info:=/camera_info"), "/camera_info"),
        ((*IMAGE, "-r", "camera:camera_info:=/camera_info"), "/camera/color/camera_info"),
        ((*IMAGE, "-r", "__ns:=/robot", "-r", "camera_info:=/robot/camera_info"), "/robot/camera_info"),
        ((*IMAGE, "-r", "__ns:=/robot", "-r", "/robot/camera_info:=camera_info"), "/robot/camera_info"),
    ],
)
def test_camera_info_is_beside_the_image_unless_somebody_chose_it(start_node, ovsr, client, arguments, expected):
    node = start_node(arguments=arguments)

    def topic():
        for array in reversed(ovsr.diagnostics):
            for status in array.status:
                if status.name.endswith("ovsr: depth"):
                    return {value.key: value.value for value in status.values}.get("camera_info", "")
        return ""

    client.wait(topic, f"the topic of camera_info of {node.get_fully_qualified_name()}")
    assert topic() == expected


@pytest.mark.parametrize("rule", ["depth:=/depth", "/depth:=/depth", "depth:=depth"])
def test_depth_that_was_asked_for_by_its_own_name_and_is_not_there_is_warned_of(start_node, ovsr, client, rule):
    start_node(arguments=("-r", rule))
    client.wait(lambda: "/depth has 0 publishers: start" in ovsr.status_message("depth"), "the warning")
    assert ovsr.status("depth").level == b"\x01"


@pytest.mark.parametrize("given", ["/cam", "/cam/compressed"])
def test_a_compressed_topic_may_be_given_with_its_suffix(start_node, ovsr, client, given):
    start_node(arguments=("-r", f"image:={given}"), image_transport="compressed")
    client.wait(lambda: ovsr.diagnostic("image input", "topic").startswith("/cam/compressed ("), "the topic")
    assert ovsr.diagnostic("depth", "camera_info") == "/camera_info"


def test_one_of_several_cameras_is_not_advised_a_rule_for_all(context):
    node = Node("ovsr", namespace="/robot/front", context=context, use_global_arguments=False)
    alone, of_several = (Inputs(node, [], several) for several in (False, True))
    assert alone.how_to_remap("depth") == "--ros-args -r depth:=/your/topic"
    assert of_several.how_to_remap("image") == 'cameras: "/robot/front=/your/topic"'
    assert of_several.how_to_remap("depth") == "cameras: {/robot/front: {depth: /your/topic}}"
    node.destroy_node()
