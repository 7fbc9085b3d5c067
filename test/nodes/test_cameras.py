"""Several cameras: how they are written, and a process that has a node for each."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Log
from rcl_interfaces.srv import GetParameters
from rclpy._rclpy_pybind11 import RCLError
from rclpy.context import Context
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from ovsr_ros import msg, srv
from ovsr_ros.errors import ConfigError
from ovsr_ros.nodes.cameras import Camera, find_namespace, format_cameras, parse_cameras
from ovsr_ros.nodes.conversions.images import to_image_message
from ovsr_ros.nodes.topic_names import find_topic_problem

NODE = "ovsr_ros.nodes.ovsr_node"
END_S = 2.0
CAMERAS = {"front": "/front/image_raw", "rear": "/robot1/rear/cam"}
AS_WRITTEN = "front=/front/image_raw, rear=cam"
PIXELS = np.random.default_rng(0).integers(0, 255, (3, 4, 3), np.uint8).repeat(40, 0).repeat(40, 1)


# --- What the operator writes ---


@pytest.mark.parametrize(
    "text",
    [
        "front=/front/image_raw, rear=/rear/image_raw",
        " front = /front/image_raw,rear=/rear/image_raw, ",
        "[front=/front/image_raw, rear=/rear/image_raw]",
        "{front: /front/image_raw, rear: {image: /rear/image_raw}}",
    ],
)
def test_cameras_are_written_as_a_list_or_as_yaml(text):
    cameras = parse_cameras(text)
    assert [(camera.name, dict(camera.topics)) for camera in cameras] == [
        ("front", {"image": "/front/image_raw"}),
        ("rear", {"image": "/rear/image_raw"}),
    ]
    assert parse_cameras(format_cameras(cameras)) == cameras


def test_what_yaml_takes_for_something_else_is_a_name():
    text = "{on: /a, y: yes, rear: , left: ~}"
    assert [(camera.name, dict(camera.topics)) for camera in parse_cameras(text)] == [
        ("on", {"image": "/a"}),
        ("y", {"image": "yes"}),
        ("rear", {}),
        ("left", {}),
    ]
    assert parse_cameras("[n, off]") == (Camera("n"), Camera("off"))


# As rcl's own parser of remap rules and its check of names have it.
TOPICS = [
    "/a", "a", "/a/b", "~/a", "a_", "_a", "/_a", "/a/_", "/A_B9", "/a_/b", "image", "/" + "a" * 246,
    "~", "/a/", "/a//b", "/a b", "/a__b", "/1a", "a/1", "/a-b", "/a.b", "/{node}", "{ns}/a", "/a;", "/a=b", "/\u00e4",
    "/", "//a", "\\1", "/a/~b", "~a", "~/", "__ns", "rostopic://a", "a:=b", "/a\n", "*", "/**", "@", "/a,/b",
    "/" + "a" * 247,
]  # fmt: skip


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_is_refused_if_and_only_if_rcl_refuses_it(topic):
    context = Context()
    try:
        rclpy.init(args=["--ros-args", "-r", f"image:={topic}"], context=context)
        node = Node("ovsr", context=context)
        node.create_subscription(Image, "image", lambda message: None, 1)
        refused = False
    except (RCLError, InvalidTopicNameException):
        refused = True
    finally:
        rclpy.try_shutdown(context=context)
    assert bool(find_topic_problem(topic)) == refused, find_topic_problem(topic)


def test_a_camera_may_be_a_name_alone_and_may_name_every_input():
    assert parse_cameras("front, rear") == (Camera("front"), Camera("rear"))
    topics = {"image": "rgb", "depth": "/depth", "camera_info": "rgb/info", "ignore_mask": "/arm/mask"}
    (camera,) = parse_cameras(f"{{robot1/front: {topics}}}")
    assert (camera.name, dict(camera.topics)) == ("robot1/front", topics)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no camera"),
        ("{front: [", "no YAML"),
        ("fr-ont=/a", "got 'fr-ont'"),
        ("=/a", "got ''"),
        ("front=/a, rear=/b, front=/c", "front more than once"),
        ("front, /front", "front more than once"),
        ("[1, 2]", "got '1': '1' begins with a digit"),
        ("{front: 1}", "front: image: expected a topic such as /front/image_raw, got '1'"),
        ("{front: [/a]}", "front: expected an image topic or {image: TOPIC, ...}, got ['/a']"),
        ("{front: /a, front: /b}", "front more than once"),
        ("{front: {image: /a, image: /b}}", "image more than once"),
        ("[&a [*a]]", "no YAML"),
        ("front=/a b", "got '/a b': ' ' (character 3): letters a to z"),
        ("front=/a rear=/b", "front: image: expected a topic such as /front/image_raw, got '/a rear=/b'"),
        ("front=/a rear=/b", "put a comma between two cameras"),
        ("front=/a\nrear=/b", "put a comma between two cameras"),
        ("front=/a; rear=/b", "put a comma between two cameras"),
        ("[front=/a; rear=/b]", "put a comma between two cameras"),
        ("front rear", "put a comma between two cameras"),
        ("front; rear", "put a comma between two cameras"),
        ("front:/a", "put = between a camera and its topic"),
        ("front: /a", "got 'front: /a'"),
        ("front=", "front: expected an image topic after '=', got nothing"),
        ("front==/a", "got '=/a': '=' (character 1)"),
        ("front=/a//b", "got '/a//b': two slashes in a row"),
        ("front=/a/", "got '/a/': it ends with a slash"),
        ("front=/", "got '/': it ends with a slash"),
        ("front=/1a", "'1a' begins with a digit"),
        ("front=/a__b", "two underscores in a row"),
        ("front=/a-b", "'-' (character 3)"),
        ("front=/\u00e4", "'\u00e4' (character 2)"),
        ("front=a~b", "'~' (character 2)"),
        ("front={node}/a", "'{' (character 1)"),
        ("front=/" + "a" * 247, "248 characters, at most 247"),
        ("{front: {image: /a, depth: /d e}}", "front: depth: expected a topic such as"),
        ("{front: {camera_info: ''}}", "got '': it is empty"),
        ("fr__ont=/a", "got 'fr__ont': two underscores in a row"),
        ("front/=/a", "got 'front/': it ends with a slash"),
        ("/", "got '/'"),
        ("f" * 201, "201 characters, at most 200"),
        ("{front: {imgae: /a}}", "image, depth, camera_info, ignore_mask, got 'imgae'"),
    ],
)
def test_cameras_that_cannot_be_read_are_refused_with_the_reason(text, named):
    with pytest.raises(ConfigError, match="cameras: ") as error:
        parse_cameras(text)
    assert named in str(error.value)


@pytest.mark.parametrize(
    ("name", "namespace", "expected"),
    [
        ("front", "/", "/front"),
        ("front", "/robot1", "/robot1/front"),
        ("front", "robot1", "robot1/front"),
        ("front", "", "front"),
        ("/front", "/robot1", "/front"),
    ],
)
def test_a_camera_is_below_the_namespace_of_its_process(name, namespace, expected):
    assert Camera(name).namespace_in(namespace) == expected


def test_the_namespace_of_the_process_is_found_among_its_arguments():
    assert find_namespace(["ovsr_node", "--cameras", "front", "--ros-args", "-r", "__ns:=/robot1"]) == "/robot1"
    assert find_namespace(["ovsr_node", "--ros-args", "--remap", "__ns:=/robot1"]) == "/robot1"
    assert find_namespace(["ovsr_node", "--ros-args", "-r", "image:=/a"]) == "/"


# --- The process ---


class Robot:
    """A client of one process with the cameras /robot1/front and /robot1/rear."""

    def __init__(self, client):
        self.client = client
        self.stamp = 0
        self.label_maps = {name: client.collect(f"/robot1/{name}/ovsr/label_map", Image) for name in CAMERAS}
        self.diagnostics = client.collect("/diagnostics", DiagnosticArray)
        self.logs = client.collect("/rosout", Log)

    def state(self, name):
        for array in reversed(self.diagnostics):
            for status in array.status:
                if status.name == f"robot1/{name}/ovsr: segmentation":
                    return next(value.value for value in status.values if value.key == "state")
        return ""

    def wait_until_active(self):
        self.client.wait(lambda: all(self.state(name) == "active" for name in CAMERAS), "both cameras' nodes", 60.0)

    def label(self, name):
        """Send an image of a camera, and wait for what its node makes of it."""
        self.stamp += 1
        header = Header(frame_id=name)
        header.stamp.sec = 1000 + self.stamp
        self.client.publisher(CAMERAS[name], Image, 10).publish(to_image_message(PIXELS, "rgb8", header))
        self.client.wait(
            lambda: any(message.header == header for message in self.label_maps[name]), f"a label map of {name}"
        )
        return header

    def call(self, name, service, service_type, request):
        return self.client.call(f"/robot1/{name}/ovsr/{service}", service_type, request)

    def parameter(self, name, parameter):
        return self.call(name, "get_parameters", GetParameters, GetParameters.Request(names=[parameter])).values[0]


def test_cameras_of_one_process_are_nodes_of_their_own(run_module, client, node_config, tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(
        f"/**:\n  ros__parameters:\n    config: {node_config}\n    rate_hz: 40.0\n"
        "/robot1/rear/ovsr:\n  ros__parameters:\n    rate_hz: 30.0\n    categories: [spoon]\n"
    )
    robot = Robot(client)
    arguments = ("--cameras", AS_WRITTEN, "--ros-args", "--params-file", str(file), "-r", "__ns:=/robot1")
    process = run_module(NODE, *arguments)
    robot.wait_until_active()

    # Images: each node labels its own camera's.
    for name in CAMERAS:
        robot.label(name)
    for name in CAMERAS:
        assert {label_map.header.frame_id for label_map in robot.label_maps[name]} == {name}

    # Parameters and words: each has its own.
    assert robot.parameter("front", "rate_hz").double_value == 40.0
    assert robot.parameter("rear", "rate_hz").double_value == 30.0
    request = srv.SetVocabulary.Request(operation=srv.SetVocabulary.Request.ADD, categories=[msg.Category(name="fork")])
    answer = robot.call("rear", "set_vocabulary", srv.SetVocabulary, request)
    assert [category.name for category in answer.vocabulary.categories] == ["spoon", "fork"]
    answer = robot.call("front", "get_vocabulary", srv.GetVocabulary, srv.GetVocabulary.Request())
    assert [category.name for category in answer.vocabulary.categories] == ["mug", "ball"]

    # Life: one that is stopped stops no other.
    request = ChangeState.Request()
    request.transition.label = "deactivate"
    assert robot.call("front", "change_state", ChangeState, request).success
    client.wait(lambda: robot.state("front") == "inactive", "the front camera's rest")
    robot.label("rear")
    request.transition.label = "cleanup"
    assert robot.call("front", "change_state", ChangeState, request).success
    robot.label("rear")

    # Logs: under each node's own name.
    names = {log.name for log in robot.logs if "subscribed to" in log.msg}
    assert names == {"robot1.front.ovsr", "robot1.rear.ovsr"}

    begin = time.monotonic()
    process.popen.send_signal(signal.SIGINT)
    assert process.wait() == 0
    assert time.monotonic() - begin < END_S
    assert "Traceback" not in process.output


def test_cameras_at_work_end_in_good_order_on_sigterm(run_module, client, node_config):
    robot = Robot(client)
    process = run_module(
        NODE, "--cameras", AS_WRITTEN, "--ros-args", "-p", f"config:={node_config}", "-r", "__ns:=/robot1"
    )
    robot.wait_until_active()
    for name in CAMERAS:
        robot.label(name)
    for stamp in range(4):
        for topic in CAMERAS.values():
            header = Header()
            header.stamp.sec = 2000 + stamp
            client.publisher(topic, Image, 10).publish(to_image_message(PIXELS, "rgb8", header))
    begin = time.monotonic()
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert time.monotonic() - begin < END_S
    assert "Traceback" not in process.output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--cameras", "front, front"], 2, "front more than once"),
        (["--cameras", "front=/a b"], 2, "front: image: expected a topic such as /front/image_raw, got '/a b'"),
        (["--cameras", "front=/a//b"], 2, "two slashes in a row"),
        (["--cameras", "front=/a; rear=/b"], 2, "put a comma between two cameras"),
        (["--cameras", "front=/a\nrear=/b"], 2, "put a comma between two cameras"),
        (["--cameras"], 2, "expected one argument"),
        (["--camras", "front"], 2, "unrecognized arguments: --camras front"),
        (["rate_hz:=5"], 2, "ROS arguments follow --ros-args"),
        (["--cameras", "front, rear", "--ros-args", "-p", "rate_hz:=1000.0"], 2, "camera front: rate_hz: expected"),
        (
            ["--cameras", "front, rear", "--ros-args", "-p", "features.model:=efficientnet_b3.ra2_in1k"],
            1,
            "ovsr models download efficientnet_b3.ra2_in1k",
        ),
    ],
)
def test_cameras_that_cannot_start_end_the_process_with_the_reason(run_module, arguments, code, said):
    process = run_module(NODE, *arguments)
    assert process.wait(60.0) == code, process.output
    assert said in process.output
    assert "Traceback" not in process.output
