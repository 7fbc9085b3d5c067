"""~/label_info with a package vision_msgs of the same fields, over DDS; and the node where there is no such package.

vision_msgs comes with ROS's own packages only. Where it is not installed, two of its messages are built here.
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

import pytest

from ovsr_ros import srv

REPLACE = srv.SetVocabulary.Request.REPLACE
INSTALLED = importlib.util.find_spec("vision_msgs") is not None

PACKAGE_XML = """<?xml version="1.0"?>
<package format="3">
  <name>vision_msgs</name>
  <version>0.0.0</version>
  <description>Stand-in with the fields of two messages of vision_msgs.</description>
  <maintainer email="maintainers@ovsr-ros.invalid">ovsr_ros maintainers</maintainer>
  <license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
  <depend>std_msgs</depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""
CMAKE = """cmake_minimum_required(VERSION 3.16)
project(vision_msgs LANGUAGES C CXX)
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
find_package(std_msgs REQUIRED)
rosidl_generate_interfaces(${PROJECT_NAME} msg/LabelInfo.msg msg/VisionClass.msg DEPENDENCIES std_msgs)
ament_package()
"""
MESSAGES = {
    "VisionClass": "uint16 class_id\nstring class_name\n",
    "LabelInfo": "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n",
}


@pytest.fixture(scope="session")
def vision_msgs_environment(tmp_path_factory):
    """The environment variables with which Python finds vision_msgs."""
    if INSTALLED:
        return dict(os.environ)
    workspace = tmp_path_factory.mktemp("vision_msgs")
    package = workspace / "src" / "vision_msgs"
    (package / "msg").mkdir(parents=True)
    (package / "package.xml").write_text(PACKAGE_XML, encoding="utf-8")
    (package / "CMakeLists.txt").write_text(CMAKE, encoding="utf-8")
    for name, text in MESSAGES.items():
        (package / "msg" / f"{name}.msg").write_text(text, encoding="utf-8")
    command = ["colcon", "build", "--cmake-args", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={sys.executable}"]
    # Nobody runs it for long: built in a third of the time.
    command += ["-DCMAKE_C_FLAGS=-O0", "-DCMAKE_CXX_FLAGS=-O0", *(["-GNinja"] if shutil.which("ninja") else [])]
    built = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]
    source = ["bash", "-c", ". install/local_setup.bash && env -0"]
    variables = subprocess.run(source, cwd=workspace, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in variables.split("\0") if "=" in line)


class Observer:
    """What label_info_observer.py prints, as it grows."""

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


@pytest.fixture
def observed(run_module, ovsr, node_config, vision_msgs_environment, monkeypatch):
    """An active node and an observer, both in processes that find vision_msgs."""
    path = os.pathsep.join((str(Path(__file__).parent), vision_msgs_environment.get("PYTHONPATH", "")))
    environment = {**vision_msgs_environment, "PYTHONPATH": path}
    run_module(
        "ovsr_ros.nodes.ovsr_node", "--ros-args", "-p", f"config:={node_config}", "-p", "score_threshold:=0.125",
        environment=environment,
    )  # fmt: skip
    observer = Observer(run_module("label_info_observer", environment=environment))
    ovsr.wait_until_active()
    observer.wait(lambda: observer.of("label_info"), "the label info for a late subscriber")
    return observer


@pytest.mark.slow
def test_label_info_says_what_the_vocabulary_says_before_the_first_frame(observed, ovsr):
    """One test, because each would start two processes of its own."""
    check_contents(observed, ovsr)
    check_order(observed, ovsr)


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


@pytest.mark.skipif(INSTALLED, reason="vision_msgs is installed")
def test_without_vision_msgs_there_is_no_topic_and_no_word_of_it(active_node, ovsr):
    assert ovsr.label().segments
    names = {name for name, _ in ovsr.client.node.get_topic_names_and_types()}
    assert "/ovsr/vocabulary" in names
    assert "/ovsr/label_info" not in names
    assert not [log.msg for log in ovsr.logs if "vision_msgs" in log.msg or "label_info" in log.msg]
