"""~/label_info, ~/detections and the bond with packages vision_msgs and bond of the same fields, over DDS; and the node
without them.

They come with ROS's own packages only. Where they are not installed, those of their messages are built here.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from ovsr_ros import srv
from ovsr_ros.demo.scenes import Scene
from ovsr_ros.nodes.conversions.images import to_image_message
from ovsr_ros.nodes.demo.camera import to_camera_info, to_depth_message

REPLACE = srv.SetVocabulary.Request.REPLACE
INSTALLED = all(importlib.util.find_spec(package) for package in ("vision_msgs", "bond"))
HAS_TF2 = importlib.util.find_spec("tf2_ros") is not None
TF2_STAND_IN = Path(__file__).resolve().parent.parent / "support" / "tf2_stand_in"

PACKAGE_XML = """<?xml version="1.0"?>
<package format="3">
  <name>{name}</name>
  <version>0.0.0</version>
  <description>Stand-in with the fields of some messages of {name}.</description>
  <maintainer email="maintainers@ovsr-ros.invalid">ovsr_ros maintainers</maintainer>
  <license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
  <depend>geometry_msgs</depend>
  <depend>std_msgs</depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""
CMAKE = """cmake_minimum_required(VERSION 3.16)
project({name} LANGUAGES C CXX)
find_package(ament_cmake REQUIRED)
find_package(rosidl_cmake REQUIRED)
find_package(rosidl_generator_type_description QUIET)
foreach(GENERATOR rosidl_generator_c rosidl_typesupport_fastrtps_c rosidl_typesupport_c rosidl_generator_py)
  find_package(${GENERATOR} REQUIRED)  # what Python needs, in a third of the time of all that there are
endforeach()
find_package(geometry_msgs REQUIRED)
find_package(std_msgs REQUIRED)
file(GLOB MESSAGES RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} msg/*.msg)
rosidl_generate_interfaces(${PROJECT_NAME} ${MESSAGES} DEPENDENCIES geometry_msgs std_msgs)
ament_package()
"""
VISION_MSGS = {
    "VisionClass": "uint16 class_id\nstring class_name\n",
    "LabelInfo": "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n",
    "Point2D": "float64 x\nfloat64 y\n",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta\n",
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n",
    "BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\n",
    "ObjectHypothesis": "string class_id\nfloat64 score\n",
    "ObjectHypothesisWithPose": "ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n",
    "Detection2D": "std_msgs/Header header\nObjectHypothesisWithPose[] results\nBoundingBox2D bbox\nstring id\n",
    "Detection2DArray": "std_msgs/Header header\nDetection2D[] detections\n",
    "Detection3D": "std_msgs/Header header\nObjectHypothesisWithPose[] results\nBoundingBox3D bbox\nstring id\n",
    "Detection3DArray": "std_msgs/Header header\nDetection3D[] detections\n",
}
BOND = {
    "Status": "std_msgs/Header header\nstring id\nstring instance_id\nbool active\n"
    "float32 heartbeat_timeout\nfloat32 heartbeat_period\n",
}


@pytest.fixture(scope="session")
def other_environment(tmp_path_factory):
    """The environment variables with which Python finds vision_msgs and bond."""
    if INSTALLED:
        return dict(os.environ)
    workspace = tmp_path_factory.mktemp("other_messages")
    for name, messages in (("vision_msgs", VISION_MSGS), ("bond", BOND)):
        package = workspace / "src" / name
        (package / "msg").mkdir(parents=True)
        (package / "package.xml").write_text(PACKAGE_XML.replace("{name}", name), encoding="utf-8")
        (package / "CMakeLists.txt").write_text(CMAKE.replace("{name}", name), encoding="utf-8")
        for message, text in messages.items():
            (package / "msg" / f"{message}.msg").write_text(text, encoding="utf-8")
    command = ["colcon", "build", "--cmake-args", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={sys.executable}"]
    # Nobody runs it for long: built in a third of the time.
    command += ["-DCMAKE_C_FLAGS=-O0", "-DCMAKE_CXX_FLAGS=-O0", *(["-GNinja"] if shutil.which("ninja") else [])]
    built = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]
    source = ["bash", "-c", ". install/local_setup.bash && env -0"]
    variables = subprocess.run(source, cwd=workspace, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in variables.split("\0") if "=" in line)


class Observer:
    """What other_messages_observer.py prints, as it grows."""

    def __init__(self, process):
        self.process = process

    @property
    def received(self):
        return [json.loads(line) for line in list(self.process.lines) if line.startswith("{")]

    def of(self, kind):
        return [message for message in self.received if message["kind"] == kind]

    def wait(self, condition, what, timeout_s=30.0):
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"waited {timeout_s:g} s for {what}; the observer printed:\n{self.process.output[-2000:]}")
            time.sleep(0.02)


def with_this_folder(environment):
    return with_folders(environment, Path(__file__).parent)


def with_folders(environment, *folders):
    path = os.pathsep.join((*map(str, folders), environment.get("PYTHONPATH", "")))
    return {**environment, "PYTHONPATH": path}


@pytest.fixture
def observed(run_module, ovsr, node_config, other_environment, monkeypatch):
    """An active node and an observer, both in processes that find vision_msgs."""
    environment = with_this_folder(other_environment)
    run_module(
        "ovsr_ros.nodes.ovsr_node", "--ros-args", "-p", f"config:={node_config}", "-p", "score_threshold:=0.125",
        "-p", "depth.wait_s:=1.0",
        environment=environment,
    )  # fmt: skip
    observer = Observer(run_module("other_messages_observer", environment=environment))
    ovsr.wait_until_active()
    observer.wait(lambda: observer.of("label_info"), "the label info for a late subscriber")
    return observer


@pytest.mark.slow
def test_label_info_is_what_the_vocabulary_says_and_detections_are_what_the_segments_say(observed, ovsr):
    """One test, because each would start two processes of its own."""
    check_contents(observed, ovsr)
    check_order(observed, ovsr)
    check_detections(observed, ovsr)


def check_contents(observed, ovsr):
    (info,) = observed.of("label_info")
    assert info["classes"] == [[0, "mug"], [1, "ball"], [255, "unlabeled"]]
    assert info["threshold"] == 0.125
    assert info["stamp"] == observed.of("vocabulary")[-1]["stamp"]

    assert ovsr.set_parameters(score_threshold=0.5).successful
    observed.wait(lambda: len(observed.of("label_info")) == 2, "the label info with the changed threshold")
    assert observed.of("label_info")[-1]["threshold"] == 0.5
    assert observed.of("label_info")[-1]["classes"] == info["classes"]

    assert ovsr.set_vocabulary(REPLACE).success
    observed.wait(lambda: len(observed.of("label_info")) == 3, "the label info of the empty vocabulary")
    assert observed.of("label_info")[-1]["classes"] == [[255, "unlabeled"]]

    assert ovsr.set_vocabulary(REPLACE, "wall", "Unlabeled").success
    observed.wait(lambda: len(observed.of("label_info")) == 4, "the label info of an operator's own word 'unlabeled'")
    assert observed.of("label_info")[-1]["classes"] == [[2, "wall"], [3, "Unlabeled"]]

    topic = "/ovsr/label_info"
    (publisher,) = ovsr.client.node.get_publishers_info_by_topic(topic)
    assert publisher.topic_type == "vision_msgs/msg/LabelInfo"
    assert publisher.qos_profile.reliability.name == "RELIABLE"
    assert publisher.qos_profile.durability.name == "TRANSIENT_LOCAL"


def check_order(observed, ovsr):
    """In the order in which messages reached the observer: the vocabulary and the label info of a version, then frames
    that it labelled, whose ids are all in both.
    """
    for number in range(20):
        assert ovsr.set_vocabulary(REPLACE, f"thing {number % 5}", "wall").success
        ovsr.label(ovsr.image(seed=number))
    observed.wait(lambda: len(observed.of("segments")) >= 20, "the frames")
    received = sorted(observed.received, key=lambda message: message["received_ns"])
    vocabularies = {message["version"]: message for message in received if message["kind"] == "vocabulary"}
    assert set(vocabularies) == set(range(1, 24))
    infos = {tuple(message["stamp"]): message for message in received if message["kind"] == "label_info"}
    frames = [message for message in received if message["kind"] == "segments"]
    assert len({frame["version"] for frame in frames}) >= 20
    for frame in frames:
        vocabulary = vocabularies[frame["version"]]
        info = infos[tuple(vocabulary["stamp"])]
        assert vocabulary["received_ns"] < frame["received_ns"]
        assert info["received_ns"] < frame["received_ns"]
        assert info["classes"] == [*vocabulary["classes"], [255, "unlabeled"]]
        assert set(frame["ids"]) <= {id for id, _ in info["classes"]}


def check_detections(observed, ovsr):
    """Without depth, then with it: each labelled segment is a detection, in its box, and where it is in space."""
    assert ovsr.set_parameters(score_threshold=0.0).successful
    assert ovsr.set_vocabulary(REPLACE, "mug; cup", "wall").success
    frame = ovsr.label()
    compare_flat(frame, detections_of(observed, "detections", frame))
    seen = Scene(3, split="test").render(0.0, (160, 120))
    depths = ovsr.client.publisher("/depth", Image, 10, subscribed=False)
    infos = ovsr.client.publisher("/camera_info", CameraInfo, 10, subscribed=False)
    ovsr.client.wait(lambda: depths.get_subscription_count() and infos.get_subscription_count(), "the node to listen")
    for _ in range(10):  # the node's subscriptions may be newer to it than to us
        header = ovsr.new_header()
        infos.publish(to_camera_info((120, 160), seen.camera_matrix, header))
        depths.publish(to_depth_message(seen.depth_m, "32FC1", header))
        frame = ovsr.label(to_image_message(seen.image, "rgb8", header))
        if frame.segments[0].depth_count:
            break
    compare_flat(frame, detections_of(observed, "detections", frame))
    compare_spatial(frame, detections_of(observed, "detections_3d", frame))
    stamps = [message["stamp"] for message in observed.of("detections_3d")]
    assert all(stamp[0] >= 1000 for stamp in stamps)
    assert len(stamps) < len(observed.of("detections")), "without depth nothing is in space"


def detections_of(observed, kind, frame):
    stamp = [frame.header.stamp.sec, frame.header.stamp.nanosec]

    def find():
        return next((message for message in observed.of(kind) if message["stamp"] == stamp), None)

    observed.wait(find, f"the {kind} of the frame")
    return find()["detections"]


def compare_flat(frame, detections):
    labelled = [segment for segment in frame.segments if segment.class_id != 255]
    assert len(labelled) == len(detections) > 1
    for segment, detection in zip(labelled, detections, strict=True):
        check_hypotheses(frame, segment, detection)
        assert detection["center"] == [(segment.x_min + segment.x_max) / 2, (segment.y_min + segment.y_max) / 2]
        assert detection["size"] == [segment.x_max - segment.x_min, segment.y_max - segment.y_min]


def compare_spatial(frame, detections):
    placed = [segment for segment in frame.segments if segment.class_id != 255 and segment.depth_count]
    assert len(placed) == len(detections) > 1
    for segment, detection in zip(placed, detections, strict=True):
        check_hypotheses(frame, segment, detection)
        low, high = ([getattr(box, axis) for axis in "xyz"] for box in (segment.box_min, segment.box_max))
        assert detection["center"] == pytest.approx([(a + b) / 2 for a, b in zip(low, high, strict=True)], abs=1e-5)
        assert detection["size"] == pytest.approx([b - a for a, b in zip(low, high, strict=True)], abs=1e-5)
        assert detection["upright"] == 1.0
        position = [getattr(segment.position, axis) for axis in "xyz"]
        assert all(each == pytest.approx(position, abs=1e-5) for each in detection["positions"])


def check_hypotheses(frame, segment, detection):
    assert detection["id"] == str(segment.track_id) != "0"
    assert detection["frame"] == frame.header.frame_id
    expected = [(segment.label, segment.score), *((each.label, each.score) for each in segment.runners_up)]
    assert [name for name, _ in detection["results"]] == [name for name, _ in expected if name != "something else"]
    assert detection["results"][0][1] == pytest.approx(segment.score, abs=1e-6)


@pytest.mark.slow
def test_detections_in_space_are_in_the_target_frame(run_module, ovsr, node_config, other_environment):
    """By a tf2_ros that is installed, or the stand-in's; see test_target_frame.py, which has the transforms."""
    environment = with_folders(other_environment, Path(__file__).parent, *([] if HAS_TF2 else [TF2_STAND_IN]))
    run_module(
        "ovsr_ros.nodes.ovsr_node", "--ros-args", "-p", f"config:={node_config}", "-p", "depth.wait_s:=1.0",
        "-p", "target_frame:=camera_link",
        environment=environment,
    )  # fmt: skip
    observer = Observer(run_module("other_messages_observer", environment=environment))
    ovsr.wait_until_active()
    kind, pose = TransformStamped, TransformStamped(child_frame_id="some_camera")
    pose.header.frame_id = "camera_link"
    pose.transform.translation.z = 0.5
    (turn := pose.transform.rotation).x, turn.y, turn.z, turn.w = -0.5, 0.5, -0.5, 0.5
    if HAS_TF2:
        from tf2_msgs.msg import TFMessage

        kind, pose = TFMessage, TFMessage(transforms=[pose])
    latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    ovsr.client.publisher("/tf_static", kind, latched).publish(pose)
    seen = Scene(3, split="test").render(0.0, (160, 120))
    depths = ovsr.client.publisher("/depth", Image, 10)
    infos = ovsr.client.publisher("/camera_info", CameraInfo, 10)
    frames = {}

    def look():
        """A frame and its detections: the observer may print them after the next frames have come."""
        header = ovsr.new_header()
        infos.publish(to_camera_info((120, 160), seen.camera_matrix, header))
        depths.publish(to_depth_message(seen.depth_m, "32FC1", header))
        frame = ovsr.label(to_image_message(seen.image, "rgb8", header))
        frames[header.stamp.sec, header.stamp.nanosec] = frame
        seen_in_space = {tuple(each["stamp"]): each["detections"] for each in observer.of("detections_3d")}
        return next(((frames[stamp], seen_in_space[stamp]) for stamp in frames if stamp in seen_in_space), None)

    frame, detections = ovsr.client.wait(look, "detections in space")
    placed = [segment for segment in frame.segments if segment.class_id != 255 and segment.depth_count]
    assert len(placed) == len(detections) > 1
    for segment, detection in zip(placed, detections, strict=True):
        assert detection["frame"] == "camera_link"
        low, high = (np.array([getattr(box, axis) for axis in "xyz"]) for box in (segment.box_min, segment.box_max))
        for found, (right, down, forward) in (
            (detection["center"], (low + high) / 2),
            (detection["positions"][0], [getattr(segment.position, axis) for axis in "xyz"]),
        ):
            assert found == pytest.approx([forward, -right, 0.5 - down], abs=2e-3)
        width, height, length = high - low
        assert detection["size"] == pytest.approx([length, width, height], abs=2e-3)
        assert detection["upright"] == 1.0


@pytest.mark.slow
def test_a_managed_node_has_a_bond_while_it_is_active(run_module, ovsr, node_config, other_environment):
    environment = with_this_folder(other_environment)
    observer = Observer(run_module("other_messages_observer", environment=environment))
    run_module(
        "ovsr_ros.nodes.ovsr_node", "--ros-args", "-p", f"config:={node_config}", "-p", "autostart:=false",
        environment=environment,
    )  # fmt: skip
    assert ovsr.change_state("configure")
    assert not observer.of("bond")
    instances = []
    for _ in range(2):
        seen = len(observer.of("bond"))
        assert ovsr.change_state("activate")
        observer.wait(lambda seen=seen: len(observer.of("bond")) >= seen + 3, "three heartbeats")
        assert ovsr.change_state("deactivate")
        observer.wait(lambda: not observer.of("bond")[-1]["active"], "the end of the bond to be told")
        *beats, last = observer.of("bond")[seen:]
        assert all(beat["active"] for beat in beats)
        assert {(beat["id"], beat["instance"]) for beat in beats} == {("ovsr", last["instance"])}
        assert last["timing"] == [0.5, 4.0]
        instances.append(last["instance"])
    assert instances[0] != instances[1], "a manager takes a new one for a new bond"


@pytest.mark.skipif(INSTALLED, reason="vision_msgs is installed")
def test_without_vision_msgs_there_are_no_topics_and_no_word_of_it(active_node, ovsr):
    assert ovsr.label().segments
    names = {name for name, _ in ovsr.client.node.get_topic_names_and_types()}
    assert "/ovsr/vocabulary" in names
    assert not names & {"/ovsr/label_info", "/ovsr/detections", "/ovsr/detections_3d"}
    said = [log.msg for log in ovsr.logs]
    assert not [text for text in said if "vision_msgs" in text or "label_info" in text or "detections" in text]
