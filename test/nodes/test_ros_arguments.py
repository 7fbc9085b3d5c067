"""What stands in ROS arguments: which inputs were chosen, and which parameters are for all nodes of a robot."""

from __future__ import annotations

import pytest
from rclpy.node import Node

from ovsr_ros.nodes.ros_arguments import find_shared_names, is_remapped

REMAPPED = [
    ["-r", "depth:=/camera/depth"],
    ["--remap", "depth:=/camera/depth"],
    ["-r", "depth:=/robot/depth"],  # the name that it has anyway: somebody asked for it
    ["-r", "depth:=depth"],
    ["-r", "/robot/depth:=/robot/depth"],
    ["-r", "rostopic://depth:=/camera/depth"],
    ["-r", "ovsr:depth:=/camera/depth"],
    ["-r", "ovsr:/robot/depth:=depth"],
    ["-r", "image:=/image", "-p", "rate_hz:=5.0", "-r", "depth:=/depth"],
]
NOT_REMAPPED = [
    [],
    ["-r", "image:=/depth"],
    ["-r", "other:depth:=/camera/depth"],
    ["-r", "/depth:=/camera/depth"],  # of the root, not of the node's namespace
    ["-r", "~/depth:=/camera/depth"],
    ["-r", "rosservice://depth:=/camera/depth"],
    ["-r", "__node:=ovsr", "-r", "__ns:=/robot"],
    ["-p", "depth:=3"],
    ["--log-level", "info"],
]


@pytest.fixture
def expand(context):
    """The full name that rcl makes of a name, of the node /robot/ovsr."""
    node = Node("ovsr", namespace="/robot", context=context, use_global_arguments=False)
    yield lambda name: node.resolve_topic_name(name, only_expand=True)
    node.destroy_node()


@pytest.mark.parametrize("arguments", REMAPPED)
def test_a_rule_for_the_input_counts_whatever_it_makes_of_it(expand, arguments):
    assert is_remapped(["program", "--ros-args", *arguments], "ovsr", "depth", expand)
    assert is_remapped(["program", "--ros-args", "--", "--", "--ros-args", *arguments], "ovsr", "depth", expand)


@pytest.mark.parametrize("arguments", NOT_REMAPPED)
def test_other_rules_do_not_count(expand, arguments):
    assert not is_remapped(["program", "--ros-args", *arguments], "ovsr", "depth", expand)


def test_what_is_no_ros_argument_does_not_count(expand):
    assert not is_remapped(["program", "-r", "depth:=/a"], "ovsr", "depth", expand)
    assert not is_remapped(["program", "--ros-args", "--", "-r", "depth:=/a"], "ovsr", "depth", expand)
    assert not is_remapped(["program", "--ros-args", "-p", "-r", "depth:=/a"], "ovsr", "depth", expand)


@pytest.mark.parametrize("arguments", REMAPPED + NOT_REMAPPED)
def test_what_rcl_makes_of_the_rules_agrees(context, arguments):
    """A topic that rcl gives another name is remapped; one that keeps its name may be."""
    cli_args = ["--ros-args", *arguments]
    node = Node("ovsr", namespace="/robot", context=context, use_global_arguments=False, cli_args=cli_args)
    changed = node.resolve_topic_name("depth") != node.resolve_topic_name("depth", only_expand=True)
    told = is_remapped(cli_args, "ovsr", "depth", lambda name: node.resolve_topic_name(name, only_expand=True))
    node.destroy_node()
    assert told or not changed
    assert told == (arguments in REMAPPED)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_parameters_of_all_nodes_are_told_from_those_of_one(tmp_path):
    shared = write(
        tmp_path / "robot.yaml",
        "/**: {ros__parameters: {wheel_radius: .1, arm: {length: 3, joint.names: [a]}, rate_hz: 5.0, both: 1}}\n"
        "/*: {ros__parameters: {said: 1}}\n"
        "/*/ovsr: {ros__parameters: {named: 1, both: 2}}\n"
        "robot: {ovsr: {ros__parameters: {nested: 1}}, '*': {ros__parameters: {of_the_namespace: 1}}}\n",
    )
    told = ["-p", "ovsr:said:=2", "-p", "by_launch:=3", "--param", "nested:=4"]
    names = find_shared_names(["--ros-args", "--params-file", shared, *told])
    assert names.in_files == {"wheel_radius", "arm.length", "arm.joint.names", "rate_hz", "of_the_namespace"}
    assert names.on_command_line == {"by_launch"}


@pytest.mark.parametrize("text", ["a: [", "- 1", "", "/**: 3", "/**: {ros__parameters: 3}", "/**: {ros__parameters:}"])
def test_a_file_without_parameters_has_none(tmp_path, text):
    assert not find_shared_names(["--ros-args", "--params-file", write(tmp_path / "a.yaml", text)]).in_files
    missing = ["--ros-args", "--params-file", str(tmp_path / "none.yaml"), "--params-file"]
    assert not find_shared_names(missing).in_files
