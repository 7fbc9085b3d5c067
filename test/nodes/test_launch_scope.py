"""Which arguments count: those that a launch file was given, in a real launch with others around it."""

from __future__ import annotations

import pytest
from real_launch import NEEDED, OVSR, RealLaunch

pytest.importorskip("ros2launch.api", reason=NEEDED)


@pytest.fixture
def launch(tmp_path):
    return RealLaunch(tmp_path)


def test_arguments_on_the_command_line_reach_the_node(launch):
    result = launch(
        OVSR, "image:=/camera/image_raw", "depth:=/depth", "rate:=30", "autostart:=No", "use_sim_time:=true",
        "namespace:=robot1/", "categories:=mug; cup, y", "log_level:=WARN", "sigterm_timeout:=3",
    )  # fmt: skip
    assert result.code == 0, result.output
    (node,) = result.shown
    assert node.rules == {"__node": "ovsr", "__ns": "/robot1", "image": "/camera/image_raw", "depth": "/depth"}
    assert node.parameters == {
        "rate_hz": 30.0,
        "autostart": False,
        "use_sim_time": True,
        "categories": ["mug; cup", "y"],
    }
    assert node.arguments[: node.arguments.index("-r")] == ["--ros-args", "--log-level", "WARN", "--ros-args"]


def test_an_input_that_is_given_its_own_name_is_remapped_too(launch):
    assert launch(OVSR, "image:=image", "depth:=/depth").topics == {"/": {"image": "image", "depth": "/depth"}}
    assert launch(OVSR).topics == {"/": {}}


TWICE = {
    ".py": """
def entities():
    yield include(namespace="a", image="/a", depth="/depth", rate="30", params_file="FILE")
    yield include(namespace="b", image="/b")
    yield include()
""",
    ".xml": """
<launch>
  <include file="OVSR">
    <arg name="namespace" value="a"/><arg name="image" value="/a"/><arg name="depth" value="/depth"/>
    <arg name="rate" value="30"/><arg name="params_file" value="FILE"/>
  </include>
  <include file="OVSR"><arg name="namespace" value="b"/><arg name="image" value="/b"/></include>
  <include file="OVSR"/>
</launch>
""",
    ".yaml": """
launch:
- include:
    file: OVSR
    arg:
    - {name: namespace, value: a}
    - {name: image, value: /a}
    - {name: depth, value: /depth}
    - {name: rate, value: "30"}
    - {name: params_file, value: FILE}
- include: {file: OVSR, arg: [{name: namespace, value: b}, {name: image, value: /b}]}
- include: {file: OVSR}
""",
}


@pytest.mark.parametrize("suffix", TWICE)
def test_each_of_several_includes_has_its_own_arguments(launch, tmp_path, suffix):
    file = tmp_path / "params.yaml"
    file.write_text("/**:\n  ros__parameters:\n    score_threshold: 0.5\n")
    result = launch(launch.write_parent(TWICE[suffix].replace("FILE", str(file)), suffix))
    assert result.code == 0, result.output
    assert result.topics == {"/a": {"image": "/a", "depth": "/depth"}, "/b": {"image": "/b"}, "/": {}}
    parameters = {process.rules["__ns"]: process.parameters for process in result.shown}
    assert parameters == {"/a": {"rate_hz": 30.0, "score_threshold": 0.5}, "/b": {}, "/": {}}


OF_A_PARENT = (
    "device:=/dev/video0", "config:=camera.yaml", "rate:=100hz", "processes:=4", "log_level:=verbose", "autostart:=si",
    "namespace:=elsewhere", "depth:=/elsewhere", "cameras:=a b", "image:=a b", "category:=mug",
)  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "def entities():\n    yield include(image='/camera')",
        "def entities():\n    yield DeclareLaunchArgument('device', default_value='/dev/video1')\n"
        "    yield include(image='/camera')",
        "def entities():\n    yield GroupAction([include(image='/camera')])",
        "def entities():\n    yield GroupAction([GroupAction([include(image='/camera')], scoped=False)])",
        "def entities():\n    yield OpaqueFunction(function=lambda context: [include(image='/camera')])",
        "def entities():\n    yield TimerAction(period=0.1, actions=[include(image='/camera')])",
        "def entities():\n    yield ExecuteProcess(cmd=['true'], on_exit=[include(image='/camera')])",
        "def entities():\n    yield DeclareLaunchArgument('cam', default_value='/camera')\n"
        "    yield include(image=LaunchConfiguration('cam'))",
        "def entities():\n    yield GroupAction([include(image='/camera')], forwarding=False, "
        "launch_configurations={'launch-prefix': LaunchConfiguration('launch-prefix')})",
    ],
)
def test_arguments_of_a_parent_neither_end_the_launch_nor_take_effect(launch, text):
    result = launch(launch.write_parent(text), *OF_A_PARENT)
    assert result.code == 0, result.output
    nodes = [process for process in result.shown if process.executable == "ovsr_node"]
    assert [(node.rules["__ns"], node.rules["image"], node.parameters) for node in nodes] == [("/", "/camera", {})]
    if "forwarding" not in text:
        assert "device:=/dev/video0, " in result.output
        assert "name them among the arguments of the include" in result.output


def test_what_a_parent_hands_on_counts(launch):
    text = """
def entities():
    yield DeclareLaunchArgument("rate", default_value="")
    yield DeclareLaunchArgument("device", default_value="")
    yield include(**{name: LaunchConfiguration(name) for name in ("rate", "device")})
"""
    assert [process.parameters for process in launch(launch.write_parent(text), "rate:=30").shown] == [
        {"rate_hz": 30.0}
    ]


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("def entities():\n    yield GroupAction([include()], launch_configurations={'depth': '/d'})", ".py"),
        ("def entities():\n    yield GroupAction([SetLaunchConfiguration('depth', '/d'), include()])", ".py"),
        (
            "def entities():\n    prefix = LaunchConfiguration('launch-prefix')\n    yield GroupAction([include()], "
            "forwarding=False, launch_configurations={'depth': '/d', 'robot': 'r2', 'launch-prefix': prefix})",
            ".py",
        ),
        ('<launch><group><let name="depth" value="/d"/><include file="OVSR"/></group></launch>', ".xml"),
    ],
)
def test_what_is_set_in_a_group_around_the_include_alone_is_given_to_it(launch, text, suffix):
    result = launch(launch.write_parent(text, suffix))
    assert result.code == 0, result.output
    assert result.topics == {"/": {"depth": "/d"}}


@pytest.mark.parametrize("other", ["include()", "ExecuteProcess(cmd=['true'])", "GroupAction([])"])
def test_what_is_set_in_a_group_with_others_is_not(launch, other):
    text = (
        f"def entities():\n    yield GroupAction([SetLaunchConfiguration('device', '/dev/video0'), {other}, include()])"
    )
    result = launch(launch.write_parent(text))
    assert result.code == 0, result.output
    assert {str(process.parameters) for process in result.shown if process.executable == "ovsr_node"} == {"{}"}


def test_a_parent_s_later_includes_do_not_see_the_defaults(launch):
    text = """
def entities():
    yield include(image="/camera")
    for name in ("device", "rate", "namespace", "config", "log_level"):
        yield DeclareLaunchArgument(name, default_value="the parent's")
        yield LogInfo(msg=[name, " is ", LaunchConfiguration(name)])
"""
    result = launch(launch.write_parent(text))
    assert result.output.count("is the parent's") == 5, result.output


def test_a_description_that_is_used_without_an_include_takes_what_is_set(launch):
    text = """
from launch.launch_description_sources import get_launch_description_from_python_launch_file

def entities():
    yield SetLaunchConfiguration("image", "/camera")
    yield from get_launch_description_from_python_launch_file("OVSR").entities
"""
    assert launch(launch.write_parent(text)).topics == {"/": {"image": "/camera"}}


def test_a_description_that_is_included_as_such_has_its_own_arguments_too(launch):
    text = """
from launch import LaunchDescriptionSource
from launch.launch_description_sources import get_launch_description_from_python_launch_file

def entities():
    for namespace, depth in (("a", "/a"), ("b", "")):
        source = LaunchDescriptionSource(get_launch_description_from_python_launch_file("OVSR"))
        yield IncludeLaunchDescription(source, launch_arguments={"namespace": namespace, "depth": depth}.items())
    yield IncludeLaunchDescription(source)
"""
    result = launch(launch.write_parent(text), "device:=/dev/video0")
    assert result.topics == {"/a": {"depth": "/a"}, "/b": {}, "/": {}}, result.output
