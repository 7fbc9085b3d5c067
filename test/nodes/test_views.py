"""config/ovsr.rviz and config/ovsr.foxglove.json show topics, services and fields that camera and node really have."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter

from ovsr_ros import msg, srv
from ovsr_ros.nodes.demo.camera import DemoCamera
from ovsr_ros.nodes.qos import latched_qos, output_qos

CONFIG = Path(__file__).resolve().parent.parent.parent / "config"
IMAGES = {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"}
DRAWN_IN_3D = {"sensor_msgs/msg/PointCloud2", "sensor_msgs/msg/CameraInfo"}
RVIZ_TYPES = {
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "rviz_default_plugins/PointCloud2": "sensor_msgs/msg/PointCloud2",
}


def read_layout():
    return json.loads((CONFIG / "ovsr.foxglove.json").read_text(encoding="utf-8"))


def panels_of(kind):
    return [config for name, config in read_layout()["configById"].items() if name.startswith(f"{kind}!")]


def leaves(layout):
    """Names of the panels in a tree of splits."""
    return [layout] if isinstance(layout, str) else [*leaves(layout["first"]), *leaves(layout["second"])]


def find(message, path):
    """What a Foxglove message path, such as `.status[:]{name=="x"}.message`, finds in a message."""
    values = [message]
    for field, key, wanted in re.findall(r'\.(\w+)|\{(\w+)=="([^"]*)"\}', path.replace("[:]", "")):
        if field:
            found = [getattr(value, field) for value in values]
            values = [item for value in found for item in (value if isinstance(value, list) else [value])]
        else:
            values = [value for value in values if getattr(value, key) == wanted]
    return values


def fill(message, content):
    """Set a message's fields from JSON; a field that the message lacks raises AttributeError."""
    types = message.get_fields_and_field_types()
    for name, value in content.items():
        if name not in types:
            raise AttributeError(f"{type(message).__name__} has no field {name}")
        if isinstance(value, list) and value and isinstance(value[0], dict):
            item_type = getattr(msg, types[name].removeprefix("sequence<ovsr_ros/").removesuffix(">"))
            value = [fill(item_type(), item) for item in value]
        setattr(message, name, value)
    return message


@pytest.fixture(scope="module")
def topic_types(shared_ovsr):
    """Each topic of the demo camera and of the node, and its type, as the graph has them."""
    client = shared_ovsr.client
    camera = DemoCamera(
        context=client.node.context,
        namespace="demo",
        use_global_arguments=False,
        parameter_overrides=[Parameter("width", value=64), Parameter("height", value=48)],
    )
    try:
        client.wait(lambda: client.node.count_publishers("/demo/image_raw"), "the camera's topics")
        yield {name: types[0] for name, types in client.node.get_topic_names_and_types()}
    finally:
        camera.destroy_node()


def test_rviz_displays_topics_of_their_types(topic_types):
    content = yaml.safe_load((CONFIG / "ovsr.rviz").read_text(encoding="utf-8"))
    displays = content["Visualization Manager"]["Displays"]
    assert len(displays) >= 3
    for display in displays:
        assert topic_types[display["Topic"]["Value"]] == RVIZ_TYPES[display["Class"]], display["Name"]


def test_foxglove_s_panels_are_all_in_the_layout():
    layout = read_layout()
    tabs = [tab["layout"] for panel in panels_of("Tab") for tab in panel["tabs"]]
    placed = [name for tree in (layout["layout"], *tabs) for name in leaves(tree)]
    assert sorted(placed) == sorted(layout["configById"])


def test_foxglove_shows_topics_of_the_types_that_its_panels_draw(topic_types):
    images = panels_of("Image")
    assert len(images) >= 3
    for panel in images:
        assert topic_types[panel["imageMode"]["imageTopic"]] in IMAGES
        calibration = panel["imageMode"].get("calibrationTopic")
        assert calibration is None or topic_types[calibration] == "sensor_msgs/msg/CameraInfo"
    drawn = [topic for panel in panels_of("3D") for topic, shown in panel["topics"].items() if shown["visible"]]
    assert drawn
    assert {topic_types[topic] for topic in drawn} <= DRAWN_IN_3D
    (summary,) = panels_of("DiagnosticSummary")
    assert topic_types[summary["topicToRender"]] == "diagnostic_msgs/msg/DiagnosticArray"
    (log,) = panels_of("RosOut")
    assert topic_types[log["topicToRender"]] == "rcl_interfaces/msg/Log"


def test_foxglove_s_paths_find_something_in_real_messages(shared_ovsr):
    client = shared_ovsr.client
    paths = [panel["topicPath"] for kind in ("Table", "RawMessages") for panel in panels_of(kind)]
    paths += [line["value"] for panel in panels_of("Plot") for line in panel["paths"]]
    types = {
        "/ovsr/segments": (msg.SegmentArray, output_qos()),
        "/ovsr/vocabulary": (msg.Vocabulary, latched_qos()),
        "/ovsr/statistics": (DiagnosticArray, output_qos()),
    }
    assert {path.partition(".")[0] for path in paths} == set(types)
    received = {topic: client.collect(topic, *of) for topic, of in types.items()}
    shared_ovsr.label()
    for path in paths:
        topic, _, fields = path.partition(".")
        client.wait(
            lambda messages=received[topic], fields=f".{fields}": any(find(message, fields) for message in messages),
            f"a message in which {path} finds something",
        )


def test_foxglove_s_button_sets_a_vocabulary(shared_ovsr):
    (panel,) = panels_of("CallService")
    assert panel["serviceName"] == "/ovsr/set_vocabulary"
    content = json.loads(panel["requestPayload"])
    before = shared_ovsr.get_vocabulary()
    try:
        answer = shared_ovsr.client.call(
            panel["serviceName"], srv.SetVocabulary, fill(srv.SetVocabulary.Request(), content)
        )
        assert answer.success, answer.message
        names = [category["name"].partition(";")[0] for category in content["categories"]]
        assert {category.name for category in answer.vocabulary.categories} == set(names)
    finally:
        shared_ovsr.set_vocabulary(0, *(category.name for category in before.categories))
